//! `EgressNetwork`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::network::Network;

/// Where traffic out of the cluster goes, and whether it may.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1alpha1",
    kind = "EgressNetwork",
    plural = "egressnetworks",
    category = "policy",
    status = "EgressNetworkStatus",
    namespaced,
    derive = "PartialEq",
    doc = "Networks outside of the cluster, and what happens to traffic that goes there."
)]
#[serde(rename_all = "camelCase")]
pub struct EgressNetworkSpec {
    /// What happens to traffic that no route attached to this object matches.
    pub traffic_policy: TrafficPolicy,
    /// The networks; when absent, every address outside of the cluster's own networks.
    #[schemars(length(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Network>>,
}

/// What happens to traffic without a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "the words say it")]
pub enum TrafficPolicy {
    Allow,
    Deny,
}

/// What the controller made of an EgressNetwork.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressNetworkStatus {
    /// Whether the object is accepted, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
