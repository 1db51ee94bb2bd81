//! From slices to addresses: which endpoints one class of clients is to know
//! (destination.md sections 5 and 6).

use super::key::EndpointsKey;
use crate::{mesh::Mesh, workload::Workload};
use ferrule_cluster::{
    object::{AddressType, Endpoint, EndpointSlice, Name, ObjectKey},
    world::{Member, SliceEntry, World},
};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::net::IpAddr;

/// What the proxy knows an endpoint by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Addr {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
}

/// What makes two sightings the same endpoint (destination.md section 5.3): the
/// object, or the address with its port (0 for an object).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) member: Member,
    port: u16,
}

impl Identity {
    pub(crate) fn new(member: Member, port: u16) -> Self {
        let port = match member {
            Member::Address(_) => port,
            Member::Pod(_) | Member::ExternalWorkload(_) => 0,
        };
        Self { member, port }
    }

    /// An address without an object.
    #[cfg(test)]
    pub(crate) fn address(addr: Addr) -> Self {
        Self {
            member: Member::Address(addr.ip),
            port: addr.port,
        }
    }
}

/// One sighting of an endpoint.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'w> {
    pub(crate) identity: Identity,
    pub(crate) addr: Addr,
    pub(crate) workload: Option<Workload<'w>>,
    pub(crate) endpoint: &'w Endpoint,
    pub(crate) slice: &'w EndpointSlice,
    slice_name: &'w Name,
}

impl<'w> Candidate<'w> {
    /// Of two that claim the same identity or address the higher counts. It
    /// depends on nothing but the cluster's objects, so that a process that has
    /// just started decides alike: the slice written last, then its name, and
    /// between two pods at one address the one that is live.
    fn rank(&self) -> impl Ord + use<'w> {
        let (is_live, object) = match self.workload {
            Some(Workload::Pod(key, pod)) => (pod.is_live(), Some((1, key.clone()))),
            Some(Workload::External(key, _)) => (true, Some((0, key.clone()))),
            None => (true, None),
        };
        (
            is_live,
            self.slice.resource_version,
            self.slice_name.clone(),
            object,
        )
    }
}

/// Everything that is to be published.
pub(crate) struct Candidates<'w> {
    pub(crate) by_addr: FxHashMap<Addr, Candidate<'w>>,
    /// Two endpoints claimed one address.
    pub(crate) contested: bool,
}

/// How a request's port is found in a slice.
enum TargetPort<'w> {
    /// By the name of the Service's port.
    Named(&'w str),
    /// As it is: the Service does not declare it.
    Number(u16),
}

impl TargetPort<'_> {
    fn in_slice(&self, slice: &EndpointSlice) -> Option<u16> {
        let ports = slice.ports.as_deref()?;
        match *self {
            TargetPort::Number(port) => Some(port),
            TargetPort::Named(name) => ports.iter().find(|port| *port.name == *name)?.port,
        }
    }
}

/// A Service's endpoints as seen by the clients of one key.
pub(crate) struct Resolver<'w> {
    world: &'w World,
    key: &'w EndpointsKey,
    /// The Service whose slices count; nobody's while there is none.
    source: ObjectKey,
    /// `None` while there is no Service that has endpoints.
    target: Option<TargetPort<'w>>,
    mesh: &'w Mesh,
}

/// An endpoint's sightings in both families, the best of each.
#[derive(Default)]
struct Families<'w> {
    v4: Option<Candidate<'w>>,
    v6: Option<Candidate<'w>>,
}

impl<'w> Families<'w> {
    fn offer(&mut self, candidate: Candidate<'w>) {
        let best = match candidate.addr.ip {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        };
        if best.is_none_or(|best| best.rank() < candidate.rank()) {
            *best = Some(candidate);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Candidate<'w>) -> bool) {
        self.v4 = self.v4.filter(|candidate| keep(candidate));
        self.v6 = self.v6.filter(|candidate| keep(candidate));
    }

    fn iter(&self) -> impl Iterator<Item = &Candidate<'w>> {
        self.v4.iter().chain(&self.v6)
    }
}

impl<'w> Resolver<'w> {
    pub(crate) fn new(world: &'w World, key: &'w EndpointsKey, mesh: &'w Mesh) -> Self {
        let source = world.source_of(&key.service);
        let service = source
            .as_ref()
            .and_then(|source| world.service(source))
            .filter(|service| !service.external_name);
        let target = service.map(|service| match service.port(key.port) {
            Some(port) => TargetPort::Named(&port.name),
            None => TargetPort::Number(key.port),
        });
        Self {
            world,
            key,
            source: source.unwrap_or_else(|| key.service.clone()),
            target,
            mesh,
        }
    }

    /// The Service whose endpoints these are.
    pub(crate) fn source(&self) -> &ObjectKey {
        &self.source
    }

    /// Whether what is published for one endpoint depends on the others, so that
    /// a change of some cannot be looked at alone.
    pub(crate) fn is_entangled(&self) -> bool {
        self.key.node.is_none()
            && self.key.zone.is_some()
            && self.world.slices_of(&self.source).any(|slice| slice.hinted)
    }

