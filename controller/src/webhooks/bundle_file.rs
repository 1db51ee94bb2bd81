//! `caBundle` from a file, where somebody else makes the certificate and asks us to
//! publish who signed it.

use super::registrations::Registrar;
use crate::lease::Leadership;
use anyhow::Context as _;
use ferrule_identity::{Certificate, read_file};
use kube::Client;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

/// How often the file is read.
const LOOK: Duration = Duration::from_secs(10);

/// A bundle in a file that somebody else writes.
pub(crate) struct BundleFile {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) leadership: Leadership,
    pub(crate) call_timeout: Duration,
    pub(crate) path: PathBuf,
}

impl BundleFile {
    /// Writes what the file holds into the webhook configurations, while this replica
    /// leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let bundle = watch::Sender::new(None);
        let registrar = Registrar {
            client: self.client,
            namespace: self.namespace,
            leadership: self.leadership,
            call_timeout: self.call_timeout,
            bundle: bundle.subscribe(),
            published: watch::Sender::new(None),
            acceptance: None,
        };
        let read = async {
            let mut complained = false;
            loop {
                match read_bundle(&self.path).await {
                    Ok(read) => {
                        complained = false;
                        bundle.send_if_modified(|bundle| {
                            let is_new = bundle.as_ref() != Some(&read);
                            *bundle = Some(read);
                            is_new
                        });
                    }
                    Err(error) if !complained => {
                        complained = true;
                        tracing::warn!("--webhook-ca-bundle: the last good one stays: {error:#}");
                    }
                    Err(_) => {}
                }
                sleep(LOOK).await;
            }
        };
        stop.run_until_cancelled(async { tokio::join!(registrar.run(), read) })
            .await;
    }
}

/// Beside the runtime: disks may be slow.
async fn read_bundle(path: &Path) -> anyhow::Result<String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let shown = path.display();
        let bytes = read_file(&path).with_context(|| format!("cannot read {shown}"))?;
        Certificate::chain_from_pem(&bytes).with_context(|| format!("{shown}"))?;
        String::from_utf8(bytes).with_context(|| format!("{shown} is not UTF-8"))
    });
    match read.await {
        Ok(read) => read,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
