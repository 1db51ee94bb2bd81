//! Who asks, and when: before anything is there, as somebody who may little, for a pipe.

use crate::{
    mesh::{Mesh, check},
    told::Told,
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::Cluster;
use ferrule_tests::{Account, Ferrule};

pub(crate) async fn an_empty_cluster(cluster: &Cluster) -> Result<()> {
    let kubeconfig = cluster.kubeconfig();
    let told = check(kubeconfig, &["--pre"]).await?;
    // Routes of the Gateway API may be done without.
    told.is_well_but_for(&["gateway-api-crd"])?;
    let why = [
        "there is no httproutes.gateway.networking.k8s.io",
        "there is no grpcroutes.gateway.networking.k8s.io",
    ];
    told.warns("gateway-api-crd", &why)?;
    ensure!(told.code == Some(0), "{:#}", told.json);
    for id in [
        "pre-ns",
        "pre-k8s-cluster-k8s",
        "pre-k8s-secrets",
        "k8s-version",
    ] {
        told.succeeds(id)?;
    }
    let cni = check(kubeconfig, &["--pre", "--linkerd-cni-enabled"]).await?;
    cni.fails(
        "cni-plugin-cm-exists",
        &["there is no ConfigMap linkerd-cni-config"],
    )?;

    let told = check(kubeconfig, &[]).await?;
    told.fails("l5d-existence-ns", &["there is no namespace linkerd"])?;
    told.fails(
        "l5d-existence-linkerd-config",
        &["there is no ConfigMap linkerd/linkerd-config"],
    )?;
    told.was_stopped("l5d-existence-mwc", "l5d-existence-ns")?;
    let told = check(kubeconfig, &["--crds"]).await?;
    told.fails(
        "l5d-existence-crd",
        &["there is no servers.policy.linkerd.io"],
    )
}

/// Nothing fails because it is forbidden, and each check says of itself what it needs.
pub(crate) async fn one_who_may_do_nothing(mesh: &Mesh) -> Result<()> {
    let account = Account::create(&mesh.cluster.client()?).await?;
    account.may_read(&[]).await.or_else(|_| anyhow::Ok(()))?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    account
        .write_kubeconfig(mesh.cluster.kubeconfig(), &kubeconfig)
        .await?;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/checks.md");
    let page = std::fs::read_to_string(page)?;
    for args in [&[][..], &["--proxy"], &["--crds"]] {
        let told = check(&kubeconfig, args).await?;
        ensure!(told.code == Some(0), "{:#}", told.json);
        for check in told.checks().filter(|check| check["result"] != "success") {
            ensure!(check["result"] == "warning", "{check:#}");
            let id = check["id"].as_str().context("an id")?;
            let error = check["error"].as_str().context("a cause")?;
            let access = error.strip_prefix("skipped: forbidden: you may not ");
            let access = access.with_context(|| format!("{check:#}"))?;
            let section = page
                .split("\n### ")
                .find(|part| part.lines().next() == Some(id));
            let section = section.with_context(|| format!("{id} is not on the page"))?;
            ensure!(
                section.contains(&format!("`{access}`")),
                "{id} needs {access}: {section}"
            );
        }
        told.succeeds("k8s-api-version")?;
    }
    let told = check(&kubeconfig, &["--pre"]).await?;
    told.fails(
        "pre-k8s-secrets",
        &["you may not create secrets in namespace linkerd"],
    )?;
    told.fails(
        "pre-k8s-cluster-k8s",
        &["ClusterRole: you may not create it"],
    )?;
    // Some of it: what may be read is looked at.
    account.may_read(&["configmaps", "pods", "nodes"]).await?;
    let told = check(&kubeconfig, &[]).await?;
    told.succeeds("l5d-api-control-ready")?;
    told.succeeds("l5d-cluster-networks-pods")?;
    let why = ["skipped: forbidden: you may not get secrets"];
    told.warns("l5d-identity-cert-config-valid", &why)
}

pub(crate) async fn warnings_may_fail(mesh: &Mesh) -> Result<()> {
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/grpcroutes.gateway.networking.k8s.io";
    let spoilt = mesh.objects.remove(crd).await?;
    let told = mesh.check(&[]).await?;
    told.warns("gateway-api-crd", &["there is no grpcroutes"])?;
    ensure!(told.code == Some(0));
    let told = mesh.check(&["--fail-on-warning"]).await?;
    ensure!(told.code == Some(2), "{:?}", told.code);
    ensure!(told.json["success"] == true);
    ensure!(told.stderr.contains("1 check warns"), "{}", told.stderr);
    // An error is one all the same.
    let told = mesh.check(&["--fail-on-warning", "-L", "nowhere"]).await?;
    ensure!(told.code == Some(1), "{:?}", told.code);
    spoilt.mend().await?;
    mesh.until(&[], |told: &Told| told.succeeds("gateway-api-crd"))
        .await
        .map(drop)
}

/// What people get by a pipe: no signs and no colours, causes below the checks.
pub(crate) async fn what_is_short_is_short(mesh: &Mesh) -> Result<()> {
    let kubeconfig = mesh.cluster.kubeconfig().to_str().context("UTF-8")?;
    let common = ["check", "--kubeconfig", kubeconfig, "--wait", "0s"];
    let run = async |args: &[&str]| Ferrule::command(&[&common[..], args].concat()).await;
    let good = run(&["-o", "short", "--crds"]).await?;
    ensure!(good.stdout.is_empty() && good.code == Some(0), "{good:?}");
    let good = run(&["--crds"]).await?;
    for line in [
        "linkerd-crd\n-----------\nok   all CRDs of the mesh are installed",
        "Status check results are ok: ",
    ] {
        ensure!(good.stdout.contains(line), "{}", good.stdout);
    }
    let bad = run(&["-o", "short", "-L", "nowhere"]).await?;
    ensure!(bad.code == Some(1), "{bad:?}");
    for line in [
        "FAIL the control plane's namespace is there\n    there is no namespace nowhere\n    to do: ",
        "    see docs/checks.md#l5d-existence-ns\n",
        "not made, since what they need failed",
    ] {
        ensure!(bad.stdout.contains(line), "{}", bad.stdout);
    }
    ensure!(!bad.stdout.contains("ok   "), "{}", bad.stdout);
    ensure!(bad.stderr.contains("checks failed"), "{}", bad.stderr);
    Ok(())
}
