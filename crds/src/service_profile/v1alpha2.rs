//! `ServiceProfile` of `linkerd.io/v1alpha2`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RetryBudget, Route, WeightedDst};

/// The routes of a Service, how they are retried, and where else requests go.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "linkerd.io",
    version = "v1alpha2",
    kind = "ServiceProfile",
    plural = "serviceprofiles",
    shortname = "sp",
    namespaced,
    derive = "PartialEq",
    doc = "Routes of the Service that the object is named after: their metrics, retries and timeouts."
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceProfileSpec {
    /// The routes; the first that matches a request is its.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<Route>>,
    /// How many requests may be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
    /// Destinations that requests are split over, by weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_overrides: Option<Vec<WeightedDst>>,
    /// Has no effect: use the annotation `config.linkerd.io/opaque-ports` of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque_ports: Option<Vec<String>>,
}
