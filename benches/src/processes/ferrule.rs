//! The server: the release binary, as a child with nothing of the driver's environment.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::MANY_FILES;
use super::perf::Perf;
use super::program::Program;
use super::setup::{Setup, Transport};
use super::usage::{Memory, cpu_seconds, reset_peak};

/// Leaves a reader of the pipe from the driver behind, which kills the server when the driver is
/// gone, however it went.
const LEASH: &str = r#"
exec 3<&0
(read -r _ <&3; kill -9 $$) &
exec "$@" 3<&- </dev/null
"#;

const READY_TIMEOUT: Duration = Duration::from_secs(180);
const READY_INTERVAL: Duration = Duration::from_millis(5);
/// Memory that has not moved by more than this for [`STILL`] has settled. An allocator gives
/// back what was freed some ten seconds ago.
const MOVED: f64 = 0.005;
const STILL: Duration = Duration::from_secs(12);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
const STATUS_TIMEOUT: Duration = Duration::from_secs(180);
const STATUS_INTERVAL: Duration = Duration::from_millis(100);
const LOG_TAIL: usize = 2_000;

/// A running `ferrule serve`.
///
/// Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Ferrule {
    child: Child,
    perf: Option<PathBuf>,
    transport: Transport,
    addresses: Addresses,
    started: Instant,
    folder: TempDir,
}

/// Where its listeners are, of the roles that it has.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    identity: SocketAddr,
    destination: SocketAddr,
    policy: SocketAddr,
    webhooks: SocketAddr,
    admin: SocketAddr,
}

/// What the server used from one moment to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) cpu_seconds: f64,
    pub(crate) memory: Memory,
}

/// The time between [`Ferrule::measure`] and [`Measurement::end`].
#[derive(Debug)]
pub(crate) struct Measurement<'a> {
    server: &'a Ferrule,
    cpu_before: f64,
    perf: Option<Perf>,
}

impl Ferrule {
    pub(crate) fn start(program: &Program, setup: &Setup<'_>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ferrule-bench-")
            .tempdir()?;
        let addresses = Addresses::free()?;
        let log = File::create(folder.path().join("log"))?;
        let started = Instant::now();
        let child = Command::new("sh")
            .args(["-c", &format!("{MANY_FILES}{LEASH}"), "ferrule"])
            .arg(&program.path)
            .arg("serve")
            .args(setup.arguments())
            .args(["--identity-addr", &addresses.identity.to_string()])
            .args(["--destination-addr", &addresses.destination.to_string()])
            .args(["--policy-addr", &addresses.policy.to_string()])
            .args(["--webhook-addr", &addresses.webhooks.to_string()])
            .args(["--admin-addr", &addresses.admin.to_string()])
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("cannot start the server")?;
        Ok(Self {
            child,
            perf: program.perf.clone(),
            transport: setup.transport,
            addresses,
            started,
            folder,
        })
    }

    /// A server that is ready and has settled.
    pub(crate) async fn settled(program: &Program, setup: &Setup<'_>) -> Result<Self> {
        let mut server = Self::start(program, setup)?;
        server.ready().await?;
        server.settle().await?;
        Ok(server)
    }

    /// Where proxies ask for endpoints.
    pub(crate) fn destination(&self) -> SocketAddr {
        self.addresses.destination
    }

    /// Where they ask for certificates.
    pub(crate) fn identity(&self) -> SocketAddr {
        self.addresses.identity
    }

    /// Where they ask for policies.
    pub(crate) fn policy(&self) -> SocketAddr {
        self.addresses.policy
    }

    /// Where API servers ask.
    pub(crate) fn webhooks(&self) -> SocketAddr {
        self.addresses.webhooks
    }

