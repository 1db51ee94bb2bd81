//! What became of a route, for each of its parents.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ParentRef;
use crate::condition::ConditionStatus;
use crate::schema::{self, CONDITION_TYPE, CONTROLLER_NAME, REASON};

/// What became of a route.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// One entry for each parent and controller.
    #[schemars(length(max = 32))]
    pub parents: Vec<RouteParentStatus>,
}

/// What became of a route at one parent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The parent, as the route names it.
    pub parent_ref: ParentRef,
    /// Who wrote this entry.
    #[schemars(length(min = 1, max = 253), regex(pattern = CONTROLLER_NAME))]
    pub controller_name: String,
    /// Whether the route is attached, whether its backends exist, and why not.
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RouteCondition>,
}

/// One aspect of a route's state at one parent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteCondition {
    /// When `status` last changed.
    #[schemars(schema_with = "schema::date_time")]
    pub last_transition_time: Time,
    /// What happened, for people.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// The generation of the route that this is about.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What happened, in one word for programs.
    #[schemars(length(min = 1, max = 1024), regex(pattern = REASON))]
    pub reason: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Which aspect this is: `Accepted` or `ResolvedRefs`.
    #[serde(rename = "type")]
    #[schemars(length(max = 316), regex(pattern = CONDITION_TYPE))]
    pub type_: String,
}
