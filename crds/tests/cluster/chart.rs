//! The chart, rendered by Helm.

use anyhow::{Context as _, Result};
use ferrule_test_cluster::{Binary, Cluster, Options};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use serde_json::json;

use crate::support::{root, run};

/// The rendered manifests, or why there are none. Nothing of it needs a cluster.
async fn render(values: &[&str]) -> Result<String> {
    let mut helm = std::process::Command::new(Binary::Helm.path().await?);
    helm.args(["template", "ferrule-crds"])
        .arg(root().join("charts/ferrule-crds"))
        // A Helm that is built from its module takes the cluster for an old one.
        .args(["--namespace", "mesh", "--kube-version", "1.34.0"]);
    for value in values {
        helm.args(["--set", value]);
    }
    run(&mut helm)
}

fn documents(manifests: &str) -> Vec<CustomResourceDefinition> {
    manifests
        .split("\n---\n")
        .map(|document| {
            serde_yaml::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}"))
        })
        .collect()
}

#[tokio::test]
async fn rendering_twice_gives_the_same_bytes() -> Result<()> {
    assert_eq!(render(&[]).await?, render(&[]).await?);
    Ok(())
}

#[tokio::test]
async fn the_rendered_definitions_are_ours_with_labels_and_annotations() -> Result<()> {
    let rendered = documents(&render(&["installLink=true"]).await?);
    let ours = ferrule_crds::all();
    assert_eq!(rendered.len(), ours.len());
    for ours in ours {
        let name = ours.name_any();
        let rendered = rendered
            .iter()
            .find(|crd| crd.name_any() == name)
            .unwrap_or_else(|| panic!("{name} is not rendered"));
        assert_eq!(rendered.spec, ours.spec, "{name}");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            serde_json::to_value(rendered.labels())?,
            json!({
                "helm.sh/chart": format!("ferrule-crds-{version}"),
                "linkerd.io/control-plane-ns": "mesh",
            })
        );
        assert_eq!(
            serde_json::to_value(rendered.annotations())?,
            json!({
                "helm.sh/resource-policy": "keep",
                "linkerd.io/created-by": format!("ferrule/helm {version}"),
            })
        );
    }
    Ok(())
}

#[tokio::test]
async fn link_is_rendered_only_when_asked_for() -> Result<()> {
    let name = "\n  name: links.multicluster.linkerd.io\n";
    assert!(!render(&[]).await?.contains(name));
    assert!(render(&["installLink=true"]).await?.contains(name));
    Ok(())
}

/// A value for Linkerd's chart that is passed over would leave a cluster without routes.
#[tokio::test]
async fn values_that_ask_for_the_gateway_api_are_refused() -> Result<()> {
    let off = "enableHttpRoutes=false,enableTlsRoutes=false,enableTcpRoutes=false";
    for values in [
        vec!["installGatewayAPI=true"],
        vec!["enableTlsRoutes=true"],
        vec!["installGatewayAPI=true", "enableHttpRoutes=false"],
    ] {
        let error = render(&values).await.unwrap_err().to_string();
        assert!(
            error.contains("does not install the Gateway API"),
            "{values:?}: {error}"
        );
    }
    for values in [
        vec!["installGatewayAPI=false"],
        vec!["enableTlsRoutes=false"],
        vec!["installGatewayAPI=true", off],
    ] {
        render(&values).await?;
    }
    Ok(())
}

/// A release that is removed by mistake would take every policy of the cluster with it.
#[tokio::test]
async fn definitions_outlive_their_release_until_removed_as_the_notes_say() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let release = ["ferrule-crds", "--namespace", "mesh"];
    let chart = root().join("charts/ferrule-crds");
    let mut helm = cluster.command(Binary::Helm).await?;
    let notes = run(helm
        .arg("install")
        .args(release)
        .arg("--create-namespace")
        .arg(chart))?;
    let mut helm = cluster.command(Binary::Helm).await?;
    run(helm.arg("uninstall").args(release))?;
    let mut kubectl = cluster.command(Binary::Kubectl).await?;
    let left = run(kubectl.args(["get", "crd", "--output=name"]))?;
    let all_but_link = ferrule_crds::all().len() - 1;
    assert_eq!(left.lines().count(), all_but_link, "{left}");
    // In a mesh somebody reads them. An API server that has served a kind to nobody fails to
    // look for its objects when it is to go, and tries again five minutes later.
    let kinds: Vec<_> = left
        .lines()
        .filter_map(|name| Some(name.split_once('/')?.1))
        .collect();
    let mut kubectl = cluster.command(Binary::Kubectl).await?;
    run(kubectl.args(["get", &kinds.join(","), "--all-namespaces"]))?;

    let command = notes
        .lines()
        .find_map(|line| line.trim().strip_prefix("kubectl "))
        .context("the notes say how to remove them")?;
    let mut kubectl = cluster.command(Binary::Kubectl).await?;
    run(kubectl.args(command.split_whitespace()))?;
    let mut kubectl = cluster.command(Binary::Kubectl).await?;
    assert_eq!(run(kubectl.args(["get", "crd", "--output=name"]))?, "");
    Ok(())
}
