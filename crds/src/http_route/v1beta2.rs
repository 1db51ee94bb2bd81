//! `HTTPRoute` of `policy.linkerd.io/v1beta2`: `v1beta3` without timeouts.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matches::all_requests;
use super::parent::{EGRESS_PORT, EGRESS_PORT_MESSAGE};
use super::{BackendFilter, ParentRef, RouteMatch, RouteStatus, RuleFilter};
use crate::schema::{GROUP, HOSTNAME, KIND, LABEL};

/// How requests to some parents are told apart, and what is done with them.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1beta2",
    kind = "HTTPRoute",
    root = "HttpRoute",
    plural = "httproutes",
    storage = false,
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
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// The API group of the backend; empty for a Service.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default)]
    pub group: String,
    /// The kind of the backend: `Service` or `EgressNetwork`.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    #[serde(default = "service")]
    pub kind: String,
    /// The name of the backend.
    // The first versions do not require it.
    #[schemars(required, length(min = 1, max = 253))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of the backend; by default that of the parent.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The port of the backend; a Service needs one.
    // The first versions take any number.
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// Its share of the requests, relative to the weights of the other backends.
    #[schemars(range(min = 0, max = 1_000_000))]
    #[serde(default = "one")]
    pub weight: i32,
    /// What is done to what goes there.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<BackendFilter>>,
}

fn service() -> String {
    "Service".to_owned()
}

fn one() -> i32 {
    1
}

fn one_rule() -> Vec<RouteRule> {
    vec![RouteRule {
        matches: all_requests(),
        filters: None,
        backend_refs: None,
    }]
}
