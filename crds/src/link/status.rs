//! What became of the Services that a link mirrors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::ConditionStatus;
use crate::schema::{self, CONDITION_TYPE, CONTROLLER_NAME, GROUP, KIND, LABEL, REASON};

/// What became of the other cluster's Services.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkStatus {
    /// Services that are mirrored, each by one of this cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirror_services: Vec<ServiceStatus>,
    /// Services that are part of one that spans clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub federated_services: Vec<ServiceStatus>,
}

/// What became of one Service.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Who wrote this entry.
    #[schemars(length(min = 1, max = 253), regex(pattern = CONTROLLER_NAME))]
    pub controller_name: String,
    /// The Service, in the other cluster.
    pub remote_ref: ObjectRef,
    /// Whether it is mirrored, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<LinkCondition>,
}

/// A Service of one of the clusters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// The API group of the Service.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default = "core")]
    pub group: String,
    /// The kind.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    #[serde(default = "service")]
    pub kind: String,
    /// The name of the Service.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    pub namespace: String,
}

/// One aspect of a mirrored Service's state.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkCondition {
    /// When `status` last changed.
    #[schemars(schema_with = "schema::date_time")]
    pub last_transition_time: Time,
    /// The Service of this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_ref: Option<ObjectRef>,
    /// What happened, for people.
    pub message: String,
    /// What happened, in one word for programs.
    #[schemars(length(min = 1, max = 1024), regex(pattern = REASON))]
    pub reason: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Which aspect this is: `Mirrored`.
    #[serde(rename = "type")]
    #[schemars(length(max = 316), regex(pattern = CONDITION_TYPE))]
    pub type_: String,
}

fn core() -> String {
    "core".to_owned()
}

fn service() -> String {
    "Service".to_owned()
}
