//! The generator's process, as the driver sees it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::MANY_FILES;
use crate::protocol::{self, Certified, Certify, Later, Open, Opened, Report, Reviews, Told};

/// Beyond the time a command itself allows: for the report, and for connections to be made.
const GRACE: Duration = Duration::from_secs(30);

/// A generator process; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Generator {
    commands: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Generator {
    /// One that reads with `threads` threads.
    pub(crate) fn start(threads: usize) -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{MANY_FILES}exec \"$@\""), "generator"])
            // Beside this program, which may be another.
            .arg(std::env::current_exe()?.with_file_name("ferrule-bench"))
            .args(["generate", "--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the generator")?;
        let commands = child.stdin.take().context("its stdin is a pipe")?;
        let reports = child.stdout.take().context("its stdout is a pipe")?;
        Ok(Self {
            commands,
            reports: BufReader::new(reports).lines(),
            _child: child,
        })
    }

    /// Opens streams; fails unless all are answered and none has ended.
    pub(crate) async fn open(&mut self, open: Open) -> Result<Opened> {
        let streams = open.streams;
        let patience = Duration::from_millis(open.timeout_ms);
        let report = self.ask(&protocol::Command::Open(open), patience).await?;
        let Report::Opened(opened) = report else {
            bail!("not an answer to `open`: {report:?}");
        };
        ensure!(
            opened.answered == streams && opened.ended.count == 0,
            "{} of {streams} streams were answered, {} ended: {:?}",
            opened.answered,
            opened.ended.count,
            opened.ended.reasons
        );
        Ok(opened)
    }

    /// The messages since the last time, once there are `count` of them or `patience` is over;
    /// fails when a stream has ended.
    pub(crate) async fn later(&mut self, count: usize, patience: Duration) -> Result<Vec<u64>> {
        let command = protocol::Command::Later {
            count,
            timeout_ms: u64::try_from(patience.as_millis())?,
        };
        let report = self.ask(&command, patience).await?;
        let Report::Later(Later { times, ended }) = report else {
            bail!("not an answer to `later`: {report:?}");
        };
        ensure!(
            ended.count == 0,
            "{} streams ended: {:?}",
            ended.count,
            ended.reasons
        );
        Ok(times)
    }

    /// The endpoints that streams were told of since the last time, once there are `count`
    /// tellings or `patience` is over; fails when a stream has ended.
    pub(crate) async fn told(&mut self, count: usize, patience: Duration) -> Result<Told> {
        let command = protocol::Command::Told {
            count,
            timeout_ms: u64::try_from(patience.as_millis())?,
        };
        let report = self.ask(&command, patience).await?;
        let Report::Told(told) = report else {
            bail!("not an answer to `told`: {report:?}");
        };
        ensure!(
            told.ended.count == 0,
            "{} streams ended: {:?}",
            told.ended.count,
            told.ended.reasons
        );
        Ok(told)
    }

    /// Drops all connections.
    pub(crate) async fn close(&mut self) -> Result<()> {
        let report = self.ask(&protocol::Command::Close, Duration::ZERO).await?;
        ensure!(
            matches!(report, Report::Closed),
            "not an answer to `close`: {report:?}"
        );
        Ok(())
    }

    /// Asks for certificates; fails unless there is one for every call.
    pub(crate) async fn certify(&mut self, order: Certify) -> Result<Certified> {
        let patience = Duration::from_millis(order.timeout_ms);
        let report = self
            .ask(&protocol::Command::Certify(order), patience)
            .await?;
        let Report::Certified(certified) = report else {
            bail!("not an answer to `certify`: {report:?}");
        };
        let failed = &certified.failed;
        ensure!(
            failed.count == 0,
            "{} of {} calls failed: {:?}",
            failed.count,
            failed.count + certified.answered,
            failed.reasons
        );
        Ok(certified)
    }

    /// Asks for reviews; fails unless each is answered by a patch.
    pub(crate) async fn review(&mut self, order: Reviews) -> Result<Certified> {
        let patience = Duration::from_millis(order.timeout_ms);
        let report = self
            .ask(&protocol::Command::Review(order), patience)
            .await?;
        let Report::Reviewed(reviewed) = report else {
            bail!("not an answer to `review`: {report:?}");
        };
        let failed = &reviewed.failed;
        ensure!(
            failed.count == 0,
            "{} reviews failed: {:?}",
            failed.count,
            failed.reasons
        );
        Ok(reviewed)
    }

    async fn ask(&mut self, command: &protocol::Command, patience: Duration) -> Result<Report> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        self.commands.write_all(&line).await?;
        self.commands.flush().await?;
        let answer = timeout(patience + GRACE, self.reports.next_line()).await;
        let answer = answer.context("the generator does not answer")??;
        let answer = answer.context("the generator has ended; its messages are above")?;
        Ok(serde_json::from_str(&answer)?)
    }
}
