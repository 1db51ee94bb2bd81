//! A control plane that is installed, upgraded, pruned and uninstalled by what the command
//! prints.

use crate::{
    rendering::files,
    shell::{APPLY, Shell},
};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Binary, Cluster, Options, eventually};
use ferrule_tests::TestAuthority;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tempfile::TempDir;

const DELETE: &[&str] = &["delete", "-f", "-"];
const ANCHORS: &[&str] = &["-n=linkerd", "configmap/linkerd-identity-trust-roots"];
const ISSUER: &[&str] = &["-n=linkerd", "secret/linkerd-identity-issuer"];
const DESTINATION: &[&str] = &["-n=linkerd", "deployment/linkerd-destination"];

/// A pod with a proxy that holds these anchors.
fn meshed(anchors: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "namespace": "shop", "labels": {"linkerd.io/control-plane-ns": "linkerd"},
        },
        "spec": {"containers": [{
            "name": "linkerd-proxy", "image": "proxy",
            "env": [{"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": anchors}],
        }]},
    })
}

/// Whether kubectl found nothing.
fn is_empty(list: &Value) -> bool {
    list.is_null() || list["items"] == json!([])
}

/// What is of the user: a namespace with a profile and a policy.
async fn shop(shell: &Shell) -> Result<()> {
    let profile = json!({
        "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
        "metadata": {"name": "web.shop.svc.cluster.local", "namespace": "shop"}, "spec": {},
    });
    let server = json!({
        "apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"podSelector": {}, "port": 80},
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "web", "namespace": "shop"},
    });
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let items = [namespace, account, profile, server];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    shell.kubectl(APPLY, &list.to_string()).await.map(drop)
}

