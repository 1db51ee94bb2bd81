//! What goes wrong in real clusters: components that die, hang, or forget.
//!
//! These take `&mut Cluster`: a cluster that is shared is not for breaking.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Component};

impl Cluster {
    /// Kills a component with SIGKILL; its port stays its own.
    pub fn kill(&mut self, component: Component) {
        self.stop(component);
    }

    /// Starts a component again on the same port and with the same data (killed first when it
    /// runs), and returns when the API server, unless that is down, is ready.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub async fn restart(&mut self, component: Component) -> Result<()> {
        self.launch(component).await?;
        if self.running(Component::ApiServer).is_ok() {
            self.wait_for_api_server("/readyz").await?;
        }
        Ok(())
    }

    /// Has the API server sign tokens with another key and withdraws the one that it had: what
    /// is signed with that is void. It is killed for that and started again.
    ///
    /// # Errors
    ///
    /// When there is no key, or as [`Cluster::start`].
    pub async fn replace_token_key(&mut self) -> Result<()> {
        self.credentials.replace_token_key()?;
        self.restart(Component::ApiServer).await
    }

    /// Stops a component where it stands (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// When it is not running.
    pub fn pause(&mut self, component: Component) -> Result<()> {
        self.running(component)?.pause()
    }

    /// Lets a paused component go on.
    ///
    /// # Errors
    ///
    /// When it is not running.
    pub fn resume(&mut self, component: Component) -> Result<()> {
        self.running(component)?.resume()
    }

    /// Has etcd forget all versions of objects but the newest, as the API server has it do every
    /// five minutes: a watch that is to go on from an earlier one finds its version expired,
    /// unless the API server remembers what has happened since.
    ///
    /// # Errors
    ///
    /// When etcd does not answer.
    pub async fn forget_history(&self) -> Result<()> {
        let client = self.etcd_client()?;
        let call = async |path: &str, body: Value| {
            let request = http::Request::post(path).body(serde_json::to_vec(&body)?)?;
            let answer = client.request::<Value>(request).await;
            answer.with_context(|| format!("etcd refuses {path} {body}"))
        };
        // Whatever is asked, the answer's header says how far it is; a key is base64.
        let answer = call("/v3/kv/range", json!({"key": "AA=="})).await?;
        let newest = &answer["header"]["revision"];
        call(
            "/v3/kv/compaction",
            json!({"revision": newest, "physical": true}),
        )
        .await?;
        Ok(())
    }

    /// Copies everything the cluster stores to `folder`, which must not exist yet.
    ///
    /// etcd is paused meanwhile: the copy is what a crash at that moment would have left, which
    /// etcd recovers from.
    ///
    /// # Errors
    ///
    /// When etcd is not running or the copy cannot be written.
    pub fn snapshot_etcd(&mut self, folder: &Path) -> Result<()> {
        self.pause(Component::Etcd)?;
        let copied = copy_folder(&self.etcd_data(), folder);
        self.resume(Component::Etcd)?;
        copied
    }

    /// Puts an earlier [`Cluster::snapshot_etcd`] in place of what the cluster stores; an empty
    /// `folder` makes an empty cluster. Returns when the API server is ready.
    ///
    /// Resource versions go backwards, as when an operator restores a backup. All components
    /// are started anew; clients of the test are not, and a [`Kubelet`](crate::Kubelet) may wait
    /// for versions that are far away: start another.
    ///
    /// # Errors
    ///
    /// When `folder` cannot be read, and as [`Cluster::start`].
    pub async fn restore_etcd(&mut self, folder: &Path) -> Result<()> {
        for component in Component::ALL {
            self.stop(component);
        }
        let data = self.etcd_data();
        fs::remove_dir_all(&data)
            .with_context(|| format!("cannot remove etcd's data in {}", data.display()))?;
        copy_folder(folder, &data)?;
        self.launch(Component::Etcd).await?;
        self.launch(Component::ApiServer).await?;
        self.wait_for_api_server("/readyz").await?;
        self.launch(Component::ControllerManager).await
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> std::io::Result<()> {
        // etcd wants its data for its owner only; files keep their mode when copied.
        fs::create_dir(to)?;
        fs::set_permissions(to, fs::metadata(from)?.permissions())
    };
    copy().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}
