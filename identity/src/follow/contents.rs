//! What anchors, certificate and key are at one moment, wherever they come from.

use super::SourceError;
use crate::certificate::sha256;
use aws_lc_rs::digest::{SHA256, digest};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};
use zeroize::Zeroizing;

/// Larger files are not what they should be.
const LARGEST: u64 = 1 << 20;

/// What there is, or why it cannot be read.
pub(crate) struct Contents {
    pub(crate) anchors: Text,
    pub(crate) certificate: Text,
    pub(crate) key: Text,
    /// Whether somebody else keeps the issuer: what replaces it may come in any order.
    pub(crate) is_theirs: bool,
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

impl Marks {
    /// All of them in one, in lower-case hexadecimal.
    pub(super) fn fingerprint(&self) -> String {
        let [certificate, key] = &self.issuer;
        sha256(format!("{:?}", [&self.anchors, certificate, key]).as_bytes())
    }
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
    let file = File::open(path)?;
    // Room for all of it: a buffer that grows leaves copies of a key behind.
    let length = file.metadata()?.len().min(LARGEST);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    // A file may grow, and a device has no length.
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        let text = format!("larger than {LARGEST} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_a_mebibyte_whatever_it_says_of_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let most = vec![b'a'; 1 << 20];
        std::fs::write(&path, &most).unwrap();
        assert!(read_file(&path).unwrap() == most);
        std::fs::write(&path, [&most[..], b"a"].concat()).unwrap();
        let endless = Path::new("/dev/zero");
        for path in [&*path, endless] {
            let error = read_file(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{error}");
        }
    }
}
