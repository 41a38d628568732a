{{- /*
Nobody turns or stops Daypass from within its own namespace. A cluster-wide `edit` reaches there too: its holder could
scale the controller away, enter its pods or make a token of its account, and have every role that it can bind.

What passes is a list of matchConditions, each an exception with its reason; all else is for who may `administer`.
What belongs to another guard passes here, so that each guard is the only one that refuses what it is for.

Admission does not see reads: the Secrets of this namespace, and pods by way of `nodes/proxy`. Nor can it tell who
holds a token of an account of kube-system, or of a node, from the one whose it is.
*/}}
{{- define "daypass.guard.self-guard" }}
{{- /* v1/Pod is there when a cluster was asked; without one Helm says `default` for whoever gives no namespace. */}}
{{- if or (hasPrefix "kube-" .Release.Namespace) (and (eq .Release.Namespace "default") (.Capabilities.APIVersions.Has "v1/Pod")) }}
{{- fail (printf "namespace %s is not for Daypass alone, and the self-guard would shut out what else works there: install it into a namespace of its own, for example with -n daypass-system --create-namespace" .Release.Namespace) }}
{{- end }}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: {{ .Release.Namespace | quote }}
    resourceRules:
      # A namespaceSelector leaves no object of the cluster out, so the scope has to.
      - apiGroups: ["*"]
        apiVersions: ["*"]
        operations: [CREATE, UPDATE, DELETE, CONNECT]
        resources: ["*/*"]
        scope: Namespaced
      # The namespace itself.
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [DELETE]
        resources: [namespaces]
        scope: Cluster
  matchConditions:
    # A question (localsubjectaccessreviews) changes nothing.
    - name: not-a-question
      expression: request.resource.group != 'authorization.k8s.io'
    # Everything that works on pods and Services tells of it by Events, and Daypass reads none.
    - name: not-an-event
      expression: request.resource.resource != 'events' || request.operation == 'DELETE'
    # Requests have guards of their own wherever they are. Only the canary's is for the canary alone.
    - name: not-a-request-for-access
      expression: >-
        request.resource.group != 'daypass.dev'
          || (oldObject != null ? oldObject.metadata.name : request.?name.orValue('')) == 'daypass-canary'
    # lease-guard has it.
    - name: not-the-lease
      expression: >-
        request.resource.group != 'coordination.k8s.io' || request.resource.resource != 'leases'
          || (oldObject != null ? oldObject.metadata.name : request.?name.orValue('')) != 'daypass'
    {{- if include "daypass.boundsEvictions" . }}
    # A node is drained by whoever may evict. The PodDisruptionBudget keeps the API server from evicting the last pods.
    - name: not-an-eviction
      expression: request.resource.resource != 'pods' || request.?subResource.orValue('') != 'eviction'
    {{- end }}
    # For a request that asks for access here, for the status of the canary's, and to sign in as the canary.
    # controller-guard says which roles and bindings.
    - name: not-the-controller
      expression: >-
        !({{ include "daypass.isController" . }}
          && ((request.resource.group == 'daypass.dev' && request.?subResource.orValue('') == 'status')
            || (request.resource.group == 'rbac.authorization.k8s.io' && request.resource.resource in ['roles', 'rolebindings'])
            || (request.resource.resource == 'serviceaccounts' && request.?subResource.orValue('') == 'token'
              && request.?name.orValue('') == 'daypass-canary')))
    # Its request, and the one of its tries that binding-guard has to refuse. The try for this guard is no exception.
    - name: not-the-canary
      expression: >-
        !({{ include "daypass.isCanary" . }}
          && (request.resource.group == 'daypass.dev'
            || (request.resource.resource == 'rolebindings' && request.operation == 'CREATE' && request.?dryRun.orValue(false)
              && request.?name.orValue('').startsWith('daypass-canary'))))
    - name: not-a-part-of-kubernetes
      expression: >-
        !({{ include "daypass.isPartOfKubernetes" . | nindent 10 }})
    # A kubelet says how its pods are, ends them, and fetches the tokens that they mount. Nothing of Kubernetes lets
    # anybody impersonate a group but cluster-admin.
    - name: not-a-kubelet
      expression: >-
        !('system:nodes' in request.userInfo.?groups.orValue([])
          && ((request.resource.resource == 'pods' && request.?subResource.orValue('') in ['', 'status']
              && request.operation != 'CONNECT')
            || (request.resource.resource == 'serviceaccounts' && request.?subResource.orValue('') == 'token'
              && object.?spec.?boundObjectRef.?kind.orValue('') == 'Pod')))
    # Networks of pods note addresses on them: in their status (Calico, OVN, Multus) or in an object beside it (Cilium).
    # A pod that its network may not note does not start. No role for people lets write either.
    - name: not-the-network
      expression: >-
        !(request.userInfo.username.startsWith('system:serviceaccount:')
          && !request.userInfo.username.startsWith('system:serviceaccount:{{ .Release.Namespace }}:')
          && {{ include "daypass.hasCredential" . }}
          && ((request.resource.resource == 'pods' && request.?subResource.orValue('') == 'status')
            || (request.resource.group == 'cilium.io' && request.resource.resource == 'ciliumendpoints')))
    {{- if include "daypass.usesCertManager" . }}
    {{- $account := .Values.identity.webhook.certificate.certManager.account }}
    # It writes the certificate of the webhook. A Secret of another type could be a token of the controller's account.
    - name: not-cert-manager
      expression: >-
        !(request.userInfo.username == '{{ $account }}' && {{ include "daypass.hasCredential" . }}
          && (request.resource.group in ['cert-manager.io', 'acme.cert-manager.io']
            || (request.resource.group == '' && request.resource.resource == 'secrets' && [object, oldObject].all(o, o == null
              || (o.?type.orValue('Opaque') in ['Opaque', 'kubernetes.io/tls']
                && (o.metadata.?generateName.orValue('') + o.metadata.?name.orValue('')).startsWith('{{ include "daypass.name" . }}-stamp'))))))
    {{- end }}
    {{- if and .Values.archive.enabled (not .Values.archive.database.urlSecret) }}
    {{- $claim := .Values.archive.storage.existingClaim | default (printf "%s-archive" (include "daypass.name" .)) }}
    # They bind the volume of the archive, and let go of it when it is deleted. They change that one claim, and neither make
    # nor delete anything.
    - name: not-the-volume-of-the-archive
      expression: >-
        !(request.userInfo.username in ['system:serviceaccount:kube-system:persistent-volume-binder', 'system:serviceaccount:kube-system:pvc-protection-controller']
          && {{ include "daypass.hasCredential" . }}
          && request.operation == 'UPDATE' && request.resource.group == '' && request.resource.resource == 'persistentvolumeclaims'
          && request.?subResource.orValue('') in ['', 'status'] && oldObject.metadata.name == '{{ $claim }}')
    {{- end }}
    {{- if .Values.notify.enabled }}
    # Who tells by its Lease, and what was told. It deletes neither, and gives them nothing that keeps them from going or takes
    # them along. An annotation of the Lease says who gave it back.
    - name: not-the-notifier
      expression: >-
        !({{ include "daypass.isNotifier" . }} && request.?subResource.orValue('') == ''
          && ((request.operation in ['CREATE', 'UPDATE'] && request.resource.group == 'coordination.k8s.io'
              && request.resource.resource == 'leases' && object.metadata.?name.orValue('') == 'daypass-notify')
            || (request.operation == 'UPDATE' && request.resource.group == '' && request.resource.resource == 'configmaps'
              && object.metadata.?name.orValue('') == 'daypass-notify-state'
              && object.?binaryData == oldObject.?binaryData && object.?immutable == oldObject.?immutable
              && object.metadata.?annotations == oldObject.metadata.?annotations))
          && ['labels', 'finalizers', 'ownerReferences'].all(k,
            object.metadata[?k] == (oldObject == null ? optional.none() : oldObject.metadata[?k])))
    {{- end }}
    {{- with .Values.selfGuard.managers }}
    # Value selfGuard.managers.
    - name: not-a-manager
      expression: >-
        !(request.userInfo.username in {{ toJson . }} && {{ include "daypass.isNotImpersonatedAccount" $ }})
    {{- end }}
  validations:
    - expression: >-
        {{- include "daypass.administers" . | nindent 8 }}
      reason: Forbidden
      messageExpression: >-
        'Daypass runs in namespace {{ .Release.Namespace }}, and whoever writes here or enters its pods could stop it or give themselves access, so edit and admin are not enough. '
          + 'For an account that manages the release, add "' + request.userInfo.username + '" to selfGuard.managers of the chart. '
          + 'For a person who administers Daypass: kubectl create clusterrole daypass-administrator --verb=administer --resource=accesspolicies.daypass.dev, '
          + 'and kubectl create clusterrolebinding daypass-administrator --clusterrole=daypass-administrator --user="' + request.userInfo.username + '"'
      message: >-
        Daypass runs in this namespace, and whoever writes here or enters its pods could stop it or give themselves
        access; that takes the verb administer on accesspolicies.daypass.dev, or an entry in selfGuard.managers of the chart
{{- end }}

