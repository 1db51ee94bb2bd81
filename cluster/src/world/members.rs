//! What the endpoints of slices are.

use super::{
    external_workloads::{ExternalWorkloadId, ExternalWorkloads},
    pods::{PodId, Pods},
    slices::SliceId,
};
use crate::object::{Endpoint, Target};
use std::net::IpAddr;

/// What makes two sightings of an endpoint the same endpoint, apart from the
/// family of its address (destination.md section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Member {
    /// A pod.
    Pod(PodId),
    /// An ExternalWorkload.
    ExternalWorkload(ExternalWorkloadId),
    /// An address that belongs to no object.
    Address(IpAddr),
}

/// The objects that endpoints may be.
#[derive(Default)]
pub(super) struct Members {
    pub(super) pods: Pods,
    pub(super) external_workloads: ExternalWorkloads,
}

impl Members {
    /// What the endpoint is, if it means anything to the mesh; notes that the
    /// slice lists it.
    pub(super) fn list(&mut self, endpoint: &Endpoint, slice: SliceId) -> Option<Member> {
        match &endpoint.target {
            Target::Pod(key) => Some(Member::Pod(self.pods.list(key, slice))),
            Target::ExternalWorkload(key) => {
                let id = self.external_workloads.list(key, slice);
                Some(Member::ExternalWorkload(id))
            }
            Target::Address => Some(Member::Address(endpoint.address)),
            Target::Unsupported => None,
        }
    }

    /// Notes that a slice no longer lists it.
    pub(super) fn unlist(&mut self, member: Member, slice: SliceId) {
        match member {
            Member::Pod(id) => self.pods.unlist(id, slice),
            Member::ExternalWorkload(id) => self.external_workloads.unlist(id, slice),
            Member::Address(_) => {}
        }
    }

    /// The slices that list it; none is known of an address.
    pub(super) fn slices(&self, member: Member) -> &[SliceId] {
        match member {
            Member::Pod(id) => self.pods.slices(id),
            Member::ExternalWorkload(id) => self.external_workloads.slices(id),
            Member::Address(_) => &[],
        }
    }
}
