{{- /*
The status of a request belongs to the controller; a person may write one thing in it, their own review: freely
while the request is pending, then only to end it, and to close the review of break-glass access.
*/}}
{{- define "daypass.guard.status-guard" }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [daypass.dev]
        apiVersions: [v1alpha1]
        operations: [UPDATE]
        resources: [accessrequests/status]
  matchConditions:
    - name: not-the-controller
      expression: "!{{ include "daypass.isController" . }}"
  variables:
    - name: me
      expression: request.userInfo.username
    - name: before
      expression: "has(oldObject.status) ? dyn(oldObject.status) : dyn({})"
    - name: after
      expression: "has(object.status) ? dyn(object.status) : dyn({})"
    - name: reviewsBefore
      expression: "variables.before.?reviews.orValue({})"
    - name: reviewsAfter
      expression: "variables.after.?reviews.orValue({})"
    # Fields are not named one by one, so a new field of the status is guarded from its first day.
    # Only state has a default: a status that begins to exist begins with it.
    - name: changed
      expression: >-
        (variables.before.map(k, k) + variables.after.filter(k, !(k in variables.before))).filter(k,
          k != 'reviews' && (k == 'state'
            ? variables.before[?k].orValue('Pending') != variables.after[?k].orValue('Pending')
            : variables.before[?k] != variables.after[?k]))
    - name: changedReviews
      expression: >-
        (variables.reviewsBefore.map(k, k)
          + variables.reviewsAfter.filter(k, !(k in variables.reviewsBefore))).filter(k,
          k != variables.me && variables.reviewsBefore[?k] != variables.reviewsAfter[?k])
    - name: state
      expression: "variables.before.?state.orValue('Pending')"
    # Break-glass access is reviewed after the fact, also when it is over.
    - name: underReview
      expression: >-
        variables.before.?breakGlass.hasValue() && !variables.before.?breakGlass.?closedAt.hasValue()
    - name: reviewStays
      expression: "variables.me in variables.reviewsAfter"
  # How many reviews there may be and how long they may get is bounded by the CRD, which is checked before.
  validations:
    {{- include "daypass.recordableValidations" . | nindent 4 }}
    - expression: size(variables.changed) == 0
      reason: Forbidden
      messageExpression: >-
        'only Daypass writes status.' + variables.changed.join(', status.')
          + '; what you may add, change or remove is your own review: status.reviews["' + variables.me + '"]'
      message: >-
        only Daypass writes the status; what you may add, change or remove is your own review, the one under
        your username in status.reviews
    - expression: size(variables.changedReviews) == 0
      reason: Forbidden
      messageExpression: >-
        'you are "' + variables.me + '", and the review of "' + variables.changedReviews.join('", "')
          + '" is not yours; what you may add, change or remove is your own: status.reviews["' + variables.me + '"]'
      message: >-
        a review of somebody else cannot be added, changed or removed; you may write the one under your username
    - expression: >-
        !(variables.me in variables.reviewsAfter)
          || variables.reviewsBefore[?variables.me] == variables.reviewsAfter[?variables.me]
          || (variables.reviewsAfter[variables.me].?uid.orValue('') == request.userInfo.?uid.orValue('')
            && (variables.reviewsAfter[variables.me].?groups.orValue([]) == request.userInfo.?groups.orValue([])
              || sets.equivalent(variables.reviewsAfter[variables.me].?groups.orValue([]),
                request.userInfo.?groups.orValue([]))))
      reason: Forbidden
      message: >-
        uid and groups of your review must be yours: {{ include "daypass.howToBeStamped" (dict "root" . "what" "them" "it" "them" "fields" "both" "policy" "review-stamp") | nindent 8 | trim }}
    # What a decision was made by stays on record as it was said. States are listed where something can be said,
    # so a new one is closed until it is thought of here.
    - expression: >-
        variables.reviewsBefore[?variables.me] == variables.reviewsAfter[?variables.me]
          || variables.state == 'Pending'
          || (variables.reviewStays && (variables.underReview
            || (variables.state in {{ include "daypass.decidedStates" . }}
              && variables.reviewsAfter[variables.me].verdict == 'Revoke')))
      reason: Forbidden
      messageExpression: >-
        variables.underReview ?
          'what was said of break-glass access stays on record: change your review, to Approve or Deny, instead of removing it' :
        variables.state in {{ include "daypass.decidedStates" . }} ?
          'the request is decided (' + variables.state
            + '), and from now on a review can only end it: write verdict Revoke, or leave your review as it is' :
          'the request is over (' + variables.state
            + '), and nothing more can be said to it; for new access make a new request'
      message: >-
        the request is decided, and from now on a review can only end it: write verdict Revoke
{{- end }}

{{- /*
The status of a policy says whether Daypass uses it; nobody else can know.
*/}}
{{- define "daypass.guard.policy-status-guard" }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [daypass.dev]
        apiVersions: [v1alpha1]
        operations: [UPDATE]
        resources: [accesspolicies/status]
  validations:
    - expression: {{ include "daypass.isController" . }}
      reason: Forbidden
      message: only Daypass writes the status of a policy; change its spec, and the status follows
{{- end }}
