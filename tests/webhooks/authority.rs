use crate::{
    mesh::{CONFIGURATION, CONFIGURATIONS, Mesh, SECRET, Setup},
    objects::{is_injected, pod},
};
use anyhow::{Context as _, ensure};
use ferrule_test_cluster::PATIENCE;
use ferrule_tests::Ferrule;
use k8s_openapi::ByteString;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::TlsConnector;

/// Lives short enough for a test, and long enough for a busy machine: an authority signs
/// for half a minute, and a leaf is renewed almost six seconds before its end.
const SHORT: [&str; 2] = ["--webhook-ca-lifetime=48s", "--webhook-cert-lifetime=16s"];
/// How many authorities must have signed.
const AUTHORITIES: usize = 4;

#[tokio::test]
async fn what_is_removed_by_hand_is_repaired() -> anyhow::Result<()> {
    let mesh = Mesh::start(&[]).await?;
    let setup = &mesh.setup;
    let bundle = setup.bundle().await?.context("there is a bundle")?;
    let path = format!("{CONFIGURATIONS}/{CONFIGURATION}");
    for spoilt in [json!(null), json!("bm9uZQ==")] {
        let changes = json!([{
            "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": spoilt,
        }]);
        let json_patch = "application/json-patch+json";
        let answer =
            crate::objects::ask(setup.client(), "PATCH", &path, json_patch, &changes).await?;
        // An API server does not store what is no certificate.
        if answer.status.is_success() {
            until_bundle(setup, |now| now == Some(&bundle)).await?;
            setup.until_injected().await?;
        }
    }
    // Somebody's whole configuration, applied again without a bundle.
    let addr = mesh.ferrule.address_of("webhooks").await?;
    setup.reregister(&[addr]).await?;
    until_bundle(setup, |now| now == Some(&bundle)).await?;

    // The Secret: what signs is kept in memory.
    setup.objects.delete(SECRET).await?;
    until_secret(setup, |secret| !secret["data"]["ca.crt"].is_null()).await?;
    assert_eq!(setup.bundle().await?, Some(bundle.clone()));
    let spoilt = json!({"data": {"ca.key": null}, "metadata": {"labels": {"a": "b"}}});
    setup.objects.merge(SECRET, &spoilt).await?;
    let secret = until_secret(setup, |secret| !secret["data"]["ca.key"].is_null()).await?;
    assert_eq!(
        secret["metadata"]["labels"]["a"], "b",
        "others' labels stay"
    );
    assert_eq!(setup.bundle().await?, Some(bundle));
    setup.until_injected().await?;

    // Only caBundle is ours.
    let stored = setup.objects.get(&path).await?.stored()?.object;
    let managers = stored["metadata"]["managedFields"].as_array();
    let ours = managers
        .into_iter()
        .flatten()
        .find(|entry| entry["manager"] == "ferrule-webhook-ca")
        .context("applied under a name of its own")?;
    let fields = ours["fieldsV1"]["f:webhooks"].to_string();
    assert!(fields.contains("f:caBundle"), "{fields}");
    assert!(!fields.contains("f:rules"), "{fields}");
    Ok(())
}

