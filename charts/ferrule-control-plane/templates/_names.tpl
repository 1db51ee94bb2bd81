{{/*
Maps as one, in which no key is twice: YAML that has one twice is refused by most that read
it, though not by Helm. The last of the list wins. What is a number or a flag in values is a
text in labels and annotations.
*/}}
{{- define "ferrule.merged" -}}
{{- $merged := dict -}}
{{- range . -}}
{{- range $key, $value := . -}}{{- $_ := set $merged $key (toString $value) -}}{{- end -}}
{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/*
Labels of an object; takes root, component where the object is of one, the chart's `own` for
this object, and `further`, the user's for it. What processes, tools and selectors know
objects by is the chart's; all else is the user's to replace.
*/}}
{{- define "ferrule.labels" -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" -}}
{{- $ours := dict "app.kubernetes.io/part-of" "ferrule" "helm.sh/chart" $chart -}}
{{- $fixed := dict "linkerd.io/control-plane-ns" .root.Release.Namespace -}}
{{- with .component -}}{{- $_ := set $fixed "linkerd.io/control-plane-component" . -}}{{- end -}}
{{- include "ferrule.merged" (list $ours .own .root.Values.commonLabels .further $fixed) -}}
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
Where a webhook's certificate comes from: managed, values, external, or helm. Takes root,
and the section of the values that says so.
*/}}
{{- define "ferrule.webhook-source" -}}
{{- if or .section.externalSecret (eq .root.Values.webhookTLS.mode "external") -}}
external
{{- else if .section.crtPEM -}}
values
{{- else if eq .root.Values.webhookTLS.mode "helm" -}}
helm
{{- else -}}
managed
{{- end -}}
{{- end -}}

{{/*
Makes what Helm makes of the certificate of a webhook, once for all templates: afterwards
`made` in the root has `crt`, `key` and `until` under `name`. What the Secret has is taken
until it is in the last third of its year, or of another Service. Takes root and name.
*/}}
{{- define "ferrule.webhook-made" -}}
{{- $root := .root -}}
{{- if not (hasKey $root "made") -}}{{- $_ := set $root "made" dict -}}{{- end -}}
{{- if not (hasKey $root.made .name) -}}
{{- $secret := lookup "v1" "Secret" $root.Release.Namespace (printf "linkerd-%s-k8s-tls" .name) -}}
{{- $until := dig "metadata" "annotations" "ferrule.io/renew-after" "" $secret -}}
{{- if and $until (gt (int64 $until) (int64 (now | unixEpoch))) -}}
{{- $_ := set $root.made .name (dict "crt" (index $secret.data "tls.crt") "key" (index $secret.data "tls.key") "until" $until) -}}
{{- else -}}
{{- $host := printf "linkerd-%s.%s.svc" .name $root.Release.Namespace -}}
{{- $made := genSelfSignedCert $host nil (list $host) 365 -}}
{{- $until = add (now | unixEpoch | int64) (mul 243 86400) | toString -}}
{{- $_ := set $root.made .name (dict "crt" (b64enc $made.Cert) "key" (b64enc $made.Key) "until" $until) -}}
{{- end -}}
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
