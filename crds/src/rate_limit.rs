//! `HTTPLocalRateLimitPolicy`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::reference::TargetRef;
use crate::schema::{GROUP, KIND, LABEL};

/// How many requests each pod behind a Server takes.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1alpha1",
    kind = "HTTPLocalRateLimitPolicy",
    root = "HttpLocalRateLimitPolicy",
    plural = "httplocalratelimitpolicies",
    status = "HttpLocalRateLimitPolicyStatus",
    namespaced,
    derive = "PartialEq",
    doc = "Limits the rate of requests to each pod behind a Server.",
    printcolumn(
        name = "Target_kind",
        type_ = "string",
        json_path = ".spec.targetRef.kind",
        description = "The kind of what is limited"
    ),
    printcolumn(
        name = "Target_name",
        type_ = "string",
        json_path = ".spec.targetRef.name",
        description = "The name of what is limited"
    ),
    printcolumn(
        name = "Total_RPS",
        type_ = "integer",
        format = "int32",
        json_path = ".spec.total.requestsPerSecond",
        description = "Requests a second from all clients together"
    ),
    printcolumn(
        name = "Identity_RPS",
        type_ = "integer",
        format = "int32",
        json_path = ".spec.identity.requestsPerSecond",
        description = "Requests a second from each client identity"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.total) || !has(self.identity) \
        || self.identity.requestsPerSecond <= self.total.requestsPerSecond")
        .message("identity.requestsPerSecond must not be more than total.requestsPerSecond"),
    validation = Rule::new("!has(self.total) || !has(self.overrides) \
        || self.overrides.all(o, o.requestsPerSecond <= self.total.requestsPerSecond)")
        .message("an override's requestsPerSecond must not be more than total.requestsPerSecond")
)]
pub struct HttpLocalRateLimitPolicySpec {
    /// The Server whose requests are limited.
    #[x_kube(validation = Rule::new("self.kind.lowerAscii() == 'server' \
        && has(self.group) && self.group == 'policy.linkerd.io'")
        .message("must be a Server of policy.linkerd.io"))]
    pub target_ref: TargetRef,
    /// The limit of all clients together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Limit>,
    /// The limit of each client identity; clients without one share one limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Limit>,
    /// Limits of certain clients, in place of `identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Vec<Override>>,
}

/// A rate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// Requests a second.
    // What a proxy can be told is 32 bits wide.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub requests_per_second: i64,
}

/// The rate of certain clients.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Requests a second, from all clients of this override together.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub requests_per_second: i64,
    /// The clients.
    pub client_refs: Vec<ClientRef>,
}

/// A client, by the ServiceAccount that it runs as.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientRef {
    /// The API group; empty or absent, since ServiceAccounts are of the core group.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `ServiceAccount`.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    pub kind: String,
    /// The name of the ServiceAccount.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; by default that of the policy.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What the controller made of a rate limit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpLocalRateLimitPolicyStatus {
    /// Whether the object is accepted, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The target that this is about.
    pub target_ref: StatusTargetRef,
}

/// The target that a status is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusTargetRef {
    /// The API group of the target.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default = "policy_group")]
    pub group: String,
    /// The kind of the target.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    #[serde(default = "server_kind")]
    pub kind: String,
    /// The name of the target.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

fn policy_group() -> String {
    "policy.linkerd.io".to_owned()
}

fn server_kind() -> String {
    "Server".to_owned()
}
