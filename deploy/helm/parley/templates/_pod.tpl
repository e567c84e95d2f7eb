{{/* The pod, the same in both shapes but for what `data` is: a volume of the StatefulSet (left out here), or one that ends with the pod. */}}
{{- define "parley.pod" -}}
{{- $config := include "parley.config" . | fromYaml -}}
{{- $drainMs := dig "drain" "timeoutMs" 25000 $config | int -}}
metadata:
  labels:
    {{- include "parley.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A changed setting restarts the pods. A secret that the chart made is left out: where nothing can be looked up it is another one at every rendering.
    checksum/config: {{ printf "%s%s" (include "parley.config" .) (include "parley.secrets" .) | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  # Variables for Services called parley-... would look like settings.
  enableServiceLinks: false
  automountServiceAccountToken: false
  {{- with .Values.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  # preStop, the whole drain, and five seconds to end by itself before it is killed.
  terminationGracePeriodSeconds: {{ add (div (add $drainMs 999) 1000) 10 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 1000
    runAsGroup: 1000
    fsGroup: 1000
    # A large store would be walked through at every start.
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: parley
      image: {{ include "parley.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/parley/parley.yaml]
      # Where relative paths begin, in the file and in the environment alike.
      workingDir: /etc/parley
      {{- include "parley.environment" . | nindent 6 }}
      ports:
        {{- range (include "parley.listenerPorts" . | fromYaml).ports }}
        - { name: {{ .name }}, containerPort: {{ .port }} }
        {{- end }}
        - { name: http, containerPort: {{ int $config.http.port }} }
        {{- if $config.admin }}
        - { name: admin, containerPort: {{ int $config.admin.port }} }
        {{- end }}
      # The store is opened before anything answers; a large one, after a crash, takes its time.
      startupProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 2
        failureThreshold: 300
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      lifecycle:
        # SIGTERM drains. Before it, balancers get the time to learn that this pod takes no more connections.
        preStop: { exec: { command: [sleep, "5"] } }
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      resources: {{ toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - { name: config, mountPath: /etc/parley, readOnly: true }
        - { name: data, mountPath: {{ $config.dataDir | quote }} }
        - { name: tmp, mountPath: /tmp }
        {{- if .Values.tls.existingSecret }}
        - { name: tls, mountPath: /run/secrets/parley/tls, readOnly: true }
        {{- end }}
        {{- if .Values.existingSecret }}
        - { name: files, mountPath: /run/secrets/parley/files, readOnly: true }
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: config
      configMap: { name: {{ include "parley.fullname" . }} }
    - name: tmp
      emptyDir: {}
    {{- if eq (include "parley.shape" .) "cluster" }}
    - name: data
      emptyDir: {}
    {{- else if not .Values.persistence.enabled }}
    - name: data
      emptyDir: {}
    {{- else if .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim: { claimName: {{ .Values.persistence.existingClaim }} }
    {{- end }}
    {{- with .Values.tls.existingSecret }}
    - name: tls
      secret: { secretName: {{ . }}, defaultMode: 0440 }
    {{- end }}
    {{- with .Values.existingSecret }}
    - name: files
      secret: { secretName: {{ . }}, defaultMode: 0440 }
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if eq (include "parley.shape" .) "cluster" }}
  # A machine that goes should not take all connections with it.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{ include "parley.selector" . | nindent 10 }}
  {{- end }}
{{- end -}}

{{/*
Secrets by name. `env` wins over `envFrom`, and leaves alone what the Secret does not have: so existingSecret comes
before what stands in `config`. What a cluster cannot do without is not optional: a pod without it does not start,
rather than run with a secret of its own.
*/}}
{{- define "parley.environment" -}}
{{- if or (ne (include "parley.secrets" .) "{}") (include "parley.makesSecret" .) }}
envFrom:
  - secretRef: { name: {{ include "parley.fullname" . }} }
{{- end }}
{{- $given := include "parley.secrets" . | fromYaml -}}
{{- $isCluster := eq (include "parley.shape" .) "cluster" -}}
{{- $needed := ternary (list "PARLEY_MONGO_URL" "PARLEY_REDIS_URL") list $isCluster -}}
{{- if and $isCluster (eq (include "parley.hasTokenKey" .) "") -}}{{- $needed = append $needed "PARLEY_AUTH_JWT_SECRET" -}}{{- end -}}
{{- if or .Values.existingSecret .Values.extraEnv }}
env:
  {{- with .Values.existingSecret }}
  {{- $secret := . }}
  {{- range $.Files.Get "files/secrets.json" | fromJsonArray }}
  {{- if or $isCluster (not (has (first .path) (list "mongo" "redis"))) }}
  - name: {{ .env }}
    valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ .env }}, optional: {{ not (and (has .env $needed) (not (hasKey $given .env))) }} } }
  {{- end }}
  {{- end }}
  {{- end }}
  {{- with .Values.extraEnv }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end -}}
