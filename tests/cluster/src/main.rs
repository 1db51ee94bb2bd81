//! `make cluster`: one cluster in the foreground, for trying things by hand.

use std::path::Path;

use anyhow::Result;
use clap::Parser;
use ferrule_test_cluster::{Binary, Cluster, Component, Options};
use tokio::signal::unix::{SignalKind, signal};

/// Run a Kubernetes control plane on loopback until Ctrl-C.
///
/// Pods get addresses and become ready without running anything.
#[derive(Debug, Parser)]
struct Flags {
    /// Give Services and pods IPv6 addresses too.
    #[arg(long)]
    dual_stack: bool,
    /// How many nodes to make, in three zones.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    nodes: u16,
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    // From here on a signal drops the cluster, which stops it, also while it is starting.
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        done = serve(&flags) => done,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn serve(flags: &Flags) -> Result<()> {
    let kubectl = Binary::Kubectl.path().await?;
    let helm = Binary::Helm.path().await?;
    let cluster = Cluster::start(Options {
        dual_stack: flags.dual_stack,
        ..Options::default()
    })
    .await?;
    let nodes: Vec<String> = (1..=flags.nodes)
        .map(|number| format!("node-{number}"))
        .collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    for (node, zone) in nodes
        .iter()
        .zip(["zone-a", "zone-b", "zone-c"].iter().cycle())
    {
        cluster.node(node, Some(zone)).await?;
    }
    let _kubelet = cluster.kubelet(None, &nodes).await?;
    introduce(&cluster, &kubectl, &helm);
    std::future::pending().await
}

fn introduce(cluster: &Cluster, kubectl: &Path, helm: &Path) {
    println!(
        "The cluster is ready. Ctrl-C stops it and removes everything.

  export KUBECONFIG={kubeconfig}
  alias kubectl={kubectl} helm={helm}

  kubectl create deployment web --image=web --replicas=2
  kubectl expose deployment web --port=80
  kubectl get nodes,pods,endpointslices --output=wide

Nothing runs in the pods: there are addresses, and nobody answers at them.
The API server logs to {log}",
        kubeconfig = cluster.kubeconfig().display(),
        kubectl = kubectl.display(),
        helm = helm.display(),
        log = cluster.log(Component::ApiServer).display(),
    );
}
