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
/// editors and others write a file in several steps, or file by file ...
const QUIET: Duration = Duration::from_millis(50);
/// ... though not longer than this after the first change.
const LONGEST_WAIT: Duration = Duration::from_millis(300);

/// Changes of some directories, as the operating system tells of them.
///
/// Directories are watched, not files: a kubelet never writes a file, it makes a
/// directory and swaps the link `..data` to it.
#[derive(Debug)]
pub struct DirectoryChanges {
    subject: String,
    /// As given, made absolute: how the events of the directories above name them.
    directories: Vec<PathBuf>,
    depth: RecursiveMode,
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
    pub fn of<'a>(
        subject: impl Into<String>,
        directories: impl IntoIterator<Item = &'a Path>,
    ) -> Self {
        Self::new(subject.into(), directories, RecursiveMode::NonRecursive)
    }

    /// Those of this directory and all below it.
    pub fn below(directory: &Path) -> Self {
        let subject = directory.display().to_string();
        Self::new(subject, [directory], RecursiveMode::Recursive)
    }

    fn new<'a>(
        subject: String,
        directories: impl IntoIterator<Item = &'a Path>,
        depth: RecursiveMode,
    ) -> Self {
        let (signal, signalled) = mpsc::channel(1);
        // The directory of a file that is named without one.
        let here = |path: &'a Path| match path {
            path if path.as_os_str().is_empty() => Path::new("."),
            path => path,
        };
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let directories = directories.into_iter().map(here);
        let mut directories: Vec<_> = directories.map(absolute).collect();
        directories.dedup();
        Self {
            subject,
            directories,
            depth,
            signal,
            signalled,
            watched: None,
            warned: false,
        }
    }

    /// Watches what the paths lead to now, if that is not so already. To be called
    /// before each reading: a link may have been swapped, a directory replaced.
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

    /// Whether the operating system tells of changes.
    pub fn are_told(&self) -> bool {
        self.watched.is_some()
    }

    /// Forgets the watch: it follows a directory that is not there any more.
    pub fn unwatch(&mut self) {
        self.watched = None;
    }

    fn install(&self, targets: Vec<Option<Target>>) -> notify::Result<Watched> {
        let found = targets.iter().flatten().map(|target| &target.path);
        let broken = Arc::new(AtomicBool::new(false));
        let tell = Tell {
            watched: found.clone().chain(&self.directories).cloned().collect(),
            broken: broken.clone(),
            signal: self.signal.clone(),
        };
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<_>| tell.event(event))?;
        for path in found {
            watcher.watch(path, self.depth)?;
        }
        for above in self.directories.iter().filter_map(|path| path.parent()) {
            // For a directory's own replacement. It may be closed to us.
            let _ = watcher.watch(above, RecursiveMode::NonRecursive);
        }
        Ok(Watched {
            targets,
            broken,
            _watcher: watcher,
        })
    }

    /// Waits for a change and until it seems complete, or for `longest`; whether
    /// there was one.
    pub async fn told_within(&mut self, longest: Duration) -> bool {
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
    /// The directories by their paths, and by what these led to.
    watched: Vec<PathBuf>,
    broken: Arc<AtomicBool>,
    signal: mpsc::Sender<()>,
}

impl Tell {
    fn event(&self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if !event.need_rescan() => {
                if !is_change(event.kind) || !event.paths.iter().any(|path| self.concerns(path)) {
                    return;
                }
                // Removed or renamed itself: another may be there now.
                if event.paths.iter().any(|path| self.watched.contains(path)) {
                    self.broken.store(true, Relaxed);
                }
            }
            // Something was missed, and more may be.
            _ => self.broken.store(true, Relaxed),
        }
        // Full means that a signal waits already.
        let _ = self.signal.try_send(());
    }

    /// The directories above have other things in them.
    fn concerns(&self, path: &Path) -> bool {
        self.watched.iter().any(|watched| path.starts_with(watched))
    }
}

/// Our own reading is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
