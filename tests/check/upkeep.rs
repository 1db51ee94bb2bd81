//! What Ferrule keeps up by itself, where that does not go on.

use crate::{
    certificates::{Pair, Root},
    control_plane::values,
    mesh::{Mesh, here},
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::PATIENCE;
use ferrule_tests::Ferrule;
use k8s_openapi::{ByteString, jiff::Timestamp};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const ROTATION: &str = "ferrule-trust-anchor-rotation";

/// A pod of the stories before trusts the old anchor alone.
pub(crate) async fn a_rotation_that_waits_for_people(mesh: &Mesh) -> Result<()> {
    let anchor = here("secrets", "ferrule-trust-anchor");
    let annotate = async |annotations: Value| {
        let patch = json!({"metadata": {"annotations": annotations}});
        mesh.objects.merge(&anchor, &patch).await
    };
    annotate(json!({"ferrule.io/rotation-paused": "now"})).await?;
    mesh.check(&[]).await?.warns(ROTATION, &["paused"])?;
    let begin = json!({
        "ferrule.io/rotation-paused": null, "ferrule.io/rotate-trust-anchor": "now",
    });
    annotate(begin).await?;
    let why = [
        "distributing, ",
        "waits: does not trust the new anchor: 1 pod",
        "shop/pod/good",
    ];
    mesh.until(&[], |told| told.warns(ROTATION, &why)).await?;
    annotate(json!({"ferrule.io/abort-rotation": "now"})).await?;
    mesh.until(&["--proxy"], |told| told.is_well_but_for(&[]))
        .await
        .map(drop)
}

/// Long before it is to be renewed by anybody else: two thirds of its life are over.
pub(crate) async fn an_issuer_that_is_not_renewed(mesh: &Mesh) -> Result<()> {
    let path = here("secrets", "ferrule-trust-anchor");
    let anchor = mesh.objects.get(&path).await?.context("an anchor")?;
    let part = |name: &str| -> Result<String> {
        let bytes: ByteString = serde_json::from_value(anchor["data"][name].clone())?;
        Ok(String::from_utf8(bytes.0)?)
    };
    let pair = Pair {
        certificate: part("current.crt")?,
        key: part("current.key")?,
    };
    let take_the_key = |secret: &mut Value| {
        let data = secret["data"].as_object_mut();
        data.map(|data| data.remove("current.key"));
    };
    let anchor = mesh.objects.spoil(&path, take_the_key).await?;
    let late = Root::issuer_of(&pair, 300, 100)?;
    let put = |secret: &mut Value| {
        let text = |text: &str| ByteString(text.as_bytes().to_vec());
        secret["data"] = json!({"crt.pem": text(&late.certificate), "key.pem": text(&late.key)});
    };
    let issuer = mesh
        .objects
        .spoil(&here("secrets", "linkerd-identity-issuer"), put)
        .await?;
    let told = mesh
        .until(&[], |told| {
            let why = ["the identity issuer cannot be kept: ", "has no key"];
            told.warns("ferrule-identity-notes", &why)
        })
        .await?;
    let why = ["CN=identity.linkerd.cluster.local was to be renewed at "];
    told.warns("ferrule-issuer-upkeep", &why)?;
    told.succeeds("l5d-identity-issuer-cert-not-expiring-soon")?;
    status_says_why(mesh).await?;
    issuer.mend().await?;
    anchor.mend().await
}

/// Only who holds the Lease says why, so it may have to be asked again.
async fn status_says_why(mesh: &Mesh) -> Result<()> {
    let kubeconfig = mesh.cluster.kubeconfig().to_str().context("UTF-8")?;
    let admin = mesh.admin();
    let status = ["identity", "status", "--kubeconfig", kubeconfig];
    let status = [&status[..], &["--api-addr", &admin]].concat();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = Ferrule::command(&status).await?;
        let line = "not kept because          the identity issuer cannot be kept: ";
        if told.stdout.contains(line) && told.stderr.contains("warning: the identity issuer") {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{told:?}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// A workload whose rollout has failed holds up all others.
pub(crate) async fn restarts_that_are_stuck(mesh: &Mesh) -> Result<()> {
    let edit = |values: &mut Value| {
        values["identity"]["trustAnchorRotation"]["restartWorkloads"] = true.into();
    };
    let spoilt = values(mesh, edit).await?;
    let told = mesh.check(&[]).await?;
    let why = ["Lease ferrule-restarts: nobody has made it"];
    told.warns("ferrule-write-leases", &why)?;
    // The chart was installed without.
    let why = ["linkerd-destination may not patch deployments.apps"];
    told.fails("l5d-rbac-destination", &why)?;
    let standings = json!([
        {"namespace": "shop", "owner": "deployment/web", "state": "stuck", "because": "1 of 2"},
        {"namespace": "shop", "owner": "deployment/api", "state": "waits"},
    ]);
    let lease = json!({
        "metadata": {
            "name": "ferrule-restarts",
            "annotations": {"ferrule.io/restart-standings": standings.to_string()},
        },
        "spec": {
            "holderIdentity": "somebody", "leaseDurationSeconds": 3600,
            "renewTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string(),
        },
    });
    let leases = here("leases", "");
    let lease = mesh
        .objects
        .add(leases.trim_end_matches('/'), &lease)
        .await?;
    let told = mesh.check(&[]).await?;
    let why = ["shop/deployment/web its rollout has failed: 1 of 2"];
    told.warns("ferrule-restarts", &why)?;
    ensure!(!told.json.to_string().contains("deployment/api"));
    told.succeeds("ferrule-write-leases")?;
    lease.mend().await?;
    spoilt.mend().await
}
