//! What is printed without a cluster: of the charts, of values and of manifests.

use crate::shell::alone;
use anyhow::{Context as _, Result, ensure};
use ferrule_tests::{Printed, TestAuthority};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// Files of an authority, as flags.
pub(crate) fn files(folder: &Path, name: &str, authority: &TestAuthority) -> Result<[String; 3]> {
    let write = |flag: &str, text: String| -> Result<String> {
        let path = folder.join(format!("{name}-{flag}"));
        std::fs::write(&path, text)?;
        Ok(format!("--identity-{flag}-file={}", path.display()))
    };
    Ok([
        write("trust-anchors", authority.anchors_pem())?,
        write("issuer-certificate", authority.issuer_pem())?,
        write("issuer-key", authority.issuer_key_pem())?,
    ])
}

/// The objects that a command prints.
async fn objects(args: &[&str]) -> Result<Vec<Value>> {
    let args = [args, &["-o", "json"]].concat();
    let printed = alone(&args, "").await?;
    ensure!(printed.code == Some(0), "{args:?}: {printed:?}");
    let list: Value = serde_json::from_str(&printed.stdout)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

fn find<'o>(objects: &'o [Value], kind: &str, name: &str) -> Result<&'o Value> {
    let mut all = objects.iter();
    let found = all.find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.with_context(|| format!("there is no {kind} {name}"))
}

/// The values that the control plane is to read.
fn values(objects: &[Value]) -> Result<Value> {
    let config = find(objects, "ConfigMap", "linkerd-config")?;
    let text = config["data"]["values"].as_str().context("values")?;
    Ok(serde_yaml::from_str(text)?)
}

