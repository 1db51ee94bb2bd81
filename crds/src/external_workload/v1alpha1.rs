//! `ExternalWorkload` of `workload.linkerd.io/v1alpha1`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExternalWorkloadStatus, MeshTls, Port, WorkloadIp};

/// A machine outside of the cluster with a proxy of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "workload.linkerd.io",
    version = "v1alpha1",
    kind = "ExternalWorkload",
    plural = "externalworkloads",
    category = "external",
    storage = false,
    status = "ExternalWorkloadStatus",
    namespaced,
    derive = "PartialEq",
    doc = "A workload outside of the cluster that is part of the mesh, as a pod would be.",
    printcolumn(
        name = "Identity",
        type_ = "string",
        json_path = ".spec.meshTls.identity"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ExternalWorkloadSpec {
    /// What the workload's certificate says.
    // Required to write, and never there to read: what is stored is `v1beta1`.
    #[schemars(required)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh_tls: Option<MeshTls>,
    /// The ports that the workload listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
    /// The address of the workload; this version has one.
    #[schemars(length(max = 1))]
    #[serde(
        default,
        rename = "workloadIPs",
        skip_serializing_if = "Option::is_none"
    )]
    pub workload_ips: Option<Vec<WorkloadIp>>,
}
