//! What stands in a terminal: ferrule and kubectl, helm on PATH, and a kubeconfig.

use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary, Cluster};
use ferrule_tests::{Ferrule, Printed};
use serde_json::Value;
use std::{ffi::OsString, path::PathBuf};
use tokio::process::Command;

/// What manifests are piped into.
pub(crate) const APPLY: &[&str] = &["apply", "-f", "-"];

pub(crate) struct Shell {
    pub(crate) cluster: Cluster,
    path: OsString,
    kubectl: PathBuf,
}

impl Shell {
    pub(crate) async fn new(cluster: Cluster) -> Result<Self> {
        let helm = Binary::Helm.path().await?;
        let folder = helm.parent().context("a folder")?.to_owned();
        ensure!(helm.ends_with("helm"), "{helm:?} is called otherwise");
        Ok(Self {
            cluster,
            path: folder.into(),
            kubectl: Binary::Kubectl.path().await?.clone(),
        })
    }

    /// What a command of ferrule prints.
    pub(crate) async fn ferrule(&self, args: &[&str]) -> Result<Printed> {
        let mut command = Ferrule::program().await?;
        command.args(args).env("PATH", &self.path);
        self.run(command, "").await
    }

    /// The same where there is no helm.
    pub(crate) async fn without_helm(&self, args: &[&str]) -> Result<Printed> {
        let mut command = Ferrule::program().await?;
        command.args(args).env("PATH", "/nowhere");
        self.run(command, "").await
    }

    /// What a command that succeeds prints.
    pub(crate) async fn told(&self, args: &[&str]) -> Result<String> {
        self.ferrule(args).await?.succeeded(&args)
    }

    /// What a command that fails says; it prints nothing, so that nothing is applied.
    pub(crate) async fn refused(&self, args: &[&str]) -> Result<String> {
        let printed = self.ferrule(args).await?;
        ensure!(
            printed.code == Some(1) && printed.stdout.is_empty(),
            "{args:?}: {printed:?}"
        );
        Ok(printed.stderr)
    }

    /// `ferrule ... | kubectl ...`
    pub(crate) async fn pipe(&self, ferrule: &[&str], kubectl: &[&str]) -> Result<String> {
        let manifests = self.told(ferrule).await?;
        self.kubectl(kubectl, &manifests).await
    }

    /// What kubectl prints, which succeeds.
    pub(crate) async fn kubectl(&self, args: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(&self.kubectl);
        command.args(args);
        self.run(command, input).await?.succeeded(&args)
    }

    /// An object; `Null` if it is not there.
    pub(crate) async fn get(&self, args: &[&str]) -> Result<Value> {
        let args = [&["get", "--output=json", "--ignore-not-found"], args].concat();
        let text = self.kubectl(&args, "").await?;
        match text.trim() {
            "" => Ok(Value::Null),
            text => Ok(serde_json::from_str(text)?),
        }
    }

    async fn run(&self, mut command: Command, input: &str) -> Result<Printed> {
        command.env("KUBECONFIG", self.cluster.kubeconfig());
        Printed::by(&mut command, input).await
    }
}

/// What a command of ferrule prints where no cluster is; the input is what is piped into it.
pub(crate) async fn alone(args: &[&str], input: &str) -> Result<Printed> {
    let helm = Binary::Helm.path().await?;
    let mut command = Ferrule::program().await?;
    command
        .args(args)
        .env("PATH", helm.parent().context("a folder")?)
        .env("KUBECONFIG", "/nowhere/config")
        .env_remove("LINKERD_DOCKER_REGISTRY");
    Printed::by(&mut command, input).await
}
