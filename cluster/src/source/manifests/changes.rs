//! Notices that a directory of manifests has changed.

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};
use tracing::warn;

/// Editors and tools write a file in several steps: how long it has to be quiet
/// before it is read ...
const QUIET: Duration = Duration::from_millis(50);
/// ... though not longer than this after the first change.
const LONGEST_WAIT: Duration = Duration::from_millis(300);

/// Changes of a directory, as the operating system tells of them.
pub(super) struct Changes {
    /// As given, made absolute: how the events of the directory above name it.
    directory: PathBuf,
    signal: mpsc::Sender<()>,
    signalled: mpsc::Receiver<()>,
    watched: Option<Watched>,
    warned: bool,
}

/// An installed watch.
struct Watched {
    /// What the directory's path led to.
    target: PathBuf,
    /// Another directory may be at the path since.
    is_replaced: Arc<AtomicBool>,
    _watcher: RecommendedWatcher,
}

impl Changes {
    pub(super) fn new(directory: &Path) -> Self {
        let (signal, signalled) = mpsc::channel(1);
        Self {
            directory: std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()),
            signal,
            signalled,
            watched: None,
            warned: false,
        }
    }

    /// Watches the directory that the path leads to now. To be called before
    /// each reading: a link may have been swapped, the directory replaced.
    pub(super) fn watch(&mut self) {
        let target = self.directory.canonicalize();
        match (target, &self.watched) {
            (Ok(target), Some(watched))
                if watched.target == target && !watched.is_replaced.load(Relaxed) => {}
            (Ok(target), _) => self.install(target),
            // It will be found by looking.
            (Err(_), _) => self.watched = None,
        }
    }

    /// Whether the operating system tells of changes.
    pub(super) fn are_told(&self) -> bool {
        self.watched.is_some()
    }

    /// Forgets the watch: it follows a directory that is not there any more.
    pub(super) fn unwatch(&mut self) {
        self.watched = None;
    }

    fn install(&mut self, target: PathBuf) {
        self.watched = None;
        let is_replaced = Arc::new(AtomicBool::new(false));
        let tell = Tell {
            directory: self.directory.clone(),
            target: target.clone(),
            is_replaced: is_replaced.clone(),
            signal: self.signal.clone(),
        };
        match watcher(tell) {
            Ok(watcher) => {
                self.watched = Some(Watched {
                    target,
                    is_replaced,
                    _watcher: watcher,
                });
                self.warned = false;
            }
            Err(error) if !self.warned => {
                self.warned = true;
                warn!(
                    "{}: changes are found by looking every half second, since the system does \
                     not tell of them: {error}",
                    self.directory.display()
                );
            }
            Err(_) => {}
        }
    }

    /// Waits for a change and until it seems complete, or for `longest`; whether
    /// there was one.
    pub(super) async fn told_within(&mut self, longest: Duration) -> bool {
        if timeout(longest, self.signalled.recv()).await.is_err() {
            return false;
        }
        let quiet = async { while timeout(QUIET, self.signalled.recv()).await.is_ok() {} };
        // Whether it got quiet or not, it is read now.
        let _ = timeout(LONGEST_WAIT, quiet).await;
        true
    }
}

/// What is done with an event.
struct Tell {
    directory: PathBuf,
    target: PathBuf,
    is_replaced: Arc<AtomicBool>,
    signal: mpsc::Sender<()>,
}

impl Tell {
    fn event(&self, event: notify::Result<notify::Event>) {
        // An error means that something was missed.
        if let Ok(event) = event
            && !event.need_rescan()
        {
            if !is_change(event.kind) || !event.paths.iter().any(|path| self.concerns(path)) {
                return;
            }
            let is_itself = |path: &PathBuf| *path == self.directory || *path == self.target;
            if event.paths.iter().any(is_itself) {
                self.is_replaced.store(true, Relaxed);
            }
        }
        // Full means that a signal waits already.
        let _ = self.signal.try_send(());
    }

    /// The directory above has other things in it.
    fn concerns(&self, path: &Path) -> bool {
        path.starts_with(&self.target) || path.starts_with(&self.directory)
    }
}

fn watcher(tell: Tell) -> notify::Result<RecommendedWatcher> {
    let target = tell.target.clone();
    let above = tell.directory.parent().map(Path::to_owned);
    let mut watcher =
        notify::recommended_watcher(move |event: notify::Result<notify::Event>| tell.event(event))?;
    watcher.watch(&target, RecursiveMode::Recursive)?;
    if let Some(above) = above {
        // For the directory's own replacement. It may be closed to us.
        let _ = watcher.watch(&above, RecursiveMode::NonRecursive);
    }
    Ok(watcher)
}

/// Our own reading is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