#[tokio::test]
async fn a_control_plane_comes_changes_and_goes_by_what_is_printed() -> Result<()> {
    let shell = Shell::new(Cluster::start(Options::default()).await?).await?;
    let folder = TempDir::new()?;
    let (authority, other) = (TestAuthority::new()?, TestAuthority::new()?);
    let certificates = files(folder.path(), "first", &authority)?;
    let certificates: Vec<_> = certificates.iter().map(String::as_str).collect();

    let none = shell.refused(&["install"]).await?;
    ensure!(
        none.contains("ferrule install --crds | kubectl apply"),
        "{none}"
    );
    shell.pipe(&["install", "--crds"], APPLY).await?;
    let none = shell.refused(&["upgrade"]).await?;
    ensure!(
        none.contains("no control plane in namespace linkerd"),
        "{none}"
    );
    // It is a moment from when a kind is established until kubectl finds it.
    let kinds = [
        "get",
        "servers.policy.linkerd.io,serviceprofiles.linkerd.io",
        "-A",
    ];
    eventually("the kinds are served", async || {
        Ok(shell.kubectl(&kinds, "").await.ok())
    })
    .await?;
    shop(&shell).await?;

    // Nothing is printed of what would not work.
    let helmless = shell.without_helm(&["install"]).await?;
    ensure!(
        helmless.code == Some(1) && helmless.stdout.is_empty(),
        "{helmless:?}"
    );
    ensure!(
        helmless.stderr.contains("no `helm` on PATH"),
        "{helmless:?}"
    );
    let mut mixed = certificates.clone();
    let wrong = files(folder.path(), "other", &other)?;
    mixed[0] = &wrong[0];
    let refused = shell.refused(&[&["install"], &mixed[..]].concat()).await?;
    ensure!(refused.contains("unknown authority"), "{refused}");
    mixed = certificates.clone();
    mixed[2] = &wrong[2];
    let refused = shell.refused(&[&["install"], &mixed[..]].concat()).await?;
    ensure!(refused.contains("do not match"), "{refused}");
    let refused = shell
        .refused(&["install", "--set", "proxy.logLevell=x"])
        .await?;
    ensure!(refused.contains("logLevell"), "{refused}");

    let values = [
        "--controller-replicas=2",
        "--set=networkPolicy.enabled=true,enablePodDisruptionBudget=true",
    ];
    let install = [&["install"], &certificates[..], &values].concat();
    ensure!(shell.told(&install).await? == shell.told(&install).await?);
    shell.pipe(&install, APPLY).await?;
    let (anchors, issuer) = (shell.get(ANCHORS).await?, shell.get(ISSUER).await?);
    ensure!(
        anchors["data"]["ca-bundle.crt"].as_str().map(str::trim)
            == Some(authority.anchors_pem().trim())
    );
    let overrides = shell
        .get(&["-n=linkerd", "secret/linkerd-config-overrides"])
        .await?;
    let kept = overrides["data"]["linkerd-config-overrides"]
        .as_str()
        .unwrap_or_default();
    let key = issuer["data"]["key.pem"].as_str().unwrap_or_default();
    ensure!(
        !kept.is_empty() && !key.is_empty() && !kept.contains(key),
        "keys are in one Secret alone"
    );
    let again = shell.refused(&["install"]).await?;
    ensure!(again.contains("ferrule upgrade | kubectl apply"), "{again}");

    // An upgrade keeps values, and what is in the cluster of certificates.
    let bundle = format!("{}{}", authority.anchors_pem(), other.anchors_pem());
    let patch = json!({"data": {"ca-bundle.crt": bundle}}).to_string();
    // What Ferrule writes into the webhooks is left there.
    let webhook = "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config";
    let ca = ByteString(authority.anchors_pem().into_bytes());
    let path = "/webhooks/0/clientConfig/caBundle";
    let add = json!([{"op": "add", "path": path, "value": ca}]).to_string();
    let add = ["patch", webhook, "--type=json", "--patch", &add];
    shell.kubectl(&add, "").await?;
    let map = "configmap/linkerd-identity-trust-roots";
    shell
        .kubectl(&["patch", "-n=linkerd", map, "--patch", &patch], "")
        .await?;
    // Nor is it for an upgrade to say which other pods may be there.
    let level = "pod-security.kubernetes.io/enforce";
    let privileged = format!("{level}=privileged");
    let label = ["label", "--overwrite", "namespace/linkerd", &privileged];
    shell.kubectl(&label, "").await?;
    shell
        .pipe(&["upgrade", "--controller-log-level=debug"], APPLY)
        .await?;
    let labels = &shell.get(&["namespace/linkerd"]).await?["metadata"]["labels"];
    ensure!(labels[level] == "privileged", "{labels}");
    let written = shell.get(&[webhook]).await?;
    ensure!(written.pointer(path) == Some(&json!(ca)), "{written}");
    let now = shell.get(ANCHORS).await?;
    ensure!(
        now["data"]["ca-bundle.crt"].as_str().map(str::trim) == Some(bundle.trim()),
        "{now}"
    );
    ensure!(shell.get(ISSUER).await?["data"] == issuer["data"]);
    ensure!(shell.get(DESTINATION).await?["spec"]["replicas"] == 2);
    let flags = shell.get(DESTINATION).await?.to_string();
    ensure!(flags.contains("--log-level=debug"));
    ensure!(shell.told(&["prune"]).await?.is_empty());
    // What was said to the upgrade is kept by the next.
    let once_more = shell.told(&["upgrade"]).await?;
    ensure!(once_more.contains("--log-level=debug") && once_more.contains("replicas: 2"));

    // It is refused to sign what workloads would not trust.
    let pod = meshed(&authority.anchors_pem());
    shell.kubectl(APPLY, &pod.to_string()).await?;
    shell.told(&["upgrade"]).await?;
    let refused = shell
        .refused(&[&["upgrade"], &wrong.each_ref().map(String::as_str)[..]].concat())
        .await?;
    ensure!(
        refused.contains("pod shop/web would not trust the issuer"),
        "{refused}"
    );
    let forced = [
        &["upgrade", "--force"],
        &wrong.each_ref().map(String::as_str)[..],
    ]
    .concat();
    shell.told(&forced).await?;
    let forced = [&["upgrade", "--force"], &mixed[..]].concat();
    let forced = shell.ferrule(&forced).await?;
    ensure!(
        forced.code == Some(0) && !forced.stdout.is_empty(),
        "{forced:?}"
    );
    ensure!(forced.stderr.contains("do not match"), "{forced:?}");
    let refused = shell
        .refused(&["upgrade", "--identity-external-issuer"])
        .await?;
    ensure!(
        refused.contains("were given by values, and would be made by somebody else"),
        "{refused}"
    );
    let refused = shell
        .refused(&["upgrade", "--identity-trust-domain=corp.test"])
        .await?;
    ensure!(refused.contains("identityTrustDomain was"), "{refused}");

    // What a value has switched off is what is pruned.
    let off = "--set=networkPolicy.enabled=false,enablePodDisruptionBudget=false";
    shell.pipe(&["upgrade", off], APPLY).await?;
    let over = shell.ferrule(&["prune"]).await?;
    let names: BTreeSet<_> = over.stderr.lines().collect();
    let expected = ["destination", "identity", "proxy-injector"]
        .into_iter()
        .flat_map(|name| {
            [
                format!("NetworkPolicy linkerd/linkerd-{name}"),
                format!("PodDisruptionBudget linkerd/linkerd-{name}"),
            ]
        });
    let expected: Vec<_> = expected.collect();
    ensure!(
        names == expected.iter().map(String::as_str).collect(),
        "{names:?}"
    );
    shell.kubectl(DELETE, &over.stdout).await?;
    ensure!(shell.told(&["prune"]).await?.is_empty());

    // Nothing of ours is left, and all of the user's.
    let refused = shell.refused(&["uninstall"]).await?;
    ensure!(
        refused.contains("1 pods have a proxy") && refused.contains("shop/web"),
        "{refused}"
    );
    shell
        .kubectl(
            &[
                "delete",
                "pod",
                "-n=shop",
                "web",
                "--grace-period=0",
                "--force",
            ],
            "",
        )
        .await?;
    let mine = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "mine", "namespace": "linkerd"},
    });
    shell.kubectl(APPLY, &mine.to_string()).await?;
    let stays = shell.ferrule(&["uninstall"]).await?;
    ensure!(
        stays.stderr.contains("namespace linkerd stays")
            && stays.stderr.contains("ConfigMap linkerd/mine"),
        "{stays:?}"
    );
    ensure!(!stays.stdout.contains("kind: Namespace"));
    shell
        .kubectl(&["delete", "configmap", "-n=linkerd", "mine"], "")
        .await?;
    let keep = shell.told(&["uninstall", "--keep-certificates"]).await?;
    ensure!(
        !keep.contains("linkerd-identity-issuer") && !keep.contains("kind: Namespace"),
        "{keep}"
    );
    shell.pipe(&["uninstall"], DELETE).await?;
    ensure!(shell.get(&["namespace/linkerd"]).await?.is_null());
    let kinds = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations";
    let left = shell
        .get(&[kinds, "--selector=linkerd.io/control-plane-ns=linkerd"])
        .await?;
    ensure!(is_empty(&left), "{left}");
    let profiles = shell.get(&["-n=shop", "serviceprofiles,servers"]).await?;
    ensure!(
        profiles["items"].as_array().map(Vec::len) == Some(2),
        "{profiles}"
    );
    let nothing = shell.ferrule(&["uninstall"]).await?;
    ensure!(
        nothing.code == Some(0) && nothing.stdout.is_empty(),
        "{nothing:?}"
    );

    // It can be installed again, and everything goes if that is asked for.
    shell.pipe(&["install"], APPLY).await?;
    shell.pipe(&["uninstall", "--crds"], DELETE).await?;
    let left = shell
        .get(&["crd", "--selector=linkerd.io/control-plane-ns=linkerd"])
        .await?;
    ensure!(is_empty(&left), "{left}");
    Ok(())
}

