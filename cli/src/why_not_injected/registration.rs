//! Whether the API server asks the injector about a pod at all: what is registered, and its
//! selectors.

use super::explain::Reason;
use crate::selector::unmet;
use ferrule_proxy_injector::INJECT;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::ResourceExt as _;
use serde_json::Value;
use std::collections::BTreeMap;

/// The configuration, and the entry of the chart's opt-in mode that goes by a pod's own
/// annotation, which its match condition tests.
pub(super) const CONFIGURATION: &str = "linkerd-proxy-injector-webhook-config";
const BY_ANNOTATION: &str = "by-annotation.";
/// The label that exempts a namespace.
const ADMISSION: &str = "config.linkerd.io/admission-webhooks";

/// What stands between a pod that is created and the injector.
#[derive(Debug, Default)]
pub(super) struct Registration {
    pub(super) configuration: Option<MutatingWebhookConfiguration>,
    /// Of Services that it calls by name: how many endpoints are ready.
    pub(super) ready: BTreeMap<(String, String), usize>,
}

/// What is known of who is asked about.
pub(super) struct About<'a> {
    pub(super) namespace: &'a str,
    pub(super) namespace_labels: &'a BTreeMap<String, String>,
    pub(super) pod: &'a Value,
}

impl Registration {
    fn webhooks(&self) -> &[MutatingWebhook] {
        let webhooks = self.configuration.as_ref().map(|of| &of.webhooks);
        webhooks.and_then(Option::as_deref).unwrap_or_default()
    }

    /// Since when it is registered, seconds since 1970.
    pub(super) fn since(&self) -> Option<i64> {
        let created = self.configuration.as_ref()?.creation_timestamp()?;
        Some(created.0.as_second())
    }

    /// Whether a pod is created without a proxy while the injector is away.
    pub(super) fn lets_through(&self) -> bool {
        let mut webhooks = self.webhooks().iter();
        webhooks.any(|webhook| webhook.failure_policy.as_deref() == Some("Ignore"))
    }

    /// Why the injector is not asked about a pod, or does not answer; nothing where it does.
    pub(super) fn reasons(&self, about: &About<'_>) -> Vec<Reason> {
        if self.configuration.is_none() {
            return vec![Reason::new(
                "not-registered",
                format!("there is no MutatingWebhookConfiguration {CONFIGURATION}: nobody injects"),
                "ferrule check says what else is missing; ferrule upgrade | kubectl apply -f - \
                 (or helm upgrade) puts it back",
            )];
        }
        if self.webhooks().is_empty() {
            return vec![Reason::new(
                "not-registered",
                format!("{CONFIGURATION} has no webhooks"),
                "ferrule upgrade | kubectl apply -f - (or helm upgrade) puts them back",
            )];
        }
        let asked = self
            .webhooks()
            .iter()
            .map(|webhook| (webhook, is_asked(webhook, about)));
        let asked: Vec<_> = asked.collect();
        let called: Vec<_> = asked
            .iter()
            .filter_map(|(webhook, unmet)| unmet.is_none().then_some(*webhook))
            .collect();
        if called.is_empty() {
            let reasons = asked.into_iter().filter_map(|(_, unmet)| unmet);
            return reasons.collect();
        }
        let away = called.into_iter().filter_map(|webhook| self.away(webhook));
        away.collect()
    }

    /// Why a webhook that is called does not answer.
    fn away(&self, webhook: &MutatingWebhook) -> Option<Reason> {
        let effect = match webhook.failure_policy.as_deref() {
            Some("Ignore") => "pods are created without a proxy meanwhile (failurePolicy Ignore)",
            _ => "no pod is created meanwhile (failurePolicy Fail)",
        };
        let client = &webhook.client_config;
        if client
            .ca_bundle
            .as_ref()
            .is_none_or(|bundle| bundle.0.is_empty())
        {
            return Some(Reason::new(
                "no-ca-bundle",
                format!(
                    "{} has no caBundle, so the API server trusts no injector: {effect}",
                    webhook.name
                ),
                "it is written by the holder of Lease ferrule-webhook-ca, or by cert-manager: see \
                 that they run, and their logs",
            ));
        }
        let service = client.service.as_ref()?;
        let (namespace, name) = (&service.namespace, &service.name);
        let ready = self.ready.get(&(namespace.clone(), name.clone()));
        (ready == Some(&0)).then(|| {
            Reason::new(
                "injector-away",
                format!("Service {namespace}/{name} has no endpoint that is ready: {effect}"),
                format!("kubectl -n {namespace} get pods,endpointslices; then ferrule check"),
            )
        })
    }
}

