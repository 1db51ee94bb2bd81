//! Writes the files that are made from this crate into the repository whose root is the argument.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let Some(root) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: make-crds ROOT");
        return ExitCode::FAILURE;
    };
    for file in ferrule_crds::generated::files() {
        let path = root.join(&file.path);
        if let Err(error) = write(&path, &file.content) {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn write(path: &std::path::Path, content: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
}
