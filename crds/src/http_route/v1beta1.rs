//! `HTTPRoute` of `policy.linkerd.io/v1beta1`, and of `v1alpha1`: the same schema.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matches::all_requests;
use super::parent::{EGRESS_PORT, EGRESS_PORT_MESSAGE, group, kind};
use super::{BackendFilter, RouteMatch, RouteStatus, RuleFilter};
use crate::schema::{self, GROUP, HOSTNAME, KIND, LABEL, SUBDOMAIN};

/// How requests to some parents are told apart, and what is done with them.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1beta1",
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
    /// Where they go; by default to the parent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_refs: Option<Vec<BackendRef>>,
}

/// What a route is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The API group of the parent. A Service needs an empty group, or `core`.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default = "group")]
    pub group: String,
    /// The kind of the parent: `Server`, `Service` or `EgressNetwork`.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    #[serde(default = "kind")]
    pub kind: String,
    /// The name of the parent.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of the parent; by default that of the route.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The port of the parent; by default all of them.
    #[schemars(schema_with = "schema::integer")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// A part of the parent, by name; Services and EgressNetworks have none.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// A Service that requests go to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// The name of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The port of the Service.
    #[schemars(schema_with = "schema::integer")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// The namespace of the Service. Later versions take that of the parent by default.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// What is done to what goes there.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<BackendFilter>>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn one_rule() -> Vec<RouteRule> {
    vec![RouteRule {
        matches: all_requests(),
        filters: None,
        backend_refs: None,
    }]
}
