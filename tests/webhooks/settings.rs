use crate::{
    mesh::{Mesh, certificate},
    objects::{is_injected, pod},
};
use anyhow::ensure;
use ferrule_test_cluster::PATIENCE;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const HASH: &str = "linkerd.io/trust-root-sha256";

#[tokio::test]
async fn s123_the_next_pod_has_new_anchors_and_values_and_spoilt_ones_change_nothing()
-> anyhow::Result<()> {
    let mesh = Mesh::start(&[]).await?;
    let (setup, ferrule) = (&mesh.setup, &mesh.ferrule);
    let hash = async || -> anyhow::Result<Value> {
        let pod = setup.dry_run("canary", &pod("web", &json!({}))).await?;
        Ok(pod.stored()?.object["metadata"]["annotations"][HASH].clone())
    };
    let before = hash().await?;
    setup.write("anchors.pem", &(certificate()? + &certificate()?))?;
    let deadline = Instant::now() + PATIENCE;
    while hash().await? == before {
        ensure!(Instant::now() < deadline, "the old anchors are still told");
        sleep(Duration::from_millis(50)).await;
    }
    let good = hash().await?;
    // Anchors that proxies could not read, and values that are no YAML.
    for (file, text) in [("anchors.pem", "none"), ("values", "{")] {
        let bad = setup.files.path().join(file);
        let kept = std::fs::read_to_string(&bad)?;
        setup.write(file, text)?;
        let is_bad = |bad| {
            move |scrape: &ferrule_tests::Scrape| {
                scrape.sum("injector_settings_bad", &[]) == Some(bad)
            }
        };
        ferrule.scraped("bad", is_bad(1.0)).await?;
        ferrule.logged("last good settings stay in use").await?;
        assert_eq!(hash().await?, good);
        assert!(ferrule.is_ready().await?);
        setup.write(file, &kept)?;
        ferrule.scraped("good", is_bad(0.0)).await?;
    }
    setup.write("values", "proxy: {image: {version: v9}}")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stored = setup.dry_run("canary", &pod("web", &json!({}))).await?;
        let stored = stored.stored()?.object;
        assert!(is_injected(&stored));
        if stored["metadata"]["annotations"]["linkerd.io/proxy-version"] == "v9" {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the old values are still in force"
        );
        sleep(Duration::from_millis(50)).await;
    }
}
