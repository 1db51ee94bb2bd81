//! The views of destinations, kept up to date by the index and looked up by
//! connections.

use crate::{
    describe::Description,
    endpoints::{
        EndpointsKey, EndpointsRequest, EndpointsView, EndpointsWriter, History, Rebind, Rebound,
        Tally, is_local, refusal,
    },
    mesh::Mesh,
    profile::{Dependency, ProfileKey},
};
use ferrule_cluster::{
    LINGER, ValueView, ViewRegistry, Views, World,
    index::Projection,
    object::{Kind, Name, Object, ObjectKey},
    world::{Changes, ServiceChange},
};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tonic::Status;

/// Views may linger until so many were made; then those that nobody follows go
/// at once, so that asking for every port of a large Service does not fill the
/// memory. Counted with one more for each 64 endpoints: about 100 MiB.
const MAX_IDLE: usize = 4_096;

/// How long copying objects may hold up everything else.
const COPY_TIME: Duration = Duration::from_millis(1);

type Lookup<K, V> = papaya::HashMap<K, Arc<V>, FxBuildHasher>;

/// What connections read without asking the index: the views that exist, and
/// the zones of nodes. Lock-free, so that a storm of new streams does not queue
/// behind a batch.
#[derive(Default)]
pub struct Registry {
    ready: AtomicBool,
    pub(crate) endpoints: Lookup<EndpointsKey, EndpointsView>,
    pub(crate) profiles: Arc<ViewRegistry<ProfileKey>>,
    zones: papaya::HashMap<Name, Name, FxBuildHasher>,
    published: AtomicUsize,
    encoded: Arc<AtomicU64>,
    workload_updates: AtomicU64,
}

impl Registry {
    /// Whether the world has been listed once: only then is anything answered.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// How many views of endpoints and of profiles there are.
    pub fn views(&self) -> (usize, usize) {
        (self.endpoints.len(), self.profiles.len())
    }

    /// How many endpoints all views published together when they were last
    /// counted, at most ten seconds ago.
    pub fn published(&self) -> usize {
        self.published.load(Ordering::Relaxed)
    }

    /// How many messages were put together for `Get` and for `GetProfile`; the
    /// others that were sent are the same ones again.
    pub fn encoded(&self) -> (u64, u64) {
        let endpoints = self.encoded.load(Ordering::Relaxed);
        (endpoints, self.profiles.updates())
    }

    /// How often the profile of a single workload was told anew.
    pub fn workload_updates(&self) -> u64 {
        self.workload_updates.load(Ordering::Relaxed)
    }

    pub(crate) fn zone(&self, node: &str) -> Option<Name> {
        self.zones.pin().get(node).cloned()
    }

    pub(crate) fn endpoints(&self, key: &EndpointsKey) -> Option<Arc<EndpointsView>> {
        self.endpoints.pin().get(key).cloned()
    }
}

/// A question for the index.
pub enum Request {
    /// From a connection.
    #[doc(hidden)]
    Stream(StreamRequest),
    /// What the index holds of a Service, for people.
    Describe(ObjectKey, oneshot::Sender<Description>),
    /// Whose cluster IPs these are, in the same order. To be asked in portions.
    ServicesAt(Vec<IpAddr>, oneshot::Sender<Vec<Option<ObjectKey>>>),
    /// Where every object of a kind is, in no order; `None` while the kind has not
    /// been listed.
    Keys(Kind, oneshot::Sender<Option<Vec<ObjectKey>>>),
    /// Copies of these objects, in the same order: of as many as a moment allows,
    /// one at least. To be asked again for the others.
    Objects(Kind, Vec<ObjectKey>, oneshot::Sender<Vec<Option<Object>>>),
    /// Answered as soon as the index gets to it: is it alive?
    Ping(oneshot::Sender<()>),
}

/// What connections ask.
pub struct StreamRequest(pub(crate) Ask);

pub(crate) enum Ask {
    /// The view of a Service's endpoints; made if there is none.
    Endpoints(
        EndpointsRequest,
        oneshot::Sender<Result<Arc<EndpointsView>, Status>>,
    ),
    /// The view of a profile; made if there is none.
    Profile(ProfileKey, oneshot::Sender<Arc<ValueView>>),
    /// Where a stream goes whose view was replaced.
    Rebind(Rebind),
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Self {
        Request::Stream(StreamRequest(ask))
    }
}

/// The index's side of all destination views.
pub struct Destinations {
    mesh: Arc<Mesh>,
    registry: Arc<Registry>,
    history: History,
    /// What was made since views were last given up: one for a view and one for
    /// each 64 endpoints in it.
    made: usize,
    endpoints: FxHashMap<ObjectKey, Vec<EndpointsWriter>>,
    profiles: Views<ProfileKey>,
}