    /// How they speak to it.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Waits until it says that it is ready; how long that took from its start.
    pub(crate) async fn ready(&mut self) -> Result<Duration> {
        while !self.is_ready().await {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the server ended with {status}; its log ends with:\n{}",
                    self.log_tail()
                );
            }
            ensure!(
                self.started.elapsed() < READY_TIMEOUT,
                "the server is not ready after {} s; its log ends with:\n{}",
                READY_TIMEOUT.as_secs(),
                self.log_tail()
            );
            sleep(READY_INTERVAL).await;
        }
        Ok(self.started.elapsed())
    }

    async fn is_ready(&self) -> bool {
        let answer = self.get("/ready").await;
        answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// An answer of the admin listener, with its head.
    async fn get(&self, path: &str) -> Result<String> {
        let ask = async {
            let mut socket = TcpStream::connect(self.addresses.admin).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: ferrule\r\nconnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        timeout(Duration::from_secs(5), ask).await?
    }

    /// Waits until the memory no longer moves, but not for ever; what it is then.
    pub(crate) async fn settle(&self) -> Result<Memory> {
        let began = Instant::now();
        let (mut still_since, mut reference) = (began, self.memory()?.now as f64);
        while still_since.elapsed() < STILL && began.elapsed() < SETTLE_TIMEOUT {
            sleep(Duration::from_millis(500)).await;
            let now = self.memory()?.now as f64;
            if (now - reference).abs() > MOVED * reference {
                (still_since, reference) = (Instant::now(), now);
            }
        }
        self.memory()
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        Memory::of(self.child.id())
            .with_context(|| format!("its log ends with:\n{}", self.log_tail()))
    }

    /// What its allocator says the program uses, in bytes: resident memory is that, what the
    /// allocator keeps, and the pages of the binary that were touched.
    pub(crate) async fn heap(&self) -> Result<u64> {
        self.metric("ferrule_runtime_alloc_bytes").await
    }

    /// Waits until it has written `count` statuses and has no other to write; how long that took.
    pub(crate) async fn statuses(&self, count: u64) -> Result<Duration> {
        let began = Instant::now();
        while self.metric("resource_status_patches_total").await? < count
            || self.metric("resource_status_pending").await? > 0
        {
            ensure!(
                began.elapsed() < STATUS_TIMEOUT,
                "statuses are not written; the log ends with:\n{}",
                self.log_tail()
            );
            sleep(STATUS_INTERVAL).await;
        }
        Ok(began.elapsed())
    }

    /// The value of a series, by its name and labels as they are written.
    pub(crate) async fn metric(&self, series: &str) -> Result<u64> {
        let answer = self.get("/metrics").await?;
        let value = answer
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.with_context(|| format!("/metrics has no {series}"))?;
        Ok(value.trim().parse::<f64>()? as u64)
    }

    /// The CPU it used since its start.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.child.id())
    }

    /// Begins to measure what the row called `name` costs.
    pub(crate) fn measure(&self, name: &str) -> Result<Measurement<'_>> {
        let pid = self.child.id();
        let perf = self.perf.as_deref();
        let perf = perf
            .map(|folder| Perf::start(pid, folder, name))
            .transpose()?;
        reset_peak(pid)?;
        Ok(Measurement {
            server: self,
            cpu_before: cpu_seconds(pid)?,
            perf,
        })
    }

    fn log_tail(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL)..]).into_owned()
    }
}

impl Measurement<'_> {
    /// What was used so far.
    pub(crate) fn so_far(&self) -> Result<Used> {
        Ok(Used {
            cpu_seconds: cpu_seconds(self.server.child.id())? - self.cpu_before,
            memory: self.server.memory()?,
        })
    }

    pub(crate) fn end(self) -> Result<Used> {
        let used = self.so_far();
        drop(self.perf);
        used
    }
}

impl Drop for Ferrule {
    fn drop(&mut self) {
        // The group, which the leash's reader is in: so its number is not somebody else's yet.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Addresses {
    /// Some that are free now.
    fn free() -> Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        // All are held until all are chosen.
        let [identity, destination, policy, webhooks, admin] =
            [listen()?, listen()?, listen()?, listen()?, listen()?];
        Ok(Self {
            identity: identity.local_addr()?,
            destination: destination.local_addr()?,
            policy: policy.local_addr()?,
            webhooks: webhooks.local_addr()?,
            admin: admin.local_addr()?,
        })
    }
}
