//! The chart's values and the trust anchors, in files that somebody else writes.

use crate::files::{Content, FollowedFiles, Names};
use anyhow::{Context as _, ensure};
use ferrule_identity::FilesStatus;
use ferrule_proxy_injector::{Injector, TrustAnchors, Values};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::watch;

const NAMES: Names = Names {
    subject: "the injector's settings",
    last_good: "the injector's last good settings stay in use",
};
/// Who injects, as pods' annotations say.
const CREATED_BY: &str = concat!("ferrule/proxy-injector ", env!("CARGO_PKG_VERSION"));

/// What decides now, made of the files.
pub(super) struct Settings {
    current: watch::Sender<Arc<Injector>>,
    status: FilesStatus,
}

/// The files.
pub(crate) struct SettingsFiles {
    files: FollowedFiles,
    control_plane_namespace: String,
}

impl Settings {
    /// Those that never change.
    #[cfg(test)]
    pub(super) fn fixed(injector: Injector) -> Self {
        Self {
            current: watch::Sender::new(Arc::new(injector)),
            status: FilesStatus::default(),
        }
    }

    pub(super) fn current(&self) -> Arc<Injector> {
        self.current.borrow().clone()
    }

    /// How the files fare.
    pub(super) fn status(&self) -> &FilesStatus {
        &self.status
    }
}

impl SettingsFiles {
    /// Reads the files, when the process starts.
    ///
    /// # Errors
    /// What is wrong with one of them, naming it.
    pub(super) fn load(
        values: PathBuf,
        trust_anchors: PathBuf,
        control_plane_namespace: &str,
    ) -> anyhow::Result<(Self, Arc<Settings>)> {
        let control_plane_namespace = control_plane_namespace.to_owned();
        let (files, made) = FollowedFiles::load(vec![values, trust_anchors], NAMES, |contents| {
            injector(contents, &control_plane_namespace)
        })?;
        let files = Self {
            files,
            control_plane_namespace,
        };
        let settings = Settings {
            current: watch::Sender::new(Arc::new(made)),
            status: FilesStatus::default(),
        };
        Ok((files, Arc::new(settings)))
    }

    /// Follows the files. What is good counts for the next pod; what is not is said
    /// once, and the last that was good stays.
    pub(super) async fn run(mut self, settings: Arc<Settings>) {
        loop {
            let make = |contents: &[Content]| injector(contents, &self.control_plane_namespace);
            if let Some(injector) = self.files.look(&settings.status, make).await {
                settings.current.send_replace(Arc::new(injector));
                tracing::info!("the next pods are injected by changed settings");
            }
        }
    }
}

fn injector(contents: &[Content], control_plane_namespace: &str) -> anyhow::Result<Injector> {
    let [values_file, anchors_file] = contents else {
        unreachable!("two files are read");
    };
    let path = values_file.path().display();
    let (values, problems) =
        Values::parse(text(values_file)?).with_context(|| format!("{path}"))?;
    let pem = text(anchors_file)?;
    // As pods show it, so every byte counts; but proxies must be able to read it.
    let anchors = ferrule_identity::TrustAnchors::from_pem(pem.as_bytes());
    anchors.with_context(|| format!("the trust anchors in {}", anchors_file.path().display()))?;
    for problem in problems {
        tracing::warn!("{path}: {problem}");
    }
    Ok(Injector {
        values,
        trust_anchors: TrustAnchors::new(pem),
        control_plane_namespace: control_plane_namespace.to_owned(),
        created_by: CREATED_BY.to_owned(),
    })
}

fn text(content: &Content) -> anyhow::Result<&str> {
    let path = content.path().display();
    let bytes = content.bytes()?;
    ensure!(!bytes.is_empty(), "{path} is empty");
    std::str::from_utf8(bytes).with_context(|| format!("{path} is not UTF-8"))
}
