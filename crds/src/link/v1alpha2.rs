//! `Link` of `multicluster.linkerd.io/v1alpha2`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LinkStatus, ProbeSpec};
use crate::selector::LabelSelector;

/// Another cluster, and which of its Services this one has, too.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema,
)]
#[kube(
    group = "multicluster.linkerd.io",
    version = "v1alpha2",
    kind = "Link",
    plural = "links",
    storage = false,
    status = "LinkStatus",
    namespaced,
    derive = "PartialEq",
    doc = "Another cluster whose Services can be used from this one."
)]
#[serde(rename_all = "camelCase")]
pub struct LinkSpec {
    /// The name of the other cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cluster_name: Option<String>,
    /// The cluster domain of the other cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cluster_domain: Option<String>,
    /// The namespace of the other cluster's control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cluster_linkerd_namespace: Option<String>,
    /// The Secret with a kubeconfig for the other cluster's API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_credentials_secret: Option<String>,
    /// The addresses of the other cluster's gateway: IPs or host names, with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_address: Option<String>,
    /// The port of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_port: Option<String>,
    /// The mesh identity of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_identity: Option<String>,
    /// How the gateway is probed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_spec: Option<ProbeSpec>,
    /// Selects the Services that are mirrored through the gateway; when empty, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Selects the Services whose pods are called directly; when empty, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_discovery_selector: Option<LabelSelector>,
    /// Selects the Services that are part of one that spans clusters; when empty, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federated_service_selector: Option<LabelSelector>,
}
