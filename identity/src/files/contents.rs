//! What is in the files at one moment.

use super::{FilesError, Paths};
use aws_lc_rs::digest::{SHA256, digest};
use std::{fs, io, path::Path};

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
    pub(super) anchors: FileMark,
    /// Of the certificates and of the key.
    pub(super) issuer: [FileMark; 2],
}

/// What the content of a file is recognised by, which tells nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileMark(Known);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    NeverRead,
    Digest(Vec<u8>),
    Failure(String),
}

impl Contents {
    pub(super) fn read(paths: &Paths) -> Self {
        Self {
            anchors: read_file(&paths.anchors),
            certificate: read_file(&paths.certificate),
            key: read_file(&paths.key),
        }
    }

    pub(super) fn marks(&self) -> Marks {
        Marks {
            anchors: FileMark::of(&self.anchors),
            issuer: [FileMark::of(&self.certificate), FileMark::of(&self.key)],
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

impl FileMark {
    /// That of what was read, or of why it could not be.
    pub fn of(contents: &io::Result<Vec<u8>>) -> Self {
        Self(match contents {
            Ok(bytes) => Known::Digest(digest(&SHA256, bytes).as_ref().to_vec()),
            Err(error) => Known::Failure(error.to_string()),
        })
    }
}

/// Reads a file of at most a mebibyte.
///
/// # Errors
/// It is larger, or cannot be read.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
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
