//! What stands for a Linkerd that runs: releases that Helm knows as its, an injector that
//! marks pods, and a policy controller that holds the Lease as that one does.

use crate::{
    helm::{NAMESPACE, ask, render_chart, root},
    running::host,
};
use anyhow::{Context as _, Result};
use ferrule_test_cluster::{Binary::*, Cluster, PATIENCE};
use k8s_openapi::{
    ByteString,
    api::{coordination::v1::Lease, core::v1::Secret},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_rustls::TlsAcceptor;

pub(super) const CONTROL_PLANE: &str = "linkerd-control-plane";
pub(super) const CRDS: &str = "linkerd-crds";
pub(super) const LEASE: &str = "policy-controller-write";
/// The annotation that pods get which this injector was asked about.
pub(super) const MARK: &str = "linkerd.io/injected-by-linkerd";

/// Charts that pass for Linkerd's.
pub(super) struct Charts {
    pub(super) control_plane: PathBuf,
    pub(super) crds: PathBuf,
}

impl Charts {
    /// The definitions are written into a folder: they are ours, which are Linkerd's but
    /// for what keeps them.
    pub(super) async fn new(folder: &Path) -> Result<Self> {
        let crds = folder.join(CRDS);
        std::fs::create_dir_all(crds.join("templates"))?;
        let chart = json!({"apiVersion": "v2", "name": CRDS, "version": "2026.8.3"});
        std::fs::write(crds.join("Chart.yaml"), chart.to_string())?;
        let ferrules = root().join("charts/ferrule-crds");
        let definitions = render_chart(&ferrules, &[]).await?;
        let kept = "    helm.sh/resource-policy: keep\n";
        anyhow::ensure!(
            definitions.contains(kept),
            "they are kept by Ferrule's chart"
        );
        let definitions = definitions.replace(kept, "");
        std::fs::write(crds.join("templates/all.yaml"), definitions)?;
        Ok(Self {
            control_plane: root().join("tests/chart/takeover/linkerd"),
            crds,
        })
    }

    /// Installs both as a user of Linkerd would.
    pub(super) async fn install(&self, cluster: &Cluster, further: &[&str]) -> Result<()> {
        self.install_crds(cluster).await?;
        self.install_control_plane(cluster, further).await
    }

    pub(super) async fn install_crds(&self, cluster: &Cluster) -> Result<()> {
        install(cluster, CRDS, &self.crds, &[]).await?;
        let wait = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ];
        ask(cluster, Kubectl, &wait).await.map(drop)
    }

    pub(super) async fn install_control_plane(
        &self,
        cluster: &Cluster,
        further: &[&str],
    ) -> Result<()> {
        install(cluster, CONTROL_PLANE, &self.control_plane, further).await
    }
}

async fn install(cluster: &Cluster, release: &str, chart: &Path, further: &[&str]) -> Result<()> {
    let chart = chart.display().to_string();
    let args = ["install", release, &chart, "--create-namespace"];
    let args = [&args[..], &["--namespace", NAMESPACE], further].concat();
    ask(cluster, Helm, &args).await.map(drop)
}

/// An injector, as far as an API server sees: HTTPS with the certificate in the Secret of
/// Linkerd's chart, the same at any path.
pub(super) struct Injector {
    pub(super) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Injector {
    pub(super) async fn start(cluster: &Cluster) -> Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(cluster.client()?, NAMESPACE);
        let data = secrets.get("linkerd-proxy-injector-k8s-tls").await?.data;
        let data = data.context("data")?;
        let part = |key: &str| {
            data.get(key)
                .map(|ByteString(bytes)| &**bytes)
                .context("PEM")
        };
        let chain = CertificateDer::pem_slice_iter(part("tls.crt")?).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(part("tls.key")?)?;
        let config = ServerConfig::builder().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key)?));
        let listener = TcpListener::bind("0.0.0.0:0").await?;
        let addr = SocketAddr::from((host()?, listener.local_addr()?.port()));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever is under way is answered though it is to end.
                tokio::spawn(answer(acceptor.clone(), stream));
            }
        });
        Ok(Self { addr, task })
    }
}

/// One request of a connection.
async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(told) = line.to_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let review: Value = serde_json::from_slice(&body)?;
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if review["request"]["kind"]["kind"] == "Pod" {
        let path = format!("/metadata/annotations/{}", MARK.replace('/', "~1"));
        let patch = json!([{"op": "add", "path": path, "value": "yes"}]).to_string();
        response["patchType"] = "JSONPatch".into();
        response["patch"] = json!(ByteString(patch.into_bytes()));
    }
    let version = &review["apiVersion"];
    let answer = json!({"apiVersion": version, "kind": "AdmissionReview", "response": response});
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

