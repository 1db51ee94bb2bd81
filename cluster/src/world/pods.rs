use super::{changes::Changes, slices::SliceId};
use crate::object::{Name, Object, ObjectKey, Owner, Pod};
use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;
use std::{collections::hash_map::Entry, hash::Hash, net::IpAddr};

/// A pod that exists or that a slice lists. Once neither holds it is nobody, and
/// later another pod: who keeps one hears of that as a touched member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodId(u32);

type PodIds = SmallVec<[PodId; 2]>;

#[derive(Default)]
pub(super) struct Pods {
    ids: FxHashMap<ObjectKey, PodId>,
    entries: Slab<PodEntry>,
    by_ip: FxHashMap<IpAddr, PodIds>,
    by_host_port: FxHashMap<(IpAddr, u16), PodIds>,
    /// How many pods each owner has: most owners that come or go have none.
    owned: FxHashMap<ObjectKey, u32>,
    count: usize,
}

struct PodEntry {
    key: ObjectKey,
    /// `None` while slices list a pod that is not there.
    pod: Option<Pod>,
    slices: SmallVec<[SliceId; 2]>,
}

impl Pods {
    pub(super) fn id(&self, key: &ObjectKey) -> Option<PodId> {
        self.ids.get(key).copied()
    }

    pub(super) fn get(&self, id: PodId) -> Option<(&ObjectKey, &Pod)> {
        let entry = self.entries.get(id.0 as usize)?;
        entry.pod.as_ref().map(|pod| (&entry.key, pod))
    }