impl Destinations {
    /// No views yet.
    pub fn new(mesh: Arc<Mesh>, registry: Arc<Registry>) -> Self {
        Self {
            mesh,
            history: History::default(),
            made: 0,
            endpoints: FxHashMap::default(),
            profiles: Views::new(registry.profiles.clone()),
            registry,
        }
    }

    /// Keeps another amount of each view's past than is good in production.
    #[must_use]
    pub fn keeping(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    fn writer(&mut self, world: &World, request: &EndpointsRequest) -> &mut EndpointsWriter {
        let local = is_local(world, &request.service).unwrap_or_default();
        let mut key = request.key(local);
        if let Some(shared) = world.shared_service_key(&key.service) {
            key.service = shared.clone();
        }
        let writers = self.endpoints.entry(key.service.clone()).or_default();
        let at = writers.iter().position(|writer| *writer.key() == key);
        let at = at.unwrap_or_else(|| {
            let alike = writers.iter().find(|writer| writer.key().is_alike(&key));
            let tally = match alike {
                Some(writer) => writer.view().tally().clone(),
                None => Tally::new(self.registry.encoded.clone()),
            };
            let (mesh, history) = (&self.mesh, self.history);
            let writer = EndpointsWriter::new(mesh, world, key.clone(), history, tally);
            self.made += 1 + writer.view().len() / 64;
            let view = writer.view().clone();
            self.registry.endpoints.pin().insert(key, view);
            writers.push(writer);
            writers.len() - 1
        });
        &mut writers[at]
    }

    fn profile(&mut self, world: &World, key: &ProfileKey) -> Arc<ValueView> {
        let (mesh, mut found) = (&self.mesh, None);
        let view = self
            .profiles
            .open(key.clone(), |key| key.answer(mesh, world, &mut found));
        if let Some(ip) = found {
            self.profiles.follow_found(key, Dependency::Address(ip));
        }
        view
    }

    fn rebind(&mut self, world: &World, rebind: Rebind) {
        let writer = self.writer(world, &rebind.request);
        let frames = writer.takeover(&rebind.told);
        let view = writer.view().clone();
        rebind.slot.move_to(view.version());
        // Nobody closes a view but this task.
        let Some(membership) = view.subscribers().join(rebind.slot) else {
            return;
        };
        // A client that has gone in the meantime leaves by dropping this.
        let _ = rebind.reply.send(Rebound {
            view,
            membership,
            frames,
        });
    }

    fn update_endpoints(&mut self, world: &World, changes: &Changes) {
        for (key, change) in &changes.services {
            self.update_views(world, key, change);
            for federated in world.federated_of(key) {
                self.update_views(world, federated, change);
            }
        }
    }

    fn update_views(&mut self, world: &World, key: &ObjectKey, change: &ServiceChange) {
        let Some(writers) = self.endpoints.get_mut(key) else {
            return;
        };
        if change.object {
            for writer in writers.extract_if(.., |writer| writer.is_misfit(world)) {
                self.registry.endpoints.pin().remove(writer.key());
                writer.replace();
            }
        }
        for writer in writers {
            if change.object {
                writer.service_changed(world);
            }
            writer.update(&self.mesh, world, &change.members);
        }
    }

    fn update_profiles(&mut self, world: &World, changes: &Changes) {
        // A Service's own profile knows nothing of its endpoints.
        let of_services = changes.services.iter().flat_map(|(service, change)| {
            let dependents = self
                .profiles
                .dependents(&Dependency::Service(service.clone()));
            dependents
                .filter(|(key, _)| change.object || matches!(key, ProfileKey::Hostname { .. }))
        });
        let ips = changes.addresses.iter();
        let of_ips = ips.flat_map(|ip| self.profiles.dependents(&Dependency::Address(*ip)));
        let of_profiles = self.readers(world, &changes.service_profiles);
        let mut moved = Vec::new();
        for (key, view) in of_services.chain(of_ips).chain(of_profiles) {
            let last = match self.profiles.found(key) {
                Some(Dependency::Address(ip)) => Some(*ip),
                _ => None,
            };
            let mut found = last;
            let answer = key.answer(&self.mesh, world, &mut found);
            if found != last
                && let Some(ip) = found
            {
                moved.push((key.clone(), ip));
            }
            if view.publish(answer) && key.is_workload(world) {
                let updates = &self.registry.workload_updates;
                updates.fetch_add(1, Ordering::Relaxed);
            }
        }
        for (key, ip) in moved {
            self.profiles.follow_found(&key, Dependency::Address(ip));
        }
    }

    /// The views that may read one of these ServiceProfiles: those of the Service
    /// that it is named after, by name and by address.
    fn readers(
        &self,
        world: &World,
        profiles: &FxHashSet<ObjectKey>,
    ) -> Vec<(&ProfileKey, &Arc<ValueView>)> {
        let mut readers = Vec::new();
        for profile in profiles {
            let Some(service) = self.mesh.service_named(&profile.name) else {
                continue;
            };
            let ips = world.service(&service).map(|known| &*known.cluster_ips);
            let ips = ips.unwrap_or_default().iter();
            let by_name = [Dependency::Service(service.clone())].into_iter();
            for dependency in by_name.chain(ips.map(|ip| Dependency::Address(*ip))) {
                let dependents = self.profiles.dependents(&dependency);
                readers.extend(dependents.filter(|(key, _)| {
                    key.reads_profiles_of(&profile.namespace, &service.namespace)
                }));
            }
        }
        readers
    }

    fn update_zones(&self, world: &World, nodes: &FxHashSet<Name>) {
        let zones = self.registry.zones.pin();
        for node in nodes {
            if let Some(zone) = world.zone(node) {
                zones.insert(node.clone(), zone.clone());
            } else {
                zones.remove(node);
            }
        }
    }

    fn count(&self) {
        let writers = self.endpoints.values().flatten();
        let published = writers.map(|writer| writer.view().len()).sum();
        self.registry.published.store(published, Ordering::Relaxed);
    }
}

impl Projection for Destinations {
    type Request = Request;

