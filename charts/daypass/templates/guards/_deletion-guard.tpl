{{- /*
A request that gave access is the record of it, so it is deleted by holders of the verb `purge` only: access ends by a
review of Revoke, and the record stays. What was never granted is deleted by the person who made it. The controller removes
what is over, reviewed and recorded to the length of its history; how old that must be is its own word.
*/}}
{{- define "daypass.guard.deletion-guard" }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      # Also each object of a deletecollection. With --cascade=foreground or orphan the caller's delete comes here
      # too, and the garbage collector ends it by an update.
      - apiGroups: [daypass.dev]
        apiVersions: [v1alpha1]
        operations: [DELETE]
        resources: [accessrequests]
  variables:
    - name: me
      expression: request.userInfo.username
    # Nobody's, when it was made while the cluster did not say who asks.
    - name: requester
      expression: oldObject.spec.?requester.?username.orValue('')
    - name: own
      expression: variables.requester == variables.me
    - name: status
      expression: "has(oldObject.status) ? dyn(oldObject.status) : dyn({})"
    - name: state
      expression: "variables.status.?state.orValue('Pending')"
    # A grant is on record before its binding exists. An extension has no grant of its own: one that was approved may
    # have moved the end of another request.
    - name: granted
      expression: >-
        variables.status.?grantedAt.hasValue()
          || variables.status.?bindings.orValue([]).size() > 0
          || variables.status.?extensions.orValue([]).size() > 0
          || variables.status.?breakGlass.hasValue()
          || (has(oldObject.spec.extends) && !(variables.state in ['Denied', 'Lapsed'])
            && variables.status.?history.orValue([]).exists(entry, entry.event == 'Approved'))
    - name: removesWhatIsRecorded
      expression: >-
        {{ include "daypass.isController" . }} && request.namespace != '{{ .Release.Namespace }}'
          && variables.state in {{ include "daypass.finalStates" . }}
          && (!variables.status.?breakGlass.hasValue() || variables.status.?breakGlass.?closedAt.hasValue())
          && variables.status.?history.orValue([]).size() > 0
          && variables.status.?recorded.orValue(-1) == variables.status.?history.orValue([]).size()
    - name: needed
      expression: "'the verb purge on accessrequests.daypass.dev in namespace ' + request.namespace"
    # The caller's review: the name is escaped for JSON, then all of it for a shell. The name of a request or a
    # namespace needs no escape. A character that no terminal shows could not be copied.
    - name: command
      expression: >-
        variables.me.matches('[\\p{C}\\p{Zl}\\p{Zp}]') ?
          'write a review with verdict Revoke under your username, in status.reviews' :
          'kubectl patch areq ' + oldObject.metadata.name + ' -n ' + request.namespace
            + " --subresource=status --type=merge -p '"
            + ('{"status":{"reviews":{"' + variables.me.replace('\\', '\\\\').replace('"', '\\"')
              + '":{"verdict":"Revoke"}}}}').replace("'", "'\\''") + "'"
  validations:
    # The namespace controller empties a namespace that is being deleted. cluster-admin has the verb `purge` by its
    # wildcard; nothing of this chart gives it.
    - expression: >-
        has(namespaceObject.metadata.deletionTimestamp)
          || variables.removesWhatIsRecorded
          || (!variables.granted && (variables.own || variables.requester == ''))
          || authorizer.group('daypass.dev').resource('accessrequests').namespace(request.namespace)
            .check('purge').allowed()
      reason: Forbidden
      messageExpression: >-
        (variables.granted ?
          'this request gave access and is the record of it: only who has ' + variables.needed + ' may delete it' :
          'only the requester, "' + variables.requester + '", may delete this request, and who has ' + variables.needed)
        + (variables.state in {{ include "daypass.decidedStates" . }} ?
            '; to end the access: ' + variables.command
              + (variables.own ? '' : ' (it counts if you are one of its approvers)') :
          variables.state == 'Pending' ? '; an approver who wants it refused writes a review of Deny' :
          '; it is over (' + variables.state + '), so there is no access left to end')
      message: >-
        a request that gave access is the record of it, and only who has the verb purge on accessrequests.daypass.dev
        may delete it; to end access, write a review with verdict Revoke under your username, in status.reviews
{{- end }}
