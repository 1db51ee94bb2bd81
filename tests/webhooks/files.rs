use crate::mesh::Setup;
use anyhow::ensure;
use ferrule_test_cluster::PATIENCE;
use ferrule_tests::certify_webhooks;
use rcgen::KeyPair;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Writes a certificate that somebody else made, and who signed it, as cert-manager does.
fn certify(setup: &Setup) -> anyhow::Result<()> {
    let authority = certify_webhooks(setup.files.path())?;
    setup.write("ca.crt", &String::from_utf8(authority)?)
}

#[tokio::test]
async fn a_wrong_external_certificate_is_reported_and_the_last_good_one_used() -> anyhow::Result<()>
{
    let setup = Setup::new().await?;
    certify(&setup)?;
    let directory = format!("--webhook-tls-dir={}", setup.files.path().display());
    let bundle = setup.files.path().join("ca.crt");
    let bundle = format!("--webhook-ca-bundle={}", bundle.display());

    // caBundle is somebody else's, unless it is asked for.
    let replica = setup.replica(&[&directory]).await?;
    replica.ready().await?;
    setup
        .register(&[replica.address_of("webhooks").await?])
        .await?;
    replica
        .scraped("leads nothing", |scrape| {
            scrape.sum("leader", &[]).is_none()
        })
        .await?;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(setup.bundle().await?, None);
    replica.kill().await?;

    let ferrule = setup.replica(&[&directory, &bundle]).await?;
    setup
        .reregister(&[ferrule.address_of("webhooks").await?])
        .await?;
    setup.until_injected().await?;
    assert!(ferrule.is_ready().await?);

    let good = std::fs::read_to_string(setup.files.path().join("tls.key"))?;
    setup.write("tls.key", &KeyPair::generate()?.serialize_pem())?;
    ferrule
        .logged("the last good certificate of the webhooks stays in use")
        .await?;
    assert_eq!(ferrule.metric("webhook_cert_files_bad").await?, Some(1.0));
    assert!(ferrule.is_ready().await?);
    setup.until_injected().await?;
    setup.write("tls.key", &good)?;

    // Renewed under another authority: certificate and bundle follow.
    let before = setup.bundle().await?;
    certify(&setup)?;
    let deadline = Instant::now() + PATIENCE;
    while setup.bundle().await? == before {
        ensure!(Instant::now() < deadline, "the bundle is still the old one");
        sleep(Duration::from_millis(100)).await;
    }
    setup.until_injected().await?;
    let secret = setup.objects.get(crate::mesh::SECRET).await?;
    assert_eq!(secret.object["reason"], json!("NotFound"), "none is made");
    Ok(())
}
