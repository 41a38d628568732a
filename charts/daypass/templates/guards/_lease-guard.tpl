{{- /*
The Lease says which replica writes. Whoever could write it would hand the lead to nobody, and no grant would begin or
end. So it is the controller's own. Nothing else in the namespace is this guard's concern.
*/}}
{{- define "daypass.guard.lease-guard" }}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: {{ .Release.Namespace | quote }}
    resourceRules:
      - apiGroups: [coordination.k8s.io]
        apiVersions: [v1]
        operations: [CREATE, UPDATE, DELETE]
        resources: [leases]
  matchConditions:
    # Not by request.name, which a deletecollection does not have.
    - name: the-lease
      expression: "(oldObject != null ? oldObject : object).metadata.?name.orValue('') == 'daypass'"
    - name: not-the-controller
      expression: "!{{ include "daypass.isController" . }}"
  variables:
    # The garbage collector, and the namespace controller when the namespace goes. The controller manager's own user is
    # both where its controllers have no accounts.
    - name: tidiesUp
      expression: >-
        request.userInfo.username == 'system:kube-controller-manager'
          || ({{ include "daypass.hasCredential" . }} && request.userInfo.username in [
            'system:serviceaccount:kube-system:generic-garbage-collector',
            'system:serviceaccount:kube-system:namespace-controller',
            'system:serviceaccount:kube-system:storage-version-migrator-controller'])
  validations:
    # Who tidies up deletes it with its namespace, takes off the finalizer that a delete with --cascade=foreground puts
    # on, or writes it anew as it is. An admin deletes it so that the replicas elect anew, and not even an admin says who leads.
    - expression: >-
        object == null
          ? variables.tidiesUp || {{ include "daypass.administers" . }}
          : variables.tidiesUp && oldObject != null && object.?spec == oldObject.?spec
      reason: Forbidden
      message: >-
        the Lease daypass says which replica of Daypass writes, and is written by Daypass alone; to have another replica
        take over restart the pod of the one that leads, and to have them elect anew delete the Lease, which takes the
        verb administer on accesspolicies.daypass.dev
{{- end }}
