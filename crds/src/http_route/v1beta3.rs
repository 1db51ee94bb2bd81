//! `HTTPRoute` of `policy.linkerd.io/v1beta3`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matches::all_requests;
use super::parent::{EGRESS_PORT, EGRESS_PORT_MESSAGE};
use super::{ParentRef, RouteMatch, RouteStatus, RuleFilter};
use crate::schema::{self, HOSTNAME};

pub use super::v1beta2::BackendRef;

/// How requests to some parents are told apart, and what is done with them.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1beta3",
    kind = "HTTPRoute",
    root = "HttpRoute",
    plural = "httproutes",
    status = "RouteStatus",
    namespaced,
    derive = "PartialEq",
    doc = "Tells requests to a Server, Service or EgressNetwork apart, and says what is done with them.",
    printcolumn(name = "Hostnames", type_ = "string", json_path = ".spec.hostnames"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// What the route is attached to.
    #[x_kube(validation = Rule::new(EGRESS_PORT).message(EGRESS_PORT_MESSAGE))]
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_refs: Option<Vec<ParentRef>>,
    /// Host names that requests may be for, `*.` standing for any labels; by default all.
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = HOSTNAME)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostnames: Option<Vec<String>>,
    /// The rules; the one that matches a request best is used.
    #[schemars(length(max = 16))]
    #[serde(default = "one_rule")]
    pub rules: Vec<RouteRule>,
}

/// What is done with some requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRule {
    /// The requests: those that one of these is for; by default all.
    #[schemars(length(max = 8))]
    #[serde(default = "all_requests")]
    pub matches: Vec<RouteMatch>,
    /// What is done to them.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<RuleFilter>>,
    /// Where they go, by weight; by default to the parent itself.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_refs: Option<Vec<BackendRef>>,
    /// How long they may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
}

/// How long a request may take, such as `10s` or `1m30s`; `0s` for no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.request) || self.request >= duration('0s')")
        .message("request must not be negative"),
    validation = Rule::new("!has(self.backendRequest) || self.backendRequest >= duration('0s')")
        .message("backendRequest must not be negative"),
    validation = Rule::new(
        "!has(self.request) || !has(self.backendRequest) || self.backendRequest <= self.request"
    ).message("backendRequest must not be more than request")
)]
pub struct Timeouts {
    /// From the first byte of the request to the last of the response, retries included.
    #[schemars(schema_with = "schema::duration")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Has no effect: use the annotation `retry.linkerd.io/timeout`.
    #[schemars(schema_with = "schema::duration")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<String>,
}

fn one_rule() -> Vec<RouteRule> {
    vec![RouteRule {
        matches: all_requests(),
        filters: None,
        backend_refs: None,
        timeouts: None,
    }]
}
