//! The processes of the chart's installation for high availability.

use super::front::Front;
use crate::{
    helm::{NAMESPACE, apply},
    processes::Pods,
    running::{PATIENCE, host, install, mounted},
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::Ferrule;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Who writes what: a Lease of each.
pub(super) const LEASES: [&str; 3] = [
    "ferrule-ca",
    "ferrule-webhook-ca",
    "policy-controller-write",
];
/// How long a Lease is held for here.
pub(super) const LEASE: Duration = Duration::from_secs(6);
/// What Helm is told beside the values for high availability. Everything takes less long.
const VALUES: [&str; 6] = [
    "--values=charts/ferrule-control-plane/values-ha.yaml",
    "--set=leaseDuration=6s",
    "--set=drain.delay=1s",
    "--set=drain.window=2s",
    "--set=identity.issuer.issuanceLifetime=20s",
    "--set=identity.issuer.clockSkewAllowance=1s",
];

/// What a replica is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Identity,
    Injector,
    Destination,
}

/// One process.
pub(super) struct Replica {
    pub(super) role: Role,
    pub(super) process: Ferrule,
}

/// All of them, and what leads to them.
pub(super) struct Replicas {
    all: Vec<Replica>,
    pub(super) identity: Front,
    pub(super) destination: Front,
    pub(super) policy: Front,
    /// Where each tells whether it leads.
    admins: Arc<Mutex<Vec<SocketAddr>>>,
    pub(super) folder: TempDir,
    pub(super) cluster: Cluster,
}

impl Replicas {
    /// Two of each role.
    pub(super) async fn start() -> Result<Self> {
        let cluster = Cluster::start(Options::default()).await?;
        install(&cluster, &VALUES).await?;
        let mut replicas = Self {
            all: Vec::new(),
            identity: Front::new().await?,
            destination: Front::new().await?,
            policy: Front::new().await?,
            admins: Arc::default(),
            folder: TempDir::new()?,
            cluster,
        };
        for role in [Role::Identity, Role::Injector, Role::Destination] {
            replicas.add(role).await?;
            replicas.add(role).await?;
        }
        Ok(replicas)
    }

    /// One more, once it is ready.
    pub(super) async fn add(&mut self, role: Role) -> Result<()> {
        let pods = Pods::new(&self.cluster, self.folder.path())?;
        let meshed = "--mesh-tls=always".to_owned();
        let webhooks = "--webhook-addr=0.0.0.0:0".to_owned();
        let file = async |name: &str, key: &str| mounted(&self.cluster, &pods, name, key).await;
        let anchors = file("linkerd-identity-trust-roots", "ca-bundle\\.crt");
        let (deployment, flags) = match role {
            Role::Identity => (
                "linkerd-identity",
                vec![meshed, "--identity-addr=127.0.0.1:0".to_owned()],
            ),
            Role::Injector => {
                let values = file("linkerd-config", "values").await?;
                let flags = vec![
                    webhooks,
                    format!("--trust-anchors={}", anchors.await?),
                    format!("--values={values}"),
                ];
                ("linkerd-proxy-injector", flags)
            }
            Role::Destination => {
                let account = "linkerd-destination";
                let token = pods.token(account, &["identity.l5d.io"]).await?;
                let token = pods.write("identity-token", &token)?;
                let flags = vec![
                    meshed,
                    webhooks,
                    format!("--trust-anchors={}", anchors.await?),
                    format!("--identity-token={}", token.display()),
                    format!("--identity-svc-addr={}", self.identity.addr()),
                    "--policy-addr=127.0.0.1:0".to_owned(),
                ];
                (account, flags)
            }
        };
        let process = pods.start(deployment, &flags).await?;
        process.ready().await?;
        self.admins().push(process.admin_addr());
        self.all.push(Replica { role, process });
        self.publish().await
    }

    /// Kills one; what leads to it is told afterwards.
    pub(super) async fn kill(&mut self, index: usize) -> Result<Role> {
        let replica = self.all.remove(index);
        self.forget(&replica);
        replica.process.kill().await?;
        self.publish().await?;
        Ok(replica.role)
    }

    /// Takes one away, out of everything that leads to it.
    pub(super) async fn take(&mut self, index: usize) -> Result<Replica> {
        let replica = self.all.remove(index);
        self.publish().await?;
        Ok(replica)
    }

