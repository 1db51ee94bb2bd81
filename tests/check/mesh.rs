//! A mesh: both charts by Helm, pods that are ready, and the roles as processes.

use crate::{objects::Objects, told::Told};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary, Cluster, Kubelet, PATIENCE};
use ferrule_tests::{Ferrule, crds};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, UdpSocket},
    path::Path,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) const NAMESPACE: &str = "linkerd";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Checks that are about something that runs here: they are not skipped.
const LOOKED_AT: [&str; 6] = [
    "l5d-identity-issuer-loaded",
    "l5d-proxy-injector-webhook-reachable",
    "l5d-sp-validator-webhook-reachable",
    "l5d-policy-validator-webhook-reachable",
    "l5d-rbac-policy",
    "ferrule-write-leases",
];
/// Services that webhooks are called by, and what their ports are called.
pub(crate) const WEBHOOKS: [(&str, &str); 3] = [
    ("linkerd-proxy-injector", "proxy-injector"),
    ("linkerd-sp-validator", "sp-validator"),
    ("linkerd-policy-validator", "policy-https"),
];

pub(crate) struct Mesh {
    pub(crate) cluster: Cluster,
    pub(crate) objects: Objects,
    identity: Ferrule,
    /// Destination, policy and proxy-injector, in one.
    writers: Option<Ferrule>,
    _kubelet: Kubelet,
    _folder: TempDir,
}

/// Runs the command and reads its JSON; it looks once.
pub(crate) async fn check(kubeconfig: &Path, args: &[&str]) -> Result<Told> {
    let kubeconfig = kubeconfig.to_str().context("UTF-8")?;
    let mut all = vec!["check", "-o", "json", "--kubeconfig", kubeconfig];
    if !args.contains(&"--wait") {
        all.extend(["--wait", "0s"]);
    }
    all.extend(args);
    Told::of(Ferrule::command(&all).await?)
}

/// The path of an object in the control plane's namespace.
pub(crate) fn here(plural: &str, name: &str) -> String {
    let api = match plural {
        "deployments" | "replicasets" => "/apis/apps/v1",
        "leases" => "/apis/coordination.k8s.io/v1",
        "endpointslices" => "/apis/discovery.k8s.io/v1",
        _ => "/api/v1",
    };
    format!("{api}/namespaces/{NAMESPACE}/{plural}/{name}")
}

impl Mesh {
    pub(crate) async fn install(cluster: Cluster) -> Result<Self> {
        let client = cluster.client()?;
        let objects = Objects(client.clone());
        let kubelet = cluster.kubelet(None, &NODES).await?;
        for (release, chart) in [
            ("ferrule-crds", "charts/ferrule-crds"),
            ("ferrule-control-plane", "charts/ferrule-control-plane"),
        ] {
            let mut helm = cluster.command(Binary::Helm).await?;
            helm.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
            helm.args([
                "install",
                release,
                chart,
                "--namespace",
                NAMESPACE,
                "--create-namespace",
            ]);
            let done = tokio::process::Command::from(helm).output().await?;
            ensure!(
                done.status.success(),
                "{}",
                String::from_utf8_lossy(&done.stderr)
            );
        }
        crds::install_gateway_api(&client).await?;
        let folder = TempDir::new()?;
        let identity = [
            "--roles=identity",
            "--identity-addr=127.0.0.1:0",
            "--lease-duration=9s",
        ];
        let identity = Ferrule::start_with(cluster.kubeconfig(), &identity).await?;
        identity.ready().await?;
        let write = async |name: &str, map: &str, key: &str| -> Result<String> {
            let found = objects
                .get(&here("configmaps", map))
                .await?
                .context(map.to_owned())?;
            let path = folder.path().join(name);
            std::fs::write(&path, found["data"][key].as_str().context("a text")?)?;
            Ok(path.display().to_string())
        };
        let anchors = write("anchors", "linkerd-identity-trust-roots", "ca-bundle.crt").await?;
        let values = write("values", "linkerd-config", "values").await?;
        let flags = [
            "--roles=destination,policy,proxy-injector".to_owned(),
            "--mesh-tls=never".to_owned(),
            "--policy-addr=127.0.0.1:0".to_owned(),
            "--webhook-addr=0.0.0.0:0".to_owned(),
            "--webhook-certificates=managed".to_owned(),
            "--lease-duration=9s".to_owned(),
            format!("--trust-anchors={anchors}"),
            format!("--values={values}"),
        ];
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let writers = Ferrule::start_with(cluster.kubeconfig(), &flags).await?;
        let mesh = Self {
            objects,
            identity,
            writers: Some(writers),
            _kubelet: kubelet,
            _folder: folder,
            cluster,
        };
        mesh.serve_webhooks().await?;
        let patience = format!("{}s", PATIENCE.as_secs());
        let wait = mesh.check(&["--wait", &patience]).await?;
        wait.is_well_but_for(&[])?;
        Ok(mesh)
    }