/// How long it holds the Lease at a time; thirty seconds there.
const DURATION: Duration = Duration::from_secs(5);
/// How long before the end it renews; a second there.
const GRACE: Duration = Duration::from_millis(500);

/// A policy controller that writes statuses, as far as others see: it renews shortly before
/// the end, and does not give the Lease back.
pub(super) struct Writer {
    until: Arc<Mutex<Option<Instant>>>,
    task: JoinHandle<Result<()>>,
}

impl Writer {
    pub(super) fn start(cluster: &Cluster) -> Result<Self> {
        let leases: Api<Lease> = Api::namespaced(cluster.client()?, NAMESPACE);
        let until = Arc::<Mutex<Option<Instant>>>::default();
        let claimed = until.clone();
        let task = tokio::spawn(async move {
            loop {
                let wait = step(&leases, &claimed).await?;
                sleep(wait).await;
            }
        });
        Ok(Self { until, task })
    }

    /// Whether it takes itself for the one that writes.
    pub(super) fn leads(&self) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Until it leads.
    pub(super) async fn leading(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.leads() {
            anyhow::ensure!(!self.task.is_finished(), "the writer has ended");
            anyhow::ensure!(Instant::now() < deadline, "the writer does not lead");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Its process ends.
    pub(super) fn end(&self) {
        self.task.abort();
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Claims or renews if that is due; how long nothing is due then.
async fn step(leases: &Api<Lease>, until: &Mutex<Option<Instant>>) -> Result<Duration> {
    const HOLDER: &str = "linkerd-destination-linkerd";
    let lease = leases.get_opt(LEASE).await?;
    let spec = lease.as_ref().and_then(|lease| lease.spec.clone());
    let spec = spec.unwrap_or_default();
    let holder = spec.holder_identity.as_deref();
    let renewed = spec.renew_time.map(|time| time.0);
    if let (Some(_), Some(renewed), Some(seconds)) = (
        holder.filter(|holder| *holder != HOLDER),
        renewed,
        spec.lease_duration_seconds,
    ) {
        let end = renewed + Duration::from_secs(seconds.unsigned_abs().into());
        if let Ok(left) = Duration::try_from(end - Timestamp::now())
            && !left.is_zero()
        {
            // The same would be waited for there, and no longer.
            return Ok(left.min(Duration::from_millis(500)));
        }
    }
    let sent = Instant::now();
    let now = MicroTime(Timestamp::now());
    let version = lease.and_then(|lease| lease.metadata.resource_version);
    let claim = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "resourceVersion": version},
        "spec": {
            "holderIdentity": HOLDER, "leaseDurationSeconds": DURATION.as_secs(),
            "acquireTime": now, "renewTime": now,
            "leaseTransitions": spec.lease_transitions.unwrap_or_default(),
        },
    });
    let params = PatchParams::apply("policy-controller").force();
    match leases.patch(LEASE, &params, &Patch::Apply(&claim)).await {
        Ok(_) => {
            *until.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent + DURATION);
            Ok(DURATION - GRACE)
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Duration::ZERO),
        Err(error) => Err(error.into()),
    }
}

/// Looks all the time whether two write at once: what stands for Linkerd's and a Ferrule,
/// whose `leader` says so.
pub(super) struct NeverTwo {
    two: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl NeverTwo {
    pub(super) fn watch(writer: Arc<Writer>, ferrule: SocketAddr) -> Self {
        let two = Arc::<AtomicBool>::default();
        let found = two.clone();
        let task = tokio::spawn(async move {
            loop {
                let before = writer.leads();
                let leads = ferrule_leads(ferrule).await.unwrap_or(false);
                if before && leads && writer.leads() {
                    found.store(true, Relaxed);
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        Self { two, task }
    }

    pub(super) fn end(self) -> Result<()> {
        self.task.abort();
        anyhow::ensure!(!self.two.load(Relaxed), "two write statuses at once");
        Ok(())
    }
}

async fn ferrule_leads(admin: SocketAddr) -> Result<bool> {
    let mut stream = TcpStream::connect(admin).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text.contains(&format!("leader{{lease=\"{LEASE}\"}} 1")))
}