    /// Nobody asks any more whether it leads.
    pub(super) fn forget(&self, replica: &Replica) {
        let gone = replica.process.admin_addr();
        self.admins().retain(|admin| *admin != gone);
    }

    fn admins(&self) -> std::sync::MutexGuard<'_, Vec<SocketAddr>> {
        self.admins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of them writes.
    pub(super) async fn holder(&self, lease: &str) -> Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for (index, replica) in self.all.iter().enumerate() {
                let scrape = replica.process.scrape().await?;
                if scrape.sum("leader", &[("lease", lease)]) == Some(1.0) {
                    return Ok(index);
                }
            }
            ensure!(Instant::now() < deadline, "nobody holds {lease}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn of(&self, index: usize) -> &Replica {
        &self.all[index]
    }

    /// One that does not hold this Lease, if there is one of its role.
    pub(super) fn other(&self, role: Role, than: usize) -> Option<usize> {
        let mut others = self.all.iter().enumerate();
        others
            .find(|(index, replica)| *index != than && replica.role == role)
            .map(|(index, _)| index)
    }

    /// As kube-controller-manager and DNS would, if they were pods that are ready.
    async fn publish(&self) -> Result<()> {
        let of = |role: Role| self.all.iter().filter(move |replica| replica.role == role);
        let mut fronts = [Vec::new(), Vec::new(), Vec::new()];
        for replica in of(Role::Identity) {
            fronts[0].push(replica.process.address_of("identity").await?);
        }
        for replica in of(Role::Destination) {
            fronts[1].push(replica.process.destination());
            fronts[2].push(replica.process.address_of("policy").await?);
        }
        let [identity, destination, policy] = fronts;
        self.identity.lead_to(identity);
        self.destination.lead_to(destination);
        self.policy.lead_to(policy);
        for (service, name, role) in [
            ("linkerd-proxy-injector", "proxy-injector", Role::Injector),
            ("linkerd-sp-validator", "sp-validator", Role::Destination),
            (
                "linkerd-policy-validator",
                "policy-https",
                Role::Destination,
            ),
        ] {
            let mut ports = Vec::new();
            for replica in of(role) {
                ports.push(replica.process.address_of("webhooks").await?.port());
            }
            lead(&self.cluster, service, name, &ports).await?;
        }
        Ok(())
    }

    /// Looks all the time whether two write the same.
    pub(super) fn never_two(&self) -> NeverTwo {
        let admins = self.admins.clone();
        let found = Arc::<Mutex<Option<String>>>::default();
        let told = found.clone();
        let task = tokio::spawn(async move {
            loop {
                let known = admins
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                // Who leads in both has led between them.
                let (before, after) = (leaders(&known).await, leaders(&known).await);
                for lease in LEASES {
                    let both = before.iter().zip(&after);
                    let both = both.filter(|(before, after)| {
                        before.contains(&lease) && after.contains(&lease)
                    });
                    if both.count() > 1 {
                        let mut found = told.lock().unwrap_or_else(PoisonError::into_inner);
                        found.get_or_insert_with(|| lease.to_owned());
                    }
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        NeverTwo { found, task }
    }
}

/// See [`Replicas::never_two`].
pub(super) struct NeverTwo {
    found: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl NeverTwo {
    pub(super) fn end(self) -> Result<()> {
        self.task.abort();
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(found.is_none(), "two replicas hold {found:?}");
        Ok(())
    }
}

/// The Leases that each of these says it holds.
async fn leaders(admins: &[SocketAddr]) -> Vec<Vec<&'static str>> {
    let mut all = Vec::new();
    for admin in admins {
        let text = metrics(*admin).await.unwrap_or_default();
        let held = LEASES.into_iter();
        let held = held.filter(|lease| text.contains(&format!("leader{{lease=\"{lease}\"}} 1")));
        all.push(held.collect());
    }
    all
}

async fn metrics(admin: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// Slices of a Service, one for each port of this machine: up to three.
async fn lead(cluster: &Cluster, service: &str, name: &str, ports: &[u16]) -> Result<()> {
    let mut slices = Vec::new();
    for number in 0..3 {
        let port = ports.get(number);
        let endpoint = json!({"addresses": [host()?], "conditions": {"ready": true}});
        let endpoints = port.map_or_else(|| json!([]), |_| json!([endpoint]));
        slices.push(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{service}-test-{number}"), "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": name, "port": port.unwrap_or(&1), "protocol": "TCP"}],
        }));
    }
    apply(cluster, &slices).await.context(service.to_owned())
}
