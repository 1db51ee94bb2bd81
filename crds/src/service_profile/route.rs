//! What profiles are made of.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::schema;

/// A class of requests, with its metrics and how it is retried.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The name of the route, as metrics show it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The requests of the route.
    pub condition: RequestMatch,
    /// Whether requests that fail may be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_retryable: Option<bool>,
    /// How long a request may take, such as `10s`; by default, or when zero, any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Which responses are failures; the first that matches decides, and without any status
    /// 500 to 599 are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_classes: Option<Vec<ResponseClass>>,
}

/// Requests for which all that is set here holds. What `all`, `any` and `not` contain are such
/// matches again.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.pathRegex) || has(self.method) || has(self.all) || has(self.any) || has(self.not)"
).message("set at least one of pathRegex, method, all, any and not"))]
pub struct RequestMatch {
    /// A regular expression for the whole path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Matches all of which must hold.
    #[schemars(schema_with = "schema::any_objects")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Map<String, Value>>>,
    /// Matches one of which must hold.
    #[schemars(schema_with = "schema::any_objects")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Map<String, Value>>>,
    /// Not usable at this level: put it into `all`.
    // The list is a slip of the definition in use, which nothing can read: a `not` is one match.
    #[schemars(schema_with = "schema::any_objects")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Vec<Map<String, Value>>>,
}

/// Responses, and whether they are failures.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResponseClass {
    /// The responses.
    pub condition: ResponseMatch,
    /// Whether they are failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_failure: Option<bool>,
}

/// Responses for which all that is set here holds. What `all`, `any` and `not` contain are such
/// matches again.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResponseMatch {
    /// A range of statuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusRange>,
    /// Matches all of which must hold.
    #[schemars(schema_with = "schema::any_objects")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Map<String, Value>>>,
    /// Matches one of which must hold.
    #[schemars(schema_with = "schema::any_objects")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Map<String, Value>>>,
    /// A match that must not hold.
    #[schemars(schema_with = "schema::any_object")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Map<String, Value>>,
}

/// Statuses, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusRange {
    /// The lowest, from 100 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i32>,
    /// The highest, from 100 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i32>,
}

/// How many requests may be sent again.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryBudget {
    /// The retries allowed in proportion to requests: 0.2 for one to five.
    #[schemars(range(min = 0))]
    pub retry_ratio: f32,
    /// The retries a second that are allowed besides.
    #[schemars(range(min = 0))]
    pub min_retries_per_second: i32,
    /// How long requests count for the ratio: 1s to 60s.
    #[schemars(length(min = 1))]
    pub ttl: String,
}

/// Another destination, and its share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightedDst {
    /// The destination, `name` or `name:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Its weight, relative to the others': a quantity such as `2` or `500m`.
    #[schemars(schema_with = "schema::quantity")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<IntOrString>,
}
