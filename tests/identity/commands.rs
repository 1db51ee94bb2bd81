//! What people ask and do with `ferrule identity`.

use crate::mesh::Mesh;
use anyhow::{Context as _, Result};
use ferrule_test_cluster::eventually;
use ferrule_tests::{Ferrule, TestAuthority};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use std::process::Command;

#[tokio::test]
async fn status_tells_who_trusts_what_and_rotate_has_another_issuer_made() -> Result<()> {
    let mesh = Mesh::new("commands").await?;
    let identity = mesh.identity(&["--mesh-tls=always"]).await?;
    identity.ready().await?;
    let namespace = mesh.namespace.name();
    let anchors = mesh.anchors().await?;
    let pods: Api<Pod> = Api::namespaced(mesh.client.clone(), namespace);
    let other = TestAuthority::new()?.anchors_pem();
    for (name, pem) in [("web", &anchors), ("laggard", &other)] {
        let pod = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"linkerd.io/control-plane-ns": namespace}},
            "spec": {"containers": [{"name": "linkerd-proxy", "image": "proxy", "env": [
                {"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": pem},
            ]}]},
        }))?;
        pods.create(&PostParams::default(), &pod).await?;
    }
    let kubeconfig = mesh.kubeconfig().to_str().context("UTF-8")?;
    let admin = identity.address_of("admin").await?.to_string();
    let common = ["--kubeconfig", kubeconfig, "-L", namespace];
    let status = ["identity", "status", "--api-addr", &admin];
    let printed = Ferrule::command(&[&status[..], &common].concat()).await?;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let has = |text: &str| assert!(printed.stdout.contains(text), "{}", printed.stdout);
    has("issuer kept by            ferrule");
    has("meshed pods               2");
    has("with another bundle       1");
    has("pod/laggard");

    // What it shows to proxies, by their rules and by those of another mesh.
    let addr = identity.address_of("identity").await?.to_string();
    let name = mesh.name().replacen("default", "linkerd-identity", 1);
    for (pem, code) in [(&anchors, 0), (&other, 1)] {
        let file = mesh.folder.path().join("anchors.pem");
        std::fs::write(&file, pem)?;
        let file = file.to_str().context("UTF-8")?;
        let certificate = ["identity", "certificate", &addr, "--name", &name];
        let printed = [&certificate[..], &["--trust-anchors", file]].concat();
        let printed = Ferrule::command(&printed).await?;
        assert_eq!(printed.code, Some(code), "{printed:?}");
        assert!(
            printed.stdout.contains(&format!("CN={name}")),
            "{printed:?}"
        );
    }

    let before = mesh.issuer("crt.pem").await?;
    let rotate = ["identity", "rotate", "issuer"];
    let printed = Ferrule::command(&[&rotate[..], &common].concat()).await?;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains(" replaces "), "{printed:?}");
    let after = mesh.issuer("crt.pem").await?;
    assert_ne!(before, after);

    let status = [&status[..], &common, &["-o", "json"]].concat();
    let printed = eventually("the process signs with it", async || {
        let printed = Ferrule::command(&status).await?;
        let told: Value = serde_json::from_str(&printed.stdout)?;
        let issuer = &told["certificates"]["issuer"]["chain"][0]["sha256"];
        let annotations = mesh
            .secrets()
            .get_metadata("linkerd-identity-issuer")
            .await?;
        let annotations = annotations.metadata.annotations.unwrap_or_default();
        let wanted = annotations.get("ferrule.io/issuer-sha256");
        Ok((issuer.as_str() == wanted.map(String::as_str)).then_some(told))
    });
    let told = printed.await?;
    let behind = &told["workloadsWithAnotherBundle"];
    assert_eq!(behind[0]["pods"], json!(["laggard"]));
    assert_eq!(behind[0]["lacks"].as_array().map(Vec::len), Some(1));
    assert_eq!(behind[0]["keeps"].as_array().map(Vec::len), Some(1));
    Ok(())
}

/// Somebody else's eyes on what is made and on what is signed with it.
#[tokio::test]
async fn openssl_verifies_what_is_made() -> Result<()> {
    let mesh = Mesh::new("openssl").await?;
    let identity = mesh.identity(&[]).await?;
    identity.ready().await?;
    let anchors = mesh.anchors().await?;
    let proxy = mesh.proxy(&identity, &anchors).await?;
    let file = |name: &str, bytes: &[u8]| -> Result<String> {
        let path = mesh.folder.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path.to_str().context("UTF-8")?.to_owned())
    };
    let roots = file("roots.pem", anchors.as_bytes())?;
    let issuer = file("issuer.pem", mesh.issuer("crt.pem").await?.as_bytes())?;
    let certificate = proxy.certificate().until("there is one", |_| true).await?;
    let leaf = file("leaf.der", &certificate.chain()[0])?;
    for (args, expected) in [
        (
            vec!["verify", "-x509_strict", "-CAfile", &roots, &roots],
            "OK",
        ),
        (
            vec!["verify", "-x509_strict", "-CAfile", &roots, &issuer],
            "OK",
        ),
        (
            vec![
                "verify",
                "-purpose",
                "sslserver",
                "-CAfile",
                &roots,
                "-untrusted",
                &issuer,
                &leaf,
            ],
            "OK",
        ),
        (
            vec!["x509", "-in", &roots, "-noout", "-text"],
            "CA:TRUE, pathlen:1",
        ),
        (
            vec!["x509", "-in", &issuer, "-noout", "-text"],
            "CA:TRUE, pathlen:0",
        ),
        (
            vec!["x509", "-in", &leaf, "-inform", "DER", "-noout", "-text"],
            &mesh.name(),
        ),
    ] {
        let output = Command::new("openssl").args(&args).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(text.contains(expected), "{args:?}: {text}");
    }
    Ok(())
}
