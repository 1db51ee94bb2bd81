//! What is registered: the entries of a webhook configuration that are ours, and what
//! API servers are to verify them by.

use ferrule_identity::Bundle;
use http::Uri;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::{borrow::Cow, fmt, time::SystemTime};

/// Paths that Ferrule serves; Linkerd's webhooks are all at `/`.
const PATHS: [&str; 3] = ["/inject", "/validate/policy", "/validate/profile"];
const NAMESPACE_LABEL: &str = "linkerd.io/control-plane-ns";
/// Until when pods of the control plane that was here before may answer, and what they
/// are verified by stays (docs/takeover.md). The chart writes it when it takes over.
const FORMER_UNTIL: &str = "ferrule.io/former-ca-until";

/// A configuration, of either kind.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) kind: &'static str,
    pub(super) entries: Vec<Entry>,
    former_until: Option<SystemTime>,
}

/// One of its webhooks that is ours.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    bundle: Vec<u8>,
}

impl Registration {
    pub(super) fn of<K: Configuration>(object: &K, namespace: &str) -> Self {
        let of_namespace = object.labels().get(NAMESPACE_LABEL);
        let of_others = of_namespace.is_some_and(|of| of != namespace);
        let entries = object
            .webhooks()
            .filter(|(_, client)| is_ours(client, namespace));
        let entries = entries.map(|(name, client)| Entry {
            name: name.to_owned(),
            bundle: client.ca_bundle.clone().unwrap_or_default().0,
        });
        let until = object.annotations().get(FORMER_UNTIL);
        let until = until.and_then(|until| until.parse::<Timestamp>().ok());
        Self {
            kind: K::KIND,
            entries: if of_others {
                Vec::new()
            } else {
                entries.collect()
            },
            former_until: until.map(SystemTime::from),
        }
    }

    /// When what somebody else wrote is no longer to be kept, if that is yet to come.
    pub(super) fn former_until(&self, now: SystemTime) -> Option<SystemTime> {
        self.former_until.filter(|until| *until > now)
    }

    /// What is to be in an entry for ours to be verified by `bundle`: that, and what
    /// pods of another control plane are verified by as long as there may be some.
    pub(super) fn wanted<'b>(
        &self,
        entry: &Entry,
        bundle: &'b str,
        now: SystemTime,
    ) -> Cow<'b, str> {
        if self.former_until(now).is_none() {
            return bundle.into();
        }
        let ours = Bundle::read(bundle.as_bytes());
        ours.with(&Bundle::read(&entry.bundle)).into()
    }

    /// Whether this is in all of its entries already.
    pub(super) fn has(&self, bundle: &str, now: SystemTime) -> bool {
        let mut entries = self.entries.iter();
        entries.all(|entry| entry.bundle == self.wanted(entry, bundle, now).as_bytes())
    }

    /// Whether API servers verify by all of these, among others.
    pub(super) fn verifies(&self, bundle: &Bundle) -> bool {
        self.entries.iter().all(|entry| {
            let held = Bundle::read(&entry.bundle);
            bundle.certificates().all(|of| held.holds(of))
        })
    }
}

/// Whether it calls a webhook of this control plane.
fn is_ours(client: &WebhookClientConfig, namespace: &str) -> bool {
    path(client, namespace).is_some_and(|path| PATHS.contains(&&*path))
}

/// The path that is called, if it is one of this control plane's namespace.
pub(in super::super) fn path<'c>(
    client: &'c WebhookClientConfig,
    namespace: &str,
) -> Option<Cow<'c, str>> {
    match (&client.service, &client.url) {
        (Some(service), _) if service.namespace == namespace => {
            Some(service.path.as_deref().unwrap_or("/").into())
        }
        (None, Some(url)) => {
            let url: Uri = url.parse().ok()?;
            Some(url.path().to_owned().into())
        }
        _ => None,
    }
}

/// A kind of webhook configuration.
pub(super) trait Configuration:
    Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + 'static
{
    const KIND: &'static str;

    /// Name of each webhook, and how it is called.
    fn webhooks(&self) -> impl Iterator<Item = (&str, &WebhookClientConfig)>;
}