#[tokio::test]
async fn renewal_under_load_fails_no_admission_and_survives_the_replica_that_leads()
-> anyhow::Result<()> {
    let setup = Setup::apart().await?;
    let mut first = Some(setup.replica(&SHORT).await?);
    let leads = |scrape: &ferrule_tests::Scrape| {
        scrape.sum("leader", &[("lease", "ferrule-webhook-ca")]) == Some(1.0)
    };
    let replica = first.as_ref().context("it runs")?;
    replica.scraped("the first leads", leads).await?;
    let second = setup.replica(&SHORT).await?;
    let addrs = [
        replica.address_of("webhooks").await?,
        second.address_of("webhooks").await?,
    ];
    setup.register(&addrs).await?;
    setup.until_injected().await?;

    let mut signed = BTreeSet::new();
    let mut reviews = 0_u32;
    let deadline = Instant::now() + PATIENCE * 4;
    while signed.len() < AUTHORITIES {
        let stored = setup.dry_run("canary", &pod("web", &json!({}))).await?;
        let stored = stored
            .stored()
            .with_context(|| format!("after {reviews} reviews and {} authorities", signed.len()))?;
        assert!(is_injected(&stored.object));
        reviews += 1;
        // API servers go on with the connections that they have; this is what one sees
        // that begins another, by the bundle that it has read a moment before.
        let bundle = setup.bundle().await?.context("there is a bundle")?;
        sleep(Duration::from_millis(20)).await;
        for addr in &addrs[usize::from(first.is_none())..] {
            shake_hands(&bundle, *addr).await.with_context(|| {
                let authorities = signed.len();
                format!("{addr} after {reviews} reviews and {authorities} authorities")
            })?;
        }
        if reviews.is_multiple_of(20) {
            let secret = setup.objects.get(SECRET).await?.stored()?.object;
            signed.insert(secret["data"]["ca.crt"].to_string());
        }
        if signed.len() == AUTHORITIES - 2
            && let Some(first) = first.take()
        {
            // It dies while it leads. Its own address is asked no more.
            only(&setup, 1, &first).await?;
            first.kill().await?;
            second.scraped("the second takes over", leads).await?;
        }
        ensure!(
            Instant::now() < deadline,
            "{} authorities in {reviews} reviews",
            signed.len()
        );
    }
    assert!(reviews > 100, "{reviews} are no load");
    for metric in [
        r#"webhook_requests_total{webhook="proxy-injector",outcome="failed"}"#,
        r#"webhook_requests_total{webhook="proxy-injector",outcome="unreadable"}"#,
    ] {
        assert_eq!(second.metric(metric).await?, Some(0.0), "{metric}");
    }
    Ok(())
}

/// Connects as an API server does that trusts this `caBundle` and nobody else.
async fn shake_hands(bundle: &str, addr: SocketAddr) -> anyhow::Result<()> {
    let ByteString(pem) = serde_json::from_value(json!(bundle))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::from(addr.ip());
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream);
    shaken.await.context("the certificate is not trusted")?;
    Ok(())
}

/// Leaves one webhook registered, and waits until the API server knows: the other's replica
/// is asked no more.
async fn only(setup: &Setup, number: usize, other: &Ferrule) -> anyhow::Result<()> {
    let path = format!("{CONFIGURATIONS}/{CONFIGURATION}");
    let removed = 1 - number;
    let remove = json!([{"op": "remove", "path": format!("/webhooks/{removed}")}]);
    let json_patch = "application/json-patch+json";
    crate::objects::ask(setup.client(), "PATCH", &path, json_patch, &remove)
        .await?
        .stored()?;
    let mut unasked = 0;
    let deadline = Instant::now() + PATIENCE;
    while unasked < 5 {
        let before = reviews(other).await?;
        setup.dry_run("canary", &pod("web", &json!({}))).await?;
        unasked = if reviews(other).await? > before {
            0
        } else {
            unasked + 1
        };
        ensure!(Instant::now() < deadline, "it is asked for ever");
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// How often a replica was asked.
async fn reviews(replica: &Ferrule) -> anyhow::Result<f64> {
    let scrape = replica.scrape().await?;
    let asked = scrape.sum("webhook_requests_total", &[("webhook", "proxy-injector")]);
    asked.context("a count")
}

async fn until_bundle(
    setup: &Setup,
    wanted: impl Fn(Option<&String>) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(setup.bundle().await?.as_ref()) {
        ensure!(Instant::now() < deadline, "caBundle is not repaired");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn until_secret(setup: &Setup, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let secret = setup.objects.get(SECRET).await?.object;
        if wanted(&secret) {
            return Ok(secret);
        }
        ensure!(Instant::now() < deadline, "the Secret is not repaired");
        sleep(Duration::from_millis(50)).await;
    }
}
