//! What reads differently when something else changes.

use super::{Changes, Member, Touched, World};
use crate::object::{
    EgressNetwork, Name, Namespace, ObjectKey, Server,
    route::{ParentKey, ParentKind},
};

impl World {
    /// Endpoints that are this pod or ExternalWorkload may read differently now.
    pub(super) fn member_changed(&self, member: Member, changes: &mut Changes) {
        for slice in self.slices_listing(member) {
            if let Some(service) = slice.service_key() {
                changes.member(&service, member);
            }
        }
    }

    /// A namespace's opaque ports hold for what has no list of its own. Rare, so
    /// everything in the namespace is looked at again.
    pub(super) fn namespace_changed(
        &self,
        name: &Name,
        old: Option<&Namespace>,
        changes: &mut Changes,
    ) {
        let old = old.and_then(|namespace| namespace.opaque_ports.as_ref());
        if old == self.namespace_opaque_ports(name) {
            return;
        }
        for key in self.services.in_namespace(name) {
            let change = changes.service(key);
            change.object = true;
            change.members = Touched::All;
            if let Some(service) = self.service(key) {
                changes.addresses.extend(&service.cluster_ips);
            }
        }
        for (id, pod) in self.members.pods.in_namespace(name) {
            changes.addresses_of(pod);
            // Slices of another namespace may list it.
            self.member_changed(Member::Pod(id), changes);
        }
        for (id, workload) in self.members.external_workloads.in_namespace(name) {
            changes.addresses.extend(&workload.ips);
            self.member_changed(Member::ExternalWorkload(id), changes);
        }
    }

    /// Ports of the workloads that a Server selects, or did, may be opaque now or
    /// no longer: that is all that those who send to them are told of Servers.
    /// They are rare and change rarely, so the namespace is looked through.
    pub(super) fn server_changed(
        &self,
        key: &ObjectKey,
        old: Option<&Server>,
        changes: &mut Changes,
    ) {
        let new = self.servers.get(key);
        if !self.is_synced() || old == new {
            // Nobody has been told anything yet, or nothing else.
            return;
        }
        changes.policies.insert(key.namespace.clone());
        if old.is_some() != new.is_some() {
            let server = ParentKey::new(ParentKind::Server, key.clone());
            self.parent_changed(&server, changes);
        }
        let opaque = [old, new].into_iter().flatten();
        let opaque: Vec<_> = opaque.filter(|server| server.is_opaque()).collect();
        if opaque.is_empty() {
            return;
        }
        for (id, pod) in self.members.pods.in_namespace(&key.namespace) {
            if opaque.iter().any(|server| server.selects_pod(pod)) {
                changes.addresses_of(pod);
                self.member_changed(Member::Pod(id), changes);
            }
        }
        for (id, workload) in self.members.external_workloads.in_namespace(&key.namespace) {
            if opaque
                .iter()
                .any(|server| server.selects_workload(workload))
            {
                changes.addresses.extend(&workload.ips);
                self.member_changed(Member::ExternalWorkload(id), changes);
            }
        }
    }

    /// What is written into its status says which routes are accepted there, but
    /// leads no client elsewhere.
    pub(super) fn egress_network_changed(
        &self,
        key: ObjectKey,
        old: Option<&EgressNetwork>,
        changes: &mut Changes,
    ) {
        let new = self.egress_network(&key);
        if old == new {
            return;
        }
        let leads_alike = old.zip(new).is_some_and(|(old, new)| old.leads_as(new));
        if !leads_alike {
            changes.outside.insert(key.namespace.clone());
        }
        changes.egress_networks.insert(key.clone());
        let network = ParentKey::new(ParentKind::EgressNetwork, key);
        self.parent_changed(&network, changes);
    }

    /// The pods of a ReplicaSet or Job may be called differently now. These come
    /// before their pods as a rule, and then none is looked for.
    pub(super) fn owner_changed(&self, owner: &ObjectKey, changes: &mut Changes) {
        if !self.is_synced() {
            // Nobody has been told anything yet.
            return;
        }
        for (id, pod) in self.members.pods.owned_by(owner) {
            changes.addresses_of(pod);
            self.member_changed(Member::Pod(id), changes);
        }
    }
}
