//! A service account that may read what it is told it may.

use anyhow::Context as _;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    config::Kubeconfig,
};
use serde_json::json;
use std::path::Path;

/// A service account and what it may read.
pub struct Account {
    client: Client,
}

const NAME: &str = "limited";

impl Account {
    /// One in namespace default that may do nothing yet.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn create(client: &Client) -> anyhow::Result<Self> {
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

    /// From now on it may read these resources and no others, of whichever group.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn may_read(&self, resources: &[&str]) -> anyhow::Result<()> {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME},
            "rules": [{
                "apiGroups": ["*"], "resources": resources, "verbs": ["get", "list", "watch"],
            }],
        });
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let params = PatchParams::apply("test").force();
        roles.patch(NAME, &params, &Patch::Apply(role)).await?;
        Ok(())
    }

    /// Writes a kubeconfig with this account's token in place of the one there.
    ///
    /// # Errors
    /// If there is no token, or a file cannot be read or written.
    pub async fn write_kubeconfig(&self, cluster: &Path, to: &Path) -> anyhow::Result<()> {
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
        let mut config = Kubeconfig::read_from(cluster)?;
        for user in &mut config.auth_infos {
            user.auth_info = Some(serde_json::from_value(json!({"token": token}))?);
        }
        std::fs::write(to, serde_json::to_string(&config)?)?;
        Ok(())
    }
}
