//! A namespace for one test.

use std::fmt;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, Config};
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, wait_for_service_account};
use crate::pods;

/// The namespace controller looks again after some seconds when something was left.
const DELETE_TIMEOUT: Duration = Duration::from_secs(60);

/// A namespace of its own for a test, deleted when the guard is dropped.
///
/// The drop asks for the deletion and does not wait for it; [`TestNamespace::delete`] does.
#[derive(Debug)]
pub struct TestNamespace {
    name: String,
    config: Config,
    deleted: bool,
}

impl Cluster {
    /// Creates a namespace whose name starts with `prefix` and that no other test has; pods can
    /// be created in it at once.
    ///
    /// # Errors
    ///
    /// When the API server refuses.
    pub async fn namespace(&self, prefix: &str) -> Result<TestNamespace> {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed) + 1;
        let namespace = TestNamespace {
            name: format!("{prefix}-{number}"),
            config: self.config(),
            deleted: false,
        };
        let client = self.client()?;
        let object = Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.name.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::all(client.clone())
            .create(&PostParams::default(), &object)
            .await?;
        wait_for_service_account(&client, &namespace.name).await?;
        Ok(namespace)
    }
}

impl TestNamespace {
    /// The name, such as `canary-3`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Deletes the namespace with all that is in it, and returns when it is gone: after 5 seconds,
    /// for which the namespace controller waits before it begins.
    ///
    /// # Errors
    ///
    /// When it still exists after a minute: an object's finalizer holds it, or the API server or
    /// kube-controller-manager is down.
    pub async fn delete(mut self) -> Result<()> {
        self.deleted = true;
        let client = Client::try_from(self.config.clone())?;
        request_deletion(&client, &self.name).await?;
        let namespaces: Api<Namespace> = Api::all(client);
        let started = Instant::now();
        while let Some(namespace) = namespaces.get_opt(&self.name).await? {
            if started.elapsed() > DELETE_TIMEOUT {
                bail!(
                    "namespace {} is not gone: {:?}",
                    self.name,
                    namespace.status
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl fmt::Display for TestNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for TestNamespace {
    /// In a thread and a runtime of its own: that of the test is about to end.
    fn drop(&mut self) {
        if self.deleted {
            return;
        }
        let (name, config) = (self.name.clone(), self.config.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let Ok(runtime) = runtime else { return };
            let _ = runtime.block_on(async {
                let client = Client::try_from(config)?;
                timeout(DELETE_TIMEOUT, request_deletion(&client, &name)).await?
            });
        });
    }
}

/// Bound pods have no kubelet which would end them: they are deleted without grace.
async fn request_deletion(client: &Client, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete(name, &DeleteParams::default()).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    pods.delete_collection(&pods::without_grace(), &ListParams::default())
        .await?;
    Ok(())
}
