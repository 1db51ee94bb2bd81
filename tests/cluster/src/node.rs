//! Nodes without machines.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::addresses::node_address;
use crate::cluster::Cluster;
use crate::pods::FIELD_MANAGER;

impl Cluster {
    /// Makes sure that node `name` exists and is ready, in `zone` if that is given.
    ///
    /// It stays ready without anybody renewing a lease, since the node lifecycle controller
    /// does not run here. Nodes belong to the whole cluster: tests that share one and want
    /// zones take names of their own.
    ///
    /// # Errors
    ///
    /// When the API server refuses.
    pub async fn node(&self, name: &str, zone: Option<&str>) -> Result<Node> {
        let nodes: Api<Node> = Api::all(self.client()?);
        let apply = PatchParams::apply(FIELD_MANAGER).force();
        let node = nodes
            .patch(name, &apply, &Patch::Apply(object(name, zone)))
            .await
            .with_context(|| format!("cannot create node {name}"))?;
        // Admission marks every new node as not ready, for the lifecycle controller to unmark.
        if node.spec.is_some_and(|spec| spec.taints.is_some()) {
            let untaint = json!({"spec": {"taints": null}});
            nodes
                .patch(name, &PatchParams::default(), &Patch::Merge(untaint))
                .await?;
        }
        nodes
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status(name)))
            .await
            .with_context(|| format!("cannot make node {name} ready"))
    }
}

fn object(name: &str, zone: Option<&str>) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    });
    if let Some(zone) = zone {
        labels["topology.kubernetes.io/zone"] = json!(zone);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"providerID": format!("ferrule-test://{name}")},
    })
}

fn status(name: &str) -> Value {
    let now = Time(Timestamp::now());
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "set by the test cluster",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        })
    };
    // EndpointSlice hints are shared out by the CPUs of each zone: all nodes are the same size.
    let resources = json!({"cpu": "64", "memory": "256Gi", "pods": "10000"});
    json!({"status": {
        "addresses": [
            {"type": "InternalIP", "address": node_address(name)},
            {"type": "Hostname", "address": name},
        ],
        "allocatable": resources,
        "capacity": resources,
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ],
    }})
}
