{{- /*
A request says truly who asks. Needs no mutating policy: a client may write its own identity.
*/}}
{{- define "daypass.guard.identity-check" }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      # Only CREATE: afterwards the CRD lets nobody change the spec.
      - apiGroups: [daypass.dev]
        apiVersions: [v1alpha1]
        operations: [CREATE]
        resources: [accessrequests]
  variables:
    - name: stated
      expression: "has(object.spec.requester) ? object.spec.requester : {}"
  validations:
    {{- include "daypass.recordableValidations" . | nindent 4 }}
    {{- with .Values.watchNamespaces }}
    # Elsewhere nobody would ever answer. The canary's own request, which is for nobody to answer, stands beside the controller.
    - expression: >-
        request.namespace in {{ toJson . }}
          || (request.namespace == '{{ $.Release.Namespace }}'
            && request.userInfo.username == 'system:serviceaccount:{{ $.Release.Namespace }}:daypass-canary')
      reason: Forbidden
      message: >-
        nobody would answer a request in this namespace: Daypass is limited to {{ join ", " . }}; ask there, or have who
        installs Daypass add the namespace to `watchNamespaces` of its chart
    {{- end }}
    # The order of groups says nothing; comparing as they stand first is only cheaper.
    - expression: >-
        variables.stated.?username.orValue('') == request.userInfo.username
          && variables.stated.?uid.orValue('') == request.userInfo.?uid.orValue('')
          && (variables.stated.?groups.orValue([]) == request.userInfo.?groups.orValue([])
            || sets.equivalent(variables.stated.?groups.orValue([]), request.userInfo.?groups.orValue([])))
      reason: Forbidden
      message: >-
        spec.requester must be you: {{ include "daypass.howToBeStamped" (dict "root" . "what" "spec.requester" "it" "it" "fields" "username, uid and groups" "policy" "identity-stamp") | nindent 8 | trim }}
{{- end }}
