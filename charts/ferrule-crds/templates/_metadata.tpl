{{/*
Labels and annotations of every definition. They stand here because the generated
files are plain manifests: to kubectl the include is a comment.
*/}}
{{- define "ferrule-crds.metadata" -}}
{{- include "ferrule-crds.no-gateway-api" . -}}
annotations:
  helm.sh/resource-policy: keep
  linkerd.io/created-by: {{ printf "ferrule/helm %s" .Chart.AppVersion }}
labels:
  helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
  linkerd.io/control-plane-ns: {{ .Release.Namespace }}
{{- end -}}

{{/*
Values of Linkerd's chart that ask for the Gateway API. One that is set to false
overrides installGatewayAPI for its kinds, as there.
*/}}
{{- define "ferrule-crds.no-gateway-api" -}}
{{- $all := .Values.installGatewayAPI -}}
{{- range list "enableHttpRoutes" "enableTlsRoutes" "enableTcpRoutes" -}}
{{- $asked := $all -}}
{{- if hasKey $.Values . -}}{{- $asked = get $.Values . -}}{{- end -}}
{{- if $asked -}}
{{- fail "ferrule-crds does not install the Gateway API: install its own bundle (https://gateway-api.sigs.k8s.io), and set installGatewayAPI, enableHttpRoutes, enableTlsRoutes and enableTcpRoutes to false or leave them out; what Linkerd's chart has installed of it stays" -}}
{{- end -}}
{{- end -}}
{{- end -}}
