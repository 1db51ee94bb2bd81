//! The roles as processes: with the flags that the chart gives them, and as the service
//! accounts that it makes.

use crate::helm::NAMESPACE;
use anyhow::{Context as _, Result};
use ferrule_test_cluster::Cluster;
use ferrule_tests::Ferrule;
use k8s_openapi::api::{
    apps::v1::Deployment, authentication::v1::TokenRequest, core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams, config::Kubeconfig};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Files that a kubelet would mount, and what the processes are.
pub(crate) struct Pods<'c> {
    cluster: &'c Cluster,
    client: Client,
    folder: &'c Path,
}

impl<'c> Pods<'c> {
    pub(crate) fn new(cluster: &'c Cluster, folder: &'c Path) -> Result<Self> {
        Ok(Self {
            cluster,
            client: cluster.client()?,
            folder,
        })
    }

    /// Starts what a pod of this Deployment would. `instead` are flags that take the
    /// place of the chart's, as there is no pod network, and files are elsewhere.
    pub(crate) async fn start(&self, deployment: &str, instead: &[String]) -> Result<Ferrule> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), NAMESPACE);
        let found = deployments.get(deployment).await?;
        let pod = found.spec.and_then(|spec| spec.template.spec);
        let container = pod.context("a pod")?.containers.into_iter().next();
        let args = container.and_then(|container| container.args);
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        // What is started logs as JSON already.
        let mut replaced = vec!["serve".to_owned(), "--log-format".to_owned()];
        replaced.extend(instead.iter().map(|flag| name(flag)));
        let args = args.context("arguments")?;
        let kept = args.iter().filter(|flag| !replaced.contains(&name(flag)));
        let flags: Vec<&str> = kept
            .map(String::as_str)
            .chain(instead.iter().map(String::as_str))
            .collect();
        let kubeconfig = self.kubeconfig(deployment).await?;
        Ferrule::start_with(&kubeconfig, &flags).await
    }

    /// A kubeconfig of a service account, by a token of its own.
    async fn kubeconfig(&self, account: &str) -> Result<PathBuf> {
        let token = self.token(account, &[]).await?;
        let mut config = Kubeconfig::read_from(self.cluster.kubeconfig())?;
        for user in &mut config.auth_infos {
            user.auth_info = Some(serde_json::from_value(json!({"token": token}))?);
        }
        self.write(
            &format!("{account}.kubeconfig"),
            &serde_json::to_string(&config)?,
        )
    }

    /// A token of a service account of the control plane, for these audiences.
    pub(crate) async fn token(&self, account: &str, audiences: &[&str]) -> Result<String> {
        self.token_in(NAMESPACE, account, audiences).await
    }

    /// The same of any namespace.
    pub(crate) async fn token_in(
        &self,
        namespace: &str,
        account: &str,
        audiences: &[&str],
    ) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let request = json!({"spec": {"audiences": audiences, "expirationSeconds": 3600}});
        let request: TokenRequest = serde_json::from_value(request)?;
        let params = PostParams::default();
        let made = accounts.create_token_request(account, &params, &request);
        Ok(made.await?.status.context("a token")?.token)
    }

    /// Writes a file that a pod would have mounted. Whoever has it open reads the old one
    /// or the new one.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let written = self.folder.join(format!("{name}.new"));
        std::fs::write(&written, text)?;
        std::fs::rename(&written, &path)?;
        Ok(path)
    }
}
