{{- /*
The metadata of a request belongs to its requester. A finalizer would keep the request, and its namespace, from going;
an owner would take the record along when it goes; so nobody adds either. What the spec asks for cannot be changed by
anybody; the definition says that.
*/}}
{{- define "daypass.guard.metadata-guard" }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      # A write of the status changes no metadata.
      - apiGroups: [daypass.dev]
        apiVersions: [v1alpha1]
        operations: [CREATE, UPDATE]
        resources: [accessrequests]
  matchConditions:
    # A delete in the foreground or with orphans puts a finalizer on without asking here, and the garbage collector takes
    # it off by an update. Known by exact names. Whoever holds `edit` may act as any service account, but not bring what
    # its token brings.
    - name: not-a-system-component
      expression: >-
        !(request.userInfo.username == 'system:kube-controller-manager'
          || (request.userInfo.username in [
                'system:serviceaccount:kube-system:generic-garbage-collector',
                'system:serviceaccount:kube-system:namespace-controller',
                'system:serviceaccount:kube-system:storage-version-migrator-controller'
              ]
            && {{ include "daypass.hasCredential" . }}))
  variables:
    - name: me
      expression: request.userInfo.username
    - name: before
      expression: "oldObject == null ? dyn({}) : dyn(oldObject.metadata)"
    - name: after
      expression: dyn(object.metadata)
    - name: requester
      expression: "(oldObject == null ? object : oldObject).spec.?requester.?username.orValue('')"
    # Whoever makes a request is its requester; identity-check sees to that.
    - name: own
      expression: oldObject == null || variables.requester == variables.me
    # Who wrote what is part of it: there is no end to the names under which somebody can apply what is there already.
    - name: changed
      expression: >-
        ['labels', 'annotations', 'finalizers', 'ownerReferences', 'managedFields'].filter(k,
          variables.before[?k] != variables.after[?k])
    - name: purges
      expression: >-
        authorizer.group('daypass.dev').resource('accessrequests').namespace(request.namespace).check('purge').allowed()
  validations:
    - expression: >-
        variables.after.?finalizers.orValue([]).all(f, f in variables.before.?finalizers.orValue([]))
      reason: Forbidden
      message: >-
        leave metadata.finalizers out: nobody but Kubernetes itself adds a finalizer to a request, since one that is not
        taken off keeps the request and its namespace from going
    - expression: >-
        variables.after.?ownerReferences.orValue([]).all(r, r in variables.before.?ownerReferences.orValue([]))
      reason: Forbidden
      message: >-
        leave metadata.ownerReferences out: a request belongs to no other object, since it is a record, and would be
        deleted along with its owner
    # What stands there when nobody can add any was left by an older version, or by Kubernetes for a deletion.
    - expression: >-
        variables.before.?finalizers.orValue([]).all(f, f in variables.after.?finalizers.orValue([])) || variables.purges
      reason: Forbidden
      messageExpression: >-
        'a finalizer of a request is taken off by Kubernetes itself, or by who has the verb purge on accessrequests.daypass.dev in namespace '
          + request.namespace
      message: >-
        a finalizer of a request is taken off by Kubernetes itself, or by who has the verb purge on
        accessrequests.daypass.dev
    - expression: >-
        variables.own || variables.changed.all(k, k in ['finalizers', 'ownerReferences', 'managedFields'] && variables.purges)
      reason: Forbidden
      messageExpression: >-
        'only the requester, "' + variables.requester + '", may change metadata.'
          + (variables.changed == ['managedFields'] ? variables.changed :
            variables.changed.filter(k, k != 'managedFields')).join(', metadata.')
          + ' of this request; what you may write is your own review: status.reviews["' + variables.me + '"]'
      message: >-
        only the requester may change the metadata of a request; what you may write is your own review, the one under
        your username in status.reviews
{{- end }}
