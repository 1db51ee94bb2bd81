//! Where certificates are brought, no role has a right to any Secret.

use crate::{
    helm::{apply, ask},
    running::{Instead, Running, until},
};
use anyhow::{Result, ensure};
use ferrule_test_cluster::Binary::Kubectl;
use ferrule_tests::{Scrape, TestAuthority, certify_webhooks};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

#[tokio::test]
async fn the_roles_work_with_certificates_in_files_and_no_right_to_secrets() -> Result<()> {
    let folder = TempDir::new()?;
    let write = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let authority = TestAuthority::new()?;
    let (anchors, issuer) = (authority.anchors_pem(), authority.issuer_pem());
    let webhook = json!({"externalSecret": true, "injectCaFromSecret": "linkerd/ca"});
    let values = json!({
        "identityTrustAnchorsPEM": anchors,
        "identity": {
            "tokenReview": "local", "eventPolicy": "all",
            "issuer": {"tls": {"crtPEM": issuer, "keyPEM": authority.issuer_key_pem()}},
        },
        "proxyInjector": webhook, "policyValidator": webhook,
    });
    let values = write("values.yaml", &values.to_string())?;
    // As kubelets would mount them.
    write("crt.pem", &issuer)?;
    write("key.pem", &authority.issuer_key_pem())?;
    let anchors = write("brought.pem", &anchors)?;
    certify_webhooks(folder.path())?;
    let tls = format!("--webhook-tls-dir={}", folder.path().display());
    let instead = Instead {
        identity: vec![
            format!("--issuer-dir={}", folder.path().display()),
            format!("--trust-anchors={anchors}"),
        ],
        injector: vec![tls.clone()],
        destination: vec![tls],
    };
    let running = Running::start(folder, &["--values", &values], instead).await?;
    replace_too_early(&running, &authority, Path::new(&anchors)).await?;
    // Destination has a certificate, whose token was looked at by the API server's keys.
    let events = "--output=jsonpath={.items[*].reason}";
    until(
        &running.cluster,
        &["events", "--namespace=linkerd", events],
        |reasons| reasons.contains("IssuedLeafCertificate"),
    )
    .await?;
    let (grants, asked) = running.end().await?;
    for grant in grants {
        let right = grant.to_string();
        ensure!(!right.contains("secrets"), "{right}");
        // A token that cannot be decided about is reviewed; here there was none. The
        // injector was asked for nothing.
        let is_used = grant.used(&asked) > 0
            || right.contains("tokenreviews")
            || !right.contains("| linkerd-identity |");
        ensure!(is_used, "this right is for nothing: {right}");
    }
    Ok(())
}

/// Another issuer comes before a workload trusts it, and signs when somebody says so.
async fn replace_too_early(running: &Running, old: &TestAuthority, anchors: &Path) -> Result<()> {
    let alone = old.anchors_pem();
    let laggard = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "laggard", "namespace": "default",
            "labels": {"linkerd.io/control-plane-ns": "linkerd"},
        },
        "spec": {"containers": [{"name": "linkerd-proxy", "image": "proxy", "env": [
            {"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": alone},
        ]}]},
    });
    apply(&running.cluster, &[laggard]).await?;
    let new = TestAuthority::new()?;
    let folder = running.folder.path();
    std::fs::write(folder.join("crt.pem"), new.issuer_pem())?;
    std::fs::write(folder.join("key.pem"), new.issuer_key_pem())?;
    std::fs::write(anchors, format!("{alone}{}", new.anchors_pem()))?;
    let held = |value| move |scrape: &Scrape| scrape.sum("issuer_held_back", &[]) == Some(value);
    running.identity.scraped("it waits", held(1.0)).await?;
    let state = running.identity.json("/debug/identity").await?;
    let sha256 = state["issuer"]["heldBack"]["sha256"].as_str();
    let asked = format!("ferrule.io/issuer-override={}", sha256.unwrap_or_default());
    let annotate = [
        "annotate",
        "--namespace=linkerd",
        "deployment/linkerd-identity",
        &asked,
    ];
    ask(&running.cluster, Kubectl, &annotate).await?;
    running.identity.scraped("it signs", held(0.0)).await?;
    Ok(())
}
