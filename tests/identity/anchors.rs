//! The trust anchor that Ferrule keeps is replaced by hand, as docs/certificates.md says.

use crate::mesh::{ANCHOR, Mesh, ROOTS, Traffic};
use anyhow::{Context as _, Result};
use ferrule_test_cluster::eventually;
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

/// Another trust anchor: certificate and key, PEM.
fn another() -> Result<[String; 2]> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "root.example.org");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok([params.self_signed(&key)?.pem(), key.serialize_pem()])
}

async fn patch_anchor(mesh: &Mesh, patch: Value) -> Result<()> {
    let params = PatchParams::default();
    let patch = Patch::Merge(patch);
    mesh.secrets().patch(ANCHOR, &params, &patch).await?;
    Ok(())
}

/// How many anchors are published, once it is so many.
async fn published(mesh: &Mesh, count: usize) -> Result<String> {
    let found = eventually("so many anchors", async || {
        let bundle = mesh.anchors().await?;
        Ok((bundle.matches("-----BEGIN").count() == count).then_some(bundle))
    });
    found.await
}

#[tokio::test]
async fn the_kept_anchor_is_replaced_in_the_documented_order_while_proxies_talk() -> Result<()> {
    let mesh = Mesh::new("anchors").await?;
    let identity = mesh.identity(&[]).await?;
    identity.ready().await?;
    let old = mesh.anchors().await?;
    let start = async |anchors: &str| mesh.proxy(&identity, anchors).await;
    let traffic = Traffic::begin(vec![start(&old).await?, start(&old).await?]);

    // 1 and 2: the next one is published, and everybody restarts.
    let [certificate, key] = another()?;
    patch_anchor(&mesh, json!({"stringData": {"next.crt": certificate}})).await?;
    let both = published(&mesh, 2).await?;
    traffic.meets(&start(&both).await?).await?;
    traffic.end().await?;
    let traffic = Traffic::begin(vec![start(&both).await?, start(&both).await?]);

    // 3 and 4: it signs, and the leaves follow.
    let before = mesh.issuer("crt.pem").await?;
    patch_anchor(
        &mesh,
        json!({
            "stringData": {"current.crt": certificate, "current.key": key, "previous.crt": old},
            "data": {"next.crt": null},
        }),
    )
    .await?;
    mesh.ask_for_another_issuer().await?;
    let after = eventually("an issuer under it", async || {
        let issuer = mesh.issuer("crt.pem").await?;
        Ok((issuer != before).then_some(issuer))
    });
    traffic.is_under(&after.await?).await?;
    assert_eq!(published(&mesh, 2).await?, both);

    // 5: the old one goes, and everybody restarts.
    patch_anchor(&mesh, json!({"data": {"previous.crt": null}})).await?;
    let only = json!({"data": {"ca-bundle.crt": certificate}});
    let params = PatchParams::default();
    let bundles = mesh.config_maps();
    bundles.patch(ROOTS, &params, &Patch::Merge(only)).await?;
    let alone = start(&certificate).await?;
    traffic.meets(&alone).await?;
    identity
        .scraped("one anchor in force", |scrape| {
            let text = scrape.to_string();
            let series = "identity_trust_anchor_expiry_timestamp_seconds{";
            text.lines().filter(|line| line.starts_with(series)).count() == 1
        })
        .await?;
    traffic.meets(&start(&certificate).await?).await?;
    traffic.end().await?;
    assert_eq!(published(&mesh, 1).await?, certificate, "it stays away");
    assert_eq!(identity.metric("issuer_upkeep_stuck").await?, Some(0.0));
    Ok(())
}

#[tokio::test]
async fn s1_each_certificate_is_told_of_at_its_service_account_if_that_is_wanted() -> Result<()> {
    let mesh = Mesh::new("told").await?;
    let identity = mesh.identity(&["--identity-event-policy=all"]).await?;
    identity.ready().await?;
    let anchors = mesh.anchors().await?;
    let proxy = mesh.proxy(&identity, &anchors).await?;
    let events: Api<Event> = Api::namespaced(mesh.client.clone(), mesh.namespace.name());
    let fields = "reason=IssuedLeafCertificate,involvedObject.kind=ServiceAccount";
    let params = ListParams::default().fields(&format!("{fields},involvedObject.name=default"));
    let told = eventually("an Event", async || {
        Ok(events.list(&params).await?.items.into_iter().next())
    });
    let told = told.await?;
    let text = told.message.context("a message")?;
    let issued = format!("issued certificate for {} until ", mesh.name());
    assert!(text.starts_with(&issued), "{text}");
    assert_eq!(told.type_.as_deref(), Some("Normal"));
    drop(proxy);
    Ok(())
}
