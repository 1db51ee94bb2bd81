//! The destination API: `Get` tells a proxy a Service's endpoints, `GetProfile`
//! how to treat a Service or an address.
//!
//! [`Destinations`] keeps the views inside the index, [`Registry`] lets
//! connections find them without asking it, and [`DestinationServer`] is the
//! gRPC service that streams them.
#![forbid(unsafe_code)]

mod authority;
mod census;
mod context;
mod describe;
mod endpoints;
mod mesh;
mod profile;
mod projection;
mod server;
pub mod validation;
mod workload;

pub use self::{
    authority::{Authority, AuthorityError, ServiceName, ServiceNameError},
    census::{Census, EndpointsCount, ProfileCount},
    context::ProxyContext,
    endpoints::{EndpointsKey, EndpointsRequest, History},
    mesh::{DEFAULT_HTTP2_PARAMS, Mesh, parse_http2_params},
    profile::ProfileKey,
    projection::{Destinations, Registry, Request},
    server::{Destination, DestinationServer},
};