{{- /* CEL: the caller is the canary, signed in with a token that only the controller can have asked for. */}}
{{- define "daypass.isCanary" -}}
(request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:daypass-canary' && {{ include "daypass.hasCredential" . }})
{{- end }}

{{- /* CEL: the caller is the notifier itself, by a token of its account. */}}
{{- define "daypass.isNotifier" -}}
(request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "daypass.name" . }}-notify' && {{ include "daypass.hasCredential" . }})
{{- end }}

{{- /*
CEL: the caller is no service account that somebody impersonates, as `edit` allows to. Such a one has no uid, unless who
impersonates may impersonate `uids` too. A token always brings the uid, also an old one from a Secret, which has no ID.
*/}}
{{- define "daypass.isNotImpersonatedAccount" -}}
(!request.userInfo.username.startsWith('system:serviceaccount:') || request.userInfo.?uid.orValue('') != '')
{{- end }}

{{- /* CEL: the caller may administer Daypass, as cluster-admin may by its wildcard. No role of this chart has the verb. */}}
{{- define "daypass.administers" -}}
({{ include "daypass.isNotImpersonatedAccount" . }} && authorizer.group('daypass.dev').resource('accesspolicies').check('administer').allowed())
{{- end }}

{{- /*
CEL: the caller is a part of Kubernetes that has work to do in this namespace. Exact names, since who has `edit` in the
whole cluster may make accounts in kube-system; and with a token of their own, since `edit` impersonates accounts.
*/}}
{{- define "daypass.isPartOfKubernetes" -}}
{{- $parts := include "daypass.partsOfKubernetes" . | fromYaml -}}
request.userInfo.username in {{ toJson $parts.users }}
  || (request.userInfo.username in {{ toJson $parts.accounts }}
    && {{ include "daypass.hasCredential" . }})
{{- end }}