/// Nothing is printed, and every text is in what is said.
fn is_refused(printed: &Printed, texts: &[&str]) -> Result<()> {
    ensure!(
        printed.code == Some(1) && printed.stdout.is_empty(),
        "{printed:?}"
    );
    for text in texts {
        ensure!(printed.stderr.contains(text), "{text}: {printed:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_cluster_manifests_are_the_charts() -> Result<()> {
    let items = objects(&["install", "--ignore-cluster", "--ha"]).await?;
    ensure!(items[0]["kind"] == "Namespace", "{}", items[0]);
    let replicas = items.iter().find(|item| item["kind"] == "Deployment");
    ensure!(replicas.is_some_and(|one| one["spec"]["replicas"] == 3));
    let items = objects(&["install", "--crds", "--ignore-cluster"]).await?;
    let definitions = items.iter();
    let definitions = definitions.filter(|one| one["kind"] == "CustomResourceDefinition");
    ensure!(definitions.count() == 10);
    Ok(())
}

#[tokio::test]
async fn settings_of_proxies_are_flags_and_helms_own_flags_win() -> Result<()> {
    let args = [
        "install",
        "--ignore-cluster",
        "--admin-port=5191",
        "--skip-outbound-ports=25,9000-9100",
        "--proxy-cpu=1500m",
        "--proxy-gid=3000",
        "--default-inbound-policy=deny",
        "--registry=registry.test/mesh",
        "--proxy-log-level=debug",
        "--set=proxy.logLevel=trace",
    ];
    let values = values(&objects(&args).await?)?;
    for (path, expected) in [
        ("/proxy/ports/admin", json!(5191)),
        ("/proxyInit/ignoreOutboundPorts", json!("25,9000-9100")),
        ("/proxy/resources/cpu/request", json!("1500m")),
        ("/proxy/runtime/workers/minimum", json!(2)),
        ("/proxy/gid", json!(3000)),
        ("/proxy/defaultInboundPolicy", json!("deny")),
        ("/proxy/image/name", json!("registry.test/mesh/proxy")),
        (
            "/debugContainer/image/name",
            json!("registry.test/mesh/debug"),
        ),
        ("/proxy/logLevel", json!("trace")),
    ] {
        ensure!(values.pointer(path) == Some(&expected), "{path}: {values}");
    }
    Ok(())
}

#[tokio::test]
async fn what_has_no_meaning_here_is_accepted_and_told() -> Result<()> {
    let install = ["install", "--ignore-cluster"];
    let plain = alone(&install, "").await?;
    let ignored = ["--disable-heartbeat", "--enable-endpoint-slices=false"];
    let told = alone(&[&install[..], &ignored].concat(), "").await?;
    ensure!(plain.stdout == told.stdout && told.code == Some(0));
    for flag in ["--disable-heartbeat", "--enable-endpoint-slices"] {
        ensure!(told.stderr.contains(&format!("note: {flag} ")), "{told:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_would_not_start_is_refused_before_anything_is_printed() -> Result<()> {
    for (flag, texts) in [
        (
            "--controller-log-level=loud",
            ["--controller-log-level", "is no level"],
        ),
        (
            "--proxy-memory-limit=lots",
            ["--proxy-memory-limit", "a quantity"],
        ),
        ("--inbound-port=http", ["--inbound-port", "invalid digit"]),
        (
            "--default-inbound-policy=none",
            ["--default-inbound-policy", "audit"],
        ),
        (
            "--set=controllerLogLevel=loud",
            ["controllerLogLevel", "is no level"],
        ),
        (
            "--set=proxy.logLevel=debgu",
            ["proxy.logLevel", "is no level"],
        ),
        (
            "--set=clusterDomain=cluster..local",
            ["clusterDomain", "DNS name"],
        ),
        (
            "--set=identityTrustDomain=Corp",
            ["identityTrustDomain", "DNS name"],
        ),
        (
            "--set=proxy.outboundConnectTimeout=1m30s",
            ["proxy.outboundConnectTimeout", "90s"],
        ),
        ("--set=leaseDuration=1s", ["leaseDuration", "at least 3s"]),
        (
            "--set=proxyInit.skipSubnets=10.0.0.0",
            ["proxyInit.skipSubnets", "10.0.0.0/8"],
        ),
        (
            "--set=clusterNetworks=10.0.0.0",
            ["clusterNetworks", "10.0.0.0/8"],
        ),
        (
            "--set=policyController.probeNetworks={here}",
            ["policyController.probeNetworks", "here"],
        ),
        (
            "--set=identityResources.cpu.limit=fast",
            ["identityResources.cpu.limit", "a quantity"],
        ),
        ("--set=proxy.ports.admin=4190", ["proxy.ports", "both 4190"]),
        (
            "--set=proxy.defaultInboundPolicy=none",
            ["defaultInboundPolicy", "audit"],
        ),
        (
            "--set=destinationController.additionalArgs={--max-stream=5}",
            ["Deployment linkerd-destination", "--max-stream"],
        ),
        (
            "--set=identity.additionalArgs={--log-level=debug}",
            ["Deployment linkerd-identity", "multiple times"],
        ),
        // These two are the chart's own.
        (
            "--set-json=proxy.resources.cpu={\"limit\":\"1\",\"request\":\"2\"}",
            ["proxy.resources.cpu.limit", "less than the request"],
        ),
        (
            "--set=proxyInit.iptablesMode=other",
            ["iptablesMode", "nft"],
        ),
    ] {
        let printed = alone(&["install", "--ignore-cluster", flag], "").await?;
        is_refused(&printed, &texts).context(flag)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_upgrade_from_manifests_keeps_what_was_installed_and_asks_nobody() -> Result<()> {
    let folder = TempDir::new()?;
    let (authority, other) = (TestAuthority::new()?, TestAuthority::new()?);
    let certificates = files(folder.path(), "first", &authority)?;
    let certificates: Vec<_> = certificates.iter().map(String::as_str).collect();
    let settings = ["install", "--ignore-cluster", "--controller-replicas=2"];
    let install = [&settings[..], &["--proxy-log-level=debug"], &certificates].concat();
    let installed = alone(&install, "").await?;
    ensure!(installed.code == Some(0), "{installed:?}");
    let path = folder.path().join("installed.yaml");
    std::fs::write(&path, &installed.stdout)?;
    let from = format!("--from-manifests={}", path.display());

    // What was said to install is kept, keys too; and once more it is the same.
    let upgraded = alone(&["upgrade", &from], "").await?;
    ensure!(upgraded.code == Some(0), "{upgraded:?}");
    let again = alone(&["upgrade", "--from-manifests=-"], &upgraded.stdout).await?;
    ensure!(upgraded.stdout == again.stdout, "{again:?}");
    let before = objects(&install).await?;
    let after = objects(&["upgrade", &from, "--admin-port=5191"]).await?;
    let issuer = |objects: &[Value]| -> Result<Value> {
        Ok(find(objects, "Secret", "linkerd-identity-issuer")?["data"].clone())
    };
    ensure!(issuer(&before)? == issuer(&after)? && !issuer(&after)?.is_null());
    let values = values(&after)?;
    ensure!(values["controllerReplicas"] == 2 && values["proxy"]["logLevel"] == "debug");
    ensure!(values["proxy"]["ports"]["admin"] == 5191, "{values}");

    // From standard input, in the form that kubectl prints.
    let list = json!({"apiVersion": "v1", "kind": "List", "items": before}).to_string();
    let piped = alone(&["upgrade", "--from-manifests=-"], &list).await?;
    ensure!(piped.stdout == upgraded.stdout, "{piped:?}");
    let both = alone(&["upgrade", "--from-manifests=-", "--values=-"], &list).await?;
    is_refused(&both, &["--from-manifests", "--values"])?;

    // What cannot go on is refused as in a cluster.
    let wrong = files(folder.path(), "other", &other)?;
    let refused = alone(&["upgrade", &from, "--identity-external-issuer"], "").await?;
    is_refused(&refused, &["given by values", "--force"])?;
    let mut mixed = certificates.clone();
    mixed[2] = &wrong[2];
    let refused = alone(&[&["upgrade", &from], &mixed[..]].concat(), "").await?;
    is_refused(&refused, &["do not match"])?;
    let nothing = alone(&["upgrade", &from, "-L=elsewhere"], "").await?;
    is_refused(&nothing, &["installed.yaml", "namespace elsewhere", "-L"])?;
    let definitions = alone(&["upgrade", "--crds", &from], "").await?;
    ensure!(definitions.code == Some(0) && definitions.stdout.contains("servers.policy"));
    Ok(())
}
