//! What of the cluster a decision needs: namespaces' annotations, and what is above a
//! pod's owner. Metadata-only watches bring both.

use ferrule_proxy_injector::{Namespace, OwnerReference};
use futures::StreamExt as _;
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, batch::v1::Job, core::v1},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

/// Objects in a page of a list, where lists are not streamed.
const PAGE: u32 = 500;
/// How long to wait after a watch failed: an API server that comes back is followed
/// within seconds, without all replicas asking at the same moment.
const PAUSE: Duration = Duration::from_secs(2);
/// Annotations of namespaces that say something here have this in their keys.
const OURS: &str = "linkerd.io/";

/// What is known, and how to find out what is not.
pub(super) struct Known {
    client: Client,
    namespaces: Arc<Store<Arc<Namespace>>>,
    replica_sets: Arc<Store<Above>>,
    jobs: Arc<Store<Above>>,
}

/// The owners of a ReplicaSet or Job. More than one is as good as none.
type Above = Arc<[OwnerReference]>;

/// Nothing is known of a namespace.
#[derive(Debug, Error)]
pub(crate) enum Unknown {
    /// The API server's answer.
    #[error("namespace {0} cannot be read: {1}")]
    Failed(String, kube::Error),
    /// There is none.
    #[error("there is no namespace {0}")]
    Absent(String),
    /// The API server has not answered.
    #[error("namespace {0} could not be read in time")]
    TooLate(String),
}

/// The objects of a kind that a watch brought.
struct Store<V> {
    kind: &'static str,
    objects: RwLock<HashMap<Key, V>>,
    listed: AtomicBool,
    /// The kind may not be read: what it would tell is done without.
    refused: AtomicBool,
    /// The failure that was last said is not over.
    complained: AtomicBool,
}

/// Namespace and name, with a slash between; a name alone where there is none.
type Key = Box<str>;

impl Known {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            namespaces: Arc::new(Store::new("namespaces")),
            replica_sets: Arc::new(Store::new("replicasets")),
            jobs: Arc::new(Store::new("jobs")),
        }
    }

    /// Starts the watches.
    pub(super) fn follow(&self, watches: &mut JoinSet<()>) {
        let client = &self.client;
        watches.spawn(follow(
            client.clone(),
            ApiResource::erase::<v1::Namespace>(&()),
            self.namespaces.clone(),
            false,
            namespace,
        ));
        watches.spawn(follow(
            client.clone(),
            ApiResource::erase::<ReplicaSet>(&()),
            self.replica_sets.clone(),
            true,
            above,
        ));
        watches.spawn(follow(
            client.clone(),
            ApiResource::erase::<Job>(&()),
            self.jobs.clone(),
            true,
            above,
        ));
    }

    /// A namespace; one that the watch has not brought is asked for.
    pub(super) async fn namespace(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<Arc<Namespace>, Unknown> {
        if let Some(known) = self.namespaces.get(name) {
            return Ok(known);
        }
        let api: Api<PartialObjectMeta<v1::Namespace>> = Api::all(self.client.clone());
        match timeout_at(deadline, api.get_opt(name)).await {
            Ok(Ok(Some(found))) => Ok(namespace(found.metadata)),
            Ok(Ok(None)) => Err(Unknown::Absent(name.to_owned())),
            Ok(Err(error)) => Err(Unknown::Failed(name.to_owned(), error)),
            Err(_) => Err(Unknown::TooLate(name.to_owned())),
        }
    }

    /// The owners of a ReplicaSet or Job; one that the watch has not brought is asked
    /// for. What cannot be found out is only said: a pod without its owner's name is
    /// better than none.
    pub(super) async fn above(
        &self,
        namespace: &str,
        owner: &OwnerReference,
        deadline: Instant,
    ) -> Option<Above> {
        match &*owner.kind {
            "Job" => {
                let jobs = &self.jobs;
                self.look_up::<Job>(jobs, namespace, owner, deadline).await
            }
            _ => {
                let replica_sets = &self.replica_sets;
                self.look_up::<ReplicaSet>(replica_sets, namespace, owner, deadline)
                    .await
            }
        }
    }

    async fn look_up<K>(
        &self,
        store: &Store<Above>,
        namespace: &str,
        owner: &OwnerReference,
        deadline: Instant,
    ) -> Option<Above>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + fmt::Debug
            + DeserializeOwned,
    {
        if let Some(known) = store.get(&key(Some(namespace), &owner.name)) {
            return Some(known);
        }
        if store.refused.load(Relaxed) {
            return None;
        }
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client.clone(), namespace);
        let problem = match timeout_at(deadline, api.get_opt(&owner.name)).await {
            Ok(Ok(found)) => return found.map(|found| above(found.metadata)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server does not answer".to_owned(),
        };
        let (kind, name) = (&owner.kind, &owner.name);
        tracing::warn!(%kind, namespace, %name, "an owner cannot be looked up: {problem}");
        None
    }

    /// The kinds that have not been listed yet.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        [
            (self.namespaces.is_listed(), self.namespaces.kind),
            (self.replica_sets.is_listed(), self.replica_sets.kind),
            (self.jobs.is_listed(), self.jobs.kind),
        ]
        .into_iter()
        .filter_map(|(listed, kind)| (!listed).then_some(kind))
        .collect()
    }

    /// Objects known, by kind.
    pub(super) fn sizes(&self) -> [(&'static str, usize); 3] {
        [
            (self.namespaces.kind, self.namespaces.len()),
            (self.replica_sets.kind, self.replica_sets.len()),
            (self.jobs.kind, self.jobs.len()),
        ]
    }
}

