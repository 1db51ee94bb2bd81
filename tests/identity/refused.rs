//! A rotation that cannot begin or go on: it is said why, again and again, and nothing else
//! waits for it.

use crate::{
    door::{Door, End},
    mesh::{ISSUER, Mesh, ROOTS, Traffic},
    rotation::{SHORT, annotate, certificates, rotate, told, until_over, until_phase},
};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Cluster, eventually};
use ferrule_tests::Ferrule;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// Waits until it is said everywhere that a rotation waits for this.
async fn until_said(mesh: &Mesh, identity: &Ferrule, what: &str, text: &str) -> Result<()> {
    eventually(text, async || {
        Ok(told(mesh).await?.waits.contains(text).then_some(()))
    })
    .await?;
    let series = format!("trust_anchor_rotation_waiting{{for=\"{what}\"}}");
    eventually(&series, async || {
        Ok((identity.metric(&series).await? == Some(1.0)).then_some(()))
    })
    .await?;
    eventually("an Event", async || {
        let events = mesh.events("TrustAnchorRotationWaits").await?;
        let mut texts = events.into_iter().filter_map(|event| event.message);
        Ok(texts.any(|said| said.contains(text)).then_some(()))
    })
    .await
}

/// Has another issuer made, and waits until it is there.
async fn another_issuer(mesh: &Mesh) -> Result<String> {
    let before = mesh.issuer("crt.pem").await?;
    mesh.ask_for_another_issuer().await?;
    let after = eventually("another issuer", async || {
        let issuer = mesh.issuer("crt.pem").await?;
        Ok((issuer != before).then_some(issuer))
    });
    after.await
}

async fn patch_bundle(mesh: &Mesh, patch: Value) -> Result<()> {
    let params = PatchParams::default();
    let maps = mesh.config_maps();
    maps.patch(ROOTS, &params, &Patch::Merge(patch)).await?;
    Ok(())
}

#[tokio::test]
async fn with_a_clock_that_is_not_the_api_servers_nothing_rotates_and_the_issuer_is_kept()
-> Result<()> {
    let mesh = Mesh::new("refused-clock").await?;
    let door = Door::open(&mesh.client, mesh.folder.path(), End::Never).await?;
    door.put_clock_ahead(-600);
    let identity = mesh.identity_as(door.kubeconfig(), &[SHORT]).await?;
    identity.ready().await?;
    let old = mesh.anchors().await?;
    let traffic = Traffic::begin(vec![mesh.proxy(&identity, &old).await?]);
    rotate(&mesh).await?;
    until_said(&mesh, &identity, "clock", "with a clock that is wrong").await?;
    assert_eq!(told(&mesh).await?.phase, None);
    traffic.is_under(&another_issuer(&mesh).await?).await?;
    assert_eq!(identity.metric("issuer_upkeep_stuck").await?, Some(0.0));
    assert_eq!(mesh.anchors().await?, old);
    // Less than five minutes are not wrong.
    door.put_clock_ahead(200);
    until_phase(&mesh, "switched").await?;
    traffic.end().await?;
    Ok(())
}

