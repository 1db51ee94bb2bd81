//! What is written into the status of routes, EgressNetworks and rate limits, and
//! what takes effect by it (policy.md section 7).
//!
//! Everything here is a function of the world. In a cluster an object takes
//! effect once its status says so, as every replica and `kubectl` sees it; where
//! nobody writes statuses (manifests), as soon as it would.
//!
//! ```text
//!   world ── Statuses (in the index) ──► Outbox ──► who holds the Lease writes
//!     ▲          judges what changed     what is to be written       │
//!     └───────────── the watch brings what was written ──────────────┘
//! ```

mod document;
mod egress_network;
mod explanation;
mod outbox;
mod rate_limit;
mod route;
mod statuses;

pub use self::{
    egress_network::egress_network_status,
    explanation::explain,
    outbox::{Fresh, Outbox, Unmet},
    rate_limit::rate_limit_status,
    route::route_status,
    statuses::{Status, StatusKey, Statuses},
};

use crate::PolicySettings;
use ferrule_cluster::{
    World,
    object::{
        EgressNetwork, Name, ObjectKey, RateLimit, StatusCondition,
        route::{Parent, Route, RouteKey},
    },
};

/// What decides whether an object takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acceptance {
    /// Its status, which the controller that holds the Lease writes.
    #[default]
    Written,
    /// What would be written.
    Computed,
}

/// Whether a route takes effect on one of its parents.
pub(crate) fn is_accepted(
    settings: &PolicySettings,
    world: &World,
    key: &RouteKey,
    route: &Route,
    parent: &Parent,
) -> bool {
    match settings.acceptance {
        Acceptance::Written => route.is_accepted(parent),
        Acceptance::Computed => route::is_accepted(settings, world, key, parent),
    }
}

/// Whether routes may be attached to an EgressNetwork.
pub(crate) fn is_egress_network_accepted(
    settings: &PolicySettings,
    network: &EgressNetwork,
) -> bool {
    match settings.acceptance {
        Acceptance::Written => network.is_accepted(),
        Acceptance::Computed => holds(&egress_network_status(settings, network)),
    }
}

/// Whether a rate limit takes effect on the Server that it names.
pub(crate) fn is_rate_limit_accepted(
    settings: &PolicySettings,
    world: &World,
    key: &ObjectKey,
    limit: &RateLimit,
) -> bool {
    match settings.acceptance {
        Acceptance::Written => limit.is_accepted(),
        Acceptance::Computed => {
            rate_limit_status(world, key, limit).is_some_and(|condition| holds(&condition))
        }
    }
}

fn holds(condition: &StatusCondition) -> bool {
    *condition.status == *"True"
}

fn condition(kind: &str, result: Result<&str, (&str, &str)>) -> StatusCondition {
    let (status, reason, message) = match result {
        Ok(reason) => ("True", reason, ""),
        Err((reason, message)) => ("False", reason, message),
    };
    let [kind, status, reason, message] = [kind, status, reason, message].map(Name::from);
    StatusCondition {
        kind,
        status,
        reason,
        message,
    }
}
