{{- /*
Writing policy is no way to more rights: who lets others have a role must be allowed to bind it themselves.

The permission asked for is the cluster-wide one, also for policies of a few namespaces: they hold globs and
labels, and so reach namespaces that do not exist yet. Nobody is exempt; cluster-admin has the permission.
To write a policy that denies, or to delete any, takes no such permission: it hands out nothing by itself, but
a denial that goes is an Allow that counts again, so `accesspolicies` are for trusted hands all the same.

To let a policy reach the namespaces from which the cluster or Daypass itself can be taken over
(scope.systemNamespaces) takes the verb `administer` on accesspolicies.daypass.dev. No role of this chart has it;
cluster-admin does.

An authorizer check costs 350,000 of the 10,000,000 units of CEL that one policy may spend in a request, and of
the 1,000,000 of one expression. So each role has an expression of its own, 16 roles make a policy, and there are
as many policies as the CRD's limit of 64 roles needs. A messageExpression knows no authorizer, so a message can
name the role it belongs to, not all that are missing.

Takes first, the number of the first role that this policy looks at, and count, of how many.
*/}}
{{- define "daypass.guard.policy-author-guard" }}
{{- $first := .first }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [daypass.dev]
        apiVersions: [v1alpha1]
        operations: [CREATE, UPDATE]
        resources: [accesspolicies]
  matchConditions:
    - name: allows
      expression: object.spec.effect == 'Allow'
    - name: has-these-roles
      expression: has(object.spec.roles) && size(object.spec.roles) > {{ $first }}
    # An update of the metadata alone hands nothing out. The garbage collector makes such updates when a
    # policy is deleted with --cascade=foreground, and has no permission to bind.
    # Who confirms a policy that was written while this guard was away stands in for it as its author would.
    - name: spec-changed-or-confirmed
      expression: >-
        oldObject == null || object.spec != oldObject.spec
          || (has(object.metadata.annotations) && 'daypass.dev/confirm' in object.metadata.annotations
            && object.metadata.annotations['daypass.dev/confirm'] != ''
            && !(has(oldObject.metadata.annotations) && 'daypass.dev/confirm' in oldObject.metadata.annotations
              && oldObject.metadata.annotations['daypass.dev/confirm'] == object.metadata.annotations['daypass.dev/confirm']))
  variables:
    # Who may bind every role needs no look at each. These two are evaluated only when a role asks for them.
    - name: allClusterRoles
      expression: authorizer.group('rbac.authorization.k8s.io').resource('clusterroles').check('bind').allowed()
    - name: allRoles
      expression: authorizer.group('rbac.authorization.k8s.io').resource('roles').check('bind').allowed()
    - name: roles
      expression: object.spec.roles
    # Of each role, as the controller reads it: a kind that is left out is ClusterRole.
    - name: kinds
      expression: "object.spec.roles.map(r, r.?kind.orValue('ClusterRole'))"
  validations:
    {{- if eq $first 0 }}
    # Once, since every policy that allows comes by here: another 350,000 units beside those of its sixteen roles.
    - expression: >-
        !object.spec.scope.?systemNamespaces.orValue(false)
          || authorizer.group('daypass.dev').resource('accesspolicies').check('administer').allowed()
      reason: Forbidden
      message: >-
        only who administers Daypass may let a policy reach kube-system and Daypass's own namespace; remove spec.scope.systemNamespaces,
        or have an admin allow it to you: kubectl create clusterrole NAME --verb=administer --resource=accesspolicies.daypass.dev,
        and a clusterrolebinding to it
    {{- end }}
    {{- range $i := untilStep (int $first) (int (add $first .count)) 1 }}
    - expression: >-
        size(variables.roles) <= {{ $i }}
          || (variables.kinds[{{ $i }}] == 'Role' ? variables.allRoles : variables.allClusterRoles)
          || authorizer.group('rbac.authorization.k8s.io')
            .resource(variables.kinds[{{ $i }}] == 'Role' ? 'roles' : 'clusterroles')
            .name(variables.roles[{{ $i }}].name).check('bind').allowed()
      reason: Forbidden
      messageExpression: >-
        'a policy may hand out only what its author may bind, and you may not bind ' + variables.kinds[{{ $i }}]
          + ' ' + variables.roles[{{ $i }}].name + ' in the whole cluster; remove it from spec.roles, or have an admin allow it to you: '
          + 'kubectl create clusterrole NAME --verb=bind --resource='
          + (variables.kinds[{{ $i }}] == 'Role' ? 'roles' : 'clusterroles') + '.rbac.authorization.k8s.io --resource-name='
          + variables.roles[{{ $i }}].name + ', and a clusterrolebinding to it'
      message: >-
        a policy may hand out only what its author may bind, and you may not bind role {{ add1 $i }} of spec.roles in the whole cluster
    {{- end }}
{{- end }}
