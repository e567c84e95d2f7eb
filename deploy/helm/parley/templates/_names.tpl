{{- define "parley.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters: room for the longest suffix, -http, and for the hash of a StatefulSet's revision in labels. */}}
{{- define "parley.fullname" -}}
{{- $name := include "parley.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "parley.selector" -}}
app.kubernetes.io/name: {{ include "parley.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "parley.labels" -}}
{{ include "parley.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "parley.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ printf "%s@%s" .repository .digest }}{{- else -}}{{ printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names of ports have 15 characters at most: the first listener of a protocol is called like it, the next ones mqtts-8884. */}}
{{- define "parley.listenerPorts" -}}
{{- $seen := dict -}}
{{- $ports := list -}}
{{- range (include "parley.config" . | fromYaml).listeners -}}
{{- $name := ternary (printf "%s-%d" .protocol (int .port)) .protocol (hasKey $seen .protocol) -}}
{{- $_ := set $seen .protocol true -}}
{{- $ports = append $ports (dict "name" $name "protocol" .protocol "port" (int .port)) -}}
{{- end -}}
{{- toYaml (dict "ports" $ports) -}}
{{- end -}}
