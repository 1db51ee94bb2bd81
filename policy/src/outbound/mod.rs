//! What a proxy is to do with connections that its workload makes (policy.md
//! section 6).
//!
//! ```text
//!   (client's namespace, address or name) ─ OutboundKey
//!                                               │ what is there?
//!                                               ▼
//!   a Service's port │ an EgressNetwork's address │ neither ─ Subject
//!            └──────────────┬─────────────┘
//!   routes ─ attachment ─► Parent ─► protocol, routes, backends
//!   annotations ────────────┘
//! ```

mod accrual;
mod affected;
mod backend;
mod duration;
mod parent;
mod policy;
mod subject;
mod target;
mod wire;

pub(crate) use self::{
    affected::Affected,
    policy::what_is_told_of,
    subject::{Subject, What},
    target::{TargetError, target},
};

use ferrule_cluster::{
    ViewKey,
    object::{Name, ObjectKey},
};
use std::net::IpAddr;

/// What a policy is asked of; one view each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutboundKey {
    /// The namespace of the workload that asks.
    pub client: Name,
    /// Where it wants to go.
    pub target: OutboundTarget,
}

/// Where a workload wants to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OutboundTarget {
    /// An address.
    Address {
        /// The IP.
        ip: IpAddr,
        /// The port, never 0.
        port: u16,
    },
    /// A Service by its name, there or not.
    Service {
        /// The Service.
        service: ObjectKey,
        /// The port, declared or not; never 0.
        port: u16,
    },
}

/// What a policy follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// A Service.
    Service(ObjectKey),
    /// Whoever has the address.
    Address(IpAddr),
    /// What is outside of the cluster for clients of a namespace that ask for
    /// addresses.
    Outside(Name),
}

impl ViewKey for OutboundKey {
    type Dependency = Dependency;

    fn dependency(&self) -> Dependency {
        match &self.target {
            OutboundTarget::Address { ip, .. } => Dependency::Address(*ip),
            OutboundTarget::Service { service, .. } => Dependency::Service(service.clone()),
        }
    }

    fn scope(&self) -> Option<Dependency> {
        match self.target {
            OutboundTarget::Address { .. } => Some(Dependency::Outside(self.client.clone())),
            OutboundTarget::Service { .. } => None,
        }
    }
}
