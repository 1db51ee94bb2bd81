//! Where somebody else makes the trust anchors and the issuer and calls them otherwise, every
//! command finds them.

use crate::shell::{APPLY, Shell};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::TestAuthority;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

const NAMES: &str = "--set=identity.externalCA=true,identity.trustRootsConfigMapName=my-roots,\
                     identity.issuer.scheme=kubernetes.io/tls,identity.issuer.secretName=my-issuer";
/// Nobody listens there: what the API server has is told all the same.
const NOBODY: &str = "--api-addr=127.0.0.1:1";

fn config_map(anchors: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "my-roots", "namespace": "linkerd"},
        "data": {"ca-bundle.crt": anchors},
    })
}

fn secret(authority: &TestAuthority) -> Value {
    let part = |pem: String| ByteString(pem.into_bytes());
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "my-issuer", "namespace": "linkerd"},
        "data": {
            "tls.crt": part(authority.issuer_pem()), "tls.key": part(authority.issuer_key_pem()),
        },
    })
}

/// A pod whose proxy trusts these anchors.
fn meshed(anchors: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "namespace": "shop",
            "labels": {"linkerd.io/control-plane-ns": "linkerd"},
        },
        "spec": {"containers": [{
            "name": "linkerd-proxy", "image": "proxy",
            "env": [{"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": anchors}],
        }]},
    })
}

fn unmeshed() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": "shop"},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    })
}

#[tokio::test]
async fn certificates_that_are_called_otherwise_are_found_by_every_command() -> Result<()> {
    let shell = Shell::new(Cluster::start(Options::default()).await?).await?;
    shell.pipe(&["install", "--crds"], APPLY).await?;
    shell.pipe(&["install", NAMES], APPLY).await?;
    let shop = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "annotations": {"linkerd.io/inject": "enabled"}},
    });
    shell.kubectl(APPLY, &shop.to_string()).await?;
    let account = ["get", "serviceaccount", "-n=shop", "default"];
    while shell.kubectl(&account, "").await.is_err() {}
    shell.kubectl(APPLY, &unmeshed().to_string()).await?;

    // Before they are there, they are missed by the names that they are to have.
    let status = shell.ferrule(&["identity", "status", NOBODY]).await?;
    let missed = "ConfigMap linkerd/my-roots has no ca-bundle.crt";
    ensure!(status.stderr.contains(missed), "{status:?}");
    let why = ["why-not-injected", "bare", "-n=shop"];
    let told = shell.told(&why).await?;
    ensure!(told.contains("ConfigMap my-roots is missing"), "{told}");

    let (authority, other) = (TestAuthority::new()?, TestAuthority::new()?);
    let (anchors, others) = (authority.anchors_pem(), other.anchors_pem());
    let pod = meshed(&others);
    for object in [config_map(&anchors), secret(&authority), pod] {
        shell.kubectl(APPLY, &object.to_string()).await?;
    }
    let status = ["identity", "status", "-o=json", NOBODY];
    let printed = shell.ferrule(&status).await?;
    let told: Value = serde_json::from_str(&printed.stdout)?;
    ensure!(!printed.stderr.contains("warning"), "{printed:?}");
    ensure!(told["issuerKeptBy"] == "not Ferrule", "{told}");
    let behind = &told["workloadsWithAnotherBundle"];
    ensure!(behind[0]["owner"] == "pod/web", "{told}");
    let told = shell.told(&why).await?;
    ensure!(!told.contains("nothing for a proxy to trust"), "{told}");

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pod.yaml");
    std::fs::write(&file, unmeshed().to_string())?;
    let file = file.to_str().context("UTF-8")?;
    let injected = shell.told(&["inject", "--manual", "-o=json", file]).await?;
    let line = anchors.lines().nth(1).context("a line")?;
    ensure!(injected.contains(line), "{injected}");

    let refused = shell.refused(&["identity", "rotate", "issuer"]).await?;
    let kept = "the issuer in Secret linkerd/my-issuer is not kept by Ferrule";
    ensure!(refused.contains(kept), "{refused}");
    let upgraded = shell.told(&["upgrade"]).await?;
    ensure!(upgraded.contains("my-roots") && upgraded.contains("my-issuer"));

    let check = ["check", "-o=json", "--wait=0s"];
    let told: Value = serde_json::from_str(&shell.ferrule(&check).await?.stdout)?;
    let checks = told["categories"].as_array().context("categories")?.iter();
    let checks: Vec<_> = checks
        .flat_map(|of| of["checks"].as_array().into_iter().flatten())
        .collect();
    for id in [
        "l5d-identity-trust-roots-valid",
        "l5d-identity-cert-config-valid",
        "l5d-identity-issuer-cert-issued-by-trust-anchor",
    ] {
        let mut found = checks.iter().filter(|check| check["id"] == id);
        let result = found.next().map(|check| &check["result"]);
        ensure!(result == Some(&json!("success")), "{id}: {told:#}");
    }
    Ok(())
}
