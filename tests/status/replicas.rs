//! Two replicas, of which one writes.

use crate::objects::*;
use anyhow::ensure;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::Ferrule;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::time::Duration;

const ROUTES_AT_ONCE: usize = 200;

/// Which of the two leads now, and the other.
async fn leader(replicas: [Ferrule; 2]) -> anyhow::Result<[Ferrule; 2]> {
    let [first, second] = replicas;
    loop {
        let labels = [("lease", "policy-controller-write")];
        let mut found = Vec::new();
        for replica in [&first, &second] {
            found.push(replica.scrape().await?.sum("leader", &labels) == Some(1.0));
        }
        match found[..] {
            [true, false] => return Ok([first, second]),
            [false, true] => return Ok([second, first]),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[tokio::test]
async fn one_replica_writes_and_the_other_takes_over_what_it_left() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster.client()?).await?;
    let objects = Objects::of(&cluster.client()?, "default");
    let replicas = [
        start(cluster.kubeconfig(), &[]).await?,
        start(cluster.kubeconfig(), &[]).await?,
    ];
    for replica in &replicas {
        replica.ready().await?;
    }
    let [first, mut second] = leader(replicas).await?;
    objects.service("web").await?;
    let objects = &objects;
    let names = || (0..ROUTES_AT_ONCE).map(|number| format!("r{number}"));
    stream::iter(names())
        .map(|name| async move { objects.route(HTTP, &name, &[web()]).await })
        .buffer_unordered(16)
        .try_collect::<()>()
        .await?;
    nothing_waits(&first).await?;
    nothing_waits(&second).await?;
    for name in names() {
        objects.until(HTTP, &name, &ACCEPTED).await?;
    }
    ensure!(patches(&first).await? == ROUTES_AT_ONCE as f64, "each once");
    ensure!(patches(&second).await? == 0.0, "it does not lead");

    // It is gone without a word; what happens meanwhile is not lost.
    first.kill().await?;
    objects.delete(SERVICE, "web").await?;
    objects.route(GRPC, "late", &[web()]).await?;
    leads(&second, true).await?;
    let gone = ["web !Accepted=NoMatchingParent !ResolvedRefs=BackendNotFound"];
    objects.until(GRPC, "late", &gone).await?;
    for name in names() {
        objects.until(HTTP, &name, &gone).await?;
    }
    nothing_waits(&second).await?;
    ensure!(
        patches(&second).await? == ROUTES_AT_ONCE as f64 + 1.0,
        "each once"
    );

    // Who is told to end hands over.
    let third = start(cluster.kubeconfig(), &[]).await?;
    third.ready().await?;
    leads(&third, false).await?;
    second.terminate()?;
    leads(&third, true).await?;
    ensure!(second.ended().await? == Some(0), "it ends well");
    objects.service("web").await?;
    objects.until(GRPC, "late", &ACCEPTED).await?;
    Ok(())
}
