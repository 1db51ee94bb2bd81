//! The part of scheduler and kubelets that other objects can see, for all pods of a namespace.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::addresses::PodAddresses;
use crate::cluster::Cluster;
use crate::pods;

/// Between attempts while the API server is down or refuses.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// A task that plays scheduler and kubelet: it binds new pods to its nodes in turn, makes them
/// running and ready at addresses of their own, and ends those that are being deleted.
///
/// It acts once on each pod: what a test says about a pod afterwards (such as
/// [`pods::unready`]) stays. Pods with scheduling gates wait for their removal, and a pod that
/// wants a node by name (a DaemonSet's) gets that one. Jobs never finish. It stops when dropped.
#[derive(Debug)]
pub struct Kubelet {
    task: JoinHandle<()>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    /// Runs a [`Kubelet`] for the pods of `namespace`, or of all, on the runtime of the caller.
    /// Those of `nodes` that do not exist yet are made.
    ///
    /// # Errors
    ///
    /// When `nodes` is empty or one cannot be made.
    pub async fn kubelet(&self, namespace: Option<&str>, nodes: &[&str]) -> Result<Kubelet> {
        ensure!(!nodes.is_empty(), "a kubelet needs at least one node");
        let client = self.client()?;
        let existing: Api<Node> = Api::all(client.clone());
        for node in nodes {
            // One that exists keeps its zone.
            if existing.get_opt(node).await?.is_none() {
                self.node(node, None).await?;
            }
        }
        let pods = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let work = Work {
            client,
            nodes: nodes.iter().map(ToString::to_string).collect(),
            addresses: Arc::clone(&self.addresses),
        };
        Ok(Kubelet {
            task: tokio::spawn(work.run(pods)),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Run,
    End,
}

struct Work {
    client: Client,
    nodes: Vec<String>,
    addresses: Arc<PodAddresses>,
}

impl Work {
    async fn run(self, pods: Api<Pod>) {
        let mut events = watcher(pods, watcher::Config::default())
            .default_backoff()
            .touched_objects()
            .boxed();
        // Events repeat; each step is taken once in the life of a pod.
        let mut taken: HashSet<(String, Step)> = HashSet::new();
        let mut steps = JoinSet::new();
        let mut turn = 0;
        loop {
            while steps.try_join_next().is_some() {}
            // The watcher starts again by itself after an error.
            let pod = match events.try_next().await {
                Ok(Some(pod)) => pod,
                Ok(None) => return,
                Err(_) => continue,
            };
            let Some(step) = next_step(&pod) else {
                continue;
            };
            if !taken.insert((pod.uid().unwrap_or_default(), step)) {
                continue;
            }
            let place = match step {
                Step::End => None,
                Step::Run => {
                    turn += 1;
                    let node = wanted_node(&pod).unwrap_or(&self.nodes[turn % self.nodes.len()]);
                    Some((node.to_owned(), self.addresses.next()))
                }
            };
            steps.spawn(finish(self.client.clone(), pod, place));
        }
    }
}

/// Runs the pod at a place, or ends it when there is none; tries until that is done or the pod
/// is gone.
async fn finish(client: Client, mut pod: Pod, place: Option<(String, Vec<IpAddr>)>) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    loop {
        let done = match &place {
            Some((node, addresses)) => pods::bind_and_ready(&client, &pod, node, addresses)
                .await
                .map(|_| ()),
            None => pods::delete(&client, &pod).await,
        };
        let Err(error) = done else { return };
        // The first half may have been done, or the pod may be another's of the same name now.
        match pods.get_opt(&pod.name_any()).await {
            Ok(Some(newer)) if newer.uid() == pod.uid() => pod = newer,
            Ok(_) => return,
            Err(_) => {}
        }
        if let Some(kube::Error::Api(status)) = error.downcast_ref()
            && status.code == 422
        {
            eprintln!("test cluster: kubelet gives up: {error:#}");
            return;
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// What a kubelet would do about a pod now.
fn next_step(pod: &Pod) -> Option<Step> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(Step::End);
    }
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    let gated = spec
        .scheduling_gates
        .as_ref()
        .is_some_and(|gates| !gates.is_empty());
    let pending = status.phase.as_deref() == Some("Pending");
    (pending && !gated).then_some(Step::Run)
}

/// The node a DaemonSet made the pod for.
fn wanted_node(pod: &Pod) -> Option<&str> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?;
    let required = affinity
        .node_affinity
        .as_ref()?
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let fields = required
        .node_selector_terms
        .first()?
        .match_fields
        .as_ref()?;
    let field = fields.iter().find(|field| field.key == "metadata.name")?;
    field.values.as_ref()?.first().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(json).expect("a pod")
    }

    #[test]
    fn a_pending_pod_is_run_and_a_deleted_one_ended() {
        use serde_json::json;
        let spec = json!({"containers": []});
        let gated = json!({"containers": [], "schedulingGates": [{"name": "wait"}]});
        let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        for (json, step) in [
            (
                json!({"spec": spec, "status": {"phase": "Pending"}}),
                Some(Step::Run),
            ),
            (json!({"spec": gated, "status": {"phase": "Pending"}}), None),
            (json!({"spec": spec, "status": {"phase": "Running"}}), None),
            (
                json!({"metadata": deleted, "spec": spec, "status": {"phase": "Pending"}}),
                Some(Step::End),
            ),
        ] {
            assert_eq!(next_step(&pod(json.clone())), step, "{json}");
        }
    }
}
