//! How fast statuses are written.

use crate::objects::*;
use anyhow::{Context as _, ensure};
use ferrule_test_cluster::{Cluster, Options};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{ResourceExt as _, api::ListParams};
use std::collections::BTreeMap;

const ROUTES: usize = 100;
const A_SECOND: usize = 20;
/// How many are under way at a time, and so may be done in the same moment.
const AT_ONCE: usize = 16;

/// The times are the API server's, in whole seconds.
#[tokio::test]
async fn statuses_are_written_no_faster_than_they_may_be() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster.client()?).await?;
    let objects = Objects::of(&cluster.client()?, "default");
    objects.service("web").await?;
    let objects = &objects;
    // All wait when it begins, as after an upgrade.
    stream::iter(0..ROUTES)
        .map(|number| async move { objects.route(HTTP, &format!("r{number}"), &[web()]).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let flag = format!("--patch-qps={A_SECOND}");
    let ferrule = start(cluster.kubeconfig(), &[&flag]).await?;
    ferrule.ready().await?;
    leads(&ferrule, true).await?;
    ferrule
        .scraped("all are written", |scrape| {
            scrape.sum("resource_status_patches_total", &[]) >= Some(ROUTES as f64)
        })
        .await?;

    let mut written = BTreeMap::<i64, usize>::new();
    for route in objects.api(HTTP)?.list(&ListParams::default()).await? {
        let mut entries = route.managed_fields().iter();
        let status = entries.find(|entry| entry.subresource.as_deref() == Some("status"));
        let time = status.and_then(|entry| entry.time.as_ref());
        let time = time.context("its status is written")?;
        *written.entry(time.0.as_second()).or_default() += 1;
    }
    let seconds = written.keys();
    let (first, last) = (seconds.clone().min(), seconds.max());
    let took = last.context("the last")? - first.context("the first")?;
    let pace = ROUTES / A_SECOND - 1;
    ensure!(took >= i64::try_from(pace)?, "{written:?}");
    let most = written.values().max();
    ensure!(most <= Some(&(A_SECOND + AT_ONCE)), "{written:?}");
    Ok(())
}
