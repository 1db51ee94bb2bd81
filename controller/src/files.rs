//! Files that somebody else writes, and what is made of them.
//!
//! What is good counts from then on; what is not is said once, and the last that was good
//! stays. The issuer's files are followed by `ferrule_identity`, since of these each counts
//! as soon as it goes with the others.

use anyhow::anyhow;
use ferrule_cluster::source::DirectoryChanges;
use ferrule_identity::{FileMark, FilesStatus, read_file};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;

/// How often files are looked at where no change is told (ruling 12).
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
/// Who writes several files, or a large one, is given this long before what they hold
/// counts as bad.
const SETTLE: Duration = Duration::from_millis(500);

/// Some files, of which one thing is made.
pub(crate) struct FollowedFiles {
    paths: Arc<[PathBuf]>,
    /// The log calls that thing so, if it is good and if it is the last good one.
    names: Names,
    changes: DirectoryChanges,
    is_new: bool,
    /// What counts was made of.
    live: Vec<FileMark>,
    /// The bad contents that were last complained of.
    complained: Option<Vec<FileMark>>,
}

/// How the log calls what is made of files.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    /// `the webhooks' certificate`.
    pub(crate) subject: &'static str,
    /// `the last good certificate of the webhooks stays in use`.
    pub(crate) last_good: &'static str,
}

/// What is in a file at one moment.
pub(crate) struct Content {
    path: PathBuf,
    bytes: io::Result<Vec<u8>>,
}

impl FollowedFiles {
    /// Reads the files, when the process starts, and makes something of them.
    ///
    /// # Errors
    /// That of `make`.
    pub(crate) fn load<T>(
        paths: Vec<PathBuf>,
        names: Names,
        make: impl FnOnce(&[Content]) -> anyhow::Result<T>,
    ) -> anyhow::Result<(Self, T)> {
        let contents = read(&paths);
        let made = make(&contents)?;
        let directories = paths.iter().filter_map(|path| path.parent());
        let files = Self {
            changes: DirectoryChanges::of(names.subject, directories),
            paths: paths.into(),
            names,
            is_new: true,
            live: marks(&contents),
            complained: None,
        };
        Ok((files, made))
    }

    /// Looks at the files, at once the first time and then once they have changed, or
    /// some seconds later; what is made of them, if they are others and good.
    pub(crate) async fn look<T>(
        &mut self,
        status: &FilesStatus,
        make: impl Fn(&[Content]) -> anyhow::Result<T>,
    ) -> Option<T> {
        if !std::mem::take(&mut self.is_new) {
            self.changes.told_within(LOOK_ANYWAY).await;
        }
        // Before reading: what changes meanwhile is told.
        self.changes.watch();
        let mut contents = self.read().await;
        loop {
            let marks = marks(&contents);
            if marks == self.live {
                self.recovered(status);
                return None;
            }
            let error = match make(&contents) {
                Ok(made) => {
                    self.live = marks;
                    self.recovered(status);
                    status.reloaded();
                    return Some(made);
                }
                Err(_) if self.complained.as_ref() == Some(&marks) => return None,
                Err(error) => error,
            };
            // Half of it may be written.
            sleep(SETTLE).await;
            contents = self.read().await;
            if self::marks(&contents) == marks {
                let error = format!("{error:#}");
                status.failed(error.clone());
                tracing::warn!("{}: {error}", self.names.last_good);
                self.complained = Some(marks);
                return None;
            }
        }
    }

    fn recovered(&mut self, status: &FilesStatus) {
        if self.complained.take().is_some() {
            status.recovered();
            tracing::info!("the files of {} are good again", self.names.subject);
        }
    }

    /// Beside the runtime: disks may be slow.
    async fn read(&self) -> Vec<Content> {
        let paths = self.paths.clone();
        match tokio::task::spawn_blocking(move || read(&paths)).await {
            Ok(contents) => contents,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Content {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    ///
    /// # Errors
    /// It could not be read; the error names it.
    pub(crate) fn bytes(&self) -> anyhow::Result<&[u8]> {
        let path = self.path.display();
        let bytes = self.bytes.as_deref();
        bytes.map_err(|error| anyhow!("cannot read {path}: {error}"))
    }
}

fn read(paths: &[PathBuf]) -> Vec<Content> {
    let read = |path: &PathBuf| Content {
        path: path.clone(),
        bytes: read_file(path),
    };
    paths.iter().map(read).collect()
}

fn marks(contents: &[Content]) -> Vec<FileMark> {
    let contents = contents.iter();
    contents
        .map(|content| FileMark::of(&content.bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NAMES: Names = Names {
        subject: "the numbers",
        last_good: "the last good numbers stay in use",
    };

    /// The sum of two numbers, in a file each.
    fn sum(contents: &[Content]) -> anyhow::Result<u32> {
        let number = |content: &Content| {
            let text = String::from_utf8(content.bytes()?.to_vec())?;
            anyhow::Ok(text.parse::<u32>()?)
        };
        contents.iter().map(number).sum()
    }

    /// Time flies where nothing else is to be done.
    #[tokio::test(start_paused = true)]
    async fn what_is_good_counts_once_and_what_is_not_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let load = || FollowedFiles::load(paths.to_vec(), NAMES, sum);
        write("a", "1");
        let error = load().err().unwrap().to_string();
        assert!(error.contains("/b: "), "{error}");
        write("b", "2");
        let (mut files, made) = load().unwrap();
        assert_eq!(made, 3);

        let status = FilesStatus::default();
        let seen = |status: &FilesStatus| {
            let is_bad = status.last_error().is_some();
            (status.reloads(), status.failures(), is_bad)
        };
        for (a, b, expected, so_far) in [
            ("1", "2", None, (0, 0, false)),
            ("3", "2", Some(5), (1, 0, false)),
            ("3", "2", None, (1, 0, false)),
            ("x", "2", None, (1, 1, true)),
            ("x", "2", None, (1, 1, true)),
            ("x", "y", None, (1, 2, true)),
            // What counts already is there again.
            ("3", "2", None, (1, 2, false)),
            ("x", "2", None, (1, 3, true)),
            ("4", "2", Some(6), (2, 3, false)),
        ] {
            write("a", a);
            write("b", b);
            let made = files.look(&status, sum).await;
            assert_eq!(made, expected, "{a} and {b}");
            assert_eq!(seen(&status), so_far, "{a} and {b}");
        }
        fs::remove_file(folder.path().join("b")).unwrap();
        assert_eq!(files.look(&status, sum).await, None);
        let error = status.last_error().unwrap();
        assert!(error.contains("cannot read"), "{error}");
    }
}
