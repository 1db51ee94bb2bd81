//! The files that are made from this crate are as it would make them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ferrule_crds::generated::{TEMPLATES, files};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

#[test]
fn the_files_in_the_repository_are_up_to_date() {
    let stale: Vec<String> = files()
        .into_iter()
        .filter(|file| {
            fs::read_to_string(root().join(&file.path)).ok() != Some(file.content.clone())
        })
        .map(|file| file.path)
        .collect();
    assert!(
        stale.is_empty(),
        "not what crds/ says, run `make crds`: {stale:#?}"
    );
}

#[test]
fn no_template_is_left_of_a_kind_that_is_gone() {
    let made: BTreeSet<PathBuf> = files().iter().map(|file| root().join(&file.path)).collect();
    for entry in fs::read_dir(root().join(TEMPLATES)).unwrap() {
        let path = entry.unwrap().path();
        let yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml");
        assert!(
            !yaml || made.contains(&path),
            "{} is not made by crds/: remove it",
            path.display()
        );
    }
}

/// `kubectl apply` keeps what it applied in an annotation, of at most 256 KiB.
#[test]
fn every_definition_fits_into_the_annotation_of_kubectl_apply() {
    for crd in ferrule_crds::all() {
        let size = serde_json::to_vec(&crd).unwrap().len();
        let name = crd.metadata.name.unwrap();
        assert!(size < 256 * 1024, "{name} has {size} bytes");
    }
}

/// Between its own lines Helm reads what we write, too.
#[test]
fn nothing_in_a_definition_looks_like_a_template() {
    for crd in ferrule_crds::all() {
        assert!(!serde_json::to_string(&crd).unwrap().contains("{{"));
    }
}
