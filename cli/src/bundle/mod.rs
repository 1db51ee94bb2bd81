//! `ferrule diagnostics bundle`: what others need to see of a mesh to help, in one file.
//!
//! ```text
//!  API server ─> objects ─┐
//!  logs ──────────────────┼─> redacted ─> tar ─> gzip ─> a file
//!  metrics, checks ───────┘
//! ```

mod contents;
mod redact;

use self::contents::Contents;
use crate::{
    Error,
    cluster::{ClusterFlags, ControlPlane},
    output,
};
use clap::Args;
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

pub(crate) const EXAMPLES: &str = "\
Examples:
  ferrule diagnostics bundle
  ferrule diagnostics bundle -o - | tar tz";

/// A mesh, for others to look at.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// The file to write, or - for standard output [default: ferrule-bundle-TIME.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// How many lines of each log
    #[arg(long, value_name = "COUNT", default_value_t = 5000)]
    tail: u32,

    #[command(flatten)]
    control_plane: ControlPlane,

    #[command(flatten)]
    cluster: ClusterFlags,
}

impl Bundle {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let client = self.cluster.api_server().await?;
        let mut contents = Contents::new(&client, &self.control_plane.namespace, self.tail);
        contents.gather().await?;
        let name = format!(
            "ferrule-bundle-{}",
            jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ")
        );
        let path = self
            .output
            .unwrap_or_else(|| format!("{name}.tar.gz").into());
        if path == Path::new("-") {
            let stdout = io::stdout();
            if stdout.is_terminal() {
                return Err(Error::Unwritable {
                    name: "a bundle to a terminal".to_owned(),
                    reason: "it is no text; -o FILE".to_owned(),
                });
            }
            let written = write(&name, &contents, stdout.lock());
            return output::seen_enough(written.map_err(Error::from));
        }
        let written = File::create(&path).and_then(|file| write(&name, &contents, file));
        written.map_err(|error| Error::Unwritable {
            name: path.display().to_string(),
            reason: error.to_string(),
        })?;
        let (count, path) = (contents.files().len(), path.display());
        output::note(&format!(
            "{path}: {count} files; keys, tokens and data of Secrets are left out, names of \
             workloads are not: look before you hand it on"
        ));
        Ok(())
    }
}

/// Writes files as an archive, in a folder of this name.
fn write(folder: &str, contents: &Contents, to: impl Write) -> io::Result<()> {
    let seconds = jiff::Timestamp::now().as_second();
    let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
    for (name, text) in contents.files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(seconds).unwrap_or_default());
        archive.append_data(&mut header, format!("{folder}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}
