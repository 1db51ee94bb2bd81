//! Kinds that Ferrule may not read.

use anyhow::Context as _;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, Proxy};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{path::PathBuf, time::Duration};
use tonic::Code;

#[tokio::test]
async fn without_pods_nothing_is_answered_and_without_nodes_all_but_zones() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    let account = Account::create(&client).await?;
    account.may_read(&["services", "namespaces"]).await?;
    let kubeconfig = account.kubeconfig(&cluster).await?;
    let ferrule = Ferrule::start(&kubeconfig).await?;
    ferrule.logged("pods").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!ferrule.is_ready().await?);
    let proxy = Proxy::connect(ferrule.destination()).await?;
    let authority = "kubernetes.default.svc.cluster.local:443";
    let refused = proxy
        .get(authority)
        .await
        .err()
        .context("nothing is known yet")?;
    assert_eq!(refused.code(), Code::Unavailable);

    // Nodes, ReplicaSets and Jobs stay forbidden.
    account
        .may_read(&["services", "namespaces", "pods", "endpointslices"])
        .await?;
    ferrule.ready().await?;
    ferrule.logged("nodes").await?;
    proxy.get(authority).await?;
    let missing = proxy.get("nope.default.svc.cluster.local:80").await;
    assert_eq!(
        missing.err().map(|status| status.code()),
        Some(Code::NotFound)
    );
    std::fs::remove_file(kubeconfig)?;
    Ok(())
}

/// A service account and what it may read.
struct Account {
    client: Client,
}

const NAME: &str = "limited";

impl Account {
    async fn create(client: &Client) -> anyhow::Result<Self> {
        let account = json!({"metadata": {"name": NAME}});
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        accounts
            .create(&PostParams::default(), &serde_json::from_value(account)?)
            .await?;
        let binding = json!({
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "default"}],
        });
        let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
        bindings
            .create(&PostParams::default(), &serde_json::from_value(binding)?)
            .await?;
        Ok(Self {
            client: client.clone(),
        })
    }

    async fn may_read(&self, resources: &[&str]) -> anyhow::Result<()> {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME},
            "rules": [{
                "apiGroups": ["", "discovery.k8s.io"],
                "resources": resources,
                "verbs": ["get", "list", "watch"],
            }],
        });
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        roles
            .patch(
                NAME,
                &PatchParams::apply("test").force(),
                &Patch::Apply(role),
            )
            .await?;
        Ok(())
    }

    /// The cluster's kubeconfig with this account's token.
    async fn kubeconfig(&self, cluster: &Cluster) -> anyhow::Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "default");
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let token = accounts
            .create_token_request(NAME, &PostParams::default(), &request)
            .await?
            .status
            .context("a token")?
            .token;
        let mut config = kube::config::Kubeconfig::read_from(cluster.kubeconfig())?;
        for user in &mut config.auth_infos {
            user.auth_info = Some(serde_json::from_value(json!({"token": token}))?);
        }
        let account = accounts.get(NAME).await?;
        let path = std::env::temp_dir().join(format!(
            "ferrule-{}.kubeconfig",
            account.uid().unwrap_or_default()
        ));
        std::fs::write(&path, serde_json::to_string(&config)?)?;
        Ok(path)
    }
}
