//! What is done to requests and responses on their way.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{self, HEADER_NAME, SUBDOMAIN};

// The body of a filter that its type does not name would do nothing, quietly.
const REQUEST_HEADERS: &str =
    "self.type != 'RequestHeaderModifier' || has(self.requestHeaderModifier)";
const REDIRECT: &str = "self.type != 'RequestRedirect' || has(self.requestRedirect)";
// Of a backend's filter the body counts and not the type (policy.md section 2.9), and
// there are manifests that rely on it.
const ANY_BODY: &str = "has(self.requestHeaderModifier) || has(self.responseHeaderModifier) \
     || has(self.requestRedirect)";

/// What a rule does to requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(REQUEST_HEADERS)
        .message("a filter of type RequestHeaderModifier needs requestHeaderModifier"),
    validation = Rule::new(REDIRECT)
        .message("a filter of type RequestRedirect needs requestRedirect")
)]
pub struct RuleFilter {
    /// Which of the other fields is meant.
    #[serde(rename = "type")]
    pub type_: RuleFilterType,
    /// Changes headers of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HeaderModifier>,
    /// Answers with a redirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<Redirect>,
}

/// What a rule can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "the Gateway API's words")]
pub enum RuleFilterType {
    RequestHeaderModifier,
    RequestRedirect,
}

/// What is done to requests to one backend, and to its responses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(ANY_BODY).message(
        "set requestHeaderModifier, responseHeaderModifier or requestRedirect"
    )
)]
pub struct BackendFilter {
    /// Which of the other fields is meant; the first one that is there counts.
    #[serde(rename = "type")]
    pub type_: BackendFilterType,
    /// Changes headers of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HeaderModifier>,
    /// Changes headers of responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HeaderModifier>,
    /// Answers with a redirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<Redirect>,
}

/// What can be done for one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "the Gateway API's words")]
pub enum BackendFilterType {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestRedirect,
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderModifier {
    /// Headers that get these values instead of what they have.
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Vec<Header>>,
    /// Headers that get these values beside what they have.
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<Vec<Header>>,
    /// Names of headers that are dropped.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<Vec<String>>,
}

/// A header and its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The name of the header; its case does not matter.
    #[schemars(length(min = 1, max = 256), regex(pattern = HEADER_NAME))]
    pub name: String,
    /// The value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// A redirect: what is not said stays as the request has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// The scheme of the new location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The host of the new location.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The path of the new location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
    /// The port of the new location.
    #[schemars(range(min = 1, max = 65535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// The status of the answer.
    #[schemars(schema_with = "schema::redirect_status")]
    #[serde(default = "found")]
    pub status_code: u16,
}

fn found() -> u16 {
    302
}

/// A URL's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum Scheme {
    Http,
    Https,
}

/// A new path.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.replaceFullPath) ? self.replaceFullPath.startsWith('/') \
     : has(self.replacePrefixMatch) && self.replacePrefixMatch.startsWith('/')"
).message("set replaceFullPath or replacePrefixMatch, to a path that starts with /"))]
pub struct PathModifier {
    /// Which of the other fields is meant.
    #[serde(rename = "type")]
    pub type_: PathModifierType,
    /// The whole path.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_full_path: Option<String>,
    /// What takes the place of the prefix that was matched.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_prefix_match: Option<String>,
}

/// How much of a path is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "the Gateway API's words")]
pub enum PathModifierType {
    ReplaceFullPath,
    ReplacePrefixMatch,
}
