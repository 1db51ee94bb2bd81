use super::{
    changes::Changes,
    listed::{Listed, Places},
    slices::SliceId,
};
use crate::object::{ExternalWorkload, ObjectKey};
use std::net::IpAddr;

/// An ExternalWorkload that exists or that a slice lists; as a
/// [`PodId`](super::PodId).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExternalWorkloadId(u32);

#[derive(Default)]
pub(super) struct ExternalWorkloads {
    workloads: Listed<ExternalWorkload>,
    /// By each of its addresses with each of its ports.
    by_address: Places<(IpAddr, u16)>,
}

impl ExternalWorkloads {
    pub(super) fn named(&self, key: &ObjectKey) -> Option<&ExternalWorkload> {
        self.workloads.named(key)
    }

    pub(super) fn id(&self, key: &ObjectKey) -> Option<ExternalWorkloadId> {
        self.workloads.id(key).map(ExternalWorkloadId)
    }

    pub(super) fn get(&self, id: ExternalWorkloadId) -> Option<(&ObjectKey, &ExternalWorkload)> {
        self.workloads.get(id.0)
    }

    pub(super) fn slices(&self, id: ExternalWorkloadId) -> &[SliceId] {
        self.workloads.slices(id.0)
    }

    pub(super) fn count(&self) -> usize {
        self.workloads.count()
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.workloads.keys()
    }

    pub(super) fn at(
        &self,
        ip: IpAddr,
        port: u16,
    ) -> impl Iterator<Item = (&ObjectKey, &ExternalWorkload)> {
        let ids = self.by_address.at(&(ip, port)).iter();
        ids.filter_map(|&id| self.workloads.get(id))
    }

    pub(super) fn in_namespace(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (ExternalWorkloadId, &ExternalWorkload)> {
        let workloads = self.workloads.in_namespace(namespace);
        workloads.map(|(id, workload)| (ExternalWorkloadId(id), workload))
    }

    /// The workload's id, unless it is there with this very content.
    pub(super) fn apply(
        &mut self,
        key: &ObjectKey,
        workload: ExternalWorkload,
        changes: &mut Changes,
    ) -> Option<ExternalWorkloadId> {
        if self.named(key) == Some(&workload) {
            return None;
        }
        changes.external_workloads.insert(key.clone());
        changes.addresses.extend(&workload.ips);
        let places: Vec<_> = places(&workload).collect();
        let (id, old) = self.workloads.put(key, workload);
        if let Some(old) = old {
            self.unindex(id, &old, changes);
        }
        for place in places {
            self.by_address.insert(place, id);
        }
        Some(ExternalWorkloadId(id))
    }

    pub(super) fn remove(&mut self, key: &ObjectKey, changes: &mut Changes) {
        if let Some(id) = self.workloads.id(key)
            && let Some(old) = self.workloads.take(id)
        {
            changes.external_workloads.insert(key.clone());
            self.unindex(id, &old, changes);
        }
    }

    /// Notes that a slice lists the workload of this key.
    pub(super) fn list(&mut self, key: &ObjectKey, slice: SliceId) -> ExternalWorkloadId {
        ExternalWorkloadId(self.workloads.list(key, slice))
    }

    /// Notes that a slice no longer lists the workload.
    pub(super) fn unlist(&mut self, id: ExternalWorkloadId, slice: SliceId) {
        self.workloads.unlist(id.0, slice);
    }

    fn unindex(&mut self, id: u32, old: &ExternalWorkload, changes: &mut Changes) {
        changes.addresses.extend(&old.ips);
        for place in places(old) {
            self.by_address.remove(&place, id);
        }
    }
}

fn places(workload: &ExternalWorkload) -> impl Iterator<Item = (IpAddr, u16)> {
    let ips = workload.ips.iter();
    ips.flat_map(|&ip| workload.ports.iter().map(move |port| (ip, port.port)))
}
