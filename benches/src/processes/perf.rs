//! A profile of the server while a row is measured.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// `perf record` of one process; ends, and writes its file, when dropped.
#[derive(Debug)]
pub(crate) struct Perf(Child);

impl Perf {
    pub(crate) fn start(pid: u32, folder: &Path, name: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = folder.join(format!("{name}.perf"));
        // The clock, since virtual machines have no cycle counter.
        let child = Command::new("perf")
            .args([
                "record",
                "--event=cpu-clock",
                "--freq=997",
                "--call-graph=dwarf,16384",
            ])
            .args(["--quiet", "--pid", &pid.to_string(), "--output"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run perf: install linux-perf, or leave --perf out")?;
        Ok(Self(child))
    }
}

impl Drop for Perf {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}
