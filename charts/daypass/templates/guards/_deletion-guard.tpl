{{- /*
A request is deleted by the person who made it. Whoever else could, would end another's access and take the record
of it away; and a requester could take away break-glass access that nobody has reviewed.
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
  matchConditions:
    # Nobody's: made while the cluster did not say who asks. It was denied.
    - name: has-requester
      expression: has(oldObject.spec.requester)
  variables:
    - name: requester
      expression: oldObject.spec.requester.username
    - name: own
      expression: variables.requester == request.userInfo.username
    - name: underReview
      expression: >-
        has(oldObject.status) && has(oldObject.status.breakGlass) && !has(oldObject.status.breakGlass.closedAt)
  validations:
    # The namespace controller empties a namespace that is being deleted. cluster-admin has the verb `purge` by its
    # wildcard; nothing of this chart gives it.
    - expression: >-
        has(namespaceObject.metadata.deletionTimestamp)
          || (variables.own && !variables.underReview)
          || authorizer.group('daypass.dev').resource('accessrequests').namespace(request.namespace)
            .check('purge').allowed()
      reason: Forbidden
      messageExpression: >-
        variables.own ?
          'your break-glass access is not reviewed yet, so its request cannot be deleted; one of these must close the review first, by a review of Approve or Deny: '
            + oldObject.status.breakGlass.reviewers.map(r, r.kind + ' ' + r.name).join(', ') :
          'only the requester, "' + variables.requester
            + '", may delete this request; to end the access of somebody else an approver writes a review of Revoke, and an admin who wants the record gone needs the verb purge on accessrequests.daypass.dev in namespace '
            + request.namespace
      message: >-
        only the requester may delete a request, and not while break-glass access waits for its review; to end the
        access of somebody else an approver writes a review of Revoke, and an admin who wants the record gone needs
        the verb purge on accessrequests.daypass.dev
{{- end }}
