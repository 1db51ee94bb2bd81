//! What Helm, and `ferrule check`, make of a release that was Linkerd's.

use super::{
    Admissions, By, Charts, FERRULES, Injector, LINKERDS, NAMESPACE, Snapshot, User, guide,
    lead_to,
    linkerd::{CONTROL_PLANE, CRDS},
    objects::{self, list, only},
    shop,
};
use crate::{
    helm::{CHART, apply, ask, is_helm_3},
    running::{Running, serve_the_webhooks, until},
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster, Options, PATIENCE};
use ferrule_tests::{Ferrule, crds};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const CONFIGURATION: &str = "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config";

async fn helm(cluster: &Cluster, args: &[&str]) -> Result<String> {
    ask(cluster, Helm, &[args, &["--namespace", NAMESPACE]].concat()).await
}

async fn bundle(cluster: &Cluster) -> Result<Vec<String>> {
    let get = [
        "get",
        CONFIGURATION,
        "--output=jsonpath={.webhooks[0].clientConfig.caBundle}",
    ];
    let text = ask(cluster, Kubectl, &get).await?;
    let k8s_openapi::ByteString(pem) = serde_json::from_value(json!(text))?;
    let pem = String::from_utf8(pem)?;
    let blocks = pem.split_inclusive("-----END CERTIFICATE-----");
    let blocks = blocks.map(|block| block.trim().to_owned());
    Ok(blocks.filter(|block| !block.is_empty()).collect())
}

#[tokio::test]
async fn what_would_take_the_trust_anchors_away_is_refused() -> Result<()> {
    let folder = TempDir::new()?;
    let user = User::new(folder.path())?;
    let charts = Charts::new(folder.path()).await?;
    let cluster = Cluster::start(Options::default()).await?;
    charts.install(&cluster, &[&user.values]).await?;
    let upgrade = ["upgrade", CONTROL_PLANE, CHART];
    for (how, told) in [
        (
            "--reset-values",
            "ConfigMap linkerd-identity-trust-roots belongs to the release",
        ),
        ("--reuse-values", "these are the values of another chart"),
    ] {
        let refused = helm(&cluster, &[&upgrade[..], &[how]].concat()).await;
        let error = format!("{:#}", refused.err().context(how)?);
        ensure!(error.contains(told), "{how}: {error}");
    }
    only(&cluster, &LINKERDS, true).await
}

#[tokio::test]
async fn a_release_that_was_linkerds_is_a_good_installation_and_can_be_linkerds_again() -> Result<()>
{
    let folder = TempDir::new()?;
    let user = User::new(folder.path())?;
    let charts = Charts::new(folder.path()).await?;
    let cluster = Cluster::start(Options::default()).await?;
    // As Helm 4 does.
    charts
        .install(
            &cluster,
            &[
                &user.values,
                "--server-side=true",
                "--set=webhookFailurePolicy=Ignore",
            ],
        )
        .await?;
    apply(&cluster, &[shop()]).await?;
    objects::create(&cluster).await?;
    crds::install_gateway_api(&cluster.client()?).await?;
    let first = Snapshot::of(&cluster).await?;
    let linkerds = bundle(&cluster).await?;

    guide::follow(&cluster, "The take-over", &charts).await?;
    ensure!(
        bundle(&cluster).await? == linkerds,
        "what verifies its pods stays"
    );
    let running = Running::on(cluster, folder, user.instead()).await?;
    let cluster = &running.cluster;
    let both = bundle(cluster).await?;
    ensure!(both.len() == 2 && both[1] == linkerds[0], "{both:?}");
    Snapshot::of(cluster).await?.is(&first)?;

    is_well(&running).await?;
    // Another revision leaves what is there; theirs goes when its time has come.
    helm(
        cluster,
        &[
            "upgrade",
            CONTROL_PLANE,
            CHART,
            "--reuse-values",
            "--set=proxyInjector.timeoutSeconds=7",
        ],
    )
    .await?;
    ensure!(bundle(cluster).await? == both);
    let past = [
        "annotate",
        CONFIGURATION,
        "--overwrite",
        "ferrule.io/former-ca-until=2026-01-01T00:00:00Z",
    ];
    ask(cluster, Kubectl, &past).await?;
    let deadline = Instant::now() + PATIENCE;
    while bundle(cluster).await? != both[..1] {
        ensure!(Instant::now() < deadline, "{:?}", bundle(cluster).await?);
        sleep(Duration::from_millis(100)).await;
    }
    // And the next takes what is there then.
    helm(
        cluster,
        &["upgrade", CONTROL_PLANE, CHART, "--reuse-values"],
    )
    .await?;
    ensure!(bundle(cluster).await? == both[..1]);
    let rolled_back = helm(cluster, &["rollback", CONTROL_PLANE]).await;
    ensure!(
        rolled_back.is_ok() == is_helm_3().await?,
        "its caBundle was another's: {rolled_back:?}"
    );
    helm(cluster, &["rollback", CONTROL_PLANE, "--force-conflicts"]).await?;
    let deadline = Instant::now() + PATIENCE;
    while !bundle(cluster).await?.contains(&both[0]) {
        ensure!(Instant::now() < deadline, "{:?}", bundle(cluster).await?);
        sleep(Duration::from_millis(100)).await;
    }

    // What was annotated by hand is nobody's to remove.
    ask(
        cluster,
        Kubectl,
        &["annotate", CONFIGURATION, "ferrule.io/former-ca-until-"],
    )
    .await?;
    guide::follow(cluster, "Going back", &charts).await?;
    Snapshot::of(cluster).await?.is(&first)?;
    only(cluster, &LINKERDS, true).await?;
    only(cluster, &FERRULES, false).await?;
    ensure!(
        !bundle(cluster).await?.contains(&both[0]),
        "Linkerd's is Linkerd's"
    );
    // And once more.
    guide::follow(cluster, "The take-over", &charts).await?;
    Snapshot::of(cluster).await?.is(&first)?;
    // Helm has kept what Linkerd's was.
    helm(cluster, &["rollback", CONTROL_PLANE, "--force-conflicts"]).await?;
    Snapshot::of(cluster).await?.is(&first)?;
    only(cluster, &LINKERDS, true).await?;
    only(cluster, &FERRULES, false).await?;
    // Releases may go; what users have does not.
    helm(cluster, &["uninstall", CONTROL_PLANE]).await?;
    helm(cluster, &["uninstall", CRDS]).await?;
    let servers = list(cluster, "servers.policy.linkerd.io", "shop").await?;
    ensure!(servers.len() == 1);
    Ok(())
}