/// Each keeps its hands off what is the other's.
#[tokio::test]
async fn a_release_of_helm_and_linkerds_control_plane_are_left_alone() -> Result<()> {
    let shell = Shell::new(Cluster::start(Options::default()).await?).await?;
    shell.pipe(&["install", "--crds"], APPLY).await?;
    let mut helm = shell.cluster.command(Binary::Helm).await?;
    helm.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    helm.args(["install", "mesh", "charts/ferrule-control-plane"]);
    helm.args(["--namespace=linkerd", "--create-namespace"]);
    let none = shell.ferrule(&["version"]).await?;
    ensure!(
        none.code == Some(0) && none.stdout.ends_with("Server version: unavailable\n"),
        "{none:?}"
    );
    ensure!(
        none.stderr
            .contains("no control plane in namespace linkerd"),
        "{none:?}"
    );
    let done = tokio::process::Command::from(helm).output().await?;
    ensure!(done.status.success(), "{done:?}");
    let version = env!("CARGO_PKG_VERSION");
    let told = shell.told(&["version", "--proxy"]).await?;
    let expected = format!("Client version: {version}\nServer version: {version}\n");
    ensure!(told == expected, "{told}");
    for command in ["install", "upgrade", "prune"] {
        let refused = shell.refused(&[command]).await?;
        ensure!(
            refused.contains("release of Helm, mesh") && refused.contains("helm upgrade"),
            "{command}: {refused}"
        );
    }
    let refused = shell.refused(&["uninstall"]).await?;
    ensure!(
        refused.contains("helm uninstall --namespace linkerd mesh"),
        "{refused}"
    );

    let linkerds = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "linkerd-config", "namespace": "default",
            "annotations": {"linkerd.io/created-by": "linkerd/cli edge-26.8.3"},
        },
        "data": {"values": "linkerdVersion: edge-26.8.3\n"},
    });
    shell.kubectl(APPLY, &linkerds.to_string()).await?;
    for command in ["install", "upgrade", "prune"] {
        let refused = shell.refused(&[command, "-L=default"]).await?;
        ensure!(
            refused.contains("made by linkerd/cli edge-26.8.3"),
            "{command}: {refused}"
        );
    }
    Ok(())
}
