//! Rollouts that fail, and pods that are no better when they are new.

use crate::mesh::{Apps, Kind::*, Mesh, restarts};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Kubelet, pods};
use ferrule_tests::{Ferrule, Scrape};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Two workloads that want to be restarted: one whose new pods never become ready, and one
/// that is looked at after it and whose pods do as long as the kubelet is held.
async fn one_that_fails() -> Result<(Mesh, Apps, Apps, Kubelet)> {
    let mesh = Mesh::new().await?;
    let (failing, waiting) = (
        mesh.apps("a-failing", Some("enabled")).await?,
        mesh.apps("b-waiting", Some("enabled")).await?,
    );
    let at_first = failing.kubelet().await?;
    let kubelet = waiting.kubelet().await?;
    let hasty = json!({"spec": {"replicas": 1, "progressDeadlineSeconds": 2}});
    failing.put(Deployment, "web", &hasty).await?;
    failing.ready(Deployment, "web", 1).await?;
    waiting.deployment("web", 1).await?;
    drop(at_first);
    mesh.publish().await?;
    Ok((mesh, failing, waiting, kubelet))
}

/// Waits until all restarts are held up, or are not.
async fn stuck(ferrule: &Ferrule, value: f64) -> Result<()> {
    let is_so = |scrape: &Scrape| scrape.sum("trust_anchor_restarts_stuck", &[]) == Some(value);
    ferrule.scraped("stuck, or not", is_so).await.map(drop)
}

#[tokio::test]
async fn a_rollout_that_fails_stops_all_until_it_is_well_again() -> Result<()> {
    let (mesh, failing, waiting, _kubelet) = one_that_fails().await?;
    let ferrule = mesh.ferrule().await?;
    failing.restarted(Deployment, "web").await?;
    failing.told("web", "RestartForTrustAnchorStuck").await?;
    restarts(&[&ferrule], "failed", 1.0).await?;
    stuck(&ferrule, 1.0).await?;
    ensure!(!waiting.is_restarted(Deployment, "web").await?);

    // Another replica takes over, and holds on.
    ferrule.kill().await?;
    let ferrule = mesh.ferrule().await?;
    stuck(&ferrule, 1.0).await?;
    ensure!(!waiting.is_restarted(Deployment, "web").await?);
    ensure!(failing.told("web", "RestartForTrustAnchorStuck").await? == 1);

    let _kubelet = failing.kubelet().await?;
    stuck(&ferrule, 0.0).await?;
    waiting.restarted(Deployment, "web").await?;
    restarts(&[&ferrule], "finished", 1.0).await
}

#[tokio::test]
async fn a_rollout_that_was_undone_is_not_begun_again() -> Result<()> {
    let (mesh, failing, waiting, _kubelet) = one_that_fails().await?;
    let ferrule = mesh.ferrule().await?;
    failing.told("web", "RestartForTrustAnchorStuck").await?;
    // The pod that was there before is there still.
    failing.undo("web").await?;
    failing.ready(Deployment, "web", 1).await?;
    restarts(&[&ferrule], "finished", 1.0).await?;
    ensure!(waiting.is_restarted(Deployment, "web").await?);
    failing.told("web", "RestartForTrustAnchorRefused").await?;
    ensure!(!failing.is_restarted(Deployment, "web").await?);
    restarts(&[&ferrule], "failed", 1.0).await
}

#[tokio::test]
async fn who_is_no_better_for_being_new_is_not_restarted_again() -> Result<()> {
    let mesh = Mesh::new().await?;
    let (stale, well) = (
        mesh.apps("a-stale", Some("enabled")).await?,
        mesh.apps("b-well", Some("enabled")).await?,
    );
    let kubelet = stale.kubelet().await?;
    let _kubelet = well.kubelet().await?;
    stale.deployment("web", 1).await?;
    well.deployment("web", 1).await?;
    drop(kubelet);
    mesh.publish().await?;
    let ferrule = mesh.ferrule().await?;
    stale.restarted(Deployment, "web").await?;

    // The new pod's proxy has read the bundle before there was another.
    let pod = stale.pending().await?;
    pods::bind(&mesh.client, &pod, "restarts").await?;
    let started = json!({"running": {"startedAt": "2020-01-01T00:00:00Z"}});
    let now = k8s_openapi::jiff::Timestamp::now();
    let status = json!({"status": {
        "phase": "Running",
        "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": now.to_string()},
        ],
        "containerStatuses": [{
            "name": "linkerd-proxy", "image": "proxy", "imageID": "", "ready": true,
            "restartCount": 0, "state": started,
        }],
    }});
    let params = PatchParams::default();
    let patch = Patch::Strategic(status);
    stale
        .pods()
        .patch_status(&pod.name_any(), &params, &patch)
        .await?;
    let _kubelet = stale.kubelet().await?;
    restarts(&[&ferrule], "in_vain", 1.0).await?;
    stale.told("web", "RestartForTrustAnchorInVain").await?;
    let generation = stale.get(Deployment, "web").await?.metadata.generation;
    // Its turn would be before the other's.
    restarts(&[&ferrule], "finished", 1.0).await?;
    ensure!(well.is_restarted(Deployment, "web").await?);
    let later = stale.get(Deployment, "web").await?.metadata.generation;
    ensure!(later == generation, "restarted again");
    ensure!(stale.told("web", "RestartForTrustAnchorInVain").await? == 1);
    Ok(())
}
