//! Each of these has a cluster of its own to break.

use crate::shop::Shop;
use ferrule_test_cluster::{Cluster, Component, Options};
use ferrule_tests::{Ferrule, Proxy};
use std::time::Duration;

#[tokio::test]
async fn an_api_server_that_goes_takes_nothing_with_it_and_is_followed_when_it_returns()
-> anyhow::Result<()> {
    let mut cluster = Cluster::start(Options::default()).await?;
    cluster.node("a", None).await?;
    let _kubelet = cluster.kubelet(None, &["a"]).await?;
    let shop = Shop::open(&cluster.client()?, "default", 3).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    let proxy = Proxy::connect(ferrule.destination()).await?;
    let mut web = proxy.get(&shop.authority(80)).await?;
    web.until_count(3).await?;

    cluster.kill(Component::ApiServer);
    assert!(
        web.is_silent_for(Duration::from_secs(4)).await?,
        "an outage is no news"
    );
    assert!(ferrule.is_ready().await?, "stale beats none");
    let mut late = proxy.get(&shop.authority(80)).await?;
    late.until_count(3).await?;
    assert!(
        ferrule.metric("watch_connected{kind=\"Pod\"}").await? == Some(0.0),
        "metrics say that the watch is gone"
    );

    cluster.restart(Component::ApiServer).await?;
    shop.scale(4).await?;
    web.until_count(4).await?;
    late.until_count(4).await?;
    shop.scale(2).await?;
    web.until_count(2).await?;

    // The same by silence instead of a closed connection.
    cluster.pause(Component::ApiServer)?;
    assert!(web.is_silent_for(Duration::from_secs(3)).await?);
    cluster.resume(Component::ApiServer)?;
    shop.scale(3).await?;
    web.until_count(3).await?;
    Ok(())
}

#[tokio::test]
async fn an_etcd_that_is_restored_is_the_truth_though_versions_go_backwards() -> anyhow::Result<()>
{
    let mut cluster = Cluster::start(Options::default()).await?;
    cluster.node("a", None).await?;
    let kubelet = cluster.kubelet(None, &["a"]).await?;
    let shop = Shop::open(&cluster.client()?, "default", 3).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    let proxy = Proxy::connect(ferrule.destination()).await?;
    let mut web = proxy.get(&shop.authority(80)).await?;
    web.until_count(3).await?;
    let saved: Vec<_> = web.told().keys().copied().collect();

    let folder = std::env::temp_dir().join(format!("ferrule-etcd-{}", std::process::id()));
    cluster.snapshot_etcd(&folder)?;
    shop.scale(6).await?;
    web.until_count(6).await?;
    // Whatever the snapshot does not know is to go.
    drop(kubelet);
    cluster.restore_etcd(&folder).await?;
    let _kubelet = cluster.kubelet(None, &["a"]).await?;
    web.until("what was saved", |told| {
        told.keys().copied().eq(saved.iter().copied())
    })
    .await?;
    // And it is followed from there.
    shop.scale(4).await?;
    web.until_count(4).await?;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