    /// What is to be published for one object; only if not
    /// [entangled](Self::is_entangled).
    pub(crate) fn object(&self, member: Member) -> Option<Candidate<'w>> {
        let mut families = Families::default();
        for slice in self.world.slices_listing(member) {
            if slice.key.namespace == self.source.namespace
                && slice.slice.service.as_ref() == Some(&self.source.name)
            {
                self.sightings(slice, Some(member), |candidate| families.offer(candidate));
            }
        }
        self.preferred(&families)
    }

    /// Everything that is to be published.
    pub(crate) fn all(&self) -> Candidates<'w> {
        let mut members: FxHashMap<Identity, Families<'w>> = FxHashMap::default();
        for slice in self.world.slices_of(&self.source) {
            self.sightings(slice, None, |candidate| {
                let families = members.entry(candidate.identity).or_default();
                families.offer(candidate);
            });
        }
        if self.key.node.is_none() {
            self.keep_hinted(&mut members);
        }
        let mut by_addr: FxHashMap<Addr, Candidate<'w>> =
            FxHashMap::with_capacity_and_hasher(members.len(), FxBuildHasher);
        let mut contested = false;
        for families in members.values() {
            if let Some(candidate) = self.preferred(families) {
                by_addr
                    .entry(candidate.addr)
                    .and_modify(|best| {
                        contested = true;
                        if best.rank() < candidate.rank() {
                            *best = candidate;
                        }
                    })
                    .or_insert(candidate);
            }
        }
        Candidates { by_addr, contested }
    }

    /// The ready endpoints of a slice (of `only`, if given) that can be sent to and
    /// that the client is to know.
    fn sightings(
        &self,
        entry: &'w SliceEntry,
        only: Option<Member>,
        mut see: impl FnMut(Candidate<'w>),
    ) {
        let slice = &entry.slice;
        if slice.address_type == AddressType::Fqdn {
            return;
        }
        let Some(port) = self
            .target
            .as_ref()
            .and_then(|target| target.in_slice(slice))
        else {
            return;
        };
        for (member, endpoint) in entry.members() {
            if only.is_some_and(|only| only != member) || !endpoint.ready {
                continue;
            }
            let workload = match self.workload(member) {
                // What a slice knows before we do is told when it comes.
                None if !matches!(member, Member::Address(_)) => continue,
                workload => workload,
            };
            if workload.is_none_or(|known| known.is_reachable(self.mesh, self.world, port)) {
                let candidate = Candidate {
                    identity: Identity::new(member, port),
                    addr: Addr {
                        ip: endpoint.address,
                        port,
                    },
                    workload,
                    endpoint,
                    slice,
                    slice_name: &entry.key.name,
                };
                if self.is_for_client(&candidate) {
                    see(candidate);
                }
            }
        }
    }

    fn workload(&self, member: Member) -> Option<Workload<'w>> {
        match member {
            Member::Pod(id) => {
                let (key, pod) = self.world.pod(id)?;
                Some(Workload::Pod(key, pod))
            }
            Member::ExternalWorkload(id) => {
                let (key, workload) = self.world.external_workload(id)?;
                Some(Workload::External(key, workload))
            }
            Member::Address(_) => None,
        }
    }

    /// Hostname, then internalTrafficPolicy (section 6, steps 1 and 3).
    fn is_for_client(&self, candidate: &Candidate<'_>) -> bool {
        if let Some(hostname) = &self.key.hostname
            && candidate.endpoint.hostname.as_ref() != Some(hostname)
        {
            return false;
        }
        match &self.key.node {
            None => true,
            // Only pods are on a node.
            Some(node) => {
                matches!(candidate.workload, Some(Workload::Pod(_, pod)) if pod.node == *node)
            }
        }
    }

    /// Zone hints (section 6, step 4): they count only if every endpoint has one
    /// and some are for the client's zone.
    fn keep_hinted(&self, members: &mut FxHashMap<Identity, Families<'w>>) {
        let Some(zone) = &self.key.zone else {
            return;
        };
        let for_zone = |candidate: &Candidate<'_>| candidate.endpoint.zone_hints.contains(zone);
        let mut any_for_zone = false;
        for candidate in members.values().flat_map(Families::iter) {
            if candidate.endpoint.zone_hints.is_empty() {
                return;
            }
            any_for_zone |= for_zone(candidate);
        }
        if any_for_zone {
            for families in members.values_mut() {
                families.retain(for_zone);
            }
        }
    }

    /// The family to use (section 6, step 6). Addresses without an object have
    /// no twin: theirs are kept as they are.
    fn preferred(&self, families: &Families<'w>) -> Option<Candidate<'w>> {
        let v6 = families
            .v6
            .filter(|candidate| self.mesh.ipv6 || candidate.workload.is_none());
        v6.or(families.v4)
    }
}

/// Whether so few endpoints were touched that looking at them is cheaper than
/// looking at all.
pub(crate) fn is_few(touched: usize, published: usize) -> bool {
    touched <= 8 + published / 4
}
