//! Kinds that Ferrule may not read.

use anyhow::Context as _;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Account, Ferrule, Proxy};
use std::time::Duration;
use tempfile::TempDir;
use tonic::Code;

#[tokio::test]
async fn without_pods_nothing_is_answered_and_without_nodes_all_but_zones() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    let account = Account::create(&client).await?;
    account.may_read(&["services", "namespaces"]).await?;
    let files = TempDir::new()?;
    let kubeconfig = files.path().join("kubeconfig");
    account
        .write_kubeconfig(cluster.kubeconfig(), &kubeconfig)
        .await?;
    let ferrule = Ferrule::start(&kubeconfig).await?;
    ferrule.logged("pods").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!ferrule.is_ready().await?);
    let proxy = Proxy::connect(ferrule.destination()).await?;
    let authority = "kubernetes.default.svc.cluster.local:443";
    let refused = proxy
        .get(authority)
        .await
        .err()
        .context("nothing is known yet")?;
    assert_eq!(refused.code(), Code::Unavailable);

    // Nodes, ReplicaSets and Jobs stay forbidden.
    account
        .may_read(&["services", "namespaces", "pods", "endpointslices"])
        .await?;
    ferrule.ready().await?;
    ferrule.logged("nodes").await?;
    proxy.get(authority).await?;
    let missing = proxy.get("nope.default.svc.cluster.local:80").await;
    assert_eq!(
        missing.err().map(|status| status.code()),
        Some(Code::NotFound)
    );
    Ok(())
}
