{{- /*
The controller's own hands are tied too: of roles and bindings it writes and deletes only those that it made. Its
rights say `roles` and `rolebindings` as a whole, since RBAC cannot name what does not exist yet; this says which.
*/}}
{{- define "daypass.guard.controller-guard" }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [rbac.authorization.k8s.io]
        apiVersions: [v1]
        operations: [CREATE, UPDATE, DELETE]
        resources: [rolebindings, clusterrolebindings, roles, clusterroles]
  matchConditions:
    - name: the-controller
      expression: request.userInfo.username == '{{ include "daypass.controller" . }}'
  validations:
    # What it writes is named after a request's UID, which nobody can choose, and says so. So a binding whose label
    # somebody took off is still its own, and is put back. What it deletes carries the mark, whatever its name is: a
    # stray that somebody made without the binding guard is removed too.
    - expression: >-
        object == null
          ? (has(oldObject.metadata.labels) && 'daypass.dev/request-uid' in oldObject.metadata.labels)
            || oldObject.metadata.name.matches('^daypass-[0-9a-f]{8}-[0-9a-f-]{27}(-loan)?$')
          : has(object.metadata.labels) && 'daypass.dev/request-uid' in object.metadata.labels
            && object.metadata.name.startsWith('daypass-' + object.metadata.labels['daypass.dev/request-uid'])
      reason: Forbidden
      message: the controller of Daypass writes only roles and bindings that belong to a request
{{- end }}
