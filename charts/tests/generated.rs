//! The files that are made of the charts' values are as they would be made.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ferrule_charts::generated::files;
use std::{fs, path::Path};

#[test]
fn the_files_in_the_repository_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = files(root).unwrap_or_else(|error| panic!("{error}"));
    let stale: Vec<String> = files
        .into_iter()
        .filter(|file| fs::read_to_string(root.join(&file.path)).ok() != Some(file.content.clone()))
        .map(|file| file.path)
        .collect();
    assert!(
        stale.is_empty(),
        "not what values.yaml says, run `make charts`: {stale:#?}"
    );
}
