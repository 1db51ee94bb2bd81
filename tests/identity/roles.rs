//! With no more rights than the documentation gives.

use crate::mesh::{Mesh, Traffic};
use anyhow::{Context as _, Result};
use ferrule_test_cluster::eventually;
use ferrule_tests::Ferrule;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::{Api, api::PostParams};
use serde_json::json;
use std::path::PathBuf;

/// The API server as the namespace's default account, which RBAC allows nothing yet.
pub(crate) async fn own_kubeconfig(mesh: &Mesh) -> Result<PathBuf> {
    let kubeconfig = std::fs::read_to_string(mesh.kubeconfig())?;
    let admin = kubeconfig.split("token: \"").nth(1);
    let admin = admin.and_then(|rest| rest.split('"').next());
    let own = kubeconfig.replace(admin.context("a token")?, &mesh.api_token().await?);
    let path = mesh.folder.path().join("kubeconfig");
    std::fs::write(&path, own)?;
    Ok(path)
}

#[tokio::test]
async fn s43_who_may_not_review_tokens_ends_at_the_start_and_says_so() -> Result<()> {
    let mesh = Mesh::new("denied").await?;
    let kubeconfig = own_kubeconfig(&mesh).await?;
    let kubeconfig = kubeconfig.to_str().context("UTF-8")?;
    let args = [
        "serve",
        "--roles=identity",
        "--identity-addr=127.0.0.1:0",
        "--admin-addr=127.0.0.1:0",
        "--kubeconfig",
        kubeconfig,
    ];
    let printed = Ferrule::command(&args).await?;
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let told = "identity may not create tokenreviews.authentication.k8s.io";
    assert!(printed.stderr.contains(told), "{printed:?}");
    Ok(())
}

/// docs/operations.md, "What it needs".
#[tokio::test]
async fn the_documented_role_is_enough_to_make_and_rotate_an_issuer() -> Result<()> {
    let mesh = Mesh::new("rbac").await?;
    let namespace = mesh.namespace.name();
    let client = &mesh.client;
    let role = json!({
        "metadata": {"name": "linkerd-identity"},
        "rules": [
            {"apiGroups": [""], "resources": ["secrets", "configmaps", "events"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"],
             "resourceNames": ["linkerd-identity-issuer"],
             "verbs": ["get", "list", "watch", "update"]},
            {"apiGroups": [""], "resources": ["secrets"],
             "resourceNames": ["ferrule-trust-anchor"], "verbs": ["get", "update"]},
            {"apiGroups": [""], "resources": ["configmaps"],
             "resourceNames": ["linkerd-identity-trust-roots"],
             "verbs": ["get", "list", "watch", "update"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
             "resourceNames": ["ferrule-ca"], "verbs": ["get", "patch"]},
        ],
    });
    let name = format!("ferrule-test-{namespace}-identity");
    let cluster_role = json!({
        "metadata": {"name": name},
        "rules": [
            {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["pods", "serviceaccounts"], "verbs": ["list", "watch"]},
            {"apiGroups": ["workload.linkerd.io"], "resources": ["externalworkloads"],
             "verbs": ["list"]},
        ],
    });
    let subjects = json!([{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]);
    let binding = |kind: &str, name: &str| {
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": subjects,
        })
    };
    let params = PostParams::default();
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    let role = serde_json::from_value(role)?;
    roles.create(&params, &role).await?;
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    let bound = serde_json::from_value(binding("Role", "linkerd-identity"))?;
    bindings.create(&params, &bound).await?;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let cluster_role = serde_json::from_value(cluster_role)?;
    roles.create(&params, &cluster_role).await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let bound = serde_json::from_value(binding("ClusterRole", &name))?;
    bindings.create(&params, &bound).await?;

    let path = own_kubeconfig(&mesh).await?;
    let identity = mesh.identity_as(&path, &["--token-review=local"]).await?;
    identity.ready().await?;
    let anchors = mesh.anchors().await?;
    let traffic = Traffic::begin(vec![mesh.proxy(&identity, &anchors).await?]);
    eventually("tokens are checked here", async || {
        let checks = "token_local_checks_total{result=\"verified\"}";
        Ok(identity.metric(checks).await?.filter(|count| *count > 0.0))
    })
    .await?;
    mesh.ask_for_another_issuer().await?;
    mesh.event("IssuerUpdated").await?;
    traffic.is_under(&mesh.issuer("crt.pem").await?).await?;
    traffic.end().await?;
    let forbidden = identity.scrape().await?.to_string();
    assert!(!forbidden.contains("code=\"403\""), "{forbidden}");
    Ok(())
}