    fn update(&mut self, world: &World, changes: &Changes) {
        self.update_zones(world, &changes.nodes);
        self.update_endpoints(world, changes);
        self.update_profiles(world, changes);
    }

    // Who asked and has gone in the meantime does not need the answer.
    fn handle(&mut self, world: &World, request: Request) {
        if self.made + self.profiles.made() > MAX_IDLE {
            self.give_up(Duration::ZERO, Instant::now());
        }
        match request {
            Request::Stream(StreamRequest(Ask::Endpoints(request, reply))) => {
                // Nothing is kept for what anybody may ask and nobody gets.
                let view = match refusal(world, &request.service) {
                    Some(refusal) => Err(refusal),
                    None => Ok(self.writer(world, &request).view().clone()),
                };
                let _ = reply.send(view);
            }
            Request::Stream(StreamRequest(Ask::Profile(key, reply))) => {
                let _ = reply.send(self.profile(world, &key));
            }
            Request::Stream(StreamRequest(Ask::Rebind(request))) => self.rebind(world, request),
            Request::Describe(key, reply) => {
                let _ = reply.send(Description::of(world, &key));
            }
            Request::ServicesAt(ips, reply) => {
                let ips = ips.into_iter();
                let owners = ips.map(|ip| world.services_at(ip).first().cloned());
                let _ = reply.send(owners.collect());
            }
            Request::Keys(kind, reply) => {
                let keys = world.is_kind_synced(kind).then(|| world.keys(kind));
                let _ = reply.send(keys);
            }
            Request::Objects(kind, keys, reply) => {
                let _ = reply.send(copies(world, kind, &keys));
            }
            Request::Ping(reply) => {
                let _ = reply.send(());
            }
        }
    }

    fn synced(&mut self, world: &World) {
        let zones = self.registry.zones.pin();
        for (node, zone) in world.zones() {
            if let Some(zone) = zone {
                zones.insert(node.clone(), zone.clone());
            }
        }
        self.registry.ready.store(true, Ordering::Release);
    }

    fn tidy(&mut self, now: Instant) {
        self.give_up(LINGER, now);
        for writer in self.endpoints.values_mut().flatten() {
            writer.tidy();
        }
        self.count();
    }
}

impl Destinations {
    /// Gives up the views that nobody has followed for so long.
    fn give_up(&mut self, linger: Duration, now: Instant) {
        self.made = 0;
        let endpoints = self.registry.endpoints.pin();
        self.endpoints.retain(|_, writers| {
            writers.retain(|writer| {
                let idle = writer.view().subscribers().close_if_idle(linger, now);
                if idle {
                    endpoints.remove(writer.key());
                }
                !idle
            });
            !writers.is_empty()
        });
        self.profiles.give_up(linger, now);
    }
}

fn copies(world: &World, kind: Kind, keys: &[ObjectKey]) -> Vec<Option<Object>> {
    let start = Instant::now();
    let mut objects = Vec::with_capacity(keys.len());
    for key in keys {
        objects.push(world.object(kind, key));
        if start.elapsed() >= COPY_TIME {
            break;
        }
    }
    objects
}
