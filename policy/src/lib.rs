//! Policy: what a proxy is to do with the connections it accepts (inbound) and
//! with those it makes (outbound).
//!
//! ```text
//!   (workload, port) ─ InboundKey ─► Server           who may call, by what route
//!   address or name ─ OutboundKey ─► OutboundPolicy   protocol, routes, backends
//! ```
//!
//! Both are functions of the world and of the mesh's [`PolicySettings`].
//! [`Policies`] keeps the answers that somebody follows up to date inside the
//! index, [`Registry`] lets connections find them without asking it, and
//! [`Inbound`] and [`Outbound`] are the gRPC services that stream them. Apart from
//! all this, [`validation`] says of an object whether it may be stored.
//!
//! [`Statuses`] judges routes, EgressNetworks and rate limits, also inside the index,
//! and puts what is to be written on them into the [`Outbox`].
#![forbid(unsafe_code)]

mod attachment;
mod egress;
mod frames;
mod inbound;
mod metadata;
mod network;
mod outbound;
mod projection;
mod route;
mod server;
mod settings;
mod status;
pub mod validation;
mod workload;

pub use self::{
    inbound::{Idle, InboundDependency, InboundKey, Reasons, WorkloadKey},
    network::{NetworkError, parse_networks},
    outbound::{Dependency, OutboundKey, OutboundTarget},
    projection::{Policies, Registry, Request},
    server::{Inbound, InboundServer, Outbound, OutboundServer},
    settings::{DEFAULT_CLUSTER_NETWORKS, DEFAULT_PROBE_NETWORKS, PolicySettings},
    status::{
        Acceptance, Fresh, Outbox, Status, StatusKey, Statuses, Unmet, egress_network_status,
        explain, rate_limit_status, route_status,
    },
    workload::WorkloadError,
};
