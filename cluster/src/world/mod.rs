//! The state of the cluster, owned by one task and without locks.
//!
//! ```text
//!   services ──┐ slices (ids)         pods (ids) ── slices that list it
//!   by IP ─────┘    │                    ▲   by IP, by host IP and port
//!                   └── endpoints ───────┤   (ids)
//!                                        ▼
//!                                     ExternalWorkloads (ids), as pods
//!   nodes, namespaces, owners of ReplicaSets and Jobs,
//!   Servers, authorizations, rate limits and EgressNetworks by namespace,
//!   ServiceProfiles, routes by parent and by backend
//! ```
//!
//! Applying an event says what may have changed for whoever looks at it
//! ([`Changes`]); an object that comes again with the same content changes
//! nothing.

mod authorizations;
mod changes;
mod dependents;
mod external_workloads;
mod listed;
mod members;
mod namespaced;
mod objects;
mod opaque;
mod owners;
mod pods;
mod relist;
mod routes;
mod servers;
mod service_profiles;
mod services;
mod slices;

pub use self::{
    changes::{Changes, ServiceChange, Touched},
    external_workloads::ExternalWorkloadId,
    members::Member,
    owners::Workload,
    pods::PodId,
    routes::RouteEntry,
    slices::SliceEntry,
};

use self::{
    authorizations::Authorizations, members::Members, namespaced::Namespaced, owners::Owners,
    relist::Relists, routes::Routes, servers::Servers, service_profiles::ServiceProfiles,
    services::Services, slices::Slices,
};
use crate::{
    object::{
        EgressNetwork, ExternalWorkload, Kind, Multicluster, Name, Namespace, Node, Object,
        ObjectKey, Pod, RateLimit, Server, Service, ServiceProfile,
        route::{ParentKey, ParentKind, RouteKey, RouteKind},
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
    members: Members,
    nodes: FxHashMap<Name, Node>,
    namespaces: FxHashMap<Name, Namespace>,
    owners: Owners,
    servers: Servers,
    authorizations: Authorizations,
    service_profiles: ServiceProfiles,
    rate_limits: Namespaced<RateLimit>,
    egress_networks: Namespaced<EgressNetwork>,
    routes: Routes,
    relists: Relists,
}

impl World {
    /// One event, and what it changed. Problems in it are the caller's to report.
    pub fn apply(&mut self, event: Event, changes: &mut Changes) {
        match event {
            Event::Relisting(kind) => self.relists.begin(kind),
            Event::Applied { key, object, .. } => {
                let is_known = self.relists.holds(object.kind()) && self.has(&key, &object);
                if let Some((key, object)) = self.relists.admit(key, object, is_known) {
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
            Event::Traced(traced) => self.apply(traced.event, changes),
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

    /// Whether this kind has been listed once: if not, it was never said that there
    /// are none.
    pub fn is_kind_listed(&self, kind: Kind) -> bool {
        self.relists.is_listed(kind)
    }

    /// How many objects of the kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Service => self.services.count(),
            Kind::EndpointSlice => self.slices.count(),
            Kind::Pod => self.members.pods.count(),
            Kind::Node => self.nodes.len(),
            Kind::Namespace => self.namespaces.len(),
            Kind::ReplicaSet | Kind::Job => self.owners.count(kind),
            Kind::Server => self.servers.count(),
            Kind::ServiceProfile => self.service_profiles.count(),
            Kind::ExternalWorkload => self.members.external_workloads.count(),
            Kind::ServerAuthorization => self.authorizations.of_servers.count(),
            Kind::AuthorizationPolicy => self.authorizations.policies.count(),
            Kind::MeshTlsAuthentication => self.authorizations.mesh_tls.count(),
            Kind::NetworkAuthentication => self.authorizations.networks.count(),
            Kind::RateLimit => self.rate_limits.count(),
            Kind::EgressNetwork => self.egress_networks.count(),
            Kind::PolicyHttpRoute => self.routes.count(RouteKind::PolicyHttp),
            Kind::HttpRoute => self.routes.count(RouteKind::Http),
            Kind::GrpcRoute => self.routes.count(RouteKind::Grpc),
            Kind::TlsRoute => self.routes.count(RouteKind::Tls),
            Kind::TcpRoute => self.routes.count(RouteKind::Tcp),
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

    /// The Service whose slices say which endpoints a Service has in this cluster:
    /// itself, or its member if it is federated. `None` where there is none.
    pub fn source_of(&self, key: &ObjectKey) -> Option<ObjectKey> {
        let service = self.service(key)?;
        match service.multicluster.as_deref() {
            None => Some(key.clone()),
            Some(Multicluster::Federated { .. }) => service.local_member(key),
            Some(Multicluster::Remote { .. }) => None,
        }
    }

    /// The federated Services of which this one is the member in this cluster.
    pub fn federated_of(&self, member: &ObjectKey) -> &[ObjectKey] {
        self.services.federated_of(member)
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

    /// The slices that list a pod or an ExternalWorkload; none is known of an
    /// address that is neither.
    pub fn slices_listing(&self, member: Member) -> impl Iterator<Item = &SliceEntry> {
        let ids = self.members.slices(member).iter();
        ids.map(|&id| self.slices.get(id))
    }

    /// The pod of this name.
    pub fn pod_named(&self, key: &ObjectKey) -> Option<&Pod> {
        self.members.pods.named(key)
    }

    /// The pod behind an id, unless slices list it and it is not there.
    pub fn pod(&self, id: PodId) -> Option<(&ObjectKey, &Pod)> {
        self.members.pods.get(id)
    }

    /// The pods with this IP of their own (not their host's), live or not.
    pub fn pods_at(&self, ip: IpAddr) -> impl Iterator<Item = (&ObjectKey, &Pod)> {
        self.members.pods.at(ip)
    }

    /// The pods reached by a port of their host, live or not.
    pub fn pods_at_host_port(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> impl Iterator<Item = (&ObjectKey, &Pod)> {
        self.members.pods.at_host_port(ip, port)
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

    /// The Server of this name.
    pub fn server(&self, namespace: &str, name: &str) -> Option<&Server> {
        self.servers.named(namespace, name)
    }

    /// The EgressNetwork of this name.
    pub fn egress_network(&self, key: &ObjectKey) -> Option<&EgressNetwork> {
        self.egress_networks.get(key)
    }

    /// The EgressNetworks of a namespace, by name.
    pub fn egress_networks(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (&Name, &EgressNetwork)> {
        self.egress_networks.of(namespace)
    }

    /// The HTTPLocalRateLimitPolicies of a namespace, by name.
    pub fn rate_limits(&self, namespace: &str) -> impl Iterator<Item = (&Name, &RateLimit)> {
        self.rate_limits.of(namespace)
    }

    /// The ServiceProfile of this name, as it last was without a mistake that
    /// cannot be left out.
    pub fn service_profile(&self, key: &ObjectKey) -> Option<&ServiceProfile> {
        self.service_profiles.get(key)
    }

    /// The ExternalWorkload of this name.
    pub fn external_workload_named(&self, key: &ObjectKey) -> Option<&ExternalWorkload> {
        self.members.external_workloads.named(key)
    }

    /// The ExternalWorkload behind an id, unless slices list it and it is not
    /// there.
    pub fn external_workload(
        &self,
        id: ExternalWorkloadId,
    ) -> Option<(&ObjectKey, &ExternalWorkload)> {
        self.members.external_workloads.get(id)
    }

    /// The ExternalWorkloads that have this address and declare this port.
    pub fn external_workloads_at(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> impl Iterator<Item = (&ObjectKey, &ExternalWorkload)> {
        self.members.external_workloads.at(ip, port)
    }

    /// What a pod is to be called in metrics: the workload that made it.
    pub fn workload<'w>(&'w self, key: &'w ObjectKey, pod: &'w Pod) -> Workload<'w> {
        self.owners.workload(key, &pod.owner)
    }

    fn upsert(&mut self, key: ObjectKey, object: Object, changes: &mut Changes) {
        match object {
            Object::Service(service) => {
                if self.services.apply(&key, service, changes) {
                    self.parent_changed(&ParentKey::new(ParentKind::Service, key), changes);
                }
            }
            Object::EndpointSlice(slice) => {
                self.slices
                    .apply(key, slice, &mut self.services, &mut self.members, changes);
            }
            Object::Pod(pod) => {
                if let Some(id) = self.members.pods.apply(&key, pod, changes) {
                    self.member_changed(Member::Pod(id), changes);
                }
            }
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
            Object::ServiceProfile(profile) => self.service_profiles.apply(key, profile, changes),
            Object::ExternalWorkload(workload) => {
                let workloads = &mut self.members.external_workloads;
                if let Some(id) = workloads.apply(&key, workload, changes) {
                    self.member_changed(Member::ExternalWorkload(id), changes);
                }
            }
            Object::ServerAuthorization(authorization) => {
                if self.authorizations.of_servers.apply(&key, authorization) {
                    changes.policies.insert(key.namespace);
                }
            }
            Object::AuthorizationPolicy(policy) => {
                if self.authorizations.policies.apply(&key, policy) {
                    changes.policies.insert(key.namespace);
                }
            }
            Object::MeshTlsAuthentication(authentication) => {
                if self.authorizations.mesh_tls.apply(&key, authentication) {
                    self.authentication_changed(Kind::MeshTlsAuthentication, &key, changes);
                }
            }
            Object::NetworkAuthentication(authentication) => {
                if self.authorizations.networks.apply(&key, authentication) {
                    self.authentication_changed(Kind::NetworkAuthentication, &key, changes);
                }
            }
            Object::RateLimit(limit) => {
                if self.rate_limits.apply(&key, limit) {
                    changes.policies.insert(key.namespace.clone());
                    changes.rate_limits.insert(key);
                }
            }
            Object::EgressNetwork(network) => {
                let old = self.egress_networks.insert(&key, network);
                self.egress_network_changed(key, old.as_ref(), changes);
            }
            Object::Route(kind, route) => {
                self.apply_route(&RouteKey { kind, key }, route, changes);
            }
        }
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey, changes: &mut Changes) {
        match kind {
            Kind::Service => {
                self.services.remove(key, changes);
                self.parent_changed(&ParentKey::new(ParentKind::Service, key.clone()), changes);
            }
            Kind::EndpointSlice => {
                self.slices
                    .remove(key, &mut self.services, &mut self.members, changes);
            }
            Kind::Pod => {
                if let Some(id) = self.members.pods.id(key) {
                    self.member_changed(Member::Pod(id), changes);
                    self.members.pods.remove(key, changes);
                }
            }
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
            Kind::ServiceProfile => self.service_profiles.remove(key, changes),
            Kind::ExternalWorkload => {
                if let Some(id) = self.members.external_workloads.id(key) {
                    self.member_changed(Member::ExternalWorkload(id), changes);
                    self.members.external_workloads.remove(key, changes);
                }
            }
            Kind::ServerAuthorization => {
                if self.authorizations.of_servers.remove(key).is_some() {
                    changes.policies.insert(key.namespace.clone());
                }
            }
            Kind::AuthorizationPolicy => {
                if self.authorizations.policies.remove(key).is_some() {
                    changes.policies.insert(key.namespace.clone());
                }
            }
            Kind::MeshTlsAuthentication => {
                if self.authorizations.mesh_tls.remove(key).is_some() {
                    self.authentication_changed(kind, key, changes);
                }
            }
            Kind::NetworkAuthentication => {
                if self.authorizations.networks.remove(key).is_some() {
                    self.authentication_changed(kind, key, changes);
                }
            }
            Kind::RateLimit => {
                if self.rate_limits.remove(key).is_some() {
                    changes.policies.insert(key.namespace.clone());
                    changes.rate_limits.insert(key.clone());
                }
            }
            Kind::EgressNetwork => {
                let old = self.egress_networks.remove(key);
                self.egress_network_changed(key.clone(), old.as_ref(), changes);
            }
            Kind::PolicyHttpRoute
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute => {
                if let Some(kind) = RouteKind::of(kind) {
                    let key = key.clone();
                    self.remove_route(&RouteKey { kind, key }, changes);
                }
            }
        }
    }

    /// Where every object of the kind is, in no order.
    pub fn keys(&self, kind: Kind) -> Vec<ObjectKey> {
        let cluster_scoped = |name: &Name| ObjectKey::new("", name.clone());
        match kind {
            Kind::Service => self.services.keys(),
            Kind::EndpointSlice => self.slices.keys(),
            Kind::Pod => self.members.pods.keys(),
            Kind::Node => self.nodes.keys().map(cluster_scoped).collect(),
            Kind::Namespace => self.namespaces.keys().map(cluster_scoped).collect(),
            Kind::ReplicaSet | Kind::Job => self.owners.keys(kind),
            Kind::Server => self.servers.keys(),
            Kind::ServiceProfile => self.service_profiles.keys(),
            Kind::ExternalWorkload => self.members.external_workloads.keys(),
            Kind::ServerAuthorization => self.authorizations.of_servers.keys(),
            Kind::AuthorizationPolicy => self.authorizations.policies.keys(),
            Kind::MeshTlsAuthentication => self.authorizations.mesh_tls.keys(),
            Kind::NetworkAuthentication => self.authorizations.networks.keys(),
            Kind::RateLimit => self.rate_limits.keys(),
            Kind::EgressNetwork => self.egress_networks.keys(),
            Kind::PolicyHttpRoute => self.routes.keys(RouteKind::PolicyHttp),
            Kind::HttpRoute => self.routes.keys(RouteKind::Http),
            Kind::GrpcRoute => self.routes.keys(RouteKind::Grpc),
            Kind::TlsRoute => self.routes.keys(RouteKind::Tls),
            Kind::TcpRoute => self.routes.keys(RouteKind::Tcp),
        }
    }
}
