//! The control plane as processes on a cluster that writes down what they ask for.

use crate::{
    audit,
    helm::{CHART, NAMESPACE, apply, ask},
    processes::Pods,
};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster, Options, PATIENCE};
use ferrule_tests::{Ferrule, Scrape, crds};
use serde_json::json;
use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) const WEBHOOK_CA: &str = "ferrule-webhook-ca";

/// A control plane, and its cluster.
pub(crate) struct Running {
    pub(crate) cluster: Cluster,
    pub(crate) identity: Ferrule,
    pub(crate) injector: Ferrule,
    pub(crate) destination: Ferrule,
    pub(crate) folder: TempDir,
}

/// Flags in place of the chart's, of each Deployment.
#[derive(Default)]
pub(crate) struct Instead {
    pub(crate) identity: Vec<String>,
    pub(crate) injector: Vec<String>,
    pub(crate) destination: Vec<String>,
}

impl Running {
    /// Installs the charts with what Helm is told, and starts all roles, in an order in
    /// which each makes what is its own.
    pub(crate) async fn start(folder: TempDir, helm: &[&str], instead: Instead) -> Result<Self> {
        let cluster = audited(&folder).await?;
        install(&cluster, helm).await?;
        let running = Self::on(cluster, folder, instead).await?;
        leads(&running.destination, "policy-controller-write").await?;
        Ok(running)
    }

    /// Starts all roles as the charts that are installed have them.
    pub(crate) async fn on(cluster: Cluster, folder: TempDir, instead: Instead) -> Result<Self> {
        let pods = Pods::new(&cluster, folder.path())?;
        // Proxies are spoken to by mesh TLS though they are on this machine.
        let meshed = "--mesh-tls=always".to_owned();
        let loopback = |role: &str| format!("--{role}-addr=127.0.0.1:0");
        let mut flags = vec![meshed.clone(), loopback("identity")];
        flags.extend(instead.identity);
        let identity = pods.start("linkerd-identity", &flags).await?;
        identity.ready().await?;

        let file = async |name: &str, key: &str| mounted(&cluster, &pods, name, key).await;
        let anchors = file("linkerd-identity-trust-roots", "ca-bundle\\.crt").await?;
        let anchors = format!("--trust-anchors={anchors}");
        let values = file("linkerd-config", "values").await?;
        let values = format!("--values={values}");
        // API servers reach webhooks at addresses that are not this machine's alone.
        let webhooks = "--webhook-addr=0.0.0.0:0".to_owned();
        let at_once = "--drain-delay=0s".to_owned();
        let mut flags = vec![webhooks.clone(), values, anchors.clone(), at_once];
        flags.extend(instead.injector);
        let injector = pods.start("linkerd-proxy-injector", &flags).await?;
        injector.ready().await?;

        let account = "linkerd-destination";
        let token = pods.token(account, &["identity.l5d.io"]).await?;
        let token = pods.write("identity-token", &token)?;
        let token = format!("--identity-token={}", token.display());
        let address = identity.address_of("identity").await?;
        let address = format!("--identity-svc-addr={address}");
        let mut flags = vec![
            meshed,
            webhooks,
            anchors,
            token,
            address,
            loopback("policy"),
        ];
        flags.extend(instead.destination);
        let destination = pods.start(account, &flags).await?;
        destination.ready().await?;
        Ok(Self {
            cluster,
            identity,
            injector,
            destination,
            folder,
        })
    }

    /// Has Leases given back, and tells what was asked for and what may be, as a table,
    /// too.
    ///
    /// # Errors
    /// If something was refused.
    pub(crate) async fn end(self) -> Result<(Vec<audit::Grant>, Vec<audit::Asked>)> {
        for mut process in [self.identity, self.injector, self.destination] {
            // It may be on its way already.
            let _ = process.terminate();
            process.ended().await?;
        }
        let asked = audit::requests(&self.folder.path().join(LOG))?;
        let grants = audit::grants(&self.cluster.client()?).await?;
        println!("{}", audit::table(&grants, &asked));
        let refused: Vec<_> = asked.iter().filter(|asked| asked.code == 403).collect();
        ensure!(refused.is_empty(), "these rights are missing: {refused:#?}");
        Ok((grants, asked))
    }
}

const LOG: &str = "audit.log";

/// A cluster that writes an audit log into a folder.
async fn audited(folder: &TempDir) -> Result<Cluster> {
    let policy = folder.path().join("audit-policy.yaml");
    std::fs::write(&policy, audit::POLICY)?;
    Cluster::start(Options {
        api_server_flags: vec![
            format!("--audit-log-path={}", folder.path().join(LOG).display()),
            format!("--audit-policy-file={}", policy.display()),
            // Kinds are listed, as older API servers would be asked to.
            "--feature-gates=WatchList=false".to_owned(),
        ],
        ..Options::default()
    })
    .await
}

pub(crate) async fn install(cluster: &Cluster, helm: &[&str]) -> Result<()> {
    let namespace = ["--namespace", NAMESPACE, "--create-namespace"];
    let crds = ["install", "ferrule-crds", "charts/ferrule-crds"];
    ask(cluster, Helm, &[&crds[..], &namespace].concat()).await?;
    let control_plane = ["install", "ferrule-control-plane", CHART];
    let control_plane = [&control_plane[..], &namespace, helm].concat();
    ask(cluster, Helm, &control_plane).await?;
    crds::install_gateway_api(&cluster.client()?).await
}

pub(crate) async fn leads(ferrule: &Ferrule, lease: &str) -> Result<()> {
    let leads = |scrape: &Scrape| scrape.sum("leader", &[("lease", lease)]) == Some(1.0);
    ferrule.scraped(lease, leads).await.map(drop)
}

/// As kube-controller-manager would, if the processes were pods.
pub(crate) async fn serve_the_webhooks(running: &Running) -> Result<()> {
    let host = host()?;
    let mut slices = Vec::new();
    for (service, port, process) in [
        (
            "linkerd-proxy-injector",
            "proxy-injector",
            &running.injector,
        ),
        ("linkerd-sp-validator", "sp-validator", &running.destination),
        (
            "linkerd-policy-validator",
            "policy-https",
            &running.destination,
        ),
    ] {
        let address = process.address_of("webhooks").await?;
        slices.push(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{service}-test"), "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": true}}],
            "ports": [{"name": port, "port": address.port(), "protocol": "TCP"}],
        }));
    }
    apply(&running.cluster, &slices).await
}

/// An address of this machine that Kubernetes takes for one of a pod.
pub(crate) fn host() -> Result<IpAddr> {
    // Nothing is sent: the system chooses from where it would be.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}

/// A ConfigMap's text as a file, as a kubelet mounts it, and where that is.
pub(crate) async fn mounted(
    cluster: &Cluster,
    pods: &Pods<'_>,
    name: &str,
    key: &str,
) -> Result<String> {
    let text = config_map(cluster, name, key).await?;
    Ok(pods.write(name, &text)?.display().to_string())
}

async fn config_map(cluster: &Cluster, name: &str, key: &str) -> Result<String> {
    let name = format!("configmap/{name}");
    let output = format!("--output=jsonpath={{.data.{key}}}");
    let get = ["get", &name, "--namespace", NAMESPACE, &output];
    ask(cluster, Kubectl, &get).await
}

/// Waits until `kubectl get` prints what is wanted.
pub(crate) async fn until(
    cluster: &Cluster,
    args: &[&str],
    wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    let args = [&["get"], args].concat();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let printed = ask(cluster, Kubectl, &args).await?;
        if wanted(&printed) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{args:?}: {printed}");
        sleep(Duration::from_millis(200)).await;
    }
}