    pub(super) fn slices(&self, id: PodId) -> &[SliceId] {
        self.entries
            .get(id.0 as usize)
            .map_or(&[], |entry| &entry.slices)
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn is(&self, key: &ObjectKey, object: &Object) -> bool {
        let Object::Pod(pod) = object else {
            return false;
        };
        self.id(key)
            .and_then(|id| self.get(id))
            .is_some_and(|(_, known)| known == pod)
    }

    pub(super) fn at(&self, ip: IpAddr) -> impl Iterator<Item = (&ObjectKey, &Pod)> {
        self.all(self.by_ip.get(&ip))
    }

    pub(super) fn at_host_port(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> impl Iterator<Item = (&ObjectKey, &Pod)> {
        self.all(self.by_host_port.get(&(ip, port)))
    }

    fn all<'w>(
        &'w self,
        ids: Option<&'w PodIds>,
    ) -> impl Iterator<Item = (&'w ObjectKey, &'w Pod)> {
        ids.into_iter().flatten().filter_map(|&id| self.get(id))
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (PodId, &Pod)> {
        self.entries
            .iter()
            .filter(move |(_, entry)| *entry.key.namespace == *namespace)
            .filter_map(|(id, entry)| Some((PodId::at(id), entry.pod.as_ref()?)))
    }

    pub(super) fn owned_by(&self, owner: &ObjectKey) -> impl Iterator<Item = (PodId, &Pod)> {
        let any = self.owned.contains_key(owner);
        any.then(|| self.in_namespace(&owner.namespace))
            .into_iter()
            .flatten()
            .filter(|(_, pod)| owner_name(pod) == Some(&owner.name))
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.pod.is_some())
            .map(|(_, entry)| entry.key.clone())
            .collect()
    }

    /// The pod's id, unless it is there with this very content.
    pub(super) fn apply(
        &mut self,
        key: ObjectKey,
        pod: Pod,
        changes: &mut Changes,
    ) -> Option<PodId> {
        let id = self.intern(key);
        let entry = &mut self.entries[id.0 as usize];
        if entry.pod.as_ref() == Some(&pod) {
            return None;
        }
        changes.addresses_of(&pod);
        let template = entry.pod.as_ref().map(|pod| &pod.template);
        if template != Some(&pod.template) {
            changes.pods.insert(entry.key.clone());
        }
        match entry.pod.replace(pod) {
            Some(old) => {
                changes.addresses_of(&old);
                self.unindex(id, &old);
            }
            None => self.count += 1,
        }
        self.index(id);
        Some(id)
    }

    pub(super) fn remove(&mut self, id: PodId, changes: &mut Changes) {
        let entry = &mut self.entries[id.0 as usize];
        if let Some(old) = entry.pod.take() {
            changes.pods.insert(entry.key.clone());
            changes.addresses_of(&old);
            self.unindex(id, &old);
            self.count -= 1;
        }
        self.release(id);
    }

    /// Notes that a slice lists the pod of this key.
    pub(super) fn list(&mut self, key: &ObjectKey, slice: SliceId) -> PodId {
        let id = self.intern(key.clone());
        let slices = &mut self.entries[id.0 as usize].slices;
        if !slices.contains(&slice) {
            slices.push(slice);
        }
        id
    }

    /// Notes that a slice no longer lists the pod.
    pub(super) fn unlist(&mut self, id: PodId, slice: SliceId) {
        // A slice may list a pod twice; the first call ends both.
        if let Some(entry) = self.entries.get_mut(id.0 as usize) {
            entry.slices.retain(|listed| *listed != slice);
            self.release(id);
        }
    }

    fn intern(&mut self, key: ObjectKey) -> PodId {
        match self.ids.entry(key) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let id = PodId::at(self.entries.insert(PodEntry {
                    key: entry.key().clone(),
                    pod: None,
                    slices: SmallVec::new(),
                }));
                *entry.insert(id)
            }
        }
    }

    fn release(&mut self, id: PodId) {
        let index = id.0 as usize;
        if let Some(entry) = self.entries.get(index)
            && entry.pod.is_none()
            && entry.slices.is_empty()
        {
            let entry = self.entries.remove(index);
            self.ids.remove(&entry.key);
        }
    }

    fn index(&mut self, id: PodId) {
        let entry = &self.entries[id.0 as usize];
        let Some(pod) = &entry.pod else {
            return;
        };
        if let Some(owner) = owner_of(&entry.key, pod) {
            *self.owned.entry(owner).or_default() += 1;
        }
        if !pod.host_network {
            for &ip in &pod.ips {
                insert(&mut self.by_ip, ip, id);
            }
        }
        for host_port in host_ports(pod) {
            insert(&mut self.by_host_port, host_port, id);
        }
    }

    fn unindex(&mut self, id: PodId, old: &Pod) {
        let key = &self.entries[id.0 as usize].key;
        if let Some(owner) = owner_of(key, old)
            && let Entry::Occupied(mut count) = self.owned.entry(owner)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if !old.host_network {
            for &ip in &old.ips {
                remove(&mut self.by_ip, &ip, id);
            }
        }
        for host_port in host_ports(old) {
            remove(&mut self.by_host_port, &host_port, id);
        }
    }
}

impl PodId {
    fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("a cluster has fewer than 2^32 pods"))
    }
}

fn owner_name(pod: &Pod) -> Option<&Name> {
    match &pod.owner {
        Owner::One(owner) => Some(&owner.name),
        Owner::Unclear => None,
    }
}

fn owner_of(key: &ObjectKey, pod: &Pod) -> Option<ObjectKey> {
    let name = owner_name(pod)?.clone();
    Some(ObjectKey::new(key.namespace.clone(), name))
}

fn host_ports(pod: &Pod) -> impl Iterator<Item = (IpAddr, u16)> {
    let ports = pod.template.ports.iter().filter_map(|port| port.host_port);
    ports.flat_map(|port| pod.host_ips.iter().map(move |&ip| (ip, port)))
}

fn insert<K: Hash + Eq>(map: &mut FxHashMap<K, PodIds>, key: K, id: PodId) {
    let ids = map.entry(key).or_default();
    if !ids.contains(&id) {
        ids.push(id);
    }
}

fn remove<K: Hash + Eq>(map: &mut FxHashMap<K, PodIds>, key: &K, id: PodId) {
    if let Some(ids) = map.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}
