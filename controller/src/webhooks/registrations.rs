//! What API servers verify the webhooks' certificate by: `caBundle` in the webhook
//! configurations.
//!
//! Only what is ours is touched: an entry of a configuration of the chart's name whose
//! path is one that is served here, in our namespace. It is applied on the server under
//! a field manager of our own, so that others keep what they own, and only when it
//! differs.

use crate::lease::Leadership;
use anyhow::{Context as _, bail};
use futures::{StreamExt as _, stream::SelectAll};
use http::Uri;
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::watcher::{self, watch_object},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, pin::Pin, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// What the chart calls them (operations.md 5.5).
const MUTATING: [&str; 1] = ["linkerd-proxy-injector-webhook-config"];
const VALIDATING: [&str; 2] = [
    "linkerd-sp-validator-webhook-config",
    "linkerd-policy-validator-webhook-config",
];
/// Paths that Ferrule serves; Linkerd's webhooks are all at `/`.
const PATHS: [&str; 3] = ["/inject", "/validate/policy", "/validate/profile"];
const MANAGER: &str = "ferrule-webhook-ca";
const NAMESPACE_LABEL: &str = "linkerd.io/control-plane-ns";
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Writes a bundle while this replica leads.
pub(super) struct Registrar {
    pub(super) client: Client,
    /// The control plane's.
    pub(super) namespace: String,
    pub(super) leadership: Leadership,
    pub(super) call_timeout: Duration,
    /// What is to be in them; nothing is written before it is known.
    pub(super) bundle: watch::Receiver<Option<String>>,
    /// What is in all of them.
    pub(super) published: watch::Sender<Option<Published>>,
}

/// A bundle that is in all webhook configurations.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) bundle: String,
    pub(super) since: Instant,
}

/// A configuration, of either kind.
#[derive(Clone, Debug)]
struct Registration {
    kind: &'static str,
    entries: Vec<Entry>,
}

/// One of its webhooks that is ours.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    bundle: Vec<u8>,
}

