//! The binary that is measured.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// Which server, and how it is run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// Arguments after the driver's own.
    pub(crate) arguments: Vec<String>,
    /// Variables it gets, `NAME=VALUE`.
    pub(crate) environment: Vec<String>,
    /// Where profiles go, if they are wanted.
    pub(crate) perf: Option<PathBuf>,
}

impl Program {
    pub(super) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment
            .iter()
            .filter_map(|pair| pair.split_once('='))
    }

    /// A token of `account` in `namespace` for a server that keeps its keys in `state`.
    pub(crate) async fn token(
        &self,
        account: &str,
        namespace: &str,
        state: &Path,
    ) -> Result<String> {
        let output = Command::new(&self.path)
            .args(["token", "create", &format!("{account}.{namespace}")])
            .arg("--state-dir")
            .arg(state)
            .env_clear()
            .envs(self.environment())
            .output()
            .await
            .context("cannot run `ferrule token create`")?;
        ensure!(
            output.status.success(),
            "`ferrule token create` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}
