//! Somebody who types what a page says.

use crate::{
    flags::ferrule,
    page::{Block, Page},
    root,
};
use anyhow::{Context as _, Result, bail, ensure};
use ferrule_test_cluster::{Binary, Cluster, Options};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// For a command.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the repository has that commands name.
const NAMED: [&str; 6] = [
    "charts",
    "examples",
    "Makefile",
    "Cargo.toml",
    "docs",
    "Dockerfile",
];

pub(crate) struct Session {
    folder: TempDir,
    cluster: Option<Cluster>,
    control_plane: Option<Running>,
}

/// A shell and what it has started, ended together.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.process_group(0).spawn()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = self
            .0
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            // It may have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Session {
    /// In a folder that looks like the repository, with these.
    pub(crate) async fn begin(with: &BTreeSet<String>) -> Result<Self> {
        let folder = TempDir::new()?;
        let [home, bin, work] = ["home", "bin", "work"].map(|name| folder.path().join(name));
        for folder in [&home, &bin, &work] {
            fs::create_dir(folder)?;
        }
        for name in NAMED {
            symlink(root().join(name), work.join(name))?;
        }
        symlink(ferrule(), bin.join("ferrule"))?;
        symlink(Binary::Helm.path().await?, bin.join("helm"))?;
        symlink(Binary::Kubectl.path().await?, bin.join("kubectl"))?;
        write_cargo(&bin)?;
        let mut session = Self {
            folder,
            cluster: None,
            control_plane: None,
        };
        for what in with {
            match what.as_str() {
                "cluster" => {
                    let cluster = Cluster::start(Options::default()).await?;
                    fs::create_dir(home.join(".kube"))?;
                    fs::copy(cluster.kubeconfig(), home.join(".kube/config"))?;
                    session.cluster = Some(cluster);
                }
                "control-plane" | "crds" => {}
                _ => bail!("{what:?} is not known here"),
            }
        }
        if with.contains("crds") {
            let install = "helm install ferrule-crds charts/ferrule-crds --namespace linkerd \
                           --create-namespace";
            session.script(install, "setup").await?;
        }
        if with.contains("control-plane") {
            let serve = "ferrule serve --kubeconfig ~/.kube/config --destination-addr \
                         127.0.0.1:8086 --policy-addr 127.0.0.1:8090 --identity-addr \
                         127.0.0.1:8080 --admin-addr 127.0.0.1:9990";
            let serve = Running::start(&mut session.bash(serve)?)?;
            session.control_plane = Some(serve);
            let ready = "until curl -sf localhost:9990/ready; do sleep 0.1; done";
            session.script(ready, "setup").await?;
        }
        Ok(session)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A shell that says nothing but its errors, ended with the test.
    fn bash(&self, script: &str) -> Result<Command> {
        let mut paths = vec![self.path("bin")];
        let inherited = std::env::var_os("PATH").context("PATH")?;
        paths.extend(std::env::split_paths(&inherited));
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", script])
            .current_dir(self.path("work"))
            .env("PATH", std::env::join_paths(paths)?)
            .env("HOME", self.path("home"))
            .env("CARGO", self.path("bin/cargo"))
            .env_remove("KUBECONFIG")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(bash)
    }

    /// Runs every block that can be, in their order; how many did.
    pub(crate) async fn run(&self, page: &Page) -> Result<usize> {
        let mut running = Vec::new();
        let mut count = 0;
        for block in page.blocks.iter().filter(|block| block.runs()) {
            let at = format!("{}:{}", page.name, block.line);
            match (&block.background, block.lasts) {
                (Some(text), _) => running.push(self.begin_block(block, text, &at).await?),
                (_, Some(time)) => self.for_a_while(block, time, &at).await?,
                _ => self.script(&block.script, &at).await?,
            }
            count += 1;
        }
        Ok(count)
    }

    async fn script(&self, script: &str, at: &str) -> Result<()> {
        let output = timeout(PATIENCE, self.bash(script)?.output()).await;
        let output = output.with_context(|| format!("{at} takes too long:\n{script}"))??;
        ensure!(
            output.status.success(),
            "{at}: {}\n{script}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// What goes on until it is ended, and prints something meanwhile.
    async fn for_a_while(&self, block: &Block, time: Duration, at: &str) -> Result<()> {
        let quoted = block.script.replace('\'', "'\\''");
        let seconds = time.as_secs();
        let script = format!("timeout {seconds} bash -euo pipefail -c '{quoted}' || [ $? = 124 ]");
        self.script(&script, at).await
    }

    /// Starts what goes on, and waits until it has printed this.
    async fn begin_block(&self, block: &Block, text: &str, at: &str) -> Result<Running> {
        let log = self.path("log");
        let script = format!("({}) > {} 2>&1", block.script, log.display());
        let running = Running::start(&mut self.bash(&script)?)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = fs::read_to_string(&log).unwrap_or_default();
            if printed.contains(text) {
                return Ok(running);
            }
            ensure!(
                Instant::now() < deadline,
                "{at}: {text:?} is not in\n{printed}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Builds nothing: runs what this test was built with.
fn write_cargo(bin: &Path) -> Result<()> {
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*--package\\ ferrule-controller*) program={} ;;\n\
         *test-proxy*) program={} ;;\n*) echo \"not here: $*\" >&2; exit 1 ;;\nesac\n\
         while [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$program\" \"$@\"\n",
        ferrule().display(),
        env!("CARGO_BIN_EXE_test-proxy"),
    );
    let path = bin.join("cargo");
    fs::write(&path, script)?;
    Ok(fs::set_permissions(
        &path,
        fs::Permissions::from_mode(0o755),
    )?)
}