impl<V: Clone> Store<V> {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            objects: RwLock::default(),
            listed: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            complained: AtomicBool::new(false),
        }
    }

    fn get(&self, key: &str) -> Option<V> {
        let objects = self.objects.read();
        let objects = objects.unwrap_or_else(PoisonError::into_inner);
        objects.get(key).cloned()
    }

    fn len(&self) -> usize {
        let objects = self.objects.read();
        objects.unwrap_or_else(PoisonError::into_inner).len()
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<Key, V>)) {
        let objects = self.objects.write();
        change(&mut objects.unwrap_or_else(PoisonError::into_inner));
    }

    fn is_listed(&self) -> bool {
        self.listed.load(Relaxed)
    }

    /// A list is complete: it replaces what was known, at once.
    fn replace(&self, listed: HashMap<Key, V>) {
        self.change(|objects| *objects = listed);
        self.listed.store(true, Relaxed);
        self.refused.store(false, Relaxed);
        if self.complained.swap(false, Relaxed) {
            tracing::info!(kind = self.kind, "the watch goes on");
        }
    }

    /// Says what is wrong, once. A kind that can be done without counts as listed.
    fn failed(&self, error: &watcher::Error, can_do_without: bool) {
        let refused = code(error) == Some(403);
        if refused && can_do_without {
            self.refused.store(true, Relaxed);
            self.listed.store(true, Relaxed);
        }
        if code(error) != Some(410) && !self.complained.swap(true, Relaxed) {
            let kind = self.kind;
            if refused {
                tracing::error!(kind, "grant get, list and watch: {error}");
            } else {
                tracing::warn!(kind, "the watch failed, trying again: {error}");
            }
        }
    }
}

/// Watches a kind for ever.
async fn follow<V: Clone>(
    client: Client,
    kind: ApiResource,
    store: Arc<Store<V>>,
    can_do_without: bool,
    keep: fn(ObjectMeta) -> V,
) {
    // One type for all kinds: a watcher is much code, and is compiled for each.
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &kind);
    let mut events = pin!(watcher(api, watcher::Config::default().page_size(PAGE)));
    let mut listed = HashMap::new();
    let entry = |object: PartialObjectMeta<DynamicObject>| {
        (key_of(&object.metadata), keep(object.metadata))
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => listed.extend([entry(object)]),
            Ok(Event::InitDone) => store.replace(std::mem::take(&mut listed)),
            Ok(Event::Apply(object)) => store.change(|objects| objects.extend([entry(object)])),
            Ok(Event::Delete(object)) => {
                let key = key_of(&object.metadata);
                store.change(|objects| drop(objects.remove(&key)));
            }
            Err(error) => {
                store.failed(&error, can_do_without);
                sleep(pause()).await;
            }
        }
    }
}

fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// Between half of it and all of it.
fn pause() -> Duration {
    // A fresh hasher's keys are the standard library's only source of chance.
    let chance = RandomState::new().hash_one(()) >> 32;
    PAUSE.mul_f64(0.5 + 0.5 * (chance as f64 / f64::from(u32::MAX)))
}

fn key(namespace: Option<&str>, name: &str) -> Key {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}").into(),
        None => name.into(),
    }
}

fn key_of(metadata: &ObjectMeta) -> Key {
    let name = metadata.name.as_deref().unwrap_or_default();
    key(metadata.namespace.as_deref(), name)
}

fn namespace(metadata: ObjectMeta) -> Arc<Namespace> {
    let annotations = metadata.annotations.unwrap_or_default();
    Arc::new(Namespace {
        name: metadata.name.unwrap_or_default(),
        annotations: annotations
            .into_iter()
            .filter(|(key, _)| key.contains(OURS))
            .collect(),
    })
}

fn above(metadata: ObjectMeta) -> Above {
    let references = metadata.owner_references.unwrap_or_default();
    match <[_; 1]>::try_from(references) {
        Ok([one]) => Arc::new([OwnerReference {
            api_version: one.api_version,
            kind: one.kind,
            name: one.name,
            uid: one.uid,
        }]),
        Err(_) => Arc::new([]),
    }
}
