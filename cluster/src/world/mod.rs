//! The state of the cluster, owned by one task and without locks.
//!
//! ```text
//!   services ──┐ slices (ids)         pods (ids) ── slices that list it
//!   by IP ─────┘    │                    ▲   by IP, by host IP and port
//!                   └── endpoints ───────┘   (ids)
//!   nodes, namespaces, owners of ReplicaSets and Jobs,
//!   Servers, ServiceProfiles, ExternalWorkloads
//! ```
//!
//! Applying an event says what may have changed for whoever looks at it
//! ([`Changes`]); an object that comes again with the same content changes
//! nothing.

mod changes;
mod opaque;
mod owners;
mod pods;
mod relist;
mod servers;
mod services;
mod slices;

pub use self::{
    changes::{Changes, Member, ServiceChange, Touched},
    owners::Workload,
    pods::PodId,
    slices::SliceEntry,
};

use self::{
    owners::Owners, pods::Pods, relist::Relists, servers::Servers, services::Services,
    slices::Slices,
};
use crate::{
    object::{
        ExternalWorkload, Kind, Name, Namespace, Node, Object, ObjectKey, Pod, Server, Service,
        ServiceProfile,
    },
    source::Event,
};
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// Everything that the mesh knows of the cluster.
#[derive(Default)]
pub struct World {
    services: Services,
    slices: Slices,
    pods: Pods,
    nodes: FxHashMap<Name, Node>,
    namespaces: FxHashMap<Name, Namespace>,
    owners: Owners,
    servers: Servers,
    service_profiles: FxHashMap<ObjectKey, ServiceProfile>,
    external_workloads: FxHashMap<ObjectKey, ExternalWorkload>,
    relists: Relists,
}

impl World {
    /// One event, and what it changed. Problems in it are the caller's to report.
    pub fn apply(&mut self, event: Event, changes: &mut Changes) {
        match event {
            Event::Relisting(kind) => self.relists.begin(kind),
            Event::Applied { key, object, .. } => {
                if let Some((key, object)) = self.relists.admit(key, object, |key, object| {
                    self.services.is(key, object)
                        || self.slices.is(key, object)
                        || self.pods.is(key, object)
                }) {
                    self.upsert(key, object, changes);
                }
            }
            Event::Deleted(kind, key) => {
                self.relists.forget(kind, &key);
                self.remove(kind, &key, changes);
            }
            Event::Synced(kind) => {
                let Some(relist) = self.relists.finish(kind) else {
                    return;
                };
                for (key, object) in relist.held {
                    self.upsert(key, object, changes);
                }
                for key in self.keys(kind) {
                    if !relist.seen.contains(&key) {
                        self.remove(kind, &key, changes);
                    }
                }
            }
            Event::Unavailable(kind, _) => self.relists.unavailable(kind),
        }
    }

    /// Whether every kind has been listed once (or may be done without), so that
    /// questions can be answered.
    pub fn is_synced(&self) -> bool {
        self.relists.all_synced()
    }

    /// Whether this kind has been listed once or is done without.
    pub fn is_kind_synced(&self, kind: Kind) -> bool {
        self.relists.is_synced(kind)
    }

