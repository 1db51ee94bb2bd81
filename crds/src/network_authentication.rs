//! `NetworkAuthentication`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::Network;

/// Clients that are known by where they call from.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1alpha1",
    kind = "NetworkAuthentication",
    plural = "networkauthentications",
    shortname = "netauthn",
    shortname = "networkauthn",
    namespaced,
    derive = "PartialEq",
    doc = "Names clients by the networks that they call from."
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkAuthenticationSpec {
    /// The networks; a client is in at least one of them.
    #[schemars(length(min = 1))]
    pub networks: Vec<Network>,
}
