use super::{
    changes::{Changes, Touched},
    slices::SliceId,
};
use crate::object::{ObjectKey, Service};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::{hash::Hash, net::IpAddr};

#[derive(Default)]
pub(super) struct Services {
    entries: FxHashMap<ObjectKey, ServiceEntry>,
    by_ip: Keys<IpAddr>,
    /// Federated Services by their member in this cluster.
    federated: Keys<ObjectKey>,
    count: usize,
}

/// A Service that exists or that slices name.
#[derive(Default)]
pub(super) struct ServiceEntry {
    /// `None` while slices name a Service that is not there.
    pub(super) service: Option<Service>,
    pub(super) slices: SmallVec<[SliceId; 2]>,
}

impl Services {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<&ServiceEntry> {
        self.entries.get(key)
    }

    pub(super) fn shared_key(&self, key: &ObjectKey) -> Option<&ObjectKey> {
        self.entries.get_key_value(key).map(|(key, _)| key)
    }

    pub(super) fn at(&self, ip: IpAddr) -> &[ObjectKey] {
        self.by_ip.get(&ip).map_or(&[], |keys| keys)
    }

    /// The federated Services of which this one is the member in this cluster.
    pub(super) fn federated_of(&self, member: &ObjectKey) -> &[ObjectKey] {
        self.federated.get(member).map_or(&[], |keys| keys)
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.service.is_some())
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &ObjectKey> {
        self.entries
            .keys()
            .filter(move |key| *key.namespace == *namespace)
    }

    /// Whether that says anything new.
    pub(super) fn apply(
        &mut self,
        key: &ObjectKey,
        service: Service,
        changes: &mut Changes,
    ) -> bool {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.service.as_ref() == Some(&service) {
            return false;
        }
        let ips = service.cluster_ips.clone();
        let member = service.local_member(key);
        let old = entry.service.replace(service);
        if old.is_none() {
            self.count += 1;
        }
        self.changed(key, old.as_ref(), changes);
        for &ip in &ips {
            changes.addresses.insert(ip);
            insert(&mut self.by_ip, ip, key);
        }
        if let Some(member) = member {
            insert(&mut self.federated, member, key);
        }
        true
    }

    pub(super) fn remove(&mut self, key: &ObjectKey, changes: &mut Changes) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(old) = entry.service.take() {
            self.count -= 1;
            self.changed(key, Some(&old), changes);
        }
        self.release(key);
    }

    fn changed(&mut self, key: &ObjectKey, old: Option<&Service>, changes: &mut Changes) {
        let change = changes.service(key);
        change.object = true;
        // Which port of the slices is meant may be another one now.
        change.members = Touched::All;
        for ip in old.iter().flat_map(|old| &old.cluster_ips) {
            changes.addresses.insert(*ip);
            remove(&mut self.by_ip, ip, key);
        }
        if let Some(member) = old.and_then(|old| old.local_member(key)) {
            remove(&mut self.federated, &member, key);
        }
    }

    /// Notes that a slice names the Service.
    pub(super) fn attach(&mut self, key: &ObjectKey, slice: SliceId) {
        let slices = &mut self.entries.entry(key.clone()).or_default().slices;
        if !slices.contains(&slice) {
            slices.push(slice);
        }
    }

    /// Notes that a slice no longer names the Service.
    pub(super) fn detach(&mut self, key: &ObjectKey, slice: SliceId) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.slices.retain(|other| *other != slice);
        }
        self.release(key);
    }

    fn release(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.get(key)
            && entry.service.is_none()
            && entry.slices.is_empty()
        {
            self.entries.remove(key);
        }
    }
}

type Keys<K> = FxHashMap<K, SmallVec<[ObjectKey; 1]>>;

fn insert<K: Hash + Eq>(map: &mut Keys<K>, at: K, key: &ObjectKey) {
    let keys = map.entry(at).or_default();
    if !keys.contains(key) {
        keys.push(key.clone());
    }
}

fn remove<K: Hash + Eq>(map: &mut Keys<K>, at: &K, key: &ObjectKey) {
    if let Some(keys) = map.get_mut(at) {
        keys.retain(|other| other != key);
        if keys.is_empty() {
            map.remove(at);
        }
    }
}
