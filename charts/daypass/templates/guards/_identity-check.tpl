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
    {{- with include "daypass.extraKeys" . }}
    - expression: >-
        {{- include "daypass.recordableExtra" . | nindent 8 }}
      reason: Forbidden
      message: >-
        your login says more than 16 values, or one of more than 512 characters, under {{ join ", " $.Values.identity.extraKeys }}, and cannot
        be recorded; use another login, or have who installs Daypass take the key out of `identity.extraKeys` of its chart
    {{- end }}
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
    # What the login says under the keys that are recorded, and nothing under others.
    - expression: >-
        {{- with include "daypass.extraKeys" . }}
        variables.stated.?extra.orValue({}).all(k, k in {{ . }})
          && {{ . }}.all(k, variables.stated.?extra[?k].orValue([]) == {{ include "daypass.said" . }})
        {{- else }}
        size(variables.stated.?extra.orValue({})) == 0
        {{- end }}
      reason: Forbidden
      message: >-
        {{- with .Values.identity.extraKeys }}
        spec.requester.extra must be what your login says under {{ join ", " . }}, and nothing else: {{ include "daypass.howToBeStamped" (dict "root" $ "what" "spec.requester" "it" "it" "fields" "these of extra" "policy" "identity-stamp") | nindent 8 | trim }}
        {{- else }}
        leave spec.requester.extra out: this cluster records nothing of it (`identity.extraKeys` of the chart of Daypass)
        {{- end }}
{{- end }}
