//! The shared cluster with the definitions in it, and objects of any kind.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use ferrule_crds::generated::TEMPLATES;
use ferrule_test_cluster::{Binary, Cluster, eventually};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in a folder of the repository")
        .to_owned()
}

/// The shared cluster, the definitions applied as the docs say: with kubectl, from the chart's
/// folder.
pub(crate) async fn cluster() -> Result<&'static Cluster> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared().await?;
    INSTALLED
        .get_or_try_init(|| async {
            let mut kubectl = cluster.command(Binary::Kubectl).await?;
            run(kubectl.arg("apply").arg("-f").arg(root().join(TEMPLATES)))?;
            let api: Api<CustomResourceDefinition> = Api::all(cluster.client()?);
            for crd in ferrule_crds::all() {
                let name = crd.metadata.name.context("a definition has a name")?;
                await_condition(api.clone(), &name, conditions::is_crd_established()).await?;
                // It is found a moment later.
                eventually(&name, async || {
                    let mut kubectl = cluster.command(Binary::Kubectl).await?;
                    Ok(run(kubectl.args(["get", &name, "--all-namespaces"])).ok())
                })
                .await?;
            }
            anyhow::Ok(())
        })
        .await?;
    Ok(cluster)
}

/// Runs a command, for what it prints.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The plural of a kind, and its group and version, as one definition has them.
pub(crate) fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version
        .split_once('/')
        .expect("all our kinds have a group");
    let crd = ferrule_crds::all()
        .into_iter()
        .find(|crd| crd.spec.group == group && crd.spec.names.kind == kind)
        .unwrap_or_else(|| panic!("no kind {kind} in {group}"));
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(group, version, kind),
        &crd.spec.names.plural,
    )
}

pub(crate) fn api(
    client: &Client,
    namespace: &str,
    api_version: &str,
    kind: &str,
) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(api_version, kind))
}

/// An object; without `spec` when that is null.
pub(crate) fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> DynamicObject {
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": name },
    });
    if !spec.is_null() {
        object["spec"] = spec.clone();
    }
    serde_json::from_value(object).expect("it has metadata")
}
