//! The .proto files that the published `linkerd2-proxy-api` crate ships, read
//! where cargo keeps its sources.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use prost_types::FileDescriptorSet;

const CRATE: &str = "linkerd2-proxy-api";

/// Descriptors of all that the crate publishes.
pub(crate) fn descriptors() -> FileDescriptorSet {
    let dir = proto_dir();
    let files: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("a directory that opens lists").path())
        .filter(|path| path.extension() == Some(OsStr::new("proto")))
        .collect();
    protox::compile(files, [dir]).expect("the published files compile")
}

/// Asks cargo, which alone knows whether sources are from a registry, a vendor
/// directory or a patch. Only this platform's packages are asked for: those are
/// there already, since this test was built with them.
fn proto_dir() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", "host-tuple"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == CRATE)
        .and_then(|package| package["manifest_path"].as_str())
        .unwrap_or_else(|| panic!("cargo metadata lists no {CRATE}"));
    Path::new(manifest).with_file_name("proto")
}
