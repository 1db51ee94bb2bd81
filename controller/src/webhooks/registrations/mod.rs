//! What API servers verify the webhooks' certificate by: `caBundle` in the webhook
//! configurations.
//!
//! Only what is ours is touched: an entry of a configuration of the chart's name whose
//! path is one that is served here, in our namespace. It is applied on the server under
//! a field manager of our own, so that others keep what they own, and only when it
//! differs.

mod registration;

pub(super) use self::registration::path;

use self::registration::{Configuration, Registration};
use super::{AuthorityStatus, authority::Authorities};
use crate::lease::Leadership;
use anyhow::{Context as _, bail};
use ferrule_identity::Bundle;
use futures::{StreamExt as _, stream::SelectAll};
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
    },
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::watcher::{self, watch_object},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// What the chart calls them (operations.md 5.5).
pub(super) const INJECTOR: &str = "linkerd-proxy-injector-webhook-config";
const MUTATING: [&str; 1] = [INJECTOR];
const VALIDATING: [&str; 2] = [
    "linkerd-sp-validator-webhook-config",
    "linkerd-policy-validator-webhook-config",
];
const MANAGER: &str = "ferrule-webhook-ca";
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Follows the configurations, and writes a bundle into them while this replica leads.
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
    /// For whom it matters, leading or not.
    pub(super) acceptance: Option<Acceptance>,
}

/// A bundle that is in all webhook configurations.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) bundle: String,
    pub(super) since: Instant,
}

/// What tells whether API servers accept what is signed here.
pub(super) struct Acceptance {
    /// What signs.
    pub(super) known: watch::Receiver<Option<Arc<Authorities>>>,
    pub(super) status: Arc<AuthorityStatus>,
}

type Changes = Pin<Box<dyn futures::Stream<Item = (&'static str, Change)> + Send>>;
/// What became of a configuration; `None` if there is none, or none of ours in it.
type Change = Result<Option<Registration>, watcher::Error>;

impl Registrar {
    /// Watches the configurations and repairs what differs, for ever.
    pub(super) async fn run(mut self) {
        let mut changes: SelectAll<Changes> = SelectAll::new();
        for name in MUTATING {
            changes.push(self.follow::<MutatingWebhookConfiguration>(name));
        }
        for name in VALIDATING {
            changes.push(self.follow::<ValidatingWebhookConfiguration>(name));
        }
        let mut leadership = self.leadership.clone();
        let mut known = self.acceptance.as_ref().map(|it| it.known.clone());
        let mut found = Found::default();
        let mut complained = false;
        let mut again = None;
        loop {
            let due = async {
                match again {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let signs_anew = async {
                let changed = match &mut known {
                    Some(known) => known.changed().await.is_ok(),
                    None => false,
                };
                if !changed {
                    // Nobody asks, or the process is about to end.
                    std::future::pending::<()>().await;
                }
            };
            let problem = tokio::select! {
                changed = self.bundle.changed() => match changed {
                    Ok(()) => None,
                    // The process is about to end.
                    Err(_) => std::future::pending().await,
                },
                Some((name, change)) = changes.next() => found.take(name, change),
                _ = leadership.changed() => None,
                () = signs_anew => None,
                () = due => None,
            };
            self.note_acceptance(&found);
            let problem = match problem {
                Some(problem) => Some(problem),
                None => self
                    .reconcile(&found)
                    .await
                    .err()
                    .map(|error| format!("{error:#}")),
            };
            again = match problem {
                Some(_) => Some(PAUSE),
                None => found.next_due(),
            };
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

    /// Says once that API servers know who signs here.
    fn note_acceptance(&self, found: &Found) {
        let Some(acceptance) = &self.acceptance else {
            return;
        };
        let known = acceptance.known.borrow().clone();
        let Some(known) = known.filter(|_| found.is_whole()) else {
            return;
        };
        let signs = Bundle::read(known.signing().as_bytes());
        if found.registrations().all(|(_, of)| of.verifies(&signs)) {
            acceptance.status.accept();
        }
    }

    /// Writes the bundle where it is not, and says so when it is everywhere.
    async fn reconcile(&self, found: &Found) -> anyhow::Result<()> {
        if !self.leadership.is_leader() {
            self.published.send_replace(None);
            return Ok(());
        }
        let Some(bundle) = self.bundle.borrow().clone() else {
            return Ok(());
        };
        let mut differ = false;
        for (name, registration) in found.registrations() {
            if registration.has(&bundle, SystemTime::now()) {
                continue;
            }
            differ = true;
            if !self.leadership.is_leader() {
                bail!("another replica leads");
            }
            let written = timeout(self.call_timeout, self.apply(name, registration, &bundle));
            let written = written.await.context("the API server does not answer")?;
            written.with_context(|| name.to_owned())?;
            tracing::info!(configuration = name, "wrote caBundle");
        }
        // What was written comes back as a change, and then nothing differs.
        if found.is_known() && !differ {
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
        let now = SystemTime::now();
        let webhooks = registration.entries.iter().map(|entry| {
            let bundle = registration.wanted(entry, bundle, now).into_owned();
            let bundle = ByteString(bundle.into_bytes());
            json!({"name": entry.name, "clientConfig": {"caBundle": bundle}})
        });
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

/// What the watches have told.
#[derive(Default)]
struct Found {
    registrations: BTreeMap<&'static str, Option<Registration>>,
    /// Configurations that could not be read, and of which nothing was known then.
    unreadable: BTreeSet<&'static str>,
}

impl Found {
    /// Takes a change in; what is wrong with it, if something is.
    fn take(&mut self, name: &'static str, change: Change) -> Option<String> {
        match change {
            Ok(registration) => {
                self.registrations.insert(name, registration);
                None
            }
            Err(error) => {
                self.unreadable.insert(name);
                Some(format!("{name} cannot be watched: {error}"))
            }
        }
    }

    fn registrations(&self) -> impl Iterator<Item = (&'static str, &Registration)> {
        let all = self.registrations.iter();
        all.filter_map(|(name, registration)| Some((*name, registration.as_ref()?)))
    }

    /// Whether it is known of each whether it is there.
    fn is_known(&self) -> bool {
        self.registrations.len() == MUTATING.len() + VALIDATING.len()
    }

    /// Whether nothing is to be expected of those of which nothing is known.
    fn is_whole(&self) -> bool {
        let mut all = MUTATING.iter().chain(&VALIDATING);
        all.all(|name| self.registrations.contains_key(name) || self.unreadable.contains(name))
    }

    /// How long until a bundle is to be another though nothing changes.
    fn next_due(&self) -> Option<Duration> {
        let now = SystemTime::now();
        let due = self
            .registrations()
            .filter_map(|(_, of)| of.former_until(now));
        due.min()
            .map(|due| due.duration_since(now).unwrap_or_default())
    }
}
