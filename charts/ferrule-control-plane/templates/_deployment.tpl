{{/*
A Deployment of one container. Takes root; name (of Deployment and account), component,
container; values (the component's section), resources, issuesTo; flags, ports, volumes
and mounts as YAML.

What a pod reads while it runs (anchors, issuer, values, certificates) is followed, so
there are no checksums: pods are replaced when their flags change, and not otherwise.
*/}}
{{- define "ferrule.deployment" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $selector := dict "linkerd.io/control-plane-component" .component -}}
{{- if ne .component "proxy-injector" -}}
{{- $_ := set $selector "linkerd.io/control-plane-ns" $root.Release.Namespace -}}
{{- $_ := set $selector "linkerd.io/proxy-deployment" .name -}}
{{- end -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  annotations:
    {{- include "ferrule.annotations" $root | nindent 4 }}
  labels:
    {{- $own := dict "app.kubernetes.io/name" .component "app.kubernetes.io/version" $root.Chart.AppVersion }}
    {{- include "ferrule.labels" (dict "root" $root "component" .component "own" $own) | nindent 4 }}
spec:
  replicas: {{ $values.controllerReplicas }}
  revisionHistoryLimit: {{ $values.revisionHistoryLimit }}
  selector:
    matchLabels:
      {{- toYaml $selector | nindent 6 }}
  {{- with $values.deploymentStrategy }}
  strategy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  template:
    metadata:
      annotations:
        {{- $evictable := dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "true" }}
        {{- $fixed := include "ferrule.annotations" $root | fromYaml }}
        {{- include "ferrule.merged" (list $evictable .annotations $values.podAnnotations .values.podAnnotations $fixed) | nindent 8 }}
      labels:
        {{- $fixed = dict "linkerd.io/control-plane-component" .component "linkerd.io/control-plane-ns" $root.Release.Namespace "linkerd.io/workload-ns" $root.Release.Namespace "linkerd.io/proxy-deployment" .name }}
        {{- include "ferrule.merged" (list $values.commonLabels $values.podLabels $fixed) | nindent 8 }}
    spec:
      serviceAccountName: {{ .name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ include "ferrule.grace-period" $root }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.runtimeClassName }}
      runtimeClassName: {{ . }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if or $values.nodeAffinity $values.enablePodAntiAffinity }}
      affinity:
        {{- with $values.nodeAffinity }}
        nodeAffinity:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- if $values.enablePodAntiAffinity }}
        podAntiAffinity:
          {{- include "ferrule.anti-affinity" (dict "mode" $values.podAntiAffinityMode "component" .component) | nindent 10 }}
        {{- end }}
      {{- end }}
      {{- with $values.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- range . }}
        {{- $constraint := hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" (dict "matchLabels" $selector)) .) }}
        - {{ toYaml $constraint | nindent 10 | trim }}
        {{- end }}
      {{- end }}
      securityContext:
        # For Secrets, which nobody else is to read.
        fsGroup: {{ int64 $values.controllerUID }}
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {{ .container }}
          image: {{ include "ferrule.image" $root | quote }}
          imagePullPolicy: {{ $values.imagePullPolicy }}
          args:
            - serve
            {{- .flags | trim | nindent 12 }}
            {{- include "ferrule.flags" $root | nindent 12 }}
            - --deployment={{ .name }}
            {{- range concat (.values.additionalArgs | default list) (.furtherArgs | default list) }}
            - {{ . | quote }}
            {{- end }}
          {{- with .values.additionalEnv }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            {{- .ports | trim | nindent 12 }}
          livenessProbe:
            httpGet:
              path: /live
              port: 9990
            initialDelaySeconds: 10
            timeoutSeconds: {{ .values.livenessProbe.timeoutSeconds }}
          readinessProbe:
            httpGet:
              path: /ready
              port: 9990
            failureThreshold: 7
            timeoutSeconds: {{ .values.readinessProbe.timeoutSeconds }}
          {{- with include "ferrule.resources" .resources }}
          resources:
            {{- . | nindent 12 }}
          {{- end }}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities:
              drop: [ALL]
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            runAsUser: {{ int64 $values.controllerUID }}
            {{- if ge (int64 $values.controllerGID) 0 }}
            runAsGroup: {{ int64 $values.controllerGID }}
            {{- end }}
            seccompProfile:
              type: RuntimeDefault
          volumeMounts:
            - name: kube-api-access
              mountPath: /var/run/secrets/kubernetes.io/serviceaccount
              readOnly: true
            {{- .mounts | trim | nindent 12 }}
      volumes:
        - name: kube-api-access
          projected:
            defaultMode: 420
            sources:
              - serviceAccountToken:
                  expirationSeconds: 3607
                  path: token
              - configMap:
                  name: kube-root-ca.crt
                  items:
                    - key: ca.crt
                      path: ca.crt
              - downwardAPI:
                  items:
                    - path: namespace
                      fieldRef:
                        apiVersion: v1
                        fieldPath: metadata.namespace
        {{- .volumes | trim | nindent 8 }}
{{- end -}}

{{- define "ferrule.anti-affinity" -}}
{{- $labels := dict "matchLabels" (dict "linkerd.io/control-plane-component" .component) -}}
{{- $zone := dict "weight" 100 "podAffinityTerm" (dict "labelSelector" $labels "topologyKey" "topology.kubernetes.io/zone") -}}
{{- $node := dict "labelSelector" $labels "topologyKey" "kubernetes.io/hostname" -}}
{{- if eq .mode "required" -}}
{{- dict "requiredDuringSchedulingIgnoredDuringExecution" (list $node) "preferredDuringSchedulingIgnoredDuringExecution" (list $zone) | toYaml -}}
{{- else -}}
{{- dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $node) $zone) | toYaml -}}
{{- end -}}
{{- end -}}

{{/* The service account of a component; takes root, name, component. */}}
{{- define "ferrule.service-account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  annotations:
    {{- include "ferrule.annotations" .root | nindent 4 }}
  labels:
    {{- include "ferrule.labels" . | nindent 4 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
What the API server would default is written out, but for what depends on the cluster's
networks.

A Service; takes root, name, component, port (of the Service), portName, targetPort, headless, annotations. */}}
{{- define "ferrule.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  annotations:
    {{- include "ferrule.annotations" .root | nindent 4 }}
    {{- with .annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "ferrule.labels" . | nindent 4 }}
spec:
  type: ClusterIP
  {{- if .headless }}
  clusterIP: None
  {{- end }}
  internalTrafficPolicy: Cluster
  sessionAffinity: None
  selector:
    linkerd.io/control-plane-component: {{ .component }}
  ports:
    - name: {{ .portName }}
      port: {{ .port }}
      protocol: TCP
      targetPort: {{ .targetPort }}
{{- end -}}

{{/* What keeps evictions from taking all replicas; takes root, name, component. */}}
{{- define "ferrule.disruption-budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  annotations:
    {{- include "ferrule.annotations" .root | nindent 4 }}
  labels:
    {{- include "ferrule.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .root.Values.controller.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      linkerd.io/control-plane-component: {{ .component }}
{{- end -}}

{{/* Takes root, name, kind (ClusterRole or Role), role, account. */}}
{{- define "ferrule.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- if eq .kind "Role" }}
  namespace: {{ .root.Release.Namespace }}
  {{- end }}
  annotations:
    {{- include "ferrule.annotations" .root | nindent 4 }}
  labels:
    {{- include "ferrule.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .role }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}
