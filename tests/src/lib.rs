//! What tests across crates need: the built binary as a process, a proxy that
//! goes through what a real one does with its control plane, certificates, the
//! definitions of kinds, and a cluster that scenarios share.
#![forbid(unsafe_code)]

mod account;
mod authority;
pub mod crds;
mod ferrule;
mod printed;
mod proxy;
mod relay;
pub mod scenario;
mod scrape;
mod webhook;

pub use self::{
    account::Account,
    authority::{Leaf, TestAuthority, Validity},
    ferrule::Ferrule,
    printed::Printed,
    proxy::{
        Api, Builder, Certificate, CertifyFailure, ClientCertificate, Describe, EndpointSet,
        Endpoints, Failure, Invalid, Limits, PolicyProxy, Proxy, Rejection, Seen, ServiceAddr,
        StreamFailure, TestProxy, Transport, Watched, acceptance, discovered_by,
    },
    relay::Relay,
    scrape::Scrape,
    webhook::{WebhookRegistration, certify_webhooks},
};