    /// How many objects of the kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Service => self.services.count(),
            Kind::EndpointSlice => self.slices.count(),
            Kind::Pod => self.pods.count(),
            Kind::Node => self.nodes.len(),
            Kind::Namespace => self.namespaces.len(),
            Kind::ReplicaSet | Kind::Job => self.owners.count(kind),
            Kind::Server => self.servers.count(),
            Kind::ServiceProfile => self.service_profiles.len(),
            Kind::ExternalWorkload => self.external_workloads.len(),
        }
    }

    /// The Service of this name.
    pub fn service(&self, key: &ObjectKey) -> Option<&Service> {
        self.services.get(key)?.service.as_ref()
    }

    /// The copy of a Service's key that everything else shares.
    pub fn shared_service_key(&self, key: &ObjectKey) -> Option<&ObjectKey> {
        self.services.shared_key(key)
    }

    /// The Services that own a cluster IP: one, unless the cluster is broken.
    pub fn services_at(&self, ip: IpAddr) -> &[ObjectKey] {
        self.services.at(ip)
    }

    /// The slices that say which endpoints a Service has; also those of a Service
    /// that is not there.
    pub fn slices_of(&self, service: &ObjectKey) -> impl Iterator<Item = &SliceEntry> {
        let ids = self
            .services
            .get(service)
            .map_or(&[][..], |entry| &entry.slices);
        ids.iter().map(|&id| self.slices.get(id))
    }

    /// The slices that list a pod.
    pub fn slices_listing(&self, pod: PodId) -> impl Iterator<Item = &SliceEntry> {
        self.pods.slices(pod).iter().map(|&id| self.slices.get(id))
    }

    /// The pod of this name.
    pub fn pod_named(&self, key: &ObjectKey) -> Option<&Pod> {
        self.pods.get(self.pods.id(key)?).map(|(_, pod)| pod)
    }

    /// The pod behind an id, unless slices list it and it is not there.
    pub fn pod(&self, id: PodId) -> Option<(&ObjectKey, &Pod)> {
        self.pods.get(id)
    }

    /// The pods with this IP of their own (not their host's), live or not.
    pub fn pods_at(&self, ip: IpAddr) -> impl Iterator<Item = (&ObjectKey, &Pod)> {
        self.pods.at(ip)
    }

    /// The pods reached by a port of their host, live or not.
    pub fn pods_at_host_port(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> impl Iterator<Item = (&ObjectKey, &Pod)> {
        self.pods.at_host_port(ip, port)
    }

    /// The zone of a node, where the node is known and has one.
    pub fn zone(&self, node: &str) -> Option<&Name> {
        self.nodes.get(node)?.zone.as_ref()
    }

    /// Every known node with its zone.
    pub fn zones(&self) -> impl Iterator<Item = (&Name, Option<&Name>)> {
        self.nodes
            .iter()
            .map(|(name, node)| (name, node.zone.as_ref()))
    }

    /// The opaque-ports annotation of a namespace, as written.
    pub fn namespace_opaque_ports(&self, namespace: &str) -> Option<&Name> {
        self.namespaces.get(namespace)?.opaque_ports.as_ref()
    }

    /// The Servers of a namespace, by name.
    pub fn servers(&self, namespace: &str) -> impl Iterator<Item = (&Name, &Server)> {
        self.servers.of(namespace)
    }

    /// The ServiceProfile of this name.
    pub fn service_profile(&self, key: &ObjectKey) -> Option<&ServiceProfile> {
        self.service_profiles.get(key)
    }

    /// The ExternalWorkload of this name.
    pub fn external_workload(&self, key: &ObjectKey) -> Option<&ExternalWorkload> {
        self.external_workloads.get(key)
    }

    /// What a pod is to be called in metrics: the workload that made it.
    pub fn workload<'w>(&'w self, key: &'w ObjectKey, pod: &'w Pod) -> Workload<'w> {
        self.owners.workload(key, &pod.owner)
    }

    fn upsert(&mut self, key: ObjectKey, object: Object, changes: &mut Changes) {
        match object {
            Object::Service(service) => self.services.apply(&key, service, changes),
            Object::EndpointSlice(slice) => {
                self.slices
                    .apply(key, slice, &mut self.services, &mut self.pods, changes);
            }
            Object::Pod(pod) => self.apply_pod(key, pod, changes),
            Object::Node(node) => {
                changes.nodes.insert(key.name.clone());
                self.nodes.insert(key.name, node);
            }
            Object::Namespace(namespace) => {
                let name = key.name.clone();
                let old = self.namespaces.insert(key.name, namespace);
                self.namespace_changed(&name, old.as_ref(), changes);
            }
            Object::ReplicaSet(owner) => {
                if self.owners.apply(Kind::ReplicaSet, key.clone(), owner) {
                    self.owner_changed(&key, changes);
                }
            }
            Object::Job(owner) => {
                if self.owners.apply(Kind::Job, key.clone(), owner) {
                    self.owner_changed(&key, changes);
                }
            }
            Object::Server(server) => {
                let old = self.servers.insert(&key, server);
                self.server_changed(&key, old.as_ref(), changes);
            }
            Object::ServiceProfile(profile) => {
                if self.service_profiles.get(&key) != Some(&profile) {
                    changes.service_profiles.insert(key.clone());
                    self.service_profiles.insert(key, profile);
                }
            }
            Object::ExternalWorkload(workload) => {
                self.external_workloads.insert(key, workload);
            }
        }
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey, changes: &mut Changes) {
        match kind {
            Kind::Service => self.services.remove(key, changes),
            Kind::EndpointSlice => {
                self.slices
                    .remove(key, &mut self.services, &mut self.pods, changes);
            }
            Kind::Pod => self.remove_pod(key, changes),
            Kind::Node => {
                changes.nodes.insert(key.name.clone());
                self.nodes.remove(&key.name);
            }
            Kind::Namespace => {
                if let Some(old) = self.namespaces.remove(&key.name) {
                    self.namespace_changed(&key.name, Some(&old), changes);
                }
            }
            Kind::ReplicaSet | Kind::Job => {
                if self.owners.remove(kind, key) {
                    self.owner_changed(key, changes);
                }
            }
            Kind::Server => {
                let old = self.servers.remove(key);
                self.server_changed(key, old.as_ref(), changes);
            }
            Kind::ServiceProfile => {
                if self.service_profiles.remove(key).is_some() {
                    changes.service_profiles.insert(key.clone());
                }
            }
            Kind::ExternalWorkload => {
                self.external_workloads.remove(key);
            }
        }
    }

    fn apply_pod(&mut self, key: ObjectKey, pod: Pod, changes: &mut Changes) {
        if let Some(id) = self.pods.apply(key, pod, changes) {
            self.pod_changed(id, changes);
        }
    }

    fn remove_pod(&mut self, key: &ObjectKey, changes: &mut Changes) {
        if let Some(id) = self.pods.id(key) {
            self.pod_changed(id, changes);
            self.pods.remove(id, changes);
        }
    }

    /// Endpoints that are this pod may read differently now.
    fn pod_changed(&self, id: PodId, changes: &mut Changes) {
        for slice in self.slices_listing(id) {
            if let Some(service) = slice.service_key() {
                changes.member(&service, Member::Pod(id));
            }
        }
    }

    /// A namespace's opaque ports hold for what has no list of its own. Rare, so
    /// everything in the namespace is looked at again.
    fn namespace_changed(&self, name: &Name, old: Option<&Namespace>, changes: &mut Changes) {
        let old = old.and_then(|namespace| namespace.opaque_ports.as_ref());
        if old == self.namespace_opaque_ports(name) {
            return;
        }
        for key in self.services.in_namespace(name) {
            changes.service(key).object = true;
            changes.service(key).members = Touched::All;
        }
        for (id, pod) in self.pods.in_namespace(name) {
            changes.addresses_of(pod);
            // Slices of another namespace may list it.
            self.pod_changed(id, changes);
        }
    }

    /// Ports of the pods that a Server selects, or did, may be opaque now or no
    /// longer. Servers are rare and change rarely, so the namespace's pods are
    /// looked through.
    fn server_changed(&self, key: &ObjectKey, old: Option<&Server>, changes: &mut Changes) {
        let new = self.servers.get(key);
        if !self.is_synced() || old == new {
            // Nobody has been told anything yet, or nothing else.
            return;
        }
        for (id, pod) in self.pods.in_namespace(&key.namespace) {
            if [old, new]
                .into_iter()
                .flatten()
                .any(|server| server.selects_pod(pod))
            {
                changes.addresses_of(pod);
                self.pod_changed(id, changes);
            }
        }
    }

    /// The pods of a ReplicaSet or Job may be called differently now. These come
    /// before their pods as a rule, and then none is looked for.
    fn owner_changed(&self, owner: &ObjectKey, changes: &mut Changes) {
        if !self.is_synced() {
            // Nobody has been told anything yet.
            return;
        }
        let owned: Vec<_> = self
            .pods
            .owned_by(owner)
            .inspect(|(_, pod)| changes.addresses_of(pod))
            .map(|(id, _)| id)
            .collect();
        for id in owned {
            self.pod_changed(id, changes);
        }
    }

    fn keys(&self, kind: Kind) -> Vec<ObjectKey> {
        let cluster_scoped = |name: &Name| ObjectKey::new("", name.clone());
        match kind {
            Kind::Service => self.services.keys(),
            Kind::EndpointSlice => self.slices.keys(),
            Kind::Pod => self.pods.keys(),
            Kind::Node => self.nodes.keys().map(cluster_scoped).collect(),
            Kind::Namespace => self.namespaces.keys().map(cluster_scoped).collect(),
            Kind::ReplicaSet | Kind::Job => self.owners.keys(kind),
            Kind::Server => self.servers.keys(),
            Kind::ServiceProfile => self.service_profiles.keys().cloned().collect(),
            Kind::ExternalWorkload => self.external_workloads.keys().cloned().collect(),
        }
    }
}
