//! The role proxy-injector: what it takes from reviews of pods to proxies in them.
//!
//! ```text
//!  values, trust anchors ──> Settings ──┐
//!  (files, followed)                    │
//!                                       ├─> Injection::review ──> patch, warnings
//!  Namespaces, owners  ────> Known ─────┘        │
//!  (metadata-only watches)                       └─> Counts, Events
//! ```
//!
//! The decision is `ferrule-proxy-injector`'s, a function; here is what it is given.
//! It has a source of its own: discovery's index keeps of Namespaces and owners only
//! what discovery reads, and watches Pods and EndpointSlices, which an injector does
//! without.

mod counts;
mod events;
mod known;
mod settings;

pub(crate) use self::{counts::Labels, settings::SettingsFiles};

use self::{
    counts::Counts,
    events::{Events, Publisher},
    known::{Known, Unknown},
    settings::Settings,
};
use crate::flags::ServeFlags;
use ferrule_identity::FilesStatus;
use ferrule_proxy_injector::{Decision, DirectOwner, Owner, WorkloadKind};
use kube::Client;
use serde_json::Value;
use std::sync::Arc;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Nothing in it waits for the mesh, whatever a webhook's selectors say: without its
/// pods there is no cluster to mend them in.
const EXEMPT_NAMESPACE: &str = "kube-system";
/// Objects with one of these labels are what injection needs to run.
const EXEMPT_LABELS: [&str; 2] = [
    "linkerd.io/control-plane-component",
    "linkerd.io/cni-resource",
];

/// What decides about pods and Services.
pub(crate) struct Injection {
    settings: Arc<Settings>,
    known: Known,
    counts: Counts,
    events: Events,
}

/// What keeps an [`Injection`] up to date.
pub(crate) struct Upkeep {
    files: SettingsFiles,
    injection: Arc<Injection>,
    publisher: Publisher,
}

/// What is about to be created.
pub(crate) struct Subject<'a> {
    /// API group of the kind; empty for the core group.
    pub(crate) group: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) object: &'a Value,
    /// Nobody wants to hear of it.
    pub(crate) dry_run: bool,
}

/// What is to become of it.
pub(crate) enum Outcome {
    /// The object may be stored, perhaps with these changes.
    Allowed(Decision),
    /// It may not, and this is what to tell.
    Denied(String),
    /// Nobody looked at it.
    Exempt,
}

impl Injection {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them is not good (ruling 13).
    pub(crate) fn open(flags: &ServeFlags, client: &Client) -> anyhow::Result<(Arc<Self>, Upkeep)> {
        let (files, settings) = SettingsFiles::load(
            flags.injector.values(),
            flags.identity.trust_anchors(),
            &flags.mesh.control_plane_namespace,
        )?;
        let (events, publisher) = Events::new(client.clone());
        let injection = Arc::new(Self {
            settings,
            known: Known::new(client.clone()),
            counts: Counts::default(),
            events,
        });
        let upkeep = Upkeep {
            files,
            injection: injection.clone(),
            publisher,
        };
        Ok((injection, upkeep))
    }

    /// One whose settings stay as they are, and that nothing keeps up to date.
    #[cfg(test)]
    pub(crate) fn fixed(injector: ferrule_proxy_injector::Injector, client: &Client) -> Arc<Self> {
        Arc::new(Self {
            settings: Arc::new(Settings::fixed(injector)),
            known: Known::new(client.clone()),
            counts: Counts::default(),
            events: Events::new(client.clone()).0,
        })
    }

    /// Decides. What the watches have not brought yet is asked for, once, until the
    /// deadline.
    ///
    /// # Errors
    /// The namespace could not be found out about: whether the object is stored is
    /// then for the webhook's failure policy.
    pub(crate) async fn review(
        &self,
        subject: &Subject<'_>,
        deadline: Instant,
    ) -> Result<Outcome, Unknown> {
        if is_exempt(subject) {
            return Ok(Outcome::Exempt);
        }
        let namespace = self.known.namespace(subject.namespace, deadline).await?;
        let is_pod = subject.group.is_empty() && subject.kind.eq_ignore_ascii_case("pod");
        let owner = if is_pod {
            Some(self.owner(subject, deadline).await)
        } else {
            None
        };
        // Kinds of other groups are nothing that has a proxy.
        let kind = if subject.group.is_empty() {
            subject.kind
        } else {
            ""
        };
        let injector = self.settings.current();
        let reviewed = injector.review(kind, subject.object, &namespace, owner.as_ref());
        let mut labels = Labels::new(owner.as_ref(), subject.namespace);
        let decision = match reviewed {
            Ok(decision) => decision,
            Err(error) => {
                self.counts.request(labels);
                return Ok(Outcome::Denied(error.to_string()));
            }
        };
        labels.annotation_at = decision.annotation_at;
        self.counts.request(labels.clone());
        self.counts.response(labels, &decision, is_pod);
        if let Some(owner) = owner.filter(|_| !subject.dry_run) {
            self.events.tell(&owner, subject.namespace, &decision);
        }
        Ok(Outcome::Allowed(decision))
    }

    async fn owner(&self, subject: &Subject<'_>, deadline: Instant) -> Owner {
        let direct = DirectOwner::of(subject.object);
        let DirectOwner::LookUp(reference) = &direct else {
            return direct.resolve(None);
        };
        let above = self.known.above(subject.namespace, reference, deadline);
        let above = above.await;
        direct.resolve(above.as_deref())
    }

    /// The kinds that have not been listed yet.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        self.known.missing()
    }

    /// How the files of the settings fare.
    pub(crate) fn files(&self) -> &FilesStatus {
        self.settings.status()
    }

    /// What became of reviews.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Events that were not told, since there were too many.
    pub(crate) fn events_dropped(&self) -> u64 {
        self.events.dropped()
    }

    /// Objects known, by kind.
    pub(crate) fn sizes(&self) -> [(&'static str, usize); 3] {
        self.known.sizes()
    }
}

impl Upkeep {
    /// Follows the files and the cluster until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut parts = JoinSet::new();
        let injection = self.injection;
        injection.known.follow(&mut parts);
        parts.spawn(self.publisher.run());
        parts.spawn(self.files.run(injection.settings.clone()));
        // None of them ends, but for a panic.
        let ended = async {
            if let Some(Err(error)) = parts.join_next().await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        };
        stop.run_until_cancelled(ended).await;
    }
}

fn is_exempt(subject: &Subject<'_>) -> bool {
    let labels = &subject.object["metadata"]["labels"];
    subject.namespace == EXEMPT_NAMESPACE
        || EXEMPT_LABELS
            .iter()
            .any(|label| labels.get(label).is_some())
}

/// Whether an owner is of a kind that events and metrics know.
fn known_kind(owner: &Owner) -> Option<WorkloadKind> {
    WorkloadKind::of_owner(&owner.kind)
}
