{{/* cluster or embedded. Half of a cluster is refused in _checks.tpl. */}}
{{- define "parley.shape" -}}
{{- if and (kindIs "map" .Values.config.mongo) (kindIs "map" .Values.config.redis) -}}cluster{{- else -}}embedded{{- end -}}
{{- end -}}

{{/* The secrets that stand in `config`, by name in the environment. Texts as they are, blocks as JSON. */}}
{{- define "parley.secrets" -}}
{{- $secrets := dict -}}
{{- range .Files.Get "files/secrets.json" | fromJsonArray -}}
{{- $at := $.Values.config -}}
{{- range .path -}}
{{- if kindIs "map" $at -}}{{- $at = get $at . -}}{{- else -}}{{- $at = "" -}}{{- end -}}
{{- end -}}
{{- if kindIs "string" $at -}}
{{- if $at -}}{{- $_ := set $secrets .env $at -}}{{- end -}}
{{- else if not (kindIs "invalid" $at) -}}
{{- $_ := set $secrets .env (toJson $at) -}}
{{- end -}}
{{- end -}}
{{- toYaml $secrets -}}
{{- end -}}

{{/*
Whether the chart has to make the secret of tokens: the nodes of a cluster need the same one, and none is given. (One
node makes its own, on its volume.)
*/}}
{{- define "parley.makesSecret" -}}
{{- if and (eq (include "parley.shape" .) "cluster") (not .Values.existingSecret) (eq (include "parley.hasTokenKey" .) "") -}}yes{{- end -}}
{{- end -}}

{{- define "parley.hasTokenKey" -}}
{{- with .Values.config.auth -}}{{- with .jwt -}}{{- if or .secret .publicKeyFile .jwksUrl -}}yes{{- end -}}{{- end -}}{{- end -}}
{{- end -}}

{{/* The configuration as it goes into the ConfigMap: a container's defaults in, secrets out. */}}
{{- define "parley.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- range .Files.Get "files/secrets.json" | fromJsonArray -}}
{{- $parent := $config -}}
{{- range initial .path -}}
{{- if kindIs "map" $parent -}}{{- $parent = get $parent . -}}{{- end -}}
{{- end -}}
{{- if kindIs "map" $parent -}}{{- $_ := unset $parent (last .path) -}}{{- end -}}
{{- end -}}
{{- $_ := set $config "dataDir" (default "/var/lib/parley" $config.dataDir) -}}
{{- if not (hasKey $config "listeners") -}}
{{- $_ := set $config "listeners" (list (dict "protocol" "mqtt" "host" "0.0.0.0" "port" 1883) (dict "protocol" "ws" "host" "0.0.0.0" "port" 8083)) -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- range $config.listeners -}}
{{- if and (has .protocol (list "mqtts" "wss")) (not .cert) (not .key) -}}
{{- $_ := set . "cert" "/run/secrets/parley/tls/tls.crt" -}}
{{- $_ := set . "key" "/run/secrets/parley/tls/tls.key" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "http" (merge (default dict $config.http) (dict "host" "0.0.0.0" "port" 8080)) -}}
{{- if $config.admin -}}{{- $_ := set $config "admin" (merge $config.admin (dict "host" "0.0.0.0")) -}}{{- end -}}
{{- $auth := default dict $config.auth -}}
{{- if not (omit $auth "ticket") -}}{{- $_ := set $config "auth" (merge $auth (dict "jwt" dict)) -}}{{- end -}}
{{- /*
Ways to sign in are asked in the order in which they stand, and Helm sorts keys by name. So the order is fixed here:
http takes every password and comes last (docs/auth.md).
*/}}
{{- $ways := $config.auth -}}
auth:
{{- range list "mtls" "jwt" "anonymous" "static" "http" -}}
{{- if hasKey $ways . }}
{{ toYaml (pick $ways .) | indent 2 }}
{{- end -}}
{{- end -}}
{{- with omit $ways "mtls" "jwt" "anonymous" "static" "http" }}
{{ toYaml . | indent 2 }}
{{- end }}
{{ toYaml (omit $config "auth") }}
{{- end -}}
