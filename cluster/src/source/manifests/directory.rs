//! The manifest files under a directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Larger files are not read.
pub(super) const LARGEST_FILE: u64 = 16 << 20;

/// What is under a directory, as far as it can be seen.
#[derive(Debug, Default, PartialEq)]
pub struct Listing {
    /// The manifest files, sorted.
    pub files: Vec<Entry>,
    /// Files and directories that cannot be looked into: what was under them may
    /// still be there.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// A file as listed. Equal entries are the same version of it, as far as the
/// file system tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Listing {
    /// Lists `directory` and what is below it, also through symbolic links.
    ///
    /// # Errors
    /// If the directory itself cannot be read.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        listing.add_directory(directory, &mut Vec::new())?;
        listing.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    fn add_directory(&mut self, directory: &Path, above: &mut Vec<PathBuf>) -> io::Result<()> {
        let real = directory.canonicalize()?;
        if above.contains(&real) {
            // A link to a directory that it is in.
            return Ok(());
        }
        let entries = fs::read_dir(directory)?;
        above.push(real);
        for entry in entries {
            match entry {
                Ok(entry) => self.add(entry.path(), above),
                Err(error) => self
                    .unreadable
                    .push((directory.to_owned(), error.to_string())),
            }
        }
        above.pop();
        Ok(())
    }

    fn add(&mut self, path: PathBuf, above: &mut Vec<PathBuf>) {
        if is_skipped(&path) {
            return;
        }
        let found = fs::metadata(&path).and_then(|metadata| {
            if metadata.is_dir() {
                self.add_directory(&path, above)?;
            } else if is_manifest(&path) {
                self.files.push(Entry {
                    path: path.clone(),
                    length: metadata.len(),
                    modified: metadata.modified().ok(),
                });
            }
            Ok(())
        });
        match found {
            Ok(()) => {}
            // Gone since it was listed, unless it is a link that leads nowhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {}
            Err(error) => self.unreadable.push((path, error.to_string())),
        }
    }
}

impl Entry {
    /// The file's text.
    ///
    /// # Errors
    /// Says why it cannot be had.
    pub(super) fn read(&self) -> io::Result<String> {
        if self.length > LARGEST_FILE {
            return Err(io::Error::other(format!(
                "larger than {} MiB: split it",
                LARGEST_FILE >> 20
            )));
        }
        fs::read_to_string(&self.path)
    }
}

/// Hidden files (also the `..data` of projected volumes, which the visible names
/// lead to) and what editors put next to a file.
fn is_skipped(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(['.', '#']) || name.ends_with('~')
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// Whether a manifest file is JSON by its name.
pub(super) fn is_json(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_and_those_of_editors_are_skipped() {
        for (name, read) in [
            ("a.yaml", true),
            ("a.YML", true),
            ("a.json", true),
            ("a.yaml~", false),
            (".a.yaml", false),
            (".a.yaml.swp", false),
            ("#a.yaml#", false),
            ("#a.yaml", false),
            ("..data", false),
            ("a.yaml.bak", false),
            ("README.md", false),
        ] {
            let path = Path::new(name);
            assert_eq!(!is_skipped(path) && is_manifest(path), read, "{name}");
        }
    }
}
