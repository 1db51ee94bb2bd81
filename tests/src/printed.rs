//! Commands that are run to their end.

use anyhow::{Context as _, Result, ensure};
use std::{fmt::Debug, process::Stdio};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// What a command printed.
#[derive(Clone, Debug)]
pub struct Printed {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// To standard output.
    pub stdout: String,
    /// To standard error.
    pub stderr: String,
}

impl Printed {
    /// Runs a command with `input` piped into it. It is killed if this is dropped.
    ///
    /// # Errors
    /// If it cannot be run, or prints no text.
    pub async fn by(command: &mut Command, input: &str) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        let written = async {
            // It may end before it has read all.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        // It may print before it has read all.
        let ((), output) = tokio::join!(written, child.wait_with_output());
        let output = output?;
        Ok(Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// What it printed to standard output.
    ///
    /// # Errors
    /// If it has failed, with `what` and all that it printed.
    pub fn succeeded(self, what: &impl Debug) -> Result<String> {
        ensure!(
            self.code == Some(0),
            "{what:?}: {}{}",
            self.stdout,
            self.stderr
        );
        Ok(self.stdout)
    }
}
