{{/* What cannot work, or would lose data, is refused here with a sentence, before anything reaches the cluster. */}}
{{- define "parley.checks" -}}
{{- $config := include "parley.config" . | fromYaml -}}
{{- $hasMongo := kindIs "map" .Values.config.mongo -}}
{{- $hasRedis := kindIs "map" .Values.config.redis -}}
{{- if and $hasMongo (not $hasRedis) -}}
{{- fail "config.mongo is set and config.redis is not: a cluster needs both, MongoDB for its messages and Redis for news between its nodes. Set config.redis, too, or leave both out for one pod with a volume." -}}
{{- end -}}
{{- if and $hasRedis (not $hasMongo) -}}
{{- fail "config.redis is set and config.mongo is not: a cluster needs both, MongoDB for its messages and Redis for news between its nodes. Set config.mongo, too, or leave both out for one pod with a volume." -}}
{{- end -}}
{{- if $hasMongo -}}{{- include "parley.checkCluster" . -}}{{- else -}}{{- include "parley.checkEmbedded" . -}}{{- end -}}
{{- if and (kindIs "map" .Values.config.auth) .Values.config.auth.dev -}}
{{- fail "config.auth.dev lets everybody sign in by a user name alone, and a pod listens to other machines: leave it out, and set config.auth.jwt or another way to sign in." -}}
{{- end -}}
{{- if not (hasPrefix "/" $config.dataDir) -}}
{{- fail (printf "config.dataDir is %s: it has to be an absolute path, because the volume is mounted there." $config.dataDir) -}}
{{- end -}}
{{- include "parley.checkAddresses" (dict "config" $config "root" .) -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "PARLEY_" .name -}}
{{- fail (printf "extraEnv sets %s: settings of Parley go into config, secrets into existingSecret, where the chart can see them." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "parley.checkEmbedded" -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- fail (printf "replicaCount is %d, and the embedded store is one process's own: a second pod would have other messages. Set config.mongo and config.redis for a cluster, or replicaCount to 1." (int .Values.replicaCount)) -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "autoscaling.enabled is set, and the embedded store is one process's own: there can be one pod only. Set config.mongo and config.redis for a cluster, or switch autoscaling off." -}}
{{- end -}}
{{- end -}}

{{- define "parley.checkCluster" -}}
{{- range list "mongo" "redis" -}}
{{- if not (or (get $.Values.config .).url $.Values.existingSecret) -}}
{{- fail (printf "config.%s has no url: set it, or name an existingSecret with the key PARLEY_%s_URL." . (upper .)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas is %d, more than autoscaling.maxReplicas (%d)." (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" $.Values.resources) -}}
{{- fail "autoscaling.enabled needs resources.requests.cpu: the share of the CPU that is in use is counted from it." -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "parley.checkAddresses" -}}
{{- $taken := dict -}}
{{- $all := list (dict "path" "config.http" "at" .config.http) -}}
{{- if .config.admin -}}{{- $all = append $all (dict "path" "config.admin" "at" .config.admin) -}}{{- end -}}
{{- range $i, $listener := .config.listeners -}}{{- $all = append $all (dict "path" (printf "config.listeners[%d]" $i) "at" $listener) -}}{{- end -}}
{{- range $all -}}
{{- if or (hasPrefix "127." .at.host) (has .at.host (list "localhost" "::1")) -}}
{{- fail (printf "%s.host is %s, where nobody outside the pod can reach it, not even the probes: use 0.0.0.0, or :: for IPv6." .path .at.host) -}}
{{- end -}}
{{- $port := int .at.port -}}
{{- if eq $port 0 -}}
{{- fail (printf "%s.port is 0, any free one: a Service has to know it." .path) -}}
{{- end -}}
{{- if hasKey $taken (toString $port) -}}
{{- fail (printf "%s.port is %d, which %s has already." .path $port (get $taken (toString $port))) -}}
{{- end -}}
{{- $_ := set $taken (toString $port) .path -}}
{{- if and (has .at.protocol (list "mqtts" "wss")) (not (and .at.cert .at.key)) -}}
{{- fail (printf "%s is %s and has no certificate: set tls.existingSecret, or cert and key to files that a Secret brings." .path .at.protocol) -}}
{{- end -}}
{{- end -}}
{{- range $listener, $_ := .root.Values.service.ports -}}
{{- if not (hasKey $taken $listener) -}}
{{- fail (printf "service.ports names %s, which is no listener's port." $listener) -}}
{{- end -}}
{{- end -}}
{{- if and .root.Values.ingress.enabled (eq (include "parley.webSocketPort" .root) "") -}}
{{- fail "ingress.enabled needs a listener with protocol ws: an Ingress speaks HTTP, and ends TLS itself." -}}
{{- end -}}
{{- if and .root.Values.ingress.enabled (not .root.Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts, the names under which browsers reach Parley." -}}
{{- end -}}
{{- end -}}

{{/* Name of the first ws listener's port, or nothing. */}}
{{- define "parley.webSocketPort" -}}
{{- $name := "" -}}
{{- range (include "parley.listenerPorts" . | fromYaml).ports -}}
{{- if and (eq .protocol "ws") (not $name) -}}{{- $name = .name -}}{{- end -}}
{{- end -}}
{{- $name -}}
{{- end -}}
