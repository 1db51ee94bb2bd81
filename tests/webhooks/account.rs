//! Who the injector is in the cluster: with what docs/operations.md says it needs, and
//! nothing more.

use crate::objects::{Objects, create};
use anyhow::Context as _;
use ferrule_test_cluster::Cluster;
use kube::Client;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const NAME: &str = "linkerd-proxy-injector";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Creates the account in `linkerd`, and a kubeconfig of it in `folder`.
pub(crate) async fn kubeconfig(
    cluster: &Cluster,
    client: &Client,
    folder: &Path,
) -> anyhow::Result<PathBuf> {
    let objects = Objects(client.clone());
    let accounts = "/api/v1/namespaces/linkerd/serviceaccounts";
    objects
        .ensure(accounts, &json!({"metadata": {"name": NAME}}))
        .await?;
    let subjects = json!([{"kind": "ServiceAccount", "name": NAME, "namespace": "linkerd"}]);
    let reference =
        |kind| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": NAME});
    let named = |rules: Value| json!({"metadata": {"name": NAME}, "rules": rules});
    let bound = |kind| json!({"metadata": {"name": NAME}, "roleRef": reference(kind), "subjects": subjects});
    let roles = format!("{RBAC}/namespaces/linkerd/roles");
    let bindings = format!("{RBAC}/namespaces/linkerd/rolebindings");
    for (path, object) in [
        (format!("{RBAC}/clusterroles"), named(everywhere())),
        (format!("{RBAC}/clusterrolebindings"), bound("ClusterRole")),
        (roles, named(at_home())),
        (bindings, bound("Role")),
    ] {
        objects.ensure(&path, &object).await?;
    }
    let request = json!({"spec": {"expirationSeconds": 3600, "audiences": []}});
    let token = create(client, &format!("{accounts}/{NAME}/token"), &request).await?;
    let token = token.object["status"]["token"]
        .as_str()
        .context("a token")?;
    let mut config = kube::config::Kubeconfig::read_from(cluster.kubeconfig())?;
    for user in &mut config.auth_infos {
        user.auth_info = Some(serde_json::from_value(json!({"token": token}))?);
    }
    let path = folder.join("kubeconfig");
    std::fs::write(&path, serde_json::to_string(&config)?)?;
    Ok(path)
}

fn everywhere() -> Value {
    let read = ["get", "list", "watch"];
    json!([
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": read},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": read},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": read},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
            "resourceNames": [
                "linkerd-proxy-injector-webhook-config",
                "linkerd-sp-validator-webhook-config",
                "linkerd-policy-validator-webhook-config",
            ],
            "verbs": ["get", "list", "watch", "patch"],
        },
    ])
}

fn at_home() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["ferrule-webhook-ca"],
            "verbs": ["get", "list", "watch", "patch"],
        },
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
            "resourceNames": ["ferrule-webhook-ca"], "verbs": ["get", "patch"],
        },
    ])
}
