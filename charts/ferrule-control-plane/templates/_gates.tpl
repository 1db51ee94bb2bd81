{{/*
Other gates and templates count on the chart's own defaults. `helm upgrade --reuse-values`
brings those of another chart, if the last revision was of one. At the top of each template,
since Helm says which of them it renders first.
*/}}
{{- define "ferrule.whole" -}}
{{- range list "webhookTLS" "drain" "leaseDuration" "alerts" -}}
{{- if not (hasKey $.Values .) -}}
{{- fail (printf "%s is missing: these are the values of another chart, such as Linkerd's, with its defaults: say --reset-then-reuse-values in place of --reuse-values" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
What values.schema.json cannot tell: values that do not go together. Each message names
the value.
*/}}
{{- define "ferrule.gates" -}}
{{- $values := .Values -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" -}}
{{- $v4 := printf "^%s([.]%s){3}/(3[0-2]|[12]?[0-9])$" $octet $octet -}}
{{- $v6 := "^[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){2,7}/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$" -}}
{{- range splitList "," $values.clusterNetworks -}}
{{- if not (or (regexMatch $v4 .) (regexMatch $v6 .)) -}}
{{- fail (printf "clusterNetworks: %q is no network such as 10.0.0.0/8; commas stand between networks, without spaces" .) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "linkerd/(policy-)?controller$" $values.controllerImage -}}
{{- fail (printf "controllerImage: %s is Linkerd's image: name Ferrule's, or leave it out" $values.controllerImage) -}}
{{- end -}}
{{- include "ferrule.gates.drain" . -}}
{{- include "ferrule.gates.issuer" . -}}
{{- include "ferrule.gates.kept" . -}}
{{- include "ferrule.gates.webhook" (dict "root" . "name" "proxyInjector") -}}
{{- include "ferrule.gates.webhook" (dict "root" . "name" "policyValidator") -}}
{{- $injector := include "ferrule.webhook-source" (dict "root" . "section" $values.proxyInjector) -}}
{{- $validator := include "ferrule.webhook-source" (dict "root" . "section" $values.policyValidator) -}}
{{- if ne (eq $injector "managed") (eq $validator "managed") -}}
{{- fail "proxyInjector and policyValidator: Ferrule makes the certificates of all webhooks or of none; say where they come from for both (externalSecret, or crtPEM, keyPEM and caBundle), or for neither" -}}
{{- end -}}
{{- if and (gt (int $values.proxyInit.closeWaitTimeoutSecs) 0) (not $values.proxyInit.runAsRoot) -}}
{{- fail "proxyInit.closeWaitTimeoutSecs needs proxyInit.runAsRoot: true" -}}
{{- end -}}
{{- $tracing := $values.proxy.tracing -}}
{{- with $values.controller.tracing -}}
{{- if and .enabled (not (or .collector.endpoint $tracing.collector.endpoint)) -}}
{{- fail "controller.tracing.enabled needs controller.tracing.collector.endpoint, or proxy.tracing.collector.endpoint" -}}
{{- end -}}
{{- if or (lt (float64 .sampleRatio) 0.0) (gt (float64 .sampleRatio) 1.0) -}}
{{- fail (printf "controller.tracing.sampleRatio: %v is not from 0 to 1" .sampleRatio) -}}
{{- end -}}
{{- end -}}
{{- if $tracing.enabled -}}
{{- $identity := $tracing.collector.meshIdentity -}}
{{- range $name, $value := dict "endpoint" $tracing.collector.endpoint "meshIdentity.serviceAccountName" $identity.serviceAccountName "meshIdentity.namespace" $identity.namespace -}}
{{- if not $value -}}
{{- fail (printf "proxy.tracing.enabled needs proxy.tracing.collector.%s" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $path, $resources := dict "destinationResources" $values.destinationResources "identityResources" $values.identityResources "proxyInjectorResources" $values.proxyInjectorResources "proxy.resources" $values.proxy.resources -}}
{{- range $name, $amount := $resources -}}
{{- if and $amount.request $amount.limit -}}
{{- $request := include "ferrule.quantity" (dict "path" (printf "%s.%s.request" $path $name) "text" $amount.request) -}}
{{- $limit := include "ferrule.quantity" (dict "path" (printf "%s.%s.limit" $path $name) "text" $amount.limit) -}}
{{- if lt (float64 $limit) (float64 $request) -}}
{{- fail (printf "%s.%s.limit: %v is less than the request, %v" $path $name $amount.limit $amount.request) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How long a pod drains, in seconds: that of the two, rounded up. */}}
{{- define "ferrule.drains" -}}
{{- $delay := include "ferrule.seconds" (dict "root" . "path" "drain.delay") -}}
{{- $window := include "ferrule.seconds" (dict "root" . "path" "drain.window") -}}
{{- ceil (addf (float64 $delay) (float64 $window)) | int64 -}}
{{- end -}}

{{- define "ferrule.grace-period" -}}
{{- int64 .Values.drain.gracePeriodSeconds | default (add (include "ferrule.drains" .) 20) -}}
{{- end -}}

{{/* A pod that is killed while it drains cuts its streams off all at once. */}}
{{- define "ferrule.gates.drain" -}}
{{- $least := add (include "ferrule.drains" .) 5 -}}
{{- if lt (int64 (include "ferrule.grace-period" .)) (int64 $least) -}}
{{- fail (printf "drain.gracePeriodSeconds: %v is less than %v, which drain.delay (%s), drain.window (%s) and 5 s come to; leave it out, and it is long enough" .Values.drain.gracePeriodSeconds $least .Values.drain.delay .Values.drain.window) -}}
{{- end -}}
{{- end -}}

{{- define "ferrule.gates.issuer" -}}
{{- $values := .Values -}}
{{- $tls := $values.identity.issuer.tls -}}
{{- $source := include "ferrule.issuer" . -}}
{{- if eq $source "values" -}}
{{- range $name, $value := dict "crtPEM" $tls.crtPEM "keyPEM" $tls.keyPEM -}}
{{- if not $value -}}
{{- fail (printf "identity.issuer.tls.%s is needed: where you bring trust anchors, bring the issuer that goes with them (identityTrustAnchorsPEM, identity.issuer.tls.crtPEM and identity.issuer.tls.keyPEM), or say identity.issuer.scheme=kubernetes.io/tls if its Secret is made by somebody else. Without any of these Ferrule makes them" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (ne $source "managed") (not $values.identity.externalCA) (not $values.identityTrustAnchorsPEM) -}}
{{- fail "identityTrustAnchorsPEM is needed: the trust anchors that the issuer chains to, PEM; or identity.externalCA=true, if ConfigMap linkerd-identity-trust-roots is made by somebody else" -}}
{{- end -}}
{{- if and (not $values.identity.externalCA) (ne $values.identity.trustRootsConfigMapName "linkerd-identity-trust-roots") -}}
{{- fail "identity.trustRootsConfigMapName is for a ConfigMap of somebody else: it needs identity.externalCA=true" -}}
{{- end -}}
{{- if and (ne $source "external") (ne $values.identity.issuer.secretName "linkerd-identity-issuer") -}}
{{- fail "identity.issuer.secretName is for a Secret of somebody else: it needs identity.issuer.scheme=kubernetes.io/tls" -}}
{{- end -}}
{{- end -}}

{{/*
Helm removes what the last revision had and this one does not: without their values, the
trust anchors of a Linkerd that this takes over from, and the mesh with them.
*/}}
{{- define "ferrule.gates.kept" -}}
{{- if eq (include "ferrule.issuer" .) "managed" -}}
{{- range $kind, $name := dict "ConfigMap" "linkerd-identity-trust-roots" "Secret" "linkerd-identity-issuer" -}}
{{- $live := lookup "v1" $kind $.Release.Namespace $name -}}
{{- $annotations := dig "metadata" "annotations" dict (default dict $live) -}}
{{- if and (eq (toString (get $annotations "meta.helm.sh/release-name")) $.Release.Name) (ne (toString (get $annotations "helm.sh/resource-policy")) "keep") -}}
{{- fail (printf "identityTrustAnchorsPEM, identity.issuer: %s %s belongs to the release that is upgraded and would be removed, and no proxy would be trusted any more: bring the values that it was made of (helm upgrade --reset-then-reuse-values)" $kind $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Takes root, and the name of the webhook's section. */}}
{{- define "ferrule.gates.webhook" -}}
{{- $name := .name -}}
{{- $section := get .root.Values $name -}}
{{- $inject := or $section.injectCaFrom $section.injectCaFromSecret -}}
{{- if and $section.injectCaFrom $section.injectCaFromSecret -}}
{{- fail (printf "%s.injectCaFrom and %s.injectCaFromSecret exclude each other" $name $name) -}}
{{- end -}}
{{- if and $inject $section.caBundle -}}
{{- fail (printf "%s.caBundle is what the CA injector would write: leave it out, or %s.injectCaFrom and %s.injectCaFromSecret" $name $name $name) -}}
{{- end -}}
{{- if eq (include "ferrule.webhook-source" (dict "root" .root "section" $section)) "external" -}}
{{- if not (or $inject $section.caBundle) -}}
{{- fail (printf "%s.externalSecret (or webhookTLS.mode=external) needs one of %s.caBundle, %s.injectCaFrom and %s.injectCaFromSecret" $name $name $name $name) -}}
{{- end -}}
{{- if or $section.crtPEM $section.keyPEM -}}
{{- fail (printf "%s.crtPEM and %s.keyPEM are not for a Secret of somebody else (%s.externalSecret, or webhookTLS.mode=external)" $name $name $name) -}}
{{- end -}}
{{- else -}}
{{- if $inject -}}
{{- fail (printf "%s.injectCaFrom and %s.injectCaFromSecret need %s.externalSecret=true" $name $name $name) -}}
{{- end -}}
{{- if and (or $section.crtPEM $section.keyPEM $section.caBundle) (not (and $section.crtPEM $section.keyPEM $section.caBundle)) -}}
{{- fail (printf "%s.crtPEM, %s.keyPEM and %s.caBundle go together: give all three or none" $name $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A quantity as a number; takes path and text. */}}
{{- define "ferrule.quantity" -}}
{{- $text := toString .text -}}
{{- $form := "^([0-9]+(?:[.][0-9]*)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$" -}}
{{- if not (regexMatch $form $text) -}}
{{- fail (printf "%s: %q is no quantity such as 100m or 64Mi" .path $text) -}}
{{- end -}}
{{- $factors := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $number := regexReplaceAll $form $text "${1}" -}}
{{- $unit := regexReplaceAll $form $text "${2}" -}}
{{- printf "%f" (mulf (float64 $number) (get $factors $unit)) -}}
{{- end -}}

{{/* The seconds of a duration as Go has it; takes root and path, the value's name. */}}
{{- define "ferrule.seconds" -}}
{{- $value := .root.Values -}}
{{- range splitList "." .path -}}{{- $value = get $value . -}}{{- end -}}
{{- $text := toString $value -}}
{{- $part := "([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h)" -}}
{{- if not (regexMatch (printf "^[+]?(0|(%s)+)$" $part) $text) -}}
{{- fail (printf "%s: %q is no duration such as 20s, 500ms or 1m30s" .path $text) -}}
{{- end -}}
{{- $units := dict "ns" 1e-9 "us" 1e-6 "µs" 1e-6 "μs" 1e-6 "ms" 1e-3 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $sum := dict "of" 0.0 -}}
{{- range regexFindAll $part $text -1 -}}
{{- $number := regexReplaceAll $part . "${1}" -}}
{{- $unit := regexReplaceAll $part . "${2}" -}}
{{- $_ := set $sum "of" (addf $sum.of (mulf (float64 $number) (get $units $unit))) -}}
{{- end -}}
{{- printf "%f" $sum.of -}}
{{- end -}}
