//! Where certificates are brought, no role has a right to any Secret.

use crate::running::{Instead, Running, until};
use anyhow::{Result, ensure};
use ferrule_tests::{TestAuthority, certify_webhooks};
use serde_json::json;
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
