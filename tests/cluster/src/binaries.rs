//! The binaries of a cluster, built from the Go module of this folder when they are missing.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};

const GO_MOD: &str = include_str!("../go.mod");
const GO_SUM: &str = include_str!("../go.sum");

/// A build of minutes that says nothing looks like one that hangs.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(15);

/// A program of the Go module in `tests/cluster`; its versions are those of `go.mod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// The API server's store.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The controllers: deployments, endpoint slices, namespaces, garbage collection.
    KubeControllerManager,
    /// The command line of Kubernetes.
    Kubectl,
    /// The package manager that installs charts.
    Helm,
}

impl Binary {
    /// The name of the program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
        }
    }

    /// Where the program is, built first when the cache does not have it.
    ///
    /// The first build of all takes minutes and says so on stderr; processes that ask at the
    /// same time wait for the one that builds. `FERRULE_TEST_HELM` names another Helm, such as
    /// one of the major version before.
    ///
    /// # Errors
    ///
    /// When Go is missing or the build fails.
    pub async fn path(self) -> Result<PathBuf> {
        if let (Self::Helm, Some(other)) = (self, from_env("FERRULE_TEST_HELM")) {
            return Ok(other.into());
        }
        let cache = cache_folder()?;
        let path = cache.join(self.name());
        if path.is_file() {
            return Ok(path);
        }
        tokio::task::spawn_blocking(move || self.build_once(&cache, path)).await?
    }

    fn build_once(self, cache: &Path, path: PathBuf) -> Result<PathBuf> {
        fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
        let lock = File::create(cache.join("build.lock"))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            say(&format!(
                "{}: another process is building, waiting for it",
                self.name()
            ));
            lock.lock()?;
        }
        if !path.is_file() {
            self.build(&path)
                .with_context(|| format!("cannot build {}", self.name()))?;
        }
        Ok(path)
    }

    /// Builds beside the final place and renames, so that nobody runs half a file.
    fn build(self, path: &Path) -> Result<()> {
        let unfinished = path.with_extension("unfinished");
        let version = kubernetes_version()?;
        let mut go = Command::new("go");
        go.current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CGO_ENABLED", "0")
            .args(["build", "-trimpath", "-ldflags"])
            // Without gitVersion the server reports v0.0.0, which clients cannot parse.
            .arg(format!(
                "-s -w -X k8s.io/component-base/version.gitVersion={version}"
            ))
            .arg("-o")
            .args([unfinished.as_os_str(), self.package().as_ref()])
            .stdin(Stdio::null());
        let mut build = match go.spawn() {
            Ok(build) => build,
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "`go` is not installed or not on PATH: install Go {} or later (tests/cluster/go.mod asks for it)",
                go_version()?
            ),
            Err(error) => return Err(error).context("cannot run `go`"),
        };
        say(&format!(
            "building {} {} (once; it is kept in {})",
            self.name(),
            self.package(),
            path.display()
        ));
        let started = Instant::now();
        let mut reported = started;
        let status = loop {
            if let Some(status) = build.try_wait()? {
                break status;
            }
            if reported.elapsed() >= PROGRESS_INTERVAL {
                reported = Instant::now();
                say(&format!(
                    "building {}: {} s",
                    self.name(),
                    started.elapsed().as_secs()
                ));
            }
            thread::sleep(Duration::from_millis(100));
        };
        ensure!(
            status.success(),
            "`go build {}` in tests/cluster ended with {status}; its messages are above",
            self.package()
        );
        fs::rename(&unfinished, path)?;
        say(&format!(
            "built {} in {} s",
            self.name(),
            started.elapsed().as_secs()
        ));
        Ok(())
    }
}

/// To stderr itself: libtest keeps what `eprintln!` prints until the test has failed.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "test cluster: {line}");
}

fn from_env(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// `${XDG_CACHE_HOME:-$HOME/.cache}/ferrule/test-cluster/<key of go.mod and go.sum>`.
fn cache_folder() -> Result<PathBuf> {
    let caches = match (from_env("XDG_CACHE_HOME"), from_env("HOME")) {
        (Some(caches), _) => PathBuf::from(caches),
        (None, Some(home)) => Path::new(&home).join(".cache"),
        (None, None) => {
            bail!("no folder to keep the test cluster's binaries in: set XDG_CACHE_HOME or HOME")
        }
    };
    Ok(caches
        .join("ferrule/test-cluster")
        .join(module_key(GO_MOD, GO_SUM)))
}

/// What the binaries are built from, as 16 hexadecimal digits.
fn module_key(go_mod: &str, go_sum: &str) -> String {
    digest(&SHA256, format!("{go_mod}{go_sum}").as_bytes()).as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn kubernetes_version() -> Result<&'static str> {
    word_after(GO_MOD, "k8s.io/kubernetes").context("go.mod does not require k8s.io/kubernetes")
}

fn go_version() -> Result<&'static str> {
    word_after(GO_MOD, "go").context("go.mod does not say its Go version")
}

/// The second word of the line whose first word is `first`.
fn word_after<'a>(text: &'a str, first: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == first).then(|| words.next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_go_mod() {
        let go_mod =
            "module m\n\ngo 1.26.8\n\nrequire (\n\tk8s.io/kubernetes v1.36.3 // indirect\n)";
        assert_eq!(word_after(go_mod, "go"), Some("1.26.8"));
        assert_eq!(word_after(go_mod, "k8s.io/kubernetes"), Some("v1.36.3"));
        assert_eq!(word_after(go_mod, "k8s.io/api"), None);
        assert!(kubernetes_version().is_ok_and(|version| version.starts_with("v1.")));
    }

    #[test]
    fn the_key_is_the_start_of_sha256_of_both_files() {
        // printf abc | sha256sum
        assert_eq!(module_key("a", "bc"), "ba7816bf8f01cfea");
    }
}