    /// As kube-controller-manager would, if the processes were pods.
    async fn serve_webhooks(&self) -> Result<()> {
        let writers = self.writers.as_ref().context("they run")?;
        let port = writers.address_of("webhooks").await?.port();
        for (service, name) in WEBHOOKS {
            let path = here("services", service);
            self.objects
                .merge(&path, &json!({"spec": {"selector": null}}))
                .await?;
            // Else it is mirrored into a slice.
            self.objects.delete(&here("endpoints", service)).await?;
            let slices = format!(
                "{}?labelSelector=kubernetes.io/service-name={service}",
                here("endpointslices", "").trim_end_matches('/')
            );
            // It leaves alone what it does not select for; what it had made goes.
            let found = self.objects.get(&slices).await?.context("a list")?;
            for slice in found["items"].as_array().into_iter().flatten() {
                let name = slice["metadata"]["name"].as_str().context("a name")?;
                self.objects.delete(&here("endpointslices", name)).await?;
            }
            let slice = endpoints(service, name, port)?;
            let collection = here("endpointslices", "");
            self.objects
                .create(collection.trim_end_matches('/'), &slice)
                .await?;
        }
        Ok(())
    }

    /// Nodes say that they are alive, as kubelets do.
    pub(crate) async fn refresh(&self) -> Result<()> {
        for node in NODES {
            self.cluster.node(node, None).await?;
        }
        Ok(())
    }

    /// The admin listener of identity.
    pub(crate) fn admin(&self) -> String {
        self.identity.admin_addr().to_string()
    }

    /// Runs `ferrule check` as the administrator, and looks once unless told otherwise.
    pub(crate) async fn check(&self, args: &[&str]) -> Result<Told> {
        let admin = self.admin();
        let args = [args, &["--api-addr", &admin]].concat();
        check(self.cluster.kubeconfig(), &args).await
    }

    /// The same without `--api-addr`, which goes with some only.
    pub(crate) async fn check_alone(&self, args: &[&str]) -> Result<Told> {
        check(self.cluster.kubeconfig(), args).await
    }

    /// Runs it until it says what is expected: API servers and processes take a moment
    /// to notice.
    pub(crate) async fn until(
        &self,
        args: &[&str],
        expected: impl Fn(&Told) -> Result<()>,
    ) -> Result<Told> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.check(args).await?;
            match expected(&told) {
                Ok(()) => return Ok(told),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Nothing is wrong, as soon as what was mended has been noticed.
    pub(crate) async fn is_well(&self) -> Result<()> {
        self.refresh().await?;
        for args in [&[][..], &["--crds"], &["--proxy"]] {
            let well = |told: &Told| {
                told.is_well_but_for(&[])?;
                told.succeeds("gateway-api-crd")
            };
            let told = self.until(args, well).await?;
            // It says what it waits for, where that takes long.
            let mut said = told.stderr.lines();
            ensure!(
                told.code == Some(0) && said.all(|line| line == "asking the API server"),
                "{}",
                told.stderr
            );
        }
        let all = |told: &Told| {
            let mut ids = LOOKED_AT.iter();
            ids.try_for_each(|id| told.succeeds(id))
        };
        self.until(&[], all).await.map(drop)
    }

    /// Ends what keeps webhooks and statuses, so that nothing is repaired.
    pub(crate) async fn without_writers(&mut self) -> Result<()> {
        self.writers.take().context("they run")?.kill().await
    }
}

/// A slice of a Service that leads to this machine.
pub(crate) fn endpoints(service: &str, port_name: &str, port: u16) -> Result<Value> {
    Ok(json!({
        "metadata": {
            "name": format!("{service}-test"),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host()?], "conditions": {"ready": true}}],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }))
}

/// An address of this machine that Kubernetes takes for one of a pod.
fn host() -> Result<IpAddr> {
    // Nothing is sent: the system chooses from where it would be.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}