type Changes = Pin<Box<dyn futures::Stream<Item = (&'static str, Change)> + Send>>;
/// What became of a configuration; `None` if there is none, or none of ours in it.
type Change = Result<Option<Registration>, watcher::Error>;

impl Registrar {
    pub(super) async fn run(mut self) {
        let mut leadership = self.leadership.clone();
        loop {
            leadership.term(self.publish()).await;
            self.published.send_replace(None);
        }
    }

    /// Watches the configurations and repairs what differs, for ever.
    async fn publish(&mut self) {
        let mut changes: SelectAll<Changes> = SelectAll::new();
        for name in MUTATING {
            changes.push(self.follow::<MutatingWebhookConfiguration>(name));
        }
        for name in VALIDATING {
            changes.push(self.follow::<ValidatingWebhookConfiguration>(name));
        }
        let mut found: BTreeMap<&'static str, Option<Registration>> = BTreeMap::new();
        let mut complained = false;
        let mut again = false;
        loop {
            let retry = async {
                match again {
                    true => sleep(PAUSE).await,
                    false => std::future::pending().await,
                }
            };
            let problem = tokio::select! {
                changed = self.bundle.changed() => match changed {
                    Ok(()) => None,
                    // The process is about to end.
                    Err(_) => std::future::pending().await,
                },
                Some((name, change)) = changes.next() => match change {
                    Ok(registration) => {
                        found.insert(name, registration);
                        None
                    }
                    Err(error) => Some(format!("{name} cannot be watched: {error}")),
                },
                () = retry => None,
            };
            let problem = match problem {
                Some(problem) => Some(problem),
                None => self
                    .reconcile(&found)
                    .await
                    .err()
                    .map(|error| format!("{error:#}")),
            };
            again = problem.is_some();
            match problem {
                None => complained = false,
                Some(_) if complained => {}
                Some(problem) => {
                    complained = true;
                    tracing::warn!("caBundle of the webhook configurations: {problem}");
                }
            }
        }
    }

    fn follow<K: Configuration>(&self, name: &'static str) -> Changes {
        let api: Api<K> = Api::all(self.client.clone());
        let namespace = self.namespace.clone();
        let objects = watch_object(api, name);
        Box::pin(objects.then(move |object| {
            let registration = object.map(|object| {
                let registration = object.map(|object| Registration::of(&object, &namespace));
                registration.filter(|registration| !registration.entries.is_empty())
            });
            async move {
                if registration.is_err() {
                    sleep(PAUSE).await;
                }
                (name, registration)
            }
        }))
    }

    /// Writes the bundle where it is not, and says so when it is everywhere.
    async fn reconcile(
        &self,
        found: &BTreeMap<&'static str, Option<Registration>>,
    ) -> anyhow::Result<()> {
        let Some(bundle) = self.bundle.borrow().clone() else {
            return Ok(());
        };
        let mut differ = false;
        for (name, registration) in found {
            let Some(registration) = registration else {
                continue;
            };
            if registration.has(&bundle) {
                continue;
            }
            differ = true;
            if !self.leadership.is_leader() {
                bail!("another replica leads");
            }
            let written = timeout(self.call_timeout, self.apply(name, registration, &bundle));
            let written = written.await.context("the API server does not answer")?;
            written.with_context(|| (*name).to_owned())?;
            tracing::info!(configuration = name, "wrote caBundle");
        }
        // What was written comes back as a change, and then nothing differs.
        let is_known = found.len() == MUTATING.len() + VALIDATING.len();
        if is_known && !differ {
            self.published.send_if_modified(|published| {
                let is_new = published.as_ref().is_none_or(|of| of.bundle != bundle);
                if is_new {
                    let since = Instant::now();
                    *published = Some(Published { bundle, since });
                }
                is_new
            });
        }
        Ok(())
    }

    async fn apply(
        &self,
        name: &str,
        registration: &Registration,
        bundle: &str,
    ) -> kube::Result<()> {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let webhooks = registration.entries.iter();
        let webhooks =
            webhooks.map(|entry| json!({"name": entry.name, "clientConfig": {"caBundle": bundle}}));
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": registration.kind,
            "metadata": {"name": name},
            "webhooks": webhooks.collect::<Value>(),
        });
        let patch = Patch::Apply(&configuration);
        let params = PatchParams::apply(MANAGER).force();
        if registration.kind == MutatingWebhookConfiguration::KIND {
            let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
            api.patch(name, &params, &patch).await?;
        } else {
            let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
            api.patch(name, &params, &patch).await?;
        }
        Ok(())
    }
}

impl Registration {
    fn of<K: Configuration>(object: &K, namespace: &str) -> Self {
        let of_namespace = object.labels().get(NAMESPACE_LABEL);
        let of_others = of_namespace.is_some_and(|of| of != namespace);
        let entries = object
            .webhooks()
            .filter(|(_, client)| is_ours(client, namespace));
        let entries = entries.map(|(name, client)| Entry {
            name: name.to_owned(),
            bundle: client.ca_bundle.clone().unwrap_or_default().0,
        });
        Self {
            kind: K::KIND,
            entries: if of_others {
                Vec::new()
            } else {
                entries.collect()
            },
        }
    }

    fn has(&self, bundle: &str) -> bool {
        self.entries
            .iter()
            .all(|entry| entry.bundle == bundle.as_bytes())
    }
}

/// Whether it calls a webhook of this control plane.
fn is_ours(client: &WebhookClientConfig, namespace: &str) -> bool {
    let path = match (&client.service, &client.url) {
        (Some(service), _) if service.namespace == namespace => {
            service.path.clone().unwrap_or_default()
        }
        (None, Some(url)) => match url.parse::<Uri>() {
            Ok(url) => url.path().to_owned(),
            Err(_) => return false,
        },
        _ => return false,
    };
    PATHS.contains(&&*path)
}

/// A kind of webhook configuration.
trait Configuration:
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
            let configuration = json!({
                "metadata": {"name": MUTATING[0], "labels": labels},
                "webhooks": [{
                    "name": "a.linkerd.io", "clientConfig": client, "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }],
            });
            let object: MutatingWebhookConfiguration =
                serde_json::from_value(configuration.clone()).expect("valid");
            let registration = Registration::of(&object, "linkerd");
            assert_eq!(!registration.entries.is_empty(), ours, "{configuration}");
        }
    }
}
