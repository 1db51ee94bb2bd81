//! Events about workloads whose pods got a proxy, or none.

use super::known_kind;
use crate::events::{self, shortened};
use ferrule_proxy_injector::{Decision, Owner, OwnerReference};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, ObjectReference},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

const COMPONENT: &str = "linkerd-proxy-injector";
/// Events that wait to be told; further ones are dropped.
const WAITING: usize = 256;
/// An event is told again, counted up, after this long at the soonest: a DaemonSet
/// of a thousand pods is one event.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// API servers forget events after an hour; one that is told again before is the same.
const SAME_FOR: Duration = Duration::from_secs(600);
/// How many are remembered, so as to be counted up.
const REMEMBERED: usize = 1024;
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes events, and tells them later: nothing waits for it.
pub(super) struct Events {
    queue: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Note {
    namespace: String,
    owner: Uid,
    api_version: String,
    kind: String,
    name: String,
    reason: &'static str,
    message: String,
}

type Uid = String;

/// Tells them.
pub(super) struct Publisher {
    client: Client,
    queue: mpsc::Receiver<Note>,
    dropped: Arc<AtomicU64>,
    told: HashMap<Note, Told>,
}

/// An event that exists.
struct Told {
    name: String,
    count: i32,
    first: Instant,
    last: Instant,
}

impl Events {
    pub(super) fn new(client: Client) -> (Self, Publisher) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let publisher = Publisher {
            client,
            queue: waiting,
            dropped: dropped.clone(),
            told: HashMap::new(),
        };
        (Self { queue, dropped }, publisher)
    }

    /// Events that nobody was told of.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Tells the owner what became of its pod, if it is a workload of a known kind.
    pub(super) fn tell(&self, owner: &Owner, namespace: &str, decision: &Decision) {
        let Some(reference) = owner.reference.as_ref().filter(|reference| {
            // Others cannot be looked up by people.
            known_kind(owner).is_some() && !reference.uid.is_empty()
        }) else {
            return;
        };
        let note = Note::of(reference, namespace, decision);
        if self.queue.try_send(note).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Note {
    fn of(owner: &OwnerReference, namespace: &str, decision: &Decision) -> Self {
        let (reason, message) = if decision.is_injected() {
            ("Injected", "Linkerd sidecar proxy injected".to_owned())
        } else {
            let reasons: Vec<_> = decision
                .skipped
                .iter()
                .map(|reason| reason.text())
                .collect();
            let reasons = reasons.join(", ");
            let message = format!("Linkerd sidecar proxy injection skipped: {reasons}");
            ("InjectionSkipped", message)
        };
        Self {
            namespace: namespace.to_owned(),
            owner: owner.uid.clone(),
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            reason,
            message,
        }
    }

    fn event(&self, name: &str) -> Event {
        let told = events::Told {
            component: COMPONENT,
            object: ObjectReference {
                api_version: Some(self.api_version.clone()),
                kind: Some(self.kind.clone()),
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                uid: Some(self.owner.clone()),
                ..ObjectReference::default()
            },
            is_normal: true,
            reason: self.reason,
            message: &self.message,
        };
        events::event(name.to_owned(), told)
    }
}

impl Publisher {
    /// Tells events one after another, for as long as there may be some.
    pub(super) async fn run(mut self) {
        while let Some(note) = self.queue.recv().await {
            match timeout(CALL_TIMEOUT, self.publish(note)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.failed(&error.to_string()),
                Err(_) => self.failed("the API server does not answer"),
            }
        }
    }

    fn failed(&self, error: &str) {
        self.dropped.fetch_add(1, Relaxed);
        tracing::debug!("an event cannot be told: {error}");
    }

    async fn publish(&mut self, note: Note) -> kube::Result<()> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &note.namespace);
        let now = Instant::now();
        if let Some(told) = self.told.get_mut(&note)
            && now - told.first < SAME_FOR
        {
            told.count += 1;
            if now - told.last < AGAIN_AFTER {
                return Ok(());
            }
            told.last = now;
            let change = json!({
                "count": told.count, "lastTimestamp": Time(Timestamp::now()),
            });
            let params = PatchParams::default();
            match events
                .patch(&told.name, &params, &Patch::Merge(&change))
                .await
            {
                Ok(_) => return Ok(()),
                // Forgotten already.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        // Unlike any other; a fresh hasher's keys are chance.
        let chance = RandomState::new().hash_one(&note);
        let name = format!("{}.{chance:016x}", shortened(&note.name));
        events
            .create(&PostParams::default(), &note.event(&name))
            .await?;
        if self.told.len() >= REMEMBERED {
            self.told.retain(|_, told| now - told.last < AGAIN_AFTER);
            if self.told.len() >= REMEMBERED {
                self.told.clear();
            }
        }
        let told = Told {
            name,
            count: 1,
            first: now,
            last: now,
        };
        self.told.insert(note, told);
        Ok(())
    }
}
