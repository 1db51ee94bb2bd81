//! Who is restarted, and who is not.

use crate::mesh::{Kind::*, Mesh, restarts};
use anyhow::{Result, ensure};
use ferrule_test_cluster::eventually;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn who_wants_it_is_restarted_one_at_a_time_and_nobody_else() -> Result<()> {
    let mesh = Mesh::new().await?;
    let shop = mesh.apps("shop", Some("enabled")).await?;
    let silent = mesh.apps("silent", None).await?;
    let odd = mesh.apps("odd", Some("yes")).await?;
    let _kubelets = [
        shop.kubelet().await?,
        silent.kubelet().await?,
        odd.kubelet().await?,
    ];
    let annotated = |value: &str, spec: Value| {
        json!({
            "annotations": {"ferrule.io/restart-for-trust-anchor": value}, "spec": spec,
        })
    };
    // Longer than it takes until somebody would begin the next.
    let slow = json!({"spec": {"replicas": 2, "minReadySeconds": 4}});
    for name in ["one", "three", "two"] {
        shop.put(Deployment, name, &slow).await?;
        shop.ready(Deployment, name, 2).await?;
    }
    silent.deployment("web", 1).await?;
    odd.deployment("web", 1).await?;
    let (one, two) = (json!({"replicas": 1}), json!({"replicas": 2}));
    let plain = |spec: &Value| json!({"spec": spec});
    shop.put(Deployment, "against", &annotated("disabled", one.clone()))
        .await?;
    silent
        .put(Deployment, "for", &annotated("enabled", one.clone()))
        .await?;
    silent
        .put(Deployment, "unclear", &annotated("on", one.clone()))
        .await?;
    let recreate = json!({"replicas": 2, "strategy": {"type": "Recreate"}});
    shop.put(Deployment, "recreated", &plain(&recreate)).await?;
    shop.put(StatefulSet, "single", &plain(&one)).await?;
    shop.put(StatefulSet, "pair", &plain(&two)).await?;
    shop.put(DaemonSet, "agent", &json!({})).await?;
    let surge = json!({
        "updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    });
    shop.put(DaemonSet, "surging", &plain(&surge)).await?;
    for (apps, kind, name, pods) in [
        (&shop, Deployment, "against", 1),
        (&shop, Deployment, "recreated", 2),
        (&silent, Deployment, "for", 1),
        (&silent, Deployment, "unclear", 1),
        (&shop, StatefulSet, "single", 1),
        (&shop, StatefulSet, "pair", 2),
        (&shop, DaemonSet, "agent", 1),
        (&shop, DaemonSet, "surging", 1),
    ] {
        apps.ready(kind, name, pods).await?;
    }

    mesh.publish().await?;
    let ferrule = mesh.ferrule().await?;
    let watched = async {
        loop {
            let under_way = shop.under_way().await?;
            ensure!(under_way.len() < 2, "at the same time: {under_way:?}");
            sleep(Duration::from_millis(30)).await;
        }
    };
    let finished = async {
        // Three, the pair, the surging, and the one by its own annotation.
        restarts(&[&ferrule], "finished", 6.0).await
    };
    tokio::select! {
        watched = watched => return watched,
        finished = finished => finished?,
    }
    for (apps, kind, name, pods) in [
        (&shop, Deployment, "one", 2),
        (&shop, Deployment, "two", 2),
        (&shop, Deployment, "three", 2),
        (&silent, Deployment, "for", 1),
        (&shop, StatefulSet, "pair", 2),
        (&shop, DaemonSet, "surging", 1),
    ] {
        apps.ready(kind, name, pods).await?;
        ensure!(apps.is_restarted(kind, name).await?, "{kind:?} {name}");
        ensure!(apps.told(name, "RestartedForTrustAnchor").await? == 1);
    }
    // Whoever is left is known, and why.
    let left = |namespace: &str, kind: &'static str| {
        vec![
            ("namespace", namespace.to_owned()),
            ("owner_kind", kind.to_owned()),
        ]
    };
    let groups = [
        (left(shop.name(), "deployment"), 3.0),
        (left(shop.name(), "statefulset"), 1.0),
        (left(shop.name(), "daemonset"), 1.0),
        (left(silent.name(), "deployment"), 2.0),
        (left(odd.name(), "deployment"), 1.0),
    ];
    let counted = |scrape: &ferrule_tests::Scrape| {
        groups.iter().all(|(labels, pods)| {
            let labels: Vec<_> = labels.iter().map(|(key, value)| (*key, &**value)).collect();
            scrape.sum("trust_anchor_laggard_pods", &labels) == Some(*pods)
        })
    };
    // They are counted once a minute where nobody is to be restarted, and a minute is what
    // is waited for once.
    let told = "who is left is counted";
    if ferrule.scraped(told, counted).await.is_err() {
        ferrule.scraped(told, counted).await?;
    }
    for (kind, name) in [
        (Deployment, "recreated"),
        (StatefulSet, "single"),
        (DaemonSet, "agent"),
    ] {
        let told = shop.told(name, "RestartForTrustAnchorRefused").await?;
        ensure!(told == 1, "{name}: {told} times");
        ensure!(!shop.is_restarted(kind, name).await?, "{name}");
    }
    let unreadable = "RestartForTrustAnchorUnreadable";
    ensure!(odd.told(odd.name(), unreadable).await? == 1);
    ensure!(silent.told("unclear", unreadable).await? == 1);
    for (apps, name) in [
        (&shop, "against"),
        (&silent, "web"),
        (&silent, "unclear"),
        (&odd, "web"),
    ] {
        ensure!(!apps.is_restarted(Deployment, name).await?, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_budget_that_allows_nothing_is_waited_for() -> Result<()> {
    let mesh = Mesh::new().await?;
    let shop = mesh.apps("budget", Some("enabled")).await?;
    let _kubelet = shop.kubelet().await?;
    shop.deployment("web", 2).await?;
    shop.deployment("zoo", 1).await?;
    shop.budget("web", 2).await?;
    mesh.publish().await?;
    let ferrule = mesh.ferrule().await?;
    // It holds nobody else up.
    shop.restarted(Deployment, "zoo").await?;
    shop.told("web", "RestartForTrustAnchorWaits").await?;
    restarts(&[&ferrule], "finished", 1.0).await?;
    ensure!(!shop.is_restarted(Deployment, "web").await?);
    ferrule
        .scraped("one waits", |scrape| {
            scrape.sum("trust_anchor_restarts_waiting", &[]) == Some(1.0)
        })
        .await?;
    // It is written down for who looks later.
    eventually("status tells who waits", async || {
        let status = mesh.status().await?;
        let mut rows = status.lines().filter(|row| row.contains("deployment/web"));
        let waits = "waits: its PodDisruptionBudget web allows no disruption now";
        Ok(rows.any(|row| row.contains(waits)).then_some(()))
    })
    .await?;
    shop.budget("web", 1).await?;
    restarts(&[&ferrule], "finished", 2.0).await?;
    ensure!(shop.is_restarted(Deployment, "web").await?);

    // Another anchor, another restart.
    let generation =
        async |name| -> Result<_> { Ok(shop.get(Deployment, name).await?.metadata.generation) };
    let before = [generation("web").await?, generation("zoo").await?];
    mesh.publish().await?;
    restarts(&[&ferrule], "finished", 4.0).await?;
    let after = [generation("web").await?, generation("zoo").await?];
    ensure!(after == before.map(|generation| generation.map(|it| it + 1)));
    Ok(())
}

#[tokio::test]
async fn the_next_is_restarted_only_so_long_after_the_last_is_ready() -> Result<()> {
    let mesh = Mesh::new().await?;
    let shop = mesh.apps("pace", Some("enabled")).await?;
    let _kubelet = shop.kubelet().await?;
    for name in ["one", "three", "two"] {
        shop.deployment(name, 1).await?;
    }
    mesh.publish().await?;
    let ferrule = mesh.ferrule_every("10s").await?;
    restarts(&[&ferrule], "finished", 3.0).await?;
    shop.told("two", "RestartedForTrustAnchor").await?;
    let begun = shop.begun().await?;
    ensure!(begun.len() == 3, "{begun:?}");
    for pair in begun.windows(2) {
        // The second is cut off of either.
        let apart = pair[1].duration_since(pair[0]).as_secs();
        ensure!(apart >= 9, "{begun:?}");
    }
    Ok(())
}
