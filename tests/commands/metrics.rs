//! Metrics of pods by way of the API server, and the bundle, which has no secrets in it.

use crate::shell::{APPLY, Shell};
use anyhow::{Context as _, Result, ensure};
use axum::{Router, routing::get};
use ferrule_test_cluster::{Cluster, Options, eventually};
use ferrule_tests::TestAuthority;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Read as _,
    net::{IpAddr, UdpSocket},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

const METRICS: &str = "# TYPE up gauge\nup{authority=\"web.shop:80\",token=\"eyJh.eyJi.c2ln\"} 1\n";

/// An address of this machine that Kubernetes takes for one of a pod.
fn host() -> Result<IpAddr> {
    // Nothing is sent: the system chooses from where it would be.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}

/// A pod that serves metrics at a port of this machine; without an address nobody can reach
/// it.
async fn pod(shell: &Shell, name: &str, container: &Value, ip: Option<IpAddr>) -> Result<()> {
    let (namespace, name) = name.split_once('/').context("a namespace")?;
    let labels = json!({
        "app": name, "linkerd.io/control-plane-component": if namespace == "linkerd" { "destination" } else { "" },
    });
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"serviceAccountName": "default", "containers": [container]},
    });
    // The namespace of the control plane holds its pods to the strictest profile.
    pod["spec"]["securityContext"] =
        json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    pod["spec"]["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    // A controller makes it, a moment after the namespace.
    eventually("the account of the pod", async || {
        let account = ["serviceaccount/default", "-n", namespace];
        Ok((!shell.get(&account).await?.is_null()).then_some(()))
    })
    .await?;
    shell.kubectl(APPLY, &pod.to_string()).await?;
    let Some(ip) = ip else { return Ok(()) };
    let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}});
    let (namespace, status) = (format!("-n={namespace}"), status.to_string());
    let patch = [
        "patch",
        "pod",
        name,
        &namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status,
    ];
    shell.kubectl(&patch, "").await.map(drop)
}

fn files(archive: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.display().to_string();
        let (folder, name) = path.split_once('/').context("a folder")?;
        ensure!(folder.starts_with("ferrule-bundle-"), "{folder}");
        let name = name.to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        files.insert(name, text);
    }
    Ok(files)
}

#[tokio::test]
async fn metrics_and_a_bundle_without_secrets_come_by_the_api_server() -> Result<()> {
    let shell = Shell::new(Cluster::start(Options::default()).await?).await?;
    let folder = TempDir::new()?;
    let authority = TestAuthority::new()?;
    let write = |name: &str, text: String| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(format!("--identity-{name}-file={}", path.display()))
    };
    let certificates = [
        write("trust-anchors", authority.anchors_pem())?,
        write("issuer-certificate", authority.issuer_pem())?,
        write("issuer-key", authority.issuer_key_pem())?,
    ];
    shell.pipe(&["install", "--crds"], APPLY).await?;
    let install: Vec<_> = certificates.iter().map(String::as_str).collect();
    shell
        .pipe(&[&["install"], &install[..]].concat(), APPLY)
        .await?;
    shell.kubectl(&["create", "namespace", "shop"], "").await?;

    let listener = TcpListener::bind("0.0.0.0:0").await?;
    let port = listener.local_addr()?.port();
    let router = Router::new().route("/metrics", get(|| async { METRICS }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let proxy = json!({
        "name": "linkerd-proxy", "image": "proxy",
        "ports": [{"name": "linkerd-admin", "containerPort": port}],
    });
    let destination = json!({
        "name": "destination", "image": "ferrule",
        "ports": [{"name": "grpc", "containerPort": 1}, {"name": "dest-admin", "containerPort": port}],
        "env": [{"name": "SOME_PASSWORD", "value": "hunter2"}],
    });
    pod(&shell, "shop/web", &proxy, Some(host()?)).await?;
    pod(&shell, "shop/away", &proxy, None).await?;
    pod(&shell, "linkerd/destination-0", &destination, Some(host()?)).await?;

    let args = ["diagnostics", "proxy-metrics", "web", "-n=shop"];
    let told = shell.told(&args).await?;
    ensure!(
        told == format!("#\n# POD shop/web, container linkerd-proxy (1 of 1)\n#\n{METRICS}"),
        "{told}"
    );
    let hidden = shell.told(&[&args[..], &["--obfuscate"]].concat()).await?;
    ensure!(
        hidden.contains("up{authority=\"") && !hidden.contains("web.shop:80"),
        "{hidden}"
    );
    let addr = format!("--api-addr=127.0.0.1:{port}");
    let alone = shell.told(&["diagnostics", "proxy-metrics", &addr]).await?;
    ensure!(alone == METRICS, "{alone}");
    let refused = shell
        .refused(&["diagnostics", "proxy-metrics", "away", "-n=shop", "-w=5s"])
        .await?;
    ensure!(
        refused.contains("shop/away, container linkerd-proxy: "),
        "{refused}"
    );
    let refused = shell
        .refused(&[
            "diagnostics",
            "proxy-metrics",
            "destination-0",
            "-n=linkerd",
        ])
        .await?;
    ensure!(refused.contains("ferrule why-not-injected"), "{refused}");
    let told = shell.told(&["dg", "cp-metrics"]).await?;
    ensure!(
        told.contains("# POD linkerd/destination-0, container destination ("),
        "{told}"
    );

    let path = folder.path().join("bundle.tar.gz");
    let output = format!("-o={}", path.display());
    let told = shell.ferrule(&["diagnostics", "bundle", &output]).await?;
    ensure!(
        told.code == Some(0) && told.stderr.contains("gathering logs"),
        "{told:?}"
    );
    let files = files(&std::fs::read(&path)?)?;
    for (name, text) in [
        ("version.json", "\"kubernetes\""),
        ("check.json", "\"categoryName\": \"linkerd-identity\""),
        ("objects/deployments.apps.yaml", "name: linkerd-destination"),
        ("objects/secrets.yaml", "name: linkerd-identity-issuer"),
        ("objects/configmaps.yaml", "BEGIN CERTIFICATE"),
        ("objects/namespaces.yaml", "name: shop"),
        ("metrics/destination-0.destination.txt", "web.shop:80"),
        // It is on no node, so there is nothing in it.
        ("logs/destination-0.destination.log", ""),
    ] {
        let found = files
            .get(name)
            .with_context(|| format!("{name}: {:?}", files.keys()))?;
        ensure!(found.contains(text), "{name}: {found}");
    }
    let issuer = shell
        .get(&["-n=linkerd", "secret/linkerd-identity-issuer"])
        .await?;
    let key = issuer["data"]["key.pem"].as_str().context("a key")?;
    for (name, text) in &files {
        for secret in [key, "PRIVATE KEY", "hunter2", "eyJh.eyJi"] {
            ensure!(!text.contains(secret), "{name} has {secret}: {text}");
        }
    }
    Ok(())
}
