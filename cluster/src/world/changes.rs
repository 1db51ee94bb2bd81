use super::Member;
use crate::object::{
    Name, ObjectKey, Pod,
    route::{ParentKey, RouteKey},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::net::IpAddr;

/// What a batch of events may have changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// By Service.
    pub services: FxHashMap<ObjectKey, ServiceChange>,
    /// Addresses whose owner, a Service or a Pod, may be another or read
    /// differently.
    pub addresses: FxHashSet<IpAddr>,
    /// Nodes that came, went or changed their zone.
    pub nodes: FxHashSet<Name>,
    /// Pods that came, went, or have another template or other labels.
    pub pods: FxHashSet<ObjectKey>,
    /// ExternalWorkloads that came, went, or read differently.
    pub external_workloads: FxHashSet<ObjectKey>,
    /// Namespaces in which a port's policy may be another: a Server there came,
    /// went or reads differently, or what says who may call it.
    pub policies: FxHashSet<Name>,
    /// Parents of routes that came, went, or read differently, or of which that
    /// is true of a route on them or of where one leads.
    pub parents: FxHashSet<ParentKey>,
    /// Routes that came, went, or read differently.
    pub routes: FxHashSet<RouteKey>,
    /// HTTPLocalRateLimitPolicies that came, went, or read differently.
    pub rate_limits: FxHashSet<ObjectKey>,
    /// EgressNetworks that came, went, or read differently.
    pub egress_networks: FxHashSet<ObjectKey>,
    /// The namespaces of those of which that is so without their status: clients may
    /// be led elsewhere out of the cluster.
    pub outside: FxHashSet<Name>,
    /// ServiceProfiles that came, went, or read differently.
    pub service_profiles: FxHashSet<ObjectKey>,
}

/// What changed about one Service.
#[derive(Debug, Default)]
pub struct ServiceChange {
    /// The Service itself: it came, went, or reads differently.
    pub object: bool,
    /// Its endpoints.
    pub members: Touched,
}

/// Which endpoints have to be looked at again.
#[derive(Debug)]
pub enum Touched {
    /// These.
    Some(FxHashSet<Member>),
    /// Every one.
    All,
}

impl Default for Touched {
    fn default() -> Self {
        Touched::Some(FxHashSet::default())
    }
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.addresses.is_empty()
            && self.nodes.is_empty()
            && self.pods.is_empty()
            && self.external_workloads.is_empty()
            && self.policies.is_empty()
            && self.parents.is_empty()
            && self.routes.is_empty()
            && self.rate_limits.is_empty()
            && self.egress_networks.is_empty()
            && self.outside.is_empty()
            && self.service_profiles.is_empty()
    }

    /// Forgets everything, keeping the allocations of an ordinary batch.
    pub fn clear(&mut self) {
        let Self {
            services,
            addresses,
            nodes,
            pods,
            external_workloads,
            policies,
            parents,
            routes,
            rate_limits,
            egress_networks,
            outside,
            service_profiles,
        } = self;
        services.clear();
        addresses.clear();
        nodes.clear();
        pods.clear();
        external_workloads.clear();
        policies.clear();
        parents.clear();
        routes.clear();
        rate_limits.clear();
        egress_networks.clear();
        outside.clear();
        service_profiles.clear();
        services.shrink_to(1024);
        addresses.shrink_to(1024);
        pods.shrink_to(1024);
        external_workloads.shrink_to(1024);
        parents.shrink_to(1024);
        routes.shrink_to(1024);
        rate_limits.shrink_to(1024);
    }

    pub(super) fn service(&mut self, key: &ObjectKey) -> &mut ServiceChange {
        if !self.services.contains_key(key) {
            self.services.insert(key.clone(), ServiceChange::default());
        }
        self.services.get_mut(key).expect("inserted above")
    }

    pub(super) fn member(&mut self, service: &ObjectKey, member: Member) {
        if let Touched::Some(members) = &mut self.service(service).members {
            members.insert(member);
        }
    }

    pub(super) fn addresses_of(&mut self, pod: &Pod) {
        self.addresses.extend(&pod.ips);
        self.addresses.extend(&pod.host_ips);
    }
}
