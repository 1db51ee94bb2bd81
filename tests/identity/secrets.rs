//! Somebody else keeps the Secret and the ConfigMap, as cert-manager and
//! trust-manager do.

use crate::mesh::{ANCHOR, ISSUER, Mesh, ROOTS, Traffic};
use anyhow::Result;
use ferrule_test_cluster::eventually;
use ferrule_tests::TestAuthority;
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::Duration;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

const SCHEME: &str = "--identity-scheme=kubernetes.io/tls";

/// What cert-manager writes.
fn issued(authority: &TestAuthority) -> Value {
    json!({
        "metadata": {
            "name": ISSUER,
            "annotations": {"cert-manager.io/certificate-name": ISSUER},
        },
        "type": "kubernetes.io/tls",
        "stringData": {
            "tls.crt": authority.issuer_pem(),
            "tls.key": authority.issuer_key_pem(),
            "ca.crt": authority.anchors_pem(),
        },
    })
}

#[tokio::test]
async fn a_secret_that_cert_manager_keeps_is_followed_and_never_written() -> Result<()> {
    let mesh = Mesh::new("byo").await?;
    let (one, two) = tokio::try_join!(mesh.identity(&[SCHEME]), mesh.identity(&[SCHEME]))?;
    // The bundle comes first: nothing is made beside it.
    let authority = TestAuthority::new()?;
    let bundle = json!({
        "metadata": {"name": ROOTS, "labels": {"trust.cert-manager.io/bundle": ROOTS}},
        "data": {"ca-bundle.crt": authority.anchors_pem()},
    });
    let (params, bundle) = (PostParams::default(), serde_json::from_value(bundle)?);
    mesh.config_maps().create(&params, &bundle).await?;
    one.logged("there is no such Secret").await?;
    assert!(!one.is_ready().await? && !two.is_ready().await?);
    let secrets = mesh.secrets();
    let secret = serde_json::from_value(issued(&authority))?;
    secrets.create(&params, &secret).await?;
    tokio::try_join!(one.ready(), two.ready())?;
    let anchors = authority.anchors_pem();
    let proxies = [
        mesh.proxy(&one, &anchors).await?,
        mesh.proxy(&two, &anchors).await?,
    ];
    let traffic = Traffic::begin(proxies.into());

    let authority = authority.with_another_issuer(YEAR)?;
    let params = PatchParams::default();
    let patch = Patch::Merge(issued(&authority));
    secrets.patch(ISSUER, &params, &patch).await?;
    traffic.is_under(&authority.issuer_pem()).await?;
    mesh.event("IssuerUpdated").await?;

    // Garbage changes nothing, and is said wherever somebody looks.
    let garbage = json!({"stringData": {"tls.crt": "garbage"}});
    let garbage = secrets
        .patch(ISSUER, &params, &Patch::Merge(garbage))
        .await?;
    mesh.event("IssuerUpdateSkipped").await?;
    for replica in [&one, &two] {
        replica
            .scraped("it is counted", |scrape| {
                scrape.to_string().contains("issuer_files_bad 1")
            })
            .await?;
        assert!(replica.is_ready().await?);
        let notes = replica.json("/debug/state").await?["notes"].to_string();
        assert!(notes.contains("no certificates found"), "{notes}");
    }
    let found = secrets.get(ISSUER).await?;
    assert_eq!(found.resource_version(), garbage.resource_version());
    assert!(secrets.get_opt(ANCHOR).await?.is_none());

    // The next good one is taken.
    let authority = authority.with_another_issuer(YEAR)?;
    let patch = Patch::Merge(issued(&authority));
    secrets.patch(ISSUER, &params, &patch).await?;
    traffic.is_under(&authority.issuer_pem()).await?;
    traffic.end().await?;

    // Each change was told once, by two replicas.
    let events: Api<Event> = Api::namespaced(mesh.client.clone(), mesh.namespace.name());
    eventually("two Events", async || {
        let params = ListParams::default().fields("reason=IssuerUpdated");
        let count = events.list(&params).await?.items.len();
        assert!(count <= 2, "{count} Events for two changes");
        Ok((count == 2).then_some(()))
    })
    .await?;
    Ok(())
}