/// As Linkerd's chart does at each revision; here its pods are still verified.
#[tokio::test]
async fn helm_can_make_the_certificates_of_a_release_that_was_linkerds() -> Result<()> {
    let folder = TempDir::new()?;
    let user = User::new(folder.path())?;
    let charts = Charts::new(folder.path()).await?;
    let cluster = Cluster::start(Options::default()).await?;
    charts.install(&cluster, &[&user.values]).await?;
    apply(&cluster, &[shop()]).await?;
    let linkerd = Injector::start(&cluster).await?;
    lead_to(&cluster, &[linkerd.addr]).await?;
    let admissions = Admissions::begin(&cluster, Duration::ZERO).await?;
    let first = Snapshot::of(&cluster).await?;
    let linkerds = bundle(&cluster).await?;

    let further = ["--reset-then-reuse-values", "--set=webhookTLS.mode=helm"];
    for (release, chart) in [(CRDS, "charts/ferrule-crds"), (CONTROL_PLANE, CHART)] {
        // The definitions have no such value.
        let further = &further[..if release == CRDS { 1 } else { 2 }];
        helm(
            &cluster,
            &[&["upgrade", release, chart][..], further].concat(),
        )
        .await?;
    }
    let both = bundle(&cluster).await?;
    ensure!(both.len() == 2 && both[1] == linkerds[0], "{both:?}");
    ensure!(certificate(&cluster).await? == both[0]);
    admissions.go_on(By::Linkerd).await?;
    admissions.end()?;
    Snapshot::of(&cluster).await?.is(&first)?;
    only(&cluster, &["secret/linkerd-sp-validator-k8s-tls"], false).await?;

    // The next revision knows that it is Ferrule's already.
    helm(
        &cluster,
        &["upgrade", CONTROL_PLANE, CHART, "--reuse-values"],
    )
    .await?;
    ensure!(bundle(&cluster).await? == both[..1]);
    ensure!(certificate(&cluster).await? == both[0]);

    guide::follow(&cluster, "Going back", &charts).await?;
    Snapshot::of(&cluster).await?.is(&first)?;
    only(&cluster, &LINKERDS, true).await?;
    ensure!(!bundle(&cluster).await?.contains(&both[0]));
    Ok(())
}

/// The injector's, that Helm has made.
async fn certificate(cluster: &Cluster) -> Result<String> {
    let secret = "secret/linkerd-proxy-injector-k8s-tls";
    let part = "--output=jsonpath={.data.tls\\.crt}";
    let get = ["get", secret, "--namespace", NAMESPACE, part];
    let text = ask(cluster, Kubectl, &get).await?;
    let k8s_openapi::ByteString(pem) = serde_json::from_value(json!(text))?;
    Ok(String::from_utf8(pem)?.trim().to_owned())
}

/// `ferrule check` finds nothing wrong, with workloads and without.
async fn is_well(running: &Running) -> Result<()> {
    let cluster = &running.cluster;
    // Pods that are ready by themselves are not to be asked instead of the processes.
    for service in [
        "linkerd-proxy-injector",
        "linkerd-sp-validator",
        "linkerd-policy-validator",
    ] {
        let name = format!("service/{service}");
        let patch = json!({"spec": {"selector": null}}).to_string();
        let patch = ["patch", &name, "--namespace", NAMESPACE, "--patch", &patch];
        ask(cluster, Kubectl, &patch).await?;
    }
    let _kubelet = cluster.kubelet(None, &["n1", "n2", "n3"]).await?;
    serve_the_webhooks(running).await?;
    let ready = "--output=jsonpath={.items[*].status.readyReplicas}";
    let deployments = ["deployments", "--namespace", NAMESPACE, ready];
    until(cluster, &deployments, |ready| ready == "1 1 1").await?;
    let kubeconfig = cluster.kubeconfig().display().to_string();
    let admin = running.identity.admin_addr().to_string();
    for further in [&[][..], &["--proxy"]] {
        let args = ["check", "--kubeconfig", &kubeconfig, "--api-addr", &admin];
        let args = [&args[..], &["--wait", "60s", "-o", "json"], further].concat();
        let told = Ferrule::command(&args).await?;
        let report: Value = serde_json::from_str(&told.stdout).context(told.stderr)?;
        let categories = report["categories"].as_array().into_iter().flatten();
        let rows = categories.flat_map(|of| of["checks"].as_array().into_iter().flatten());
        let wrong: Vec<_> = rows
            .filter(|row| row["result"] == "error" || row["result"] == "warning")
            .collect();
        ensure!(told.code == Some(0) && wrong.is_empty(), "{wrong:#?}");
    }
    Ok(())
}