impl Configuration for MutatingWebhookConfiguration {
    const KIND: &'static str = "MutatingWebhookConfiguration";

    fn webhooks(&self) -> impl Iterator<Item = (&str, &WebhookClientConfig)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|webhook| (&*webhook.name, &webhook.client_config))
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    const KIND: &'static str = "ValidatingWebhookConfiguration";

    fn webhooks(&self) -> impl Iterator<Item = (&str, &WebhookClientConfig)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|webhook| (&*webhook.name, &webhook.client_config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use rcgen::{CertificateParams, KeyPair};
    use serde_json::{Value, json};
    use std::time::Duration;

    fn registration(mut metadata: Value, client: &Value) -> Registration {
        metadata["name"] = "linkerd-proxy-injector-webhook-config".into();
        let configuration = json!({
            "metadata": metadata,
            "webhooks": [{
                "name": "a.linkerd.io", "clientConfig": client, "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }],
        });
        let object: MutatingWebhookConfiguration =
            serde_json::from_value(configuration).expect("valid");
        Registration::of(&object, "linkerd")
    }

    #[test]
    fn only_entries_of_this_control_plane_are_written() {
        let service = |namespace: &str, path: &str| json!({"service": {"namespace": namespace, "name": "any", "path": path}});
        for (client, label, ours) in [
            (service("linkerd", "/inject"), None, true),
            (
                service("linkerd", "/validate/policy"),
                Some("linkerd"),
                true,
            ),
            // Linkerd's own.
            (service("linkerd", "/"), Some("linkerd"), false),
            (
                json!({"service": {"namespace": "linkerd", "name": "any"}}),
                None,
                false,
            ),
            (service("other", "/inject"), None, false),
            (service("linkerd", "/inject"), Some("other"), false),
            (json!({"url": "https://127.0.0.1:8443/inject"}), None, true),
            (
                json!({"url": "https://127.0.0.1:8443/inject"}),
                Some("other"),
                false,
            ),
            (json!({"url": "https://127.0.0.1:8443/"}), None, false),
            (json!({"url": "nonsense"}), None, false),
        ] {
            let labels = label.map(|of| json!({NAMESPACE_LABEL: of}));
            let registration = registration(json!({"labels": labels}), &client);
            assert_eq!(!registration.entries.is_empty(), ours, "{client} {label:?}");
        }
    }

    fn pem() -> String {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::default();
        params.self_signed(&key).expect("signed").pem()
    }

    #[test]
    fn what_the_former_pods_are_verified_by_stays_until_its_time_has_come() {
        let now = SystemTime::now();
        let (ours, former) = (pem(), pem());
        let time = |at: SystemTime| Timestamp::try_from(at).expect("in range").to_string();
        let hour = Duration::from_secs(3600);
        let both = format!("{ours}{former}");
        for (until, there, kept) in [
            (Some(time(now + hour)), &former, true),
            (Some(time(now + hour)), &both, true),
            (Some(time(now - hour)), &former, false),
            (Some("soon".to_owned()), &former, false),
            (None, &former, false),
        ] {
            let client = json!({
                "caBundle": ByteString(there.clone().into_bytes()),
                "service": {"namespace": "linkerd", "name": "any", "path": "/inject"},
            });
            let annotations = until.map(|until| json!({FORMER_UNTIL: until}));
            let registration = registration(json!({"annotations": annotations}), &client);
            let entry = &registration.entries[0];
            let wanted = Bundle::read(registration.wanted(entry, &ours, now).as_bytes());
            let holds = |pem: &str| {
                let of = Bundle::read(pem.as_bytes());
                of.certificates().all(|of| wanted.holds(of))
            };
            assert!(holds(&ours));
            assert_eq!(holds(&former), kept);
            assert_eq!(wanted.certificates().count(), 1 + usize::from(kept));
            assert_eq!(registration.has(&ours, now), kept && *there == both);
            let own = Bundle::read(ours.as_bytes());
            assert_eq!(registration.verifies(&own), *there == both);
        }
    }
}
