//! Which requests a rule is for.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::HEADER_NAME;

/// Requests for which all that is said here holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteMatch {
    /// The path.
    #[serde(default)]
    pub path: PathMatch,
    /// Headers, all of which a request must have.
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<HeaderMatch>>,
    /// Query parameters, all of which a request must have.
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_params: Option<Vec<QueryMatch>>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
}

/// What a rule without matches matches: everything.
pub(super) fn all_requests() -> Vec<RouteMatch> {
    vec![RouteMatch::default()]
}

/// A match on the path; by default of every path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'RegularExpression' || self.value.startsWith('/')")
    .message("value must start with /"))]
pub struct PathMatch {
    /// How `value` is compared.
    #[serde(default, rename = "type")]
    pub type_: PathMatchType,
    /// The path, its beginning, or an expression for it.
    #[schemars(length(max = 1024))]
    #[serde(default = "root_path")]
    pub value: String,
}

impl Default for PathMatch {
    fn default() -> Self {
        Self {
            type_: PathMatchType::default(),
            value: root_path(),
        }
    }
}

fn root_path() -> String {
    "/".to_owned()
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "the Gateway API's words")]
pub enum PathMatchType {
    Exact,
    #[default]
    PathPrefix,
    RegularExpression,
}

/// How a header or query parameter is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "the Gateway API's words")]
pub enum ValueMatchType {
    #[default]
    Exact,
    RegularExpression,
}

/// A match on one header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// How `value` is compared.
    #[serde(default, rename = "type")]
    pub type_: ValueMatchType,
    /// The name of the header; its case does not matter.
    #[schemars(length(min = 1, max = 256), regex(pattern = HEADER_NAME))]
    pub name: String,
    /// The value, or an expression for it.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// A match on one query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueryMatch {
    /// How `value` is compared.
    #[serde(default, rename = "type")]
    pub type_: ValueMatchType,
    /// The name of the parameter.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The value, or an expression for it.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "HTTP's words")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}
