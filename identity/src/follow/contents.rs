//! What anchors, certificate and key are at one moment, wherever they come from.

use super::SourceError;
use aws_lc_rs::digest::{SHA256, digest};
use std::{fs, io, path::Path};
use zeroize::Zeroizing;

/// Larger files are not what they should be.
const LARGEST: u64 = 1 << 20;

/// What there is, or why it cannot be read.
pub(crate) struct Contents {
    pub(crate) anchors: Text,
    pub(crate) certificate: Text,
    pub(crate) key: Text,
}

/// One of them.
pub(crate) struct Text {
    /// As errors name it: a file, or an object and a key in it.
    place: String,
    bytes: io::Result<Zeroizing<Vec<u8>>>,
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
    pub(super) fn marks(&self) -> Marks {
        Marks {
            anchors: self.anchors.mark(),
            issuer: [self.certificate.mark(), self.key.mark()],
        }
    }
}

impl Text {
    pub(crate) fn new(place: String, bytes: io::Result<Vec<u8>>) -> Self {
        Self {
            place,
            bytes: bytes.map(Zeroizing::new),
        }
    }

    pub(crate) fn of_file(path: &Path) -> Self {
        Self::new(path.display().to_string(), read_file(path))
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn bytes(&self) -> Result<&[u8], SourceError> {
        match &self.bytes {
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(SourceError::Read {
                place: self.place.clone(),
                source: io::Error::new(error.kind(), error.to_string()),
            }),
        }
    }

    fn mark(&self) -> FileMark {
        FileMark(match &self.bytes {
            Ok(bytes) => Known::of(bytes),
            Err(error) => Known::Failure(error.to_string()),
        })
    }
}

impl Known {
    fn of(bytes: &[u8]) -> Self {
        Known::Digest(digest(&SHA256, bytes).as_ref().to_vec())
    }
}

impl FileMark {
    /// That of what was read, or of why it could not be.
    pub fn of(contents: &io::Result<Vec<u8>>) -> Self {
        Self(match contents {
            Ok(bytes) => Known::of(bytes),
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