#[tokio::test]
async fn beside_a_bundle_of_somebody_else_none_begins_and_one_under_way_can_be_aborted()
-> Result<()> {
    let mesh = Mesh::new("refused-bundle").await?;
    let identity = mesh.identity(&[SHORT]).await?;
    identity.ready().await?;
    let old = mesh.anchors().await?;
    mesh.pod("old", &old).await?;
    let traffic = Traffic::begin(vec![mesh.proxy(&identity, &old).await?]);
    let label = |value: Value| {
        json!({
            "metadata": {"labels": {"app.kubernetes.io/managed-by": value}},
            "data": {"ca-bundle.crt": old},
        })
    };
    let taken = label(json!("trust-manager"));
    patch_bundle(&mesh, taken.clone()).await?;
    rotate(&mesh).await?;
    until_said(&mesh, &identity, "bundle", "cannot publish another").await?;
    assert_eq!(told(&mesh).await?.phase, None);
    traffic.is_under(&another_issuer(&mesh).await?).await?;

    // It is Ferrule's again, and taken once more when a rotation is under way.
    patch_bundle(&mesh, label(json!("ferrule"))).await?;
    until_phase(&mesh, "distributing").await?;
    assert_eq!(certificates(&mesh.anchors().await?), 2);
    patch_bundle(&mesh, taken).await?;
    until_said(&mesh, &identity, "bundle", "lacks a trust anchor").await?;
    traffic.is_under(&another_issuer(&mesh).await?).await?;
    annotate(&mesh, "ferrule.io/abort-rotation", json!("now")).await?;
    assert_eq!(until_over(&mesh).await?, old);
    eventually("nothing is waited for", async || {
        let series = "trust_anchor_rotation_waiting{for=\"bundle\"}";
        let waits = identity.metric(series).await? == Some(1.0);
        Ok((!waits && told(&mesh).await?.waits.is_empty()).then_some(()))
    })
    .await?;
    traffic.end().await?;
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_cannot_be_kept_is_an_event_too() -> Result<()> {
    let mesh = Mesh::new("refused-key").await?;
    let identity = mesh.identity(&[SHORT]).await?;
    identity.ready().await?;
    let secret = mesh.secrets();
    let params = PatchParams::default();
    let elsewhere = json!({"data": {"current.key": null}});
    secret
        .patch("ferrule-trust-anchor", &params, &Patch::Merge(elsewhere))
        .await?;
    rotate(&mesh).await?;
    until_said(&mesh, &identity, "key", "has no key").await?;
    mesh.ask_for_another_issuer().await?;
    mesh.event("IssuerUpkeepStuck").await?;
    // Whatever else is wrong then is told as well.
    annotate(&mesh, "ferrule.io/rotation-paused", json!("now")).await?;
    until_said(&mesh, &identity, "paused", "it is paused").await?;
    ensure!(mesh.secrets().get_opt(ISSUER).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_rollout_that_fails_holds_the_rotation_up_by_the_pods_that_it_leaves() -> Result<()> {
    let mesh = Mesh::new("refused-rollout").await?;
    let namespace = mesh.namespace.name();
    let kubelet = Cluster::shared()
        .await?
        .kubelet(Some(namespace), &["rotation"])
        .await?;
    let identity = mesh.identity(&[SHORT]).await?;
    identity.ready().await?;
    let workloads: Api<Deployment> = Api::namespaced(mesh.client.clone(), namespace);
    let apply = async |anchors: &str| -> Result<()> {
        let workload = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "replicas": 1,
                "progressDeadlineSeconds": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {
                        "app": "web", "linkerd.io/control-plane-ns": namespace,
                    }},
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "linkerd-proxy", "image": "proxy", "env": [
                            {"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": anchors},
                        ]}],
                    },
                },
            },
        });
        let params = PatchParams::apply("test").force();
        workloads
            .patch("web", &params, &Patch::Apply(workload))
            .await?;
        Ok(())
    };
    apply(&mesh.anchors().await?).await?;
    eventually("it is ready", async || {
        let status = workloads.get("web").await?.status;
        let ready = status.and_then(|status| status.ready_replicas);
        Ok((ready == Some(1)).then_some(()))
    })
    .await?;
    rotate(&mesh).await?;
    let behind = "deployment/web";
    until_said(&mesh, &identity, "pods", behind).await?;

    // Its new pod is never ready, so the old one stays.
    drop(kubelet);
    apply(&mesh.anchors().await?).await?;
    eventually("the rollout fails", async || {
        let status = workloads.get("web").await?.status.unwrap_or_default();
        let mut conditions = status.conditions.unwrap_or_default().into_iter();
        let failed = Some("ProgressDeadlineExceeded");
        let has_failed = conditions.any(|condition| condition.reason.as_deref() == failed);
        Ok(has_failed.then_some(()))
    })
    .await?;
    let counted = identity.metric("trust_anchor_rotation_laggards").await?;
    assert_eq!(counted, Some(1.0));
    let by_owner = "trust_anchor_rotation_laggard_pods";
    let scrape = identity.scrape().await?;
    let labels = [("namespace", namespace), ("owner", behind)];
    assert_eq!(scrape.sum(by_owner, &labels), Some(1.0));
    assert_eq!(
        told(&mesh).await?.phase.as_deref(),
        Some("distributing"),
        "it waits"
    );

    // It is mended: the rotation goes on.
    let _kubelet = Cluster::shared()
        .await?
        .kubelet(Some(namespace), &["rotation"])
        .await?;
    until_phase(&mesh, "switched").await
}
