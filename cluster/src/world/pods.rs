use super::{
    changes::Changes,
    listed::{Listed, Places},
    slices::SliceId,
};
use crate::object::{Name, ObjectKey, Owner, Pod};
use rustc_hash::FxHashMap;
use std::{collections::hash_map::Entry, net::IpAddr};

/// A pod that exists or that a slice lists. Once neither holds it is nobody, and
/// later another pod: who keeps one hears of that as a touched member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodId(u32);

#[derive(Default)]
pub(super) struct Pods {
    pods: Listed<Pod>,
    by_ip: Places<IpAddr>,
    by_host_port: Places<(IpAddr, u16)>,
    /// How many pods each owner has: most owners that come or go have none.
    owned: FxHashMap<ObjectKey, u32>,
}

impl Pods {
    pub(super) fn named(&self, key: &ObjectKey) -> Option<&Pod> {
        self.pods.named(key)
    }

    pub(super) fn id(&self, key: &ObjectKey) -> Option<PodId> {
        self.pods.id(key).map(PodId)
    }

    pub(super) fn get(&self, id: PodId) -> Option<(&ObjectKey, &Pod)> {
        self.pods.get(id.0)
    }

    pub(super) fn slices(&self, id: PodId) -> &[SliceId] {
        self.pods.slices(id.0)
    }

    pub(super) fn count(&self) -> usize {
        self.pods.count()
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.pods.keys()
    }

    pub(super) fn at(&self, ip: IpAddr) -> impl Iterator<Item = (&ObjectKey, &Pod)> {
        let ids = self.by_ip.at(&ip).iter();
        ids.filter_map(|&id| self.pods.get(id))
    }

    pub(super) fn at_host_port(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> impl Iterator<Item = (&ObjectKey, &Pod)> {
        let ids = self.by_host_port.at(&(ip, port)).iter();
        ids.filter_map(|&id| self.pods.get(id))
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (PodId, &Pod)> {
        let pods = self.pods.in_namespace(namespace);
        pods.map(|(id, pod)| (PodId(id), pod))
    }

    pub(super) fn owned_by(&self, owner: &ObjectKey) -> impl Iterator<Item = (PodId, &Pod)> {
        let any = self.owned.contains_key(owner);
        any.then(|| self.in_namespace(&owner.namespace))
            .into_iter()
            .flatten()
            .filter(|(_, pod)| owner_name(pod) == Some(&owner.name))
    }

    /// The pod's id, unless it is there with this very content.
    pub(super) fn apply(
        &mut self,
        key: &ObjectKey,
        pod: Pod,
        changes: &mut Changes,
    ) -> Option<PodId> {
        let known = self.named(key);
        if known == Some(&pod) {
            return None;
        }
        changes.addresses_of(&pod);
        let has_same = |known: &Pod| known.template == pod.template && known.labels == pod.labels;
        if !known.is_some_and(has_same) {
            changes.pods.insert(key.clone());
        }
        let (id, old) = self.pods.put(key, pod);
        if let Some(old) = old {
            changes.addresses_of(&old);
            self.unindex(id, key, &old);
        }
        self.index(id);
        Some(PodId(id))
    }

    pub(super) fn remove(&mut self, key: &ObjectKey, changes: &mut Changes) {
        if let Some(id) = self.pods.id(key)
            && let Some(old) = self.pods.take(id)
        {
            changes.pods.insert(key.clone());
            changes.addresses_of(&old);
            self.unindex(id, key, &old);
        }
    }

    /// Notes that a slice lists the pod of this key.
    pub(super) fn list(&mut self, key: &ObjectKey, slice: SliceId) -> PodId {
        PodId(self.pods.list(key, slice))
    }

    /// Notes that a slice no longer lists the pod.
    pub(super) fn unlist(&mut self, id: PodId, slice: SliceId) {
        self.pods.unlist(id.0, slice);
    }

    fn index(&mut self, id: u32) {
        let Some((key, pod)) = self.pods.get(id) else {
            return;
        };
        if let Some(owner) = owner_of(key, pod) {
            *self.owned.entry(owner).or_default() += 1;
        }
        if !pod.host_network {
            for &ip in &pod.ips {
                self.by_ip.insert(ip, id);
            }
        }
        for host_port in host_ports(pod) {
            self.by_host_port.insert(host_port, id);
        }
    }

    fn unindex(&mut self, id: u32, key: &ObjectKey, old: &Pod) {
        if let Some(owner) = owner_of(key, old)
            && let Entry::Occupied(mut count) = self.owned.entry(owner)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if !old.host_network {
            for ip in &old.ips {
                self.by_ip.remove(ip, id);
            }
        }
        for host_port in host_ports(old) {
            self.by_host_port.remove(&host_port, id);
        }
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
