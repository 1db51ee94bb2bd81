//! Pods that are created all the time, each of which must get a proxy from somebody.

use super::linkerd::MARK;
use crate::{
    helm::{NAMESPACE, apply},
    running::host,
};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Cluster, PATIENCE};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How often a pod is created.
const PAUSE: Duration = Duration::from_millis(25);
const UNINJECTED: &str = "a pod passed without a proxy";

/// Who has injected a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Linkerd,
    Ferrule,
    /// API servers keep a connection for as long as it holds, whoever else is ready.
    Either,
}

/// Dry runs of pods that ask for a proxy, in namespace `shop`, one after the other.
pub(crate) struct Admissions {
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Told {
    by_linkerd: usize,
    by_ferrule: usize,
    /// Refused at first, and created in the end.
    refused: usize,
    failures: Vec<String>,
}

impl Admissions {
    /// Begins, once the first is injected: API servers hear of registrations when they do.
    /// A pod that is refused is created again, as its ReplicaSet would, for so long.
    pub(crate) async fn begin(cluster: &Cluster, patience: Duration) -> Result<Self> {
        let pods: Api<Pod> = Api::namespaced(cluster.client()?, "shop");
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = create(&pods).await {
            ensure!(Instant::now() < deadline, "{error}");
            sleep(PAUSE).await;
        }
        let told = Arc::<Mutex<Told>>::default();
        let counts = told.clone();
        let task = tokio::spawn(async move {
            loop {
                let mut refused = 0;
                let outcome = create_within(&pods, patience, &mut refused).await;
                {
                    let mut told = lock(&counts);
                    told.refused += usize::from(refused > 0);
                    match outcome {
                        Ok(By::Linkerd) => told.by_linkerd += 1,
                        Ok(_) => told.by_ferrule += 1,
                        Err(error) => told.failures.push(error),
                    }
                }
                sleep(PAUSE).await;
            }
        });
        Ok(Self { told, task })
    }

    /// Waits until some more were injected by these, and none failed.
    pub(crate) async fn go_on(&self, by: By) -> Result<()> {
        let count = || {
            let told = lock(&self.told);
            ensure!(told.failures.is_empty(), "{told:?}");
            Ok(match by {
                By::Linkerd => told.by_linkerd,
                By::Ferrule => told.by_ferrule,
                By::Either => told.by_linkerd + told.by_ferrule,
            })
        };
        let (start, deadline) = (count()?, Instant::now() + PATIENCE);
        while count()? < start + 20 {
            ensure!(
                Instant::now() < deadline,
                "{by:?} injects nothing: {:?}",
                lock(&self.told)
            );
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// How many were refused at first.
    pub(crate) fn refused(&self) -> usize {
        lock(&self.told).refused
    }

    /// How many were injected; none may have failed.
    pub(crate) fn end(self) -> Result<usize> {
        self.task.abort();
        let told = lock(&self.told);
        ensure!(told.failures.is_empty(), "{told:?}");
        Ok(told.by_linkerd + told.by_ferrule)
    }
}

async fn create_within(
    pods: &Api<Pod>,
    patience: Duration,
    refused: &mut usize,
) -> Result<By, String> {
    let deadline = Instant::now() + patience;
    loop {
        match create(pods).await {
            // What is there without a proxy stays so.
            Err(error) if error != UNINJECTED && Instant::now() < deadline => *refused += 1,
            outcome => return outcome,
        }
        sleep(PAUSE).await;
    }
}

async fn create(pods: &Api<Pod>) -> Result<By, String> {
    let pod = json!({
        "metadata": {"generateName": "web-", "annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    });
    let pod = serde_json::from_value(pod).expect("a pod");
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let made = pods.create(&params, &pod).await;
    let made = made.map_err(|error| error.to_string())?;
    let annotations = made.metadata.annotations.unwrap_or_default();
    let containers = made.spec.map(|spec| {
        let init = spec.init_containers.into_iter().flatten();
        init.chain(spec.containers).map(|container| container.name)
    });
    let mut containers = containers.into_iter().flatten();
    match (
        annotations.contains_key(MARK),
        containers.any(|name| name == "linkerd-proxy"),
    ) {
        (true, _) => Ok(By::Linkerd),
        (false, true) => Ok(By::Ferrule),
        (false, false) => Err(UNINJECTED.to_owned()),
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A namespace whose pods get proxies.
pub(crate) fn shop() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "annotations": {"linkerd.io/inject": "enabled"}},
    })
}

/// Has the injector's Service lead to these, as kube-controller-manager would if they were
/// pods that are ready.
pub(crate) async fn lead_to(cluster: &Cluster, injectors: &[SocketAddr]) -> Result<()> {
    // A slice has one list of ports for all of its endpoints.
    for number in 0..2 {
        let ready = injectors.get(number).copied();
        let port = ready.map_or(1, |addr| addr.port());
        let endpoints =
            ready.map(|_| json!([{"addresses": [host().ok()], "conditions": {"ready": true}}]));
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("linkerd-proxy-injector-test-{number}"), "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": "linkerd-proxy-injector"},
            },
            "addressType": "IPv4",
            "endpoints": endpoints.unwrap_or_else(|| json!([])),
            "ports": [{"name": "proxy-injector", "port": port, "protocol": "TCP"}],
        });
        apply(cluster, &[slice]).await?;
    }
    Ok(())
}
