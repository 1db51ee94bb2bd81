//! A service account with the rights that docs/operations.md asks for, or less.

use anyhow::Context as _;
use ferrule_test_cluster::Cluster;
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    config::Kubeconfig,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

const NAME: &str = "ferrule";

/// The kinds of `policy.linkerd.io` that have a status that is written.
const POLICY: [&str; 3] = ["httproutes", "httplocalratelimitpolicies", "egressnetworks"];

pub(crate) struct Account {
    client: Client,
    pub(crate) kubeconfig: PathBuf,
    _folder: TempDir,
}

impl Account {
    /// An account that may do all that a Ferrule needs.
    pub(crate) async fn create(cluster: &Cluster) -> anyhow::Result<Self> {
        let client = cluster.client()?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        let account = serde_json::from_value(json!({"metadata": {"name": NAME}}))?;
        accounts.create(&PostParams::default(), &account).await?;
        let binding = json!({
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "default"}],
        });
        let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
        let binding = serde_json::from_value(binding)?;
        bindings.create(&PostParams::default(), &binding).await?;

        let request = serde_json::from_value::<TokenRequest>(json!({"spec": {"audiences": []}}))?;
        let params = PostParams::default();
        let token = accounts.create_token_request(NAME, &params, &request);
        let token = token.await?.status.context("a token")?.token;
        let mut config = Kubeconfig::read_from(cluster.kubeconfig())?;
        for user in &mut config.auth_infos {
            user.auth_info = Some(serde_json::from_value(json!({"token": token}))?);
        }
        let folder = TempDir::new()?;
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, serde_json::to_string(&config)?)?;
        let account = Self {
            client,
            kubeconfig,
            _folder: folder,
        };
        account.may_write(&POLICY).await?;
        Ok(account)
    }

    /// From now on it may write the statuses of these kinds of `policy.linkerd.io`
    /// alone, beside those of the Gateway API.
    pub(crate) async fn may_write(&self, policy: &[&str]) -> anyhow::Result<()> {
        let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        let read = ["get", "list", "watch"];
        let gateway = ["httproutes", "grpcroutes", "tlsroutes", "tcproutes"];
        let mut rules = vec![
            rule("", &["services", "pods", "nodes", "namespaces"], &read),
            rule("discovery.k8s.io", &["endpointslices"], &read),
            rule("apps", &["replicasets"], &read),
            rule("batch", &["jobs"], &read),
            rule("linkerd.io", &["serviceprofiles"], &read),
            rule("workload.linkerd.io", &["externalworkloads"], &read),
            rule(
                "policy.linkerd.io",
                &[
                    "servers",
                    "serverauthorizations",
                    "authorizationpolicies",
                    "meshtlsauthentications",
                    "networkauthentications",
                ],
                &read,
            ),
            rule("policy.linkerd.io", &POLICY, &read),
            rule("gateway.networking.k8s.io", &gateway, &read),
            rule(
                "coordination.k8s.io",
                &["leases"],
                &["create", "get", "patch"],
            ),
        ];
        let statuses = |resources: &[&str]| -> Vec<Value> {
            let names = resources.iter().map(|name| format!("{name}/status").into());
            names.collect()
        };
        for (group, resources) in [
            ("policy.linkerd.io", policy),
            ("gateway.networking.k8s.io", &gateway),
        ] {
            rules.push(json!({
                "apiGroups": [group], "resources": statuses(resources), "verbs": ["patch"],
            }));
        }
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": NAME}, "rules": rules,
        });
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let params = PatchParams::apply("test").force();
        roles.patch(NAME, &params, &Patch::Apply(role)).await?;
        Ok(())
    }
}
