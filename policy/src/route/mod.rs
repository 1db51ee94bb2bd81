//! What routes of the cluster look like on the wire, as far as what comes in and
//! what goes out have it in common (policy.md sections 2.7 to 2.9).
//!
//! A [`RouteSpec`](ferrule_cluster::object::route::RouteSpec) holds only what
//! proxies take, so nothing here can fail.

pub(crate) mod filter;
pub(crate) mod host;
pub(crate) mod matches;
