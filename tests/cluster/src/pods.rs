//! What a scheduler and a kubelet would write about a pod, one request at a time.
//!
//! For tests that script each step; [`Kubelet`](crate::Kubelet) does it for whole namespaces.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::addresses::node_address;

pub(crate) const FIELD_MANAGER: &str = "ferrule-test-cluster";

/// Binds the pod to `node` (which must exist; see [`Cluster::node`](crate::Cluster::node)) unless
/// it is bound already, and makes it running and ready at `addresses`, the first of which is
/// its `podIP`.
///
/// # Errors
///
/// When the API server refuses; a pod that is gone is an error too.
pub async fn bind_and_ready(
    client: &Client,
    pod: &Pod,
    node: &str,
    addresses: &[IpAddr],
) -> Result<Pod> {
    let bound_to = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    if bound_to.is_none() {
        bind(client, pod, node).await?;
    }
    let status = running(pod, bound_to.unwrap_or(node), addresses);
    patch_status(client, pod, status).await
}

/// Binds the pod to `node`, as the scheduler does; it stays pending.
///
/// # Errors
///
/// When the API server refuses; it does when the pod is bound already.
pub async fn bind(client: &Client, pod: &Pod, node: &str) -> Result<()> {
    let name = pod.name_any();
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let _status: Value = api(client, pod)
        .create_subresource("binding", &name, &PostParams::default(), &binding)
        .await
        .with_context(|| format!("cannot bind pod {} to {node}", full_name(pod)))?;
    Ok(())
}

/// Makes a running pod unready, as when its readiness probe fails. Its address stays.
///
/// # Errors
///
/// When the API server refuses.
pub async fn unready(client: &Client, pod: &Pod) -> Result<Pod> {
    set_readiness(client, pod, false).await
}

/// Makes a running pod ready again.
///
/// # Errors
///
/// When the API server refuses.
pub async fn ready(client: &Client, pod: &Pod) -> Result<Pod> {
    set_readiness(client, pod, true).await
}

async fn set_readiness(client: &Client, pod: &Pod, ready: bool) -> Result<Pod> {
    patch_status(client, pod, json!({"conditions": conditions(ready)})).await
}

/// Deletes the pod at once, as a kubelet does when its containers have ended.
///
/// A pod of the same name that has taken its place stays.
///
/// # Errors
///
/// When the API server refuses, and when the pod is gone.
pub async fn delete(client: &Client, pod: &Pod) -> Result<()> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: pod.uid(),
            resource_version: None,
        }),
        ..without_grace()
    };
    api(client, pod)
        .delete(&pod.name_any(), &params)
        .await
        .with_context(|| format!("cannot delete pod {}", full_name(pod)))?;
    Ok(())
}

pub(crate) fn without_grace() -> DeleteParams {
    DeleteParams::default().grace_period(0)
}

fn api(client: &Client, pod: &Pod) -> Api<Pod> {
    let namespace = pod.namespace();
    Api::namespaced(client.clone(), namespace.as_deref().unwrap_or("default"))
}

fn full_name(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

async fn patch_status(client: &Client, pod: &Pod, status: Value) -> Result<Pod> {
    // With the uid a pod of the same name that came later is refused, not changed.
    let patch = json!({"metadata": {"uid": pod.uid()}, "status": status});
    // Strategic: conditions are merged by type, so that others' stay.
    api(client, pod)
        .patch_status(
            &pod.name_any(),
            &PatchParams::default(),
            &Patch::Strategic(patch),
        )
        .await
        .with_context(|| format!("cannot set the status of pod {}", full_name(pod)))
}

/// The status of a pod all of whose containers run.
fn running(pod: &Pod, node: &str, addresses: &[IpAddr]) -> Value {
    let now = Time(Timestamp::now());
    let host = node_address(node);
    let (containers, init_containers) = match &pod.spec {
        Some(spec) => (
            spec.containers.as_slice(),
            spec.init_containers.as_deref().unwrap_or_default(),
        ),
        None => Default::default(),
    };
    json!({
        "phase": "Running",
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": addresses.first(),
        "podIPs": addresses.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>(),
        "startTime": now,
        "conditions": conditions(true),
        "containerStatuses": containers
            .iter()
            .map(|container| running_container(container, &now))
            .collect::<Vec<_>>(),
        "initContainerStatuses": init_containers
            .iter()
            .map(|container| match container.restart_policy.as_deref() {
                Some("Always") => running_container(container, &now),
                _ => finished_container(container, &now),
            })
            .collect::<Vec<_>>(),
    })
}

fn conditions(ready: bool) -> Value {
    let now = Time(Timestamp::now());
    let readiness = if ready { "True" } else { "False" };
    Value::Array(
        [
            ("PodScheduled", "True"),
            ("Initialized", "True"),
            ("ContainersReady", readiness),
            ("Ready", readiness),
        ]
        .map(|(kind, status)| json!({"type": kind, "status": status, "lastTransitionTime": now}))
        .to_vec(),
    )
}

fn running_container(container: &Container, started: &Time) -> Value {
    container_status(container, true, &json!({"running": {"startedAt": started}}))
}

fn finished_container(container: &Container, at: &Time) -> Value {
    let state = json!({"terminated": {
        "exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at,
    }});
    container_status(container, false, &state)
}

fn container_status(container: &Container, started: bool, state: &Value) -> Value {
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "ready": true,
        "restartCount": 0,
        "started": started,
        "state": state,
    })
}
