//! Helm and kubectl, and what they print.

use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary, Cluster};
use ferrule_tests::Printed;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::{process::Command, sync::OnceCell};

pub(crate) const CHART: &str = "charts/ferrule-control-plane";
pub(crate) const NAMESPACE: &str = "linkerd";

pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("it is in a repository").to_owned()
}

/// The rendered manifests, or why there are none. It needs no cluster.
pub(crate) async fn render(args: &[&str]) -> Result<String> {
    render_chart(&root().join(CHART), args).await
}

/// Another chart's.
pub(crate) async fn render_chart(chart: &Path, args: &[&str]) -> Result<String> {
    let mut helm = Command::new(Binary::Helm.path().await?);
    helm.args(["template", "ferrule"])
        .arg(chart)
        // A Helm that is built from its module takes the cluster for an old one.
        .args(["--namespace", NAMESPACE, "--kube-version", "1.34.0"])
        .args(args);
    run(&mut helm, "").await
}

/// As [`render`], as objects.
pub(crate) async fn objects(args: &[&str]) -> Result<Vec<Value>> {
    documents(&render(args).await?)
}

pub(crate) fn documents(manifests: &str) -> Result<Vec<Value>> {
    let manifests = manifests.trim_start_matches("---\n");
    let documents = manifests.split("\n---\n").map(|document| {
        let value: Value = serde_yaml::from_str(document).with_context(|| document.to_owned())?;
        ensure!(value.is_object(), "{document}");
        Ok(value)
    });
    documents.collect()
}

/// The object of this kind and name.
pub(crate) fn find<'o>(objects: &'o [Value], kind: &str, name: &str) -> Result<&'o Value> {
    let mut found = objects.iter();
    let found = found.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.with_context(|| format!("there is no {kind} {name}"))
}

/// Helm or kubectl as the administrator of a cluster, for what it prints.
pub(crate) async fn ask(cluster: &Cluster, binary: Binary, args: &[&str]) -> Result<String> {
    let mut command = Command::from(cluster.command(binary).await?);
    command.current_dir(root());
    if binary == Binary::Helm && is_helm_3().await? {
        command.args(args.iter().filter(|arg| !is_of_helm_4(arg)));
    } else {
        command.args(args);
    }
    run(&mut command, "").await
}

/// Whether it is Helm 3, which compares on its side what it has applied before, and knows
/// of no conflicts.
pub(crate) async fn is_helm_3() -> Result<bool> {
    static IS: OnceCell<bool> = OnceCell::const_new();
    let ask = async || {
        let mut helm = Command::new(Binary::Helm.path().await?);
        let version = run(helm.args(["version", "--short"]), "").await?;
        Ok(version.starts_with("v3."))
    };
    IS.get_or_try_init(ask).await.copied()
}

/// Flags that Helm 3 has not got, and does not need (docs/takeover.md).
fn is_of_helm_4(flag: &str) -> bool {
    flag == "--force-conflicts" || flag.starts_with("--server-side=")
}

/// kubectl with objects on its standard input; whatever it answers.
pub(crate) async fn pipe(cluster: &Cluster, args: &[&str], objects: &str) -> Result<Printed> {
    let mut command = Command::from(cluster.command(Binary::Kubectl).await?);
    Printed::by(command.args(args), objects).await
}

/// Applies objects, or fails.
pub(crate) async fn apply(cluster: &Cluster, objects: &[Value]) -> Result<()> {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let args = ["apply", "--server-side", "--filename=-"];
    let applied = pipe(cluster, &args, &list.to_string()).await?;
    applied.succeeded(&args).map(drop)
}

async fn run(command: &mut Command, input: &str) -> Result<String> {
    let printed = Printed::by(command, input).await?;
    printed.succeeded(command.as_std())
}
