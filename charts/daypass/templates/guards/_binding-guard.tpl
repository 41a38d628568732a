{{- /*
Bindings that Daypass made, and the roles that it made for them, or that look as if, are written by the controller
alone. Anybody whom RBAC lets may delete one: that is revoking by hand, and Daypass does not put it back.
*/}}
{{- define "daypass.guard.binding-guard" }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [rbac.authorization.k8s.io]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [rolebindings, clusterrolebindings, roles, clusterroles]
  matchConditions:
    - name: not-the-controller
      expression: "!{{ include "daypass.isController" . }}"
    # Now or before, so that a label is neither put on nor taken off. A new object has no old one.
    - name: ours
      expression: >-
        [object, oldObject].exists(o, o != null && has(o.metadata.labels) && (
          'daypass.dev/request-uid' in o.metadata.labels
            || ('app.kubernetes.io/managed-by' in o.metadata.labels
              && o.metadata.labels['app.kubernetes.io/managed-by'] == 'daypass')))
  validations:
    # One update stays free: taking finalizers away and nothing else. A delete with --cascade=foreground or
    # orphan puts one on, and the garbage collector takes it off by an update. Were that refused, anybody who
    # may delete a binding could keep it, half deleted and still granting, for ever.
    #
    # The garbage collector's other update is refused: when a request is deleted with --cascade=orphan, it
    # takes the owner reference off the binding. It tries until the binding is gone, and until then the request
    # stays, marked as deleted. So a request never vanishes before its access does.
    - expression: >-
        oldObject != null
          && object.?roleRef == oldObject.?roleRef
          && object.?subjects == oldObject.?subjects
          && object.?rules == oldObject.?rules
          && object.?aggregationRule == oldObject.?aggregationRule
          && object.metadata.?labels == oldObject.metadata.?labels
          && object.metadata.?annotations == oldObject.metadata.?annotations
          && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences
          && object.metadata.?finalizers.orValue([]).all(f, f in oldObject.metadata.?finalizers.orValue([]))
      reason: Forbidden
      message: >-
        bindings and roles of Daypass (label app.kubernetes.io/managed-by=daypass or daypass.dev/request-uid) are
        written by its controller only; to end this access delete the binding, to get access create an AccessRequest,
        and for a binding or role of your own leave these labels out
{{- end }}
