//! The custom resources of the mesh: Rust types of them, and the CustomResourceDefinitions made
//! from these types.
//!
//! Groups, kinds, versions, names of fields, enums and defaults are those that users of Linkerd
//! have in their clusters; Ferrule takes such clusters over as they are.
//!
//! ```text
//!   a module for each kind ──┐ derive: schema,     Definition         all() ── tests, the CLI
//!   a module for each        ├ columns, names  ──▶ one CRD with    ──▶
//!   version that differs   ──┘                     all versions       generated::files() ── make crds
//! ```
//!
//! # What a type reads, what a schema refuses
//!
//! A type reads whatever the API server may have stored, also through an older version of a kind
//! or under an older definition: text that must be one of a few words is a `String` here, a rate
//! is an `i64`. A schema refuses what would do nothing or break something, at the moment it is
//! written: it never refuses what a mesh could make sense of before. So each rule here is also a
//! rule of the admission webhook, which has more of them and better words; the schema holds where
//! the webhook is not running, and a cluster lets an object that breaks a rule already be changed
//! elsewhere.
//!
//! # In tests
//!
//! [`all`] is what to install before objects of these kinds can be created:
//!
//! ```no_run
//! # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
//! use kube::api::{Patch, PatchParams};
//! use kube::runtime::wait::{await_condition, conditions};
//! use kube::{Api, ResourceExt as _};
//!
//! let api: Api<CustomResourceDefinition> = Api::all(client);
//! for crd in ferrule_crds::all() {
//!     api.patch(&crd.name_any(), &PatchParams::apply("test").force(), &Patch::Apply(&crd))
//!         .await?;
//! }
//! for crd in ferrule_crds::all() {
//!     await_condition(api.clone(), &crd.name_any(), conditions::is_crd_established()).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Applying them again changes nothing, so tests that share a cluster need not agree on who does it.

#![allow(
    unreachable_pub,
    reason = "KubeSchema copies a public struct into the function that makes its schema"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "a kind has several printer columns, of one type"
)]

mod authorization_policy;
mod condition;
mod definition;
mod egress_network;
pub mod external_workload;
pub mod generated;
pub mod http_route;
pub mod link;
mod mesh_tls_authentication;
mod network;
mod network_authentication;
mod rate_limit;
mod reference;
mod schema;
mod selector;
pub mod server;
mod server_authorization;
pub mod service_profile;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

pub use authorization_policy::{AuthenticationRef, AuthorizationPolicy, AuthorizationPolicySpec};
pub use condition::{Condition, ConditionStatus};
pub use egress_network::{EgressNetwork, EgressNetworkSpec, EgressNetworkStatus, TrafficPolicy};
pub use external_workload::v1beta1::ExternalWorkload;
pub use http_route::v1beta3::HttpRoute;
pub use link::v1alpha3::Link;
pub use mesh_tls_authentication::{IdentityRef, MeshTlsAuthentication, MeshTlsAuthenticationSpec};
pub use network::Network;
pub use network_authentication::{NetworkAuthentication, NetworkAuthenticationSpec};
pub use rate_limit::{
    ClientRef, HttpLocalRateLimitPolicy, HttpLocalRateLimitPolicySpec,
    HttpLocalRateLimitPolicyStatus, Limit, Override, StatusTargetRef,
};
pub use reference::TargetRef;
pub use selector::{Expression, LabelSelector, Operator};
pub use server::v1beta3::Server;
pub use server_authorization::{
    Client, MeshTls, ServerAuthorization, ServerAuthorizationSpec, ServerRef, ServiceAccountRef,
};
pub use service_profile::v1alpha2::ServiceProfile;

/// The definitions of all kinds of this crate, each with all its versions, in the order of their
/// names. They carry no labels or annotations: who installs them adds these.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    definition::all()
        .into_iter()
        .map(definition::Definition::into_crd)
        .collect()
}
