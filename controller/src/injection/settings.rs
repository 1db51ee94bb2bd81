//! The chart's values and the trust anchors, in files that somebody else writes.

use anyhow::{Context as _, anyhow, ensure};
use ferrule_identity::{DirectoryChanges, FileMark, FilesStatus, read_file};
use ferrule_proxy_injector::{Injector, TrustAnchors, Values};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// How often the files are looked at where no change is told.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
/// Who writes a file is given this long before what it holds counts as bad.
const SETTLE: Duration = Duration::from_millis(500);
/// Who injects, as pods' annotations say.
const CREATED_BY: &str = concat!("ferrule/proxy-injector ", env!("CARGO_PKG_VERSION"));

/// What decides now, made of the files.
pub(super) struct Settings {
    current: watch::Sender<Arc<Injector>>,
    status: FilesStatus,
}

/// The files.
pub(crate) struct SettingsFiles {
    values: PathBuf,
    trust_anchors: PathBuf,
    control_plane_namespace: String,
    live: Marks,
    /// The bad contents that were last complained of.
    complained: Option<Marks>,
}

type Marks = [FileMark; 2];

/// What is in the files at one moment.
struct Contents {
    values: io::Result<Vec<u8>>,
    trust_anchors: io::Result<Vec<u8>>,
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
        let contents = Contents::read(&values, &trust_anchors);
        let files = Self {
            values,
            trust_anchors,
            control_plane_namespace: control_plane_namespace.to_owned(),
            live: contents.marks(),
            complained: None,
        };
        let settings = Settings {
            current: watch::Sender::new(Arc::new(files.injector(&contents)?)),
            status: FilesStatus::default(),
        };
        Ok((files, Arc::new(settings)))
    }

    /// Follows the files. What is good counts for the next pod; what is not is said
    /// once, and the last that was good stays.
    pub(super) async fn run(mut self, settings: Arc<Settings>) {
        let files = [self.values.clone(), self.trust_anchors.clone()];
        let directories = files.iter().filter_map(|file| file.parent());
        let mut changes = DirectoryChanges::of("the injector's settings", directories);
        loop {
            // Before reading: what changes meanwhile is told.
            changes.watch();
            self.look(&settings).await;
            changes.told_within(LOOK_ANYWAY).await;
        }
    }

    async fn look(&mut self, settings: &Settings) {
        let mut contents = self.read().await;
        loop {
            let marks = contents.marks();
            if marks == self.live {
                return self.recovered(settings);
            }
            match self.injector(&contents) {
                Ok(injector) => {
                    self.live = marks;
                    self.recovered(settings);
                    settings.status.reloaded();
                    settings.current.send_replace(Arc::new(injector));
                    tracing::info!("the next pods are injected by changed settings");
                    return;
                }
                Err(_) if self.complained.as_ref() == Some(&marks) => return,
                Err(error) => {
                    // Half of it may be written.
                    sleep(SETTLE).await;
                    contents = self.read().await;
                    if contents.marks() == marks {
                        let error = format!("{error:#}");
                        tracing::warn!("the injector's last good settings stay in use: {error}");
                        settings.status.failed(error);
                        self.complained = Some(marks);
                        return;
                    }
                }
            }
        }
    }

    fn recovered(&mut self, settings: &Settings) {
        if self.complained.take().is_some() {
            tracing::info!("the files of the injector's settings are good again");
            settings.status.recovered();
        }
    }

    /// Beside the runtime: disks may be slow.
    async fn read(&self) -> Contents {
        let (values, trust_anchors) = (self.values.clone(), self.trust_anchors.clone());
        let read = tokio::task::spawn_blocking(move || Contents::read(&values, &trust_anchors));
        match read.await {
            Ok(contents) => contents,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn injector(&self, contents: &Contents) -> anyhow::Result<Injector> {
        let path = self.values.display();
        let text = text(&contents.values, &self.values)?;
        let (values, problems) = Values::parse(text).with_context(|| format!("{path}"))?;
        let path = self.trust_anchors.display();
        let pem = self::text(&contents.trust_anchors, &self.trust_anchors)?;
        // As pods show it, so every byte counts; but proxies must be able to read it.
        ferrule_identity::TrustAnchors::from_pem(pem.as_bytes())
            .with_context(|| format!("the trust anchors in {path}"))?;
        for problem in problems {
            tracing::warn!("{}: {problem}", self.values.display());
        }
        Ok(Injector {
            values,
            trust_anchors: TrustAnchors::new(pem),
            control_plane_namespace: self.control_plane_namespace.clone(),
            created_by: CREATED_BY.to_owned(),
        })
    }
}

impl Contents {
    fn read(values: &Path, trust_anchors: &Path) -> Self {
        Self {
            values: read_file(values),
            trust_anchors: read_file(trust_anchors),
        }
    }

    fn marks(&self) -> Marks {
        [
            FileMark::of(&self.values),
            FileMark::of(&self.trust_anchors),
        ]
    }
}

fn text<'c>(contents: &'c io::Result<Vec<u8>>, path: &Path) -> anyhow::Result<&'c str> {
    let path = path.display();
    let bytes = contents.as_ref();
    let bytes = bytes.map_err(|error| anyhow!("cannot read {path}: {error}"))?;
    ensure!(!bytes.is_empty(), "{path} is empty");
    std::str::from_utf8(bytes).with_context(|| format!("{path} is not UTF-8"))
}
