//! A component as an operating-system process that does not outlive the one that started it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};

/// Becomes the program `$@`, and leaves a reader of the lifeline pipe behind: at end of file,
/// which the kernel makes when the process that holds the other end is gone, the reader kills
/// the program and removes the cluster's folder `$0`.
const LIFELINE: &str = r#"
exec 3<&0
(read -r _ <&3; kill -9 $$; rm -rf "$0") &
exec "$@" 3<&- </dev/null
"#;

/// How much of a log an error shows.
const LOG_TAIL_LINES: usize = 15;

/// A running program, in a process group of its own (Ctrl-C in the terminal is not for it).
///
/// Dropping it kills the group. The lifeline's reader is in it, so the group's number stays
/// taken, and cannot be somebody else's, until then.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    paused: bool,
}

impl Process {
    /// Starts `program`; its output is appended to `log`. `folder` is removed when this process
    /// ends without having dropped the value.
    pub(crate) fn start(
        program: &Path,
        flags: &[String],
        folder: &Path,
        log: PathBuf,
    ) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new("sh")
            .args(["-c", LIFELINE])
            .arg(folder)
            .arg(program)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            child,
            log,
            paused: false,
        })
    }

    /// Fails with the end of the log when the program has ended by itself.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "it ended with {status}; its log ends with:\n{}",
                self.log_tail()
            );
        }
        Ok(())
    }

    /// The last lines of the log.
    pub(crate) fn log_tail(&self) -> String {
        let text = read_end(&self.log).unwrap_or_else(|error| format!("(no log: {error})"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Stops the program where it stands; returns when every thread of it has stopped.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.check_alive()?;
        if !self.paused {
            kill_process(self.pid(), Signal::STOP)?;
            waitpid(Some(self.pid()), WaitOptions::UNTRACED)?;
            self.paused = true;
        }
        Ok(())
    }

    pub(crate) fn resume(&mut self) -> Result<()> {
        self.check_alive()?;
        kill_process(self.pid(), Signal::CONT)?;
        self.paused = false;
        Ok(())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Logs can be large; the end is enough.
fn read_end(path: &Path) -> io::Result<String> {
    const BYTES: u64 = 16 << 10;
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
