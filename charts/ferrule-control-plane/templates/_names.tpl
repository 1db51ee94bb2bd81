{{/* Labels of an object; takes root, and component where the object is of one. */}}
{{- define "ferrule.labels" -}}
app.kubernetes.io/part-of: ferrule
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .component }}
linkerd.io/control-plane-component: {{ . }}
{{- end }}
linkerd.io/control-plane-ns: {{ .root.Release.Namespace }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Annotations of every object. */}}
{{- define "ferrule.annotations" -}}
linkerd.io/created-by: ferrule/helm {{ .Chart.AppVersion }}
{{- end -}}

{{- define "ferrule.image" -}}
{{ .Values.controllerImage }}:{{ .Values.controllerImageVersion | default .Chart.AppVersion }}
{{- end -}}

{{- define "ferrule.trust-domain" -}}
{{ .Values.identityTrustDomain | default .Values.clusterDomain }}
{{- end -}}

{{/* Where the issuer comes from: managed (by Ferrule), values, or external. */}}
{{- define "ferrule.issuer" -}}
{{- $tls := .Values.identity.issuer.tls -}}
{{- if eq .Values.identity.issuer.scheme "kubernetes.io/tls" -}}
external
{{- else if or $tls.crtPEM $tls.keyPEM .Values.identityTrustAnchorsPEM .Values.identity.externalCA -}}
values
{{- else -}}
managed
{{- end -}}
{{- end -}}

{{- define "ferrule.trust-roots" -}}
{{- if .Values.identity.externalCA -}}
{{ .Values.identity.trustRootsConfigMapName }}
{{- else -}}
linkerd-identity-trust-roots
{{- end -}}
{{- end -}}

{{/*
Where a webhook's certificate comes from: managed, values, or external. Takes root, and
the section of the values that says so.
*/}}
{{- define "ferrule.webhook-source" -}}
{{- if or .section.externalSecret (eq .root.Values.webhookTLS.mode "external") -}}
external
{{- else if .section.crtPEM -}}
values
{{- else -}}
managed
{{- end -}}
{{- end -}}

{{/* Flags of the webhooks; takes root and section. */}}
{{- define "ferrule.webhook-flags" -}}
{{- if eq (include "ferrule.webhook-source" .) "managed" -}}
- --webhook-certificates=managed
- --webhook-ca-lifetime={{ .root.Values.webhookTLS.caLifetime }}
- --webhook-cert-lifetime={{ .root.Values.webhookTLS.certLifetime }}
{{- else -}}
- --webhook-certificates=files
{{- end }}
{{- if not .root.Values.disableIPv6 }}
- --webhook-addr=[::]:8443
{{- end }}
{{- end -}}

{{/* Flags of every role. */}}
{{- define "ferrule.flags" -}}
- --control-plane-namespace={{ .Release.Namespace }}
- --cluster-domain={{ .Values.clusterDomain }}
- --trust-domain={{ include "ferrule.trust-domain" . }}
- --log-level={{ .Values.controllerLogLevel }}
- --log-format={{ .Values.controllerLogFormat }}
- --lease-duration={{ .Values.leaseDuration }}
- --drain-delay={{ .Values.drain.delay }}
- --drain-window={{ .Values.drain.window }}
{{- with .Values.controller.tracing }}
{{- if .enabled }}
- --trace-collector={{ .collector.endpoint | default $.Values.proxy.tracing.collector.endpoint }}
- --trace-sample-ratio={{ .sampleRatio }}
{{- end }}
{{- end }}
{{- if not .Values.disableIPv6 }}
- --admin-addr=[::]:9990
{{- end }}
{{- end -}}

{{/*
Resources of a container, of {cpu: {request, limit}, memory, ephemeral-storage}; empty
texts are none.
*/}}
{{- define "ferrule.resources" -}}
{{- $limits := dict -}}
{{- $requests := dict -}}
{{- range $name := list "cpu" "memory" "ephemeral-storage" -}}
{{- with get $ $name -}}
{{- with .limit -}}{{- $_ := set $limits $name (toString .) -}}{{- end -}}
{{- with .request -}}{{- $_ := set $requests $name (toString .) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $resources := dict -}}
{{- with $limits -}}{{- $_ := set $resources "limits" . -}}{{- end -}}
{{- with $requests -}}{{- $_ := set $resources "requests" . -}}{{- end -}}
{{- with $resources -}}{{- toYaml . -}}{{- end -}}
{{- end -}}