/// What keeps a webhook from being asked about a pod.
fn is_asked(webhook: &MutatingWebhook, about: &About<'_>) -> Option<Reason> {
    let (name, namespace) = (&webhook.name, about.namespace);
    if let Some(unmet) = unmet(webhook.namespace_selector.as_ref(), about.namespace_labels) {
        let remedy = if unmet.starts_with(ADMISSION) {
            format!("kubectl label namespace {namespace} {ADMISSION}-")
        } else if unmet.starts_with(INJECT) {
            format!(
                "the injector is asked about namespaces that opt in: kubectl label namespace \
                 {namespace} {INJECT}=enabled"
            )
        } else {
            "use another namespace, or change proxyInjector.namespaceSelector of the chart"
                .to_owned()
        };
        return Some(Reason::new(
            "namespace-not-selected",
            format!(
                "the API server does not ask {name} about namespace {namespace}: its labels do \
                 not meet {unmet}"
            ),
            remedy,
        ));
    }
    let labels = texts(&about.pod["metadata"]["labels"]);
    if let Some(unmet) = unmet(webhook.object_selector.as_ref(), &labels) {
        return Some(Reason::new(
            "pod-not-selected",
            format!(
                "the API server does not ask {name} about this pod: its labels do not meet \
                 {unmet}"
            ),
            "change the pod's labels, or proxyInjector.objectSelector of the chart",
        ));
    }
    let annotation = about.pod["metadata"]["annotations"][INJECT].as_str();
    let is_unasked = !matches!(annotation, Some("enabled" | "ingress"));
    (name.starts_with(BY_ANNOTATION) && is_unasked).then(|| {
        Reason::new(
            "does-not-opt-in",
            format!("{name} is asked about pods that opt in themselves, and this one does not"),
            format!(
                "annotate the pod template with {INJECT}: enabled, or label the namespace: \
                 kubectl label namespace {namespace} {INJECT}=enabled"
            ),
        )
    })
}

/// A map of texts.
pub(super) fn texts(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    let entries =
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn webhook(name: &str, requirement: &Value) -> Value {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore",
            "clientConfig": {
                "caBundle": "YQ==", "service": {"namespace": "linkerd", "name": "injector"},
            },
            "namespaceSelector": {"matchExpressions": [requirement]},
            "objectSelector": {"matchExpressions": [
                {"key": "linkerd.io/control-plane-component", "operator": "DoesNotExist"},
            ]},
        })
    }

    fn registration(webhooks: &[Value], ready: usize) -> Registration {
        let configuration = json!({"metadata": {"name": CONFIGURATION}, "webhooks": webhooks});
        Registration {
            configuration: serde_json::from_value(configuration).unwrap(),
            ready: [(("linkerd".to_owned(), "injector".to_owned()), ready)].into(),
        }
    }

    #[test]
    fn who_is_not_asked_about_is_told_by_the_selector() {
        let exempt = json!({"key": ADMISSION, "operator": "NotIn", "values": ["disabled"]});
        let asks = json!({"key": INJECT, "operator": "In", "values": ["enabled", "ingress"]});
        let asks_not =
            json!({"key": INJECT, "operator": "NotIn", "values": ["enabled", "ingress"]});
        let opt_in = [
            webhook("linkerd-proxy-injector.linkerd.io", &asks),
            webhook("by-annotation.linkerd-proxy-injector.linkerd.io", &asks_not),
        ];
        let opt_out = [webhook("linkerd-proxy-injector.linkerd.io", &exempt)];
        let component = json!({"linkerd.io/control-plane-component": "x"});
        for (webhooks, labels, pod, ready, codes) in [
            (&opt_out[..], json!({}), json!({}), 1, &[][..]),
            (&opt_out, json!({}), json!({}), 0, &["injector-away"]),
            (
                &opt_out,
                json!({ADMISSION: "disabled"}),
                json!({}),
                1,
                &["namespace-not-selected"],
            ),
            (
                &opt_out,
                json!({}),
                json!({"labels": component}),
                1,
                &["pod-not-selected"],
            ),
            (&opt_in, json!({INJECT: "enabled"}), json!({}), 1, &[]),
            (
                &opt_in,
                json!({}),
                json!({}),
                1,
                &["namespace-not-selected", "does-not-opt-in"],
            ),
            (
                &opt_in,
                json!({}),
                json!({"annotations": {INJECT: "enabled"}}),
                1,
                &[],
            ),
            (&[], json!({}), json!({}), 1, &["not-registered"]),
        ] {
            let about = About {
                namespace: "shop",
                namespace_labels: &texts(&labels),
                pod: &json!({"metadata": pod}),
            };
            let reasons = registration(webhooks, ready).reasons(&about);
            let found: Vec<_> = reasons.iter().map(|reason| reason.code).collect();
            assert_eq!(found, codes, "{labels} {pod}");
        }
    }

    #[test]
    fn an_injector_that_nobody_can_verify_is_told_with_what_becomes_of_pods() {
        let exempt = json!({"key": ADMISSION, "operator": "NotIn", "values": ["disabled"]});
        let mut webhook = webhook("a", &exempt);
        webhook["clientConfig"]["caBundle"] = Value::Null;
        let about = About {
            namespace: "shop",
            namespace_labels: &BTreeMap::new(),
            pod: &json!({}),
        };
        let reasons = registration(&[webhook.clone()], 1).reasons(&about);
        assert_eq!(reasons[0].code, "no-ca-bundle");
        assert!(
            reasons[0].cause.contains("without a proxy"),
            "{}",
            reasons[0].cause
        );
        webhook["failurePolicy"] = "Fail".into();
        let reasons = registration(&[webhook], 1).reasons(&about);
        assert!(
            reasons[0].cause.contains("no pod is created"),
            "{}",
            reasons[0].cause
        );
    }
}
