//! Files that are for their owner only, and whole.

use super::StateError;
use crate::read_file;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};
use tracing::warn;
use zeroize::Zeroizing;

/// A directory for secrets.
#[derive(Clone, Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        let made = builder.create(path);
        made.map_err(failed("make the state directory", path))?;
        // One that is there already stays as it is.
        if is_open_to_others(path, 0o022) {
            warn!(
                "others can put files of theirs into {0}: chmod 700 {0}",
                path.display()
            );
        }
        Ok(Self(path.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Keeps other processes from making the same files, until it is dropped. The
    /// system gives it up with the process.
    pub(super) fn lock(&self) -> Result<File, StateError> {
        let path = self.file("lock");
        let mut options = for_owner();
        let file = options.create(true).truncate(false).open(&path);
        let file = file.map_err(failed("make", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(file)
    }

    /// What is in a file, if it is there.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let path = self.file(name);
        match read_file(&path) {
            Ok(bytes) => {
                if name.ends_with(".key") && is_open_to_others(&path, 0o077) {
                    warn!("others can read {0}: chmod 600 {0}", path.display());
                }
                Ok(Some(bytes.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Writes a file whole, or leaves what was there. To be called with the lock.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.file(name);
        let new = self.file(&format!(".{name}.new"));
        let write = || {
            // Of a process that was killed here.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = for_owner().create_new(true).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(failed("write", &path))
    }
}

/// Whether somebody but the owner has one of the rights in `mask`.
#[cfg(unix)]
fn is_open_to_others(path: &Path, mask: u32) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & mask != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path, _: u32) -> bool {
    false
}

/// Options to write a file which, if it is made, others cannot read.
fn for_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io {
        action,
        path,
        source,
    }
}
