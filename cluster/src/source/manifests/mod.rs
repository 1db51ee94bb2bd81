//! A directory of manifests as a source: a mesh without a cluster.
//!
//! - All `*.yaml`, `*.yml` and `*.json` files below the directory are read, in
//!   the order of their paths; hidden ones are not. Kinds that the mesh does not
//!   watch are ignored. Of an object in two places the later one holds.
//! - A document that cannot be read leaves the others of its file in effect, and
//!   until the file is wholly good again nothing that it said before goes away.
//!   The same holds for an unreadable file, and for the directory itself.
//! - A Service with a selector and without an EndpointSlice gets slices of the
//!   Pods in the files that have a `status.podIP` (ruling 19), and of the
//!   ExternalWorkloads that have an address and declare its port. Such a Pod
//!   without a `status.phase` counts as running, an ExternalWorkload without a
//!   Ready condition as ready.
//! - Everything that is wrong is said with file and line when it appears, and
//!   kept in [`WatchStats::problems`]. It does not travel with the objects, or it
//!   would be said again at every change of any file.
//! - A change is read once the files have been quiet for 50 ms, at most 300 ms
//!   after it began; where the system does not tell of changes they are looked
//!   for every half second, and every 2 s in any case. It is sent as a list of
//!   each kind.

mod catalog;
mod directory;
pub mod documents;
mod endpoints;
mod items;

pub use self::{
    directory::{Entry, Listing},
    items::problems,
};

use self::catalog::{Catalog, Contents};
use super::{DirectoryChanges, Event, Problem, Sink, WatchStats};
use crate::{Interner, object::Kind};
use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use tokio::sync::mpsc::error::SendError;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How often the directory is looked at in case a change was not told: network
/// and overlay file systems tell of none.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);
/// How often where the system tells of no changes at all.
const LOOK_ALONE: Duration = Duration::from_millis(500);

/// A directory of manifests as a source.
pub struct Manifests {
    reader: Reader,
    report: Report,
}

/// A directory of manifests that cannot be used.
#[derive(Debug, Error)]
#[error("cannot read the manifests in {}: {source}", directory.display())]
pub struct LoadError {
    /// The directory.
    pub directory: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// What does the blocking work.
struct Reader {
    catalog: Catalog,
    changes: DirectoryChanges,
}

/// What was said of the files.
struct Report {
    stats: Arc<WatchStats>,
    problems: Vec<Problem>,
}

impl Manifests {
    /// Reads the directory for the first time. Files that are broken are
    /// reported, and so is a directory without any object.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn load(
        directory: impl AsRef<Path>,
        interner: Interner,
        stats: Arc<WatchStats>,
    ) -> Result<Self, LoadError> {
        let directory = directory.as_ref();
        let mut reader = Reader {
            catalog: Catalog::new(directory.to_owned(), interner),
            changes: DirectoryChanges::below(directory),
        };
        reader.read().map_err(|source| LoadError {
            directory: directory.to_owned(),
            source,
        })?;
        let contents = reader.catalog.contents();
        if contents.objects.values().all(BTreeMap::is_empty) {
            warn!(
                "{}: there is no manifest yet of a kind that the mesh watches",
                directory.display()
            );
        }
        let mut report = Report {
            stats,
            problems: Vec::new(),
        };
        report.update(&contents);
        report.set_connected(true);
        Ok(Self { reader, report })
    }

    /// Sends what the files say, and again whenever it changes, until the sink
    /// closes or `shutdown` is cancelled.
    ///
    /// # Panics
    /// If reading does.
    pub async fn run(self, sink: Sink, shutdown: CancellationToken) {
        let closed = sink.clone();
        let ended = async {
            tokio::select! {
                _ = self.follow(sink) => {}
                () = closed.closed() => {}
            }
        };
        shutdown.run_until_cancelled(ended).await;
    }

    async fn follow(self, sink: Sink) -> Result<(), SendError<Event>> {
        let Self {
            mut reader,
            mut report,
        } = self;
        // Read again, in case it took long to come here.
        let mut is_told = true;
        loop {
            let outcome;
            (reader, outcome) = blocking(reader, move |reader| reader.refresh(is_told)).await;
            report.set_connected(outcome.is_readable);
            if let Some(contents) = outcome.contents {
                report.update(&contents);
                send(&sink, contents, &report.stats).await?;
            }
            is_told = reader
                .changes
                .told_within(if reader.changes.are_told() {
                    LOOK_ANYWAY
                } else {
                    LOOK_ALONE
                })
                .await;
        }
    }
}

/// What a look at the directory has shown.
struct Outcome {
    is_readable: bool,
    /// Where there is something to send: the first time, and after a change.
    contents: Option<Contents>,
}

impl Reader {
    fn read(&mut self) -> io::Result<()> {
        // Before reading: what changes meanwhile is told.
        self.changes.watch();
        let result = self.catalog.read();
        if result.is_err() {
            self.changes.unwatch();
        }
        result
    }

    fn refresh(&mut self, is_told: bool) -> Outcome {
        if is_told || self.catalog.is_outdated() {
            // The error is a problem of the contents.
            let _ = self.read();
        }
        let contents = self.catalog.take_changed().then(|| self.catalog.contents());
        Outcome {
            is_readable: self.catalog.is_readable(),
            contents,
        }
    }
}

impl Report {
    /// Says what is newly wrong, or that nothing is any more.
    fn update(&mut self, contents: &Contents) {
        let said: HashSet<&Problem> = self.problems.iter().collect();
        let new = contents
            .problems
            .iter()
            .filter(|problem| !said.contains(problem));
        for problem in new {
            if problem.is_error {
                error!("{problem}");
            } else {
                warn!("{problem}");
            }
        }
        if contents.problems.is_empty() && !self.problems.is_empty() {
            info!("all manifests can be read again");
        }
        self.problems.clone_from(&contents.problems);
        self.stats.set_problems(self.problems.clone());
    }

    fn set_connected(&self, is_connected: bool) {
        for kind in Kind::ALL {
            self.stats.kind(kind).set_connected(is_connected);
        }
    }
}

async fn send(sink: &Sink, contents: Contents, stats: &WatchStats) -> Result<(), SendError<Event>> {
    let mut objects = contents.objects;
    for kind in Kind::ALL {
        sink.send(Event::Relisting(kind)).await?;
        for (key, object) in objects.remove(&kind).unwrap_or_default() {
            let applied = Event::Applied {
                key,
                object,
                problems: Vec::new(),
            };
            sink.send(applied).await?;
        }
        sink.send(Event::Synced(kind)).await?;
        stats.kind(kind).heard();
    }
    Ok(())
}

/// Runs work that waits for disks beside the runtime.
async fn blocking<T: Send + 'static>(
    mut reader: Reader,
    work: impl FnOnce(&mut Reader) -> T + Send + 'static,
) -> (Reader, T) {
    let task = tokio::task::spawn_blocking(move || {
        let result = work(&mut reader);
        (reader, result)
    });
    match task.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
