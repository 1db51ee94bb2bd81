use crate::{Printed, scrape::Scrape};
use anyhow::{Context as _, bail, ensure};
use ferrule_test_cluster::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command as StdCommand, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

/// `ferrule serve` as a process, killed when dropped.
#[derive(Debug)]
pub struct Ferrule {
    process: Child,
    log: Arc<Mutex<Vec<String>>>,
    destination: SocketAddr,
    admin: SocketAddr,
}

impl Ferrule {
    /// Starts the built binary against a cluster, on ports of its own, and waits
    /// until it listens.
    ///
    /// # Errors
    /// If it cannot be built or ends at once; the error has its log.
    pub async fn start(kubeconfig: &Path) -> anyhow::Result<Self> {
        Self::start_with(kubeconfig, &["--roles=destination"]).await
    }

    /// Ends it as a crash would, and waits until it has gone.
    ///
    /// # Errors
    /// If it cannot be.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("killing ferrule")
    }

    /// As [`start`](Self::start), with these flags.
    ///
    /// # Errors
    /// Likewise.
    pub async fn start_with(kubeconfig: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let binary = tokio::task::spawn_blocking(binary).await??;
        let mut process = Command::new(binary)
            .args(["serve", "--log-format", "json"])
            .args(flags)
            .args([
                "--destination-addr",
                "127.0.0.1:0",
                "--admin-addr",
                "127.0.0.1:0",
            ])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting ferrule")?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = process.stderr.take().context("stderr is piped")?;
        let written = log.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                written
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut ferrule = Self {
            process,
            log,
            destination: unknown,
            admin: unknown,
        };
        let roles = flags.iter().find_map(|flag| flag.strip_prefix("--roles="));
        if roles.is_none_or(|roles| roles.contains("destination")) {
            ferrule.destination = ferrule.address_of("destination").await?;
        }
        ferrule.admin = ferrule.address_of("admin").await?;
        Ok(ferrule)
    }

    /// Where proxies connect.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// Where people ask, with the same answers as proxies get.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// If it does not within a minute; the error has its log.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready().await? {
            ensure!(
                Instant::now() < deadline,
                "ferrule is not ready:\n{}",
                self.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether `/ready` says so now.
    ///
    /// # Errors
    /// If the admin listener does not answer.
    pub async fn is_ready(&self) -> anyhow::Result<bool> {
        Ok(self.admin("/ready").await?.0 == 200)
    }

    /// A page of the admin listener that is JSON.
    ///
    /// # Errors
    /// If it does not answer with that.
    pub async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.admin(path).await?;
        ensure!(status == 200, "{path}: {status}: {body}");
        serde_json::from_str(&body).with_context(|| format!("{path}: {body}"))
    }

    /// All metrics, as a Prometheus server reads them.
    ///
    /// # Errors
    /// If the admin listener does not answer, or with something that is none.
    pub async fn scrape(&self) -> anyhow::Result<Scrape> {
        Scrape::parse(&self.admin("/metrics").await?.1)
    }

    /// Waits until what a scrape finds is so.
    ///
    /// # Errors
    /// If it is not within a minute; the error says what was waited for.
    pub async fn scraped(
        &self,
        what: &str,
        is_so: impl Fn(&Scrape) -> bool,
    ) -> anyhow::Result<Scrape> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let scrape = self.scrape().await?;
            if is_so(&scrape) {
                return Ok(scrape);
            }
            ensure!(Instant::now() < deadline, "{what}: not so in\n{scrape}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs `ferrule diagnostics` against it to the end.
    ///
    /// # Errors
    /// If it cannot be run, or prints no text.
    pub async fn diagnostics(&self, args: &[&str]) -> anyhow::Result<Printed> {
        let addr = self.admin.to_string();
        let args = [&["diagnostics"], args, &["--api-addr", &addr]].concat();
        Self::command(&args).await
    }

    /// Runs another command of the binary to the end.
    ///
    /// # Errors
    /// If it cannot be run, or prints no text.
    pub async fn command(args: &[&str]) -> anyhow::Result<Printed> {
        Printed::by(Self::program().await?.args(args), "").await
    }

    /// The binary, to be run in some other way.
    ///
    /// # Errors
    /// If it cannot be built.
    pub async fn program() -> anyhow::Result<Command> {
        let binary = tokio::task::spawn_blocking(binary).await??;
        Ok(Command::new(binary))
    }

    /// Asks it to end, as a kubelet does.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let pid = self.process.id().context("it has ended")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("a pid is not 0")?;
        Ok(kill_process(pid, Signal::TERM)?)
    }

    /// Its exit code, once it has ended.
    ///
    /// # Errors
    /// If it does not within a minute.
    pub async fn ended(&mut self) -> anyhow::Result<Option<i32>> {
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        Ok(status.context("it does not end")??.code())
    }

    /// The value of a series (name and labels as written), if it is there.
    ///
    /// # Errors
    /// If the admin listener does not answer.
    pub async fn metric(&self, series: &str) -> anyhow::Result<Option<f64>> {
        let (_, text) = self.admin("/metrics").await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        Ok(value)
    }

    /// Waits until a log line has this text.
    ///
    /// # Errors
    /// If none comes within a minute; the error has the log.
    pub async fn logged(&self, text: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            ensure!(
                Instant::now() < deadline,
                "{text:?} is not logged:\n{}",
                self.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Status and body of a page of the admin listener.
    ///
    /// # Errors
    /// If the process does not answer.
    pub async fn admin(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.admin)
            .await
            .context("connecting to admin")?;
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let (head, body) = response
            .split_once("\r\n\r\n")
            .context("an HTTP response")?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok((status.context("a status")?, body.to_owned()))
    }

    /// Where a role is served.
    ///
    /// # Errors
    /// If it is not; the error has the log.
    pub async fn address_of(&self, role: &str) -> anyhow::Result<SocketAddr> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.log().lines().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let serving = line["message"] == "serving" && line["role"] == role;
                serving.then(|| line["addr"].as_str()?.parse().ok())?
            });
            if let Some(addr) = found {
                return Ok(addr);
            }
            if Instant::now() > deadline {
                bail!("ferrule does not serve {role}:\n{}", self.log());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }
}

/// The binary, built if it is not up to date: cargo gives a test only the
/// binaries of its own package. It is asked for as one of the workspace's, and with
/// examples, which take the dev-dependencies: so it is the one that tests of the workspace
/// have built, with the same features, and nothing is compiled again.
fn binary() -> anyhow::Result<PathBuf> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(binary) = BINARY.get() {
        return Ok(binary.clone());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = StdCommand::new(cargo)
        .args([
            "build",
            "--workspace",
            "--bin",
            "ferrule",
            "--examples",
            "--message-format",
            "json",
        ])
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo build")?;
    ensure!(output.status.success(), "cargo build --bin ferrule failed");
    let messages = String::from_utf8(output.stdout)?;
    let binary = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "ferrule";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    let binary = binary.context("cargo names the executable that it built")?;
    Ok(BINARY.get_or_init(|| binary).clone())
}
