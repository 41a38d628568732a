{{/*
Fails when a policy holds a field that its definition does not have. Takes schema, value and at, the path for people.
The API server refuses such a field too, but only at the install.
*/}}
{{- define "daypass.known" -}}
{{- if and (kindIs "map" .value) .schema.properties -}}
{{- range $key, $value := .value -}}
{{- $field := index $.schema.properties $key -}}
{{- if not $field -}}
{{- fail (printf "%s.%s: there is no such field; here can stand: %s" $.at $key (keys $.schema.properties | sortAlpha | join ", ")) -}}
{{- end -}}
{{- include "daypass.known" (dict "schema" $field "value" $value "at" (printf "%s.%s" $.at $key)) -}}
{{- end -}}
{{- else if and (kindIs "slice" .value) .schema.items -}}
{{- range $index, $value := .value -}}
{{- include "daypass.known" (dict "schema" $.schema.items "value" $value "at" (printf "%s[%d]" $.at $index)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
Fails when a policy allows a role that the controller may not bind: requests under it would be approved, and then
their grant would fail. Takes values, policy and spec.
*/}}
{{- define "daypass.bindable" -}}
{{- if ne (.spec.effect | default "Allow") "Deny" -}}
{{- range $role := .spec.roles -}}
{{- $kind := $role.kind | default "ClusterRole" -}}
{{- $list := ternary "bindableRoles" "bindableClusterRoles" (eq $kind "Role") -}}
{{- if not (has $role.name (index $.values $list)) -}}
{{- fail (printf "policies.%s lists %s %q, which the controller may not bind: add it to %s (now: %s), or take it out of the policy" $.policy $kind $role.name $list (index $.values $list | join ", " | default "none")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
