//! What a proxy is to do with connections to a port of its workload (policy.md
//! section 5).
//!
//! ```text
//!   Servers of the namespace ──┐
//!   the workload's own words ──┴─ Decision ──► protocol, routes, authorizations
//!                                                  ▲     ▲        ▲
//!   rate limits ───────────────────────────────────┘     │        │
//!   routes that are attached to the Server ──────────────┘        │
//!   AuthorizationPolicies ─ MeshTLS- and NetworkAuthentications ──┤
//!   ServerAuthorizations, accessPolicy or a default policy ───────┘
//! ```

mod authorization;
mod batch;
mod clients;
mod namespace;
mod origin;
mod rate_limit;
mod reasons;
mod route;
mod workload;

pub(crate) use self::{batch::Batch, namespace::Namespace, workload::Workload};
pub use self::{
    reasons::{Idle, Reasons},
    workload::WorkloadKey,
};

use ferrule_cluster::{ViewKey, object::Name};

/// What a policy is asked of; one view each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundKey {
    /// The workload.
    pub workload: WorkloadKey,
    /// The port, declared or not.
    pub port: u16,
}

/// What a policy follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InboundDependency {
    /// The workload.
    Workload(WorkloadKey),
    /// What is decided in its namespace.
    Namespace(Name),
}

impl ViewKey for InboundKey {
    type Dependency = InboundDependency;

    fn dependency(&self) -> InboundDependency {
        InboundDependency::Workload(self.workload.clone())
    }

    fn scope(&self) -> Option<InboundDependency> {
        let namespace = self.workload.namespace().clone();
        Some(InboundDependency::Namespace(namespace))
    }
}
