//! Lists the files of the charts for `src/embedded.rs`: what is in a folder need not be
//! named anywhere else.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const CHARTS: [&str; 2] = ["ferrule-control-plane", "ferrule-crds"];

fn main() -> io::Result<()> {
    let variable = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .ok_or(io::ErrorKind::NotFound)
    };
    let (root, out) = (variable("CARGO_MANIFEST_DIR")?, variable("OUT_DIR")?);
    let mut files = Vec::new();
    for chart in CHARTS {
        println!("cargo::rerun-if-changed={chart}");
        list(&root.join(chart), chart, &mut files)?;
    }
    files.sort();
    let lines = files.iter().map(|name| {
        let path = root.join(name);
        format!(
            "    ({name:?}, include_str!({:?})),\n",
            path.display().to_string()
        )
    });
    let list = format!("&[\n{}]\n", lines.collect::<String>());
    fs::write(out.join("files.rs"), list)
}

/// All files below a folder but its README, which Helm does not read; named with `/` on
/// every system.
fn list(folder: &Path, name: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &name, files)?;
        } else if !name.ends_with("/README.md") {
            files.push(name);
        }
    }
    Ok(())
}
