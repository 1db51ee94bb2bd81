//! Notices that something in a directory has changed.

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};
use tracing::warn;

/// How long it has to be quiet before the files are read: a kubelet swaps a link,
/// others write file by file ...
const QUIET: Duration = Duration::from_millis(50);
/// ... though not longer than this after the first change.
const LONGEST_WAIT: Duration = Duration::from_millis(300);

/// Changes of some directories, as the operating system tells of them.
///
/// Directories are watched, not files: a kubelet never writes a file, it makes a
/// directory and swaps the link `..data` to it.
#[derive(Debug)]
pub struct DirectoryChanges {
    subject: &'static str,
    directories: Vec<PathBuf>,
    signal: mpsc::Sender<()>,
    signalled: mpsc::Receiver<()>,
    watched: Option<Watched>,
    warned: bool,
}

#[derive(Debug)]
struct Watched {
    /// What the directories' paths led to, where they led anywhere.
    targets: Vec<Option<Target>>,
    /// An event may be missed from now on, or a directory is another.
    broken: Arc<AtomicBool>,
    _watcher: RecommendedWatcher,
}

/// A directory as it is now: one that replaces it has its path, and another number.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    path: PathBuf,
    number: Option<(u64, u64)>,
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let number = number(&fs::metadata(&path)?);
        Ok(Self { path, number })
    }
}

/// Device and inode.
#[cfg(unix)]
fn number(metadata: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

impl DirectoryChanges {
    /// Those of these directories, in which `subject` is for the log.
    pub fn of<'a>(subject: &'static str, directories: impl Iterator<Item = &'a Path>) -> Self {
        let (signal, signalled) = mpsc::channel(1);
        // The directory of a file that is named without one.
        let here = |path: &Path| match path {
            path if path.as_os_str().is_empty() => PathBuf::from("."),
            path => path.to_owned(),
        };
        let mut directories: Vec<_> = directories.map(here).collect();
        directories.dedup();
        Self {
            subject,
            directories,
            signal,
            signalled,
            watched: None,
            warned: false,
        }
    }

    /// Watches what the paths lead to now, if that is not so already. To be called
    /// before each reading.
    pub fn watch(&mut self) {
        let directories = self.directories.iter();
        let targets: Vec<_> = directories.map(|path| Target::of(path).ok()).collect();
        let is_whole =
            |watched: &Watched| watched.targets == targets && !watched.broken.load(Relaxed);
        if self.watched.as_ref().is_some_and(is_whole) {
            return;
        }
        self.watched = None;
        match self.install(targets) {
            Ok(watched) => {
                self.watched = Some(watched);
                self.warned = false;
            }
            // They are looked at all the same.
            Err(error) if !self.warned => {
                self.warned = true;
                warn!(
                    "changes of {} are found by looking now and then, since the system does not \
                     tell of them: {error}",
                    self.subject
                );
            }
            Err(_) => {}
        }
    }

    fn install(&self, targets: Vec<Option<Target>>) -> notify::Result<Watched> {
        let paths: Vec<&Path> = targets
            .iter()
            .flatten()
            .map(|target| &*target.path)
            .collect();
        let broken = Arc::new(AtomicBool::new(false));
        let tell = Tell {
            targets: paths.iter().map(|path| PathBuf::from(*path)).collect(),
            broken: broken.clone(),
            signal: self.signal.clone(),
        };
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<_>| tell.event(event))?;
        for path in paths {
            watcher.watch(path, RecursiveMode::NonRecursive)?;
        }
        Ok(Watched {
            targets,
            broken,
            _watcher: watcher,
        })
    }

    /// Waits for a change and until it seems complete, or for `longest`.
    pub async fn told_within(&mut self, longest: Duration) {
        if timeout(longest, self.signalled.recv()).await.is_err() {
            return;
        }
        let quiet = async { while timeout(QUIET, self.signalled.recv()).await.is_ok() {} };
        // Whether it got quiet or not, it is read now.
        let _ = timeout(LONGEST_WAIT, quiet).await;
    }
}

/// What is done with an event.
struct Tell {
    targets: Vec<PathBuf>,
    broken: Arc<AtomicBool>,
    signal: mpsc::Sender<()>,
}

impl Tell {
    fn event(&self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if !event.need_rescan() => {
                if !is_change(event.kind) {
                    return;
                }
                // Removed or renamed itself: another may be there now.
                if event.paths.iter().any(|path| self.targets.contains(path)) {
                    self.broken.store(true, Relaxed);
                }
            }
            // Something was missed, and more may be.
            _ => self.broken.store(true, Relaxed),
        }
        // Full means that a signal waits already.
        let _ = self.signal.try_send(());
    }
}

/// Our own reading is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
