//! Two replicas, of which one restarts.

use crate::mesh::{Kind::*, Mesh, restarts};
use anyhow::{Result, ensure};
use ferrule_test_cluster::eventually;
use ferrule_tests::Ferrule;
use serde_json::json;

/// Which of the two leads now, and the other.
async fn leader(replicas: [Ferrule; 2]) -> Result<[Ferrule; 2]> {
    let [first, second] = &replicas;
    let labels = [("lease", "ferrule-restarts")];
    let is_first = eventually("one leads", async || {
        let mut found = Vec::new();
        for replica in [first, second] {
            found.push(replica.scrape().await?.sum("leader", &labels) == Some(1.0));
        }
        ensure!(found != [true, true], "both lead");
        Ok(found.contains(&true).then(|| found[0]))
    });
    let is_first = is_first.await?;
    let [first, second] = replicas;
    Ok(if is_first {
        [first, second]
    } else {
        [second, first]
    })
}

#[tokio::test]
async fn one_of_two_restarts_and_the_other_goes_on_where_it_was_killed() -> Result<()> {
    let mesh = Mesh::new().await?;
    let shop = mesh.apps("shop", Some("enabled")).await?;
    let kubelet = shop.kubelet().await?;
    let names = ["one", "three", "two"];
    let mut before = Vec::new();
    // It is looked at first, by both.
    let recreate = json!({"spec": {"replicas": 2, "strategy": {"type": "Recreate"}}});
    shop.put(Deployment, "all-at-once", &recreate).await?;
    shop.ready(Deployment, "all-at-once", 2).await?;
    for name in names {
        shop.deployment(name, 1).await?;
        before.push(shop.get(Deployment, name).await?.metadata.generation);
    }
    // The first rollout does not end.
    drop(kubelet);
    mesh.publish().await?;
    let replicas = [mesh.ferrule().await?, mesh.ferrule().await?];
    let [first, second] = leader(replicas).await?;
    shop.restarted(Deployment, "one").await?;
    shop.told("one", "RestartedForTrustAnchor").await?;
    first.kill().await?;
    let leads = |scrape: &ferrule_tests::Scrape| {
        scrape.sum("leader", &[("lease", "ferrule-restarts")]) == Some(1.0)
    };
    second.scraped("the other leads", leads).await?;
    let goes_on = format!(
        "going on with the restart of deployment/{}/one",
        shop.name()
    );
    second.logged(&goes_on).await?;
    ensure!(shop.under_way().await? == ["one"]);

    let _kubelet = shop.kubelet().await?;
    restarts(&[&second], "finished", 3.0).await?;
    for (name, before) in names.into_iter().zip(before) {
        shop.ready(Deployment, name, 1).await?;
        let after = shop.get(Deployment, name).await?.metadata.generation;
        ensure!(
            after == before.map(|it| it + 1),
            "{name} was restarted more than once, or not: {before:?} {after:?}"
        );
        ensure!(
            shop.told(name, "RestartedForTrustAnchor").await? == 1,
            "{name}"
        );
    }
    second.logged("would take its only 2 pods away").await?;
    let refused = shop.told("all-at-once", "RestartForTrustAnchorRefused");
    ensure!(refused.await? == 1, "told by each of the two");
    Ok(())
}
