//! How the other cluster's gateway is looked after.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// How the other cluster's gateway is probed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSpec {
    /// The failures in a row after which the gateway counts as dead.
    #[serde(default = "three")]
    pub failure_threshold: String,
    /// The path that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The time between two probes, such as `3s`.
    #[schemars(schema_with = "schema::duration")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// The port that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// How long a probe may take.
    #[schemars(schema_with = "schema::duration")]
    #[serde(default = "thirty_seconds")]
    pub timeout: String,
}

/// How the other cluster's gateway is probed; `period` may be any text in `v1alpha1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSpecV1alpha1 {
    /// The failures in a row after which the gateway counts as dead.
    #[serde(default = "three")]
    pub failure_threshold: String,
    /// The path that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The time between two probes, such as `3s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// The port that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// How long a probe may take.
    #[schemars(schema_with = "schema::duration")]
    #[serde(default = "thirty_seconds")]
    pub timeout: String,
}

fn three() -> String {
    "3".to_owned()
}

fn thirty_seconds() -> String {
    "30s".to_owned()
}
