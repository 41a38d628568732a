{{/*
The guards of this chart: a map from the short name of each to the `spec` of its policy and of its binding, as the API
server stores them. The controller is given the digest of each (see deployment.yaml) and holds the cluster against it, so
nothing may stand here that the API server would write otherwise: its defaults are filled in.
*/}}
{{- define "daypass.guards" -}}
{{- $texts := dict }}
{{- range list "identity-check" "status-guard" "policy-status-guard" "binding-guard" "controller-guard" "deletion-guard" "metadata-guard" "lease-guard" "self-guard" }}
{{- $_ := set $texts . (include (printf "daypass.guard.%s" .) $) }}
{{- end }}
{{- /* As many as the CRD's limit of 64 roles needs. */}}
{{- range $part := until 4 }}
{{- $author := include "daypass.guard.policy-author-guard" (dict "first" (mul 16 $part) "count" 16) }}
{{- $_ := set $texts (printf "policy-author-guard-%d" (add1 $part)) $author }}
{{- end }}
{{- $guards := dict }}
{{- range $name, $text := $texts }}
{{- $policy := ($text | fromYaml).spec | required (printf "guard %s: %s" $name ($text | fromYaml | toString)) }}
{{- range $rule := $policy.matchConstraints.resourceRules }}
{{- $_ := set $rule "scope" ($rule.scope | default "*") }}
{{- end }}
{{- range $selector := list "namespaceSelector" "objectSelector" }}
{{- $_ := set $policy.matchConstraints $selector (get $policy.matchConstraints $selector | default dict) }}
{{- end }}
{{- $_ := set $policy.matchConstraints "matchPolicy" "Equivalent" }}
{{- $binding := dict "policyName" (printf "%s-%s" (include "daypass.name" $) $name) "validationActions" (list "Deny") }}
{{- $_ := set $guards $name (dict "policy" $policy "binding" $binding) }}
{{- end }}
{{- $guards | toYaml }}
{{- end }}
