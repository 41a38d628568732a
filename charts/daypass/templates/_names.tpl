{{/* The name of every object; see fullnameOverride in values.yaml. */}}
{{- define "daypass.name" -}}
{{ .Values.fullnameOverride | default .Chart.Name }}
{{- end }}

{{/* The user that the controller is to the API server. */}}
{{- define "daypass.controller" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "daypass.name" . }}
{{- end }}

{{/*
CEL: the caller is the controller itself. The name alone proves nothing, since `edit` lets its holders impersonate service
accounts. A token of the account brings the ID of the token along (KEP-4193, on from Kubernetes 1.30); who impersonates
brings it only with the right to impersonate `userextras`, which no role of Kubernetes has but cluster-admin.
*/}}
{{- define "daypass.isController" -}}
(request.userInfo.username == '{{ include "daypass.controller" . }}' && {{ include "daypass.hasCredential" . }})
{{- end }}

{{/* CEL: the caller signed in with a token of a service account, and does not impersonate one. */}}
{{- define "daypass.hasCredential" -}}
'authentication.kubernetes.io/credential-id' in request.userInfo.?extra.orValue({})
{{- end }}

{{- define "daypass.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* managed-by is Helm here. The value `daypass` marks what the controller makes, and is guarded. */}}
{{- define "daypass.labels" -}}
{{ include "daypass.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/*
What writes identities: "policy", "webhook" or "off".
Helm knows kinds only when it has asked a cluster or was given --api-versions; v1/Pod tells which.
*/}}
{{- define "daypass.stamp" -}}
{{- $wish := .Values.identity.stamp | default "off" -}}
{{- $served := .Capabilities.APIVersions -}}
{{- if ne $wish "auto" -}}
{{ $wish }}
{{- else if $served.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
policy
{{- else if and (not ($served.Has "v1/Pod")) (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
policy
{{- else -}}
webhook
{{- end -}}
{{- end }}

{{/* The version of MutatingAdmissionPolicy to render. Before 1.36 it is a beta that an admin has switched on. */}}
{{- define "daypass.stampVersion" -}}
{{- $served := .Capabilities.APIVersions -}}
{{- if $served.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
v1
{{- else if or ($served.Has "v1/Pod") (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
v1beta1
{{- else -}}
v1
{{- end -}}
{{- end }}

{{/*
What the guards say to somebody whose identity is not in what they write. Takes root, and the fields they should leave out.
*/}}
{{- define "daypass.writeYourself" -}}
write {{ .fields }} as `kubectl auth whoami -o yaml` shows them
{{- end }}

{{- define "daypass.howToBeStamped" -}}
{{- $stamp := include "daypass.stamp" .root -}}
{{- $name := include "daypass.name" .root -}}
{{- if eq $stamp "off" -}}
this cluster does not fill {{ .it }} in, so {{ include "daypass.writeYourself" . }}
{{- else if eq $stamp "webhook" -}}
leave {{ .what }} out; the cluster fills {{ .it }} in from your login. If you did leave {{ .it }} out, its webhook did not answer or is
wrong: {{ include "daypass.writeYourself" . }}, and have who runs Daypass look at deployment {{ $name }}-stamp in
namespace {{ .root.Release.Namespace }}
{{- else -}}
leave {{ .what }} out; the cluster fills {{ .it }} in from your login. If you did leave {{ .it }} out, its admission policy is missing:
{{ include "daypass.writeYourself" . }}, and have who runs Daypass look at MutatingAdmissionPolicy {{ $name }}-{{ .policy }}
{{- end -}}
{{- end }}

{{/* CEL: the states of a request that is decided and not over. A request that is Pending is not decided. */}}
{{- define "daypass.decidedStates" -}}
['Scheduled', 'Active', 'Suspended']
{{- end }}

{{/* CEL: the states in which a request is over. Nothing more is granted by it. */}}
{{- define "daypass.finalStates" -}}
['Denied', 'Expired', 'Revoked', 'Lapsed', 'Failed', 'Extended']
{{- end }}

{{/* CEL: the caller's name and groups fit the fields that record them (the bounds stand in the CRD). */}}
{{- define "daypass.recordable" -}}
size(request.userInfo.username) <= 253
  && size(request.userInfo.?groups.orValue([])) <= 512
  && request.userInfo.?groups.orValue([]).all(g, size(g) <= 253)
{{- end }}

{{/* The keys of a login's extra that are recorded, as a list in CEL; empty where there are none. */}}
{{- define "daypass.extraKeys" -}}
{{- with .Values.identity.extraKeys }}{{ toRawJson . }}{{ end -}}
{{- end }}

{{/* CEL: what the login says under the key k, nothing or a list. */}}
{{- define "daypass.said" -}}
request.userInfo.?extra[?k].orValue([])
{{- end }}

{{/* CEL: what the login says under those keys fits the field that records it (the bounds stand in the CRD). Takes the keys. */}}
{{- define "daypass.recordableExtra" -}}
{{ . }}.all(k, size({{ include "daypass.said" . }}) <= 16
  && {{ include "daypass.said" . }}.all(v, size(v) <= 512))
{{- end }}

{{/*
Validations that any caller must pass whose identity is recorded. They come first in a policy, since the
API server shows the first message.
*/}}
{{- define "daypass.recordableValidations" -}}
- expression: >-
    request.userInfo.username != 'system:anonymous'
      && !('system:unauthenticated' in request.userInfo.?groups.orValue([]))
  reason: Forbidden
  message: log in first; who is not logged in cannot ask for access or review it
- expression: >-
    {{- include "daypass.recordable" . | nindent 4 }}
  reason: Forbidden
  message: >-
    your login has a username or a group of more than 253 characters, or more than 512 groups, and cannot be
    recorded; use a login with fewer or shorter groups
{{- end }}

{{/*
Those of the values, and for how long a pod stays with a node that is lost. A key that the values have is theirs.
Without these the API server adds the same with 300 s.
*/}}
{{- define "daypass.tolerations" -}}
{{- $tolerations := .Values.tolerations | default list }}
{{- $keys := list }}
{{- range $tolerations }}{{ $keys = append $keys .key }}{{ end }}
{{- range $key := list "node.kubernetes.io/not-ready" "node.kubernetes.io/unreachable" }}
{{- if not (has $key $keys) }}
{{- $tolerations = append $tolerations (dict "key" $key "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" ($.Values.nodeLossTolerationSeconds | default 30 | int)) }}
{{- end }}
{{- end }}
{{- toYaml $tolerations }}
{{- end }}

{{/*
That of the values, and two pods on two nodes where it can be. Not as a topologySpreadConstraint: with several of them the
scheduler scores only nodes that have all their keys, so beside the one for zones it would do nothing where nodes have no
zone. Takes root, and the labels of the pods.
*/}}
{{- define "daypass.affinity" -}}
{{- $affinity := .root.Values.affinity | default dict }}
{{- if not (hasKey $affinity "podAntiAffinity") }}
{{- $affinity = merge (include "daypass.apart" .labels | fromYaml) $affinity }}
{{- end }}
{{- toYaml $affinity }}
{{- end }}

{{- define "daypass.apart" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- . | nindent 12 }}
        # Pods of an earlier version, about to go, do not count.
        matchLabelKeys: [pod-template-hash]
{{- end }}

{{/* What `helm test` runs is not the controller: no Service, budget or policy of the controller may choose it. */}}
{{- define "daypass.testLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The webhook is not the controller either. */}}
{{- define "daypass.stampLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-stamp
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Where records are delivered; empty where there is no archive. */}}
{{- define "daypass.archiveURL" -}}
{{- if .Values.archive.url -}}
{{- .Values.archive.url -}}
{{- else if .Values.archive.enabled -}}
https://{{ include "daypass.name" . }}-archive.{{ .Release.Namespace }}.svc
{{- end -}}
{{- end }}

{{/* Whether it hears the audit logs of the API servers; empty where it does not. */}}
{{- define "daypass.hearsAudit" -}}
{{- if and (include "daypass.archiveURL" .) (dig "audit" "enabled" false .Values.archive) -}}
true
{{- end -}}
{{- end }}

{{/* Whether a tail feeds it on each node of the control plane; empty where none does. */}}
{{- define "daypass.tails" -}}
{{- if dig "audit" "tail" "enabled" false .Values.archive -}}
true
{{- end -}}
{{- end }}

{{/* The authority of its certificate, where it is not in the Secret of that. */}}
{{- define "daypass.archiveAuthority" -}}
{{- if .Values.archive.url -}}
{{- .Values.archive.urlAuthority | required "archive.urlAuthority: the controller sends its token to archive.url and must know it by its certificate; set it to the PEM of the authority" -}}
{{- else if .Values.archive.enabled -}}
{{- .Values.archive.certificate.caBundle -}}
{{- end -}}
{{- end }}

{{/* Nor is the archive. */}}
{{- define "daypass.archiveLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-archive
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Nor is what feeds it. */}}
{{- define "daypass.tailLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-archive-tail
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "daypass.tailName" -}}
{{ include "daypass.name" . }}-archive-tail
{{- end }}

{{/* Nor is the notifier. */}}
{{- define "daypass.notifyLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-notify
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Nor is the page. */}}
{{- define "daypass.pageLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-page
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "daypass.spread" -}}
{{- range .root.Values.topologySpreadConstraints }}
- {{- toYaml . | nindent 2 }}
  labelSelector:
    matchLabels:
      {{- $.labels | nindent 6 }}
  # Pods of an earlier version, about to go, do not count.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{- define "daypass.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "daypass.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "daypass.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where CloudEvents go, as values.yaml has it, with the port of the address; nothing where none are sent. */}}
{{- define "daypass.cloudEvents" -}}
{{- with (.Values.records).cloudEvents }}
{{- if .url }}
{{- $url := urlParse .url }}
{{- if not .secretName }}
{{- fail "records.cloudEvents.url is set, and nothing signs: name a Secret in records.cloudEvents.secretName" }}
{{- end }}
{{- if and (eq $url.scheme "https") (not .caSecret) }}
{{- fail "records.cloudEvents.url is https, and the image knows no authorities: name a Secret with ca.crt in records.cloudEvents.caSecret" }}
{{- end }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- merge (dict "port" (int $port)) . | toYaml }}
{{- end }}
{{- end }}
{{- end }}
