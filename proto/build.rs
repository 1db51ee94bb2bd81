//! Compiles the .proto files in Rust, so that nobody needs a protoc, and
//! generates messages, clients and servers from them.

use std::{
    env,
    error::Error,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use protox::prost::Message as _;

const INCLUDE: &str = "proto";
const PACKAGES: &str = "proto/io/linkerd/proxy";

fn main() -> Result<(), Box<dyn Error>> {
    // A directory here stands for all it holds, files yet to come included.
    println!("cargo::rerun-if-changed={INCLUDE}");

    let mut descriptors = protox::compile(proto_files(Path::new(PACKAGES))?, [INCLUDE])?;
    tonic_prost_build::configure()
        // Maps in order, so that equal messages are equal bytes.
        .btree_map(".")
        .compile_fds_with_config(descriptors.clone(), named_messages())?;

    // The comments are in the generated code; a binary need not carry them.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is set by cargo")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    Ok(())
}

/// Messages know their full names (`prost::Name`): nobody writes one by hand.
fn named_messages() -> tonic_prost_build::Config {
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    config
}

/// In order of name, so that a build is the same everywhere.
fn proto_files(dir: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    files.retain(|path| path.extension() == Some(OsStr::new("proto")));
    files.sort();
    Ok(files)
}
