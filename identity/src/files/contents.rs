//! What is in the files at one moment.

use super::{FilesError, Paths};
use aws_lc_rs::digest::{SHA256, digest};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Larger files are not what they should be.
const LARGEST: u64 = 1 << 20;

/// What the files hold, or why they cannot be read.
pub(super) struct Contents {
    anchors: io::Result<Vec<u8>>,
    certificate: io::Result<Vec<u8>>,
    key: io::Result<Vec<u8>>,
}

/// What contents are recognised by; no key is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) anchors: Mark,
    /// Of the certificates and of the key.
    pub(super) issuer: [Mark; 2],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    #[default]
    NeverRead,
    Digest(Vec<u8>),
    Failure(String),
}

impl Contents {
    pub(super) fn read(paths: &Paths) -> Self {
        Self {
            anchors: read(&paths.anchors),
            certificate: read(&paths.certificate),
            key: read(&paths.key),
        }
    }

    pub(super) fn marks(&self) -> Marks {
        Marks {
            anchors: Mark::of(&self.anchors),
            issuer: [Mark::of(&self.certificate), Mark::of(&self.key)],
        }
    }

    pub(super) fn anchors(&self, path: &Path) -> Result<&[u8], FilesError> {
        bytes(&self.anchors, path)
    }

    pub(super) fn certificate(&self, path: &Path) -> Result<&[u8], FilesError> {
        bytes(&self.certificate, path)
    }

    pub(super) fn key(&self, path: &Path) -> Result<&[u8], FilesError> {
        bytes(&self.key, path)
    }
}

impl Mark {
    fn of(contents: &io::Result<Vec<u8>>) -> Self {
        match contents {
            Ok(bytes) => Mark::Digest(digest(&SHA256, bytes).as_ref().to_vec()),
            Err(error) => Mark::Failure(error.to_string()),
        }
    }
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > LARGEST {
        let text = format!("larger than {LARGEST} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    fs::read(path)
}

fn bytes<'a>(contents: &'a io::Result<Vec<u8>>, path: &Path) -> Result<&'a [u8], FilesError> {
    match contents {
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(FilesError::Read {
            path: path.to_owned(),
            source: io::Error::new(error.kind(), error.to_string()),
        }),
    }
}