{{- /*
Controllers with nothing to do for this chart are left out: those of Jobs and StatefulSets, that of DaemonSets where there is no
tail, those of volumes but for the archive's (an exception above), and the autoscaler of pods, which would make replicas of a controller of which one works.
*/}}
{{- define "daypass.partsOfKubernetes" }}
# Users of certificates, whom `edit` cannot impersonate.
users:
  - system:apiserver # counts quotas, by way of its own loopback
  - system:kube-scheduler # binds pods to nodes, says why it cannot, and ends pods for more important ones
  - system:kube-controller-manager # removes old tokens, and does all of the following where controllers have no accounts
accounts:
  - system:serviceaccount:kube-system:deployment-controller # makes ReplicaSets, and says how far a rollout is
  - system:serviceaccount:kube-system:replicaset-controller # makes and ends pods
  - system:serviceaccount:kube-system:endpoint-controller # addresses behind the Services of metrics and webhook
  - system:serviceaccount:kube-system:endpointslice-controller # the same in their newer form
  - system:serviceaccount:kube-system:disruption-controller # counts for the PodDisruptionBudget
  - system:serviceaccount:kube-system:generic-garbage-collector # old ReplicaSets, and what belonged to what is deleted
  - system:serviceaccount:kube-system:namespace-controller # empties a namespace that is deleted
  - system:serviceaccount:kube-system:service-account-controller # the account `default`, which every namespace has
  - system:serviceaccount:kube-system:root-ca-cert-publisher # the ConfigMap kube-root-ca.crt, which every pod mounts
  - system:serviceaccount:kube-system:pod-garbage-collector # pods of nodes that are gone
  - system:serviceaccount:kube-system:node-controller # pods of nodes that do not answer, or are tainted
  - system:serviceaccount:kube-system:resourcequota-controller # counts for quotas that an admin sets here
  - system:serviceaccount:kube-system:legacy-service-account-token-cleaner # Secrets with tokens that nobody uses
  - system:serviceaccount:kube-system:storage-version-migrator-controller # writes what is stored anew, as it is
{{- if include "daypass.tails" . }}
  - system:serviceaccount:kube-system:daemon-set-controller # makes and ends the pods of the tail
{{- end }}
{{- end }}

{{- /* Not empty when a PodDisruptionBudget leaves at least one pod, however many are evicted. */}}
{{- define "daypass.boundsEvictions" -}}
{{- $replicas := int (.Values.replicas | default 1) -}}
{{- $away := .Values.podDisruptionBudget.maxUnavailable -}}
{{- if kindIs "string" $away -}}
{{- /* The API server rounds up. */ -}}
{{- $away = div (add (mul $replicas (trimSuffix "%" $away | int)) 99) 100 -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (lt (int $away) $replicas) -}}
true
{{- end -}}
{{- end }}
