//! The processes of the chart's installation for high availability.

use super::front::Front;
use crate::{
    helm::{NAMESPACE, apply, ask},
    processes::Pods,
    running::{host, install, mounted},
};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Binary::Kubectl, Cluster, Options, PATIENCE};
use ferrule_tests::Ferrule;
use futures::future::try_join_all;
use serde_json::{Value, json};
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
/// How many of each role there are.
pub(super) const REPLICAS: usize = 3;
/// How long a Lease is held for here.
pub(super) const LEASE: Duration = Duration::from_secs(6);
/// What Helm is told beside the values for high availability. Everything takes less long.
const VALUES: [&str; 6] = [
    "--values=charts/ferrule-control-plane/values-ha.yaml",
    "--set=leaseDuration=6s",
    "--set=drain.delay=15s",
    "--set=drain.window=2s",
    "--set=identity.issuer.issuanceLifetime=90s",
    "--set=identity.issuer.clockSkewAllowance=1s",
];

/// What a replica is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Identity,
    Injector,
    Destination,
}

impl Role {
    pub(super) const ALL: [Self; 3] = [Self::Identity, Self::Injector, Self::Destination];
}

/// One process.
pub(super) struct Replica {
    pub(super) role: Role,
    pub(super) process: Ferrule,
}

/// All of them, and what leads to them.
pub(super) struct Replicas {
    /// The oldest first.
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
    /// As many as the chart has for high availability.
    pub(super) async fn start() -> Result<Self> {
        let cluster = Cluster::start(Options::default()).await?;
        install(&cluster, &VALUES).await?;
        let replicas = "--output=jsonpath={.items[*].spec.replicas}";
        let get = ["get", "deployments", "--namespace", NAMESPACE, replicas];
        let installed = ask(&cluster, Kubectl, &get).await?;
        ensure!(
            installed == Role::ALL.map(|_| REPLICAS.to_string()).join(" "),
            "{installed}"
        );
        let mut replicas = Self {
            all: Vec::new(),
            identity: Front::new().await?,
            destination: Front::new().await?,
            policy: Front::new().await?,
            admins: Arc::default(),
            folder: TempDir::new()?,
            cluster,
        };
        for role in Role::ALL {
            replicas.add(&[role; REPLICAS]).await?;
        }
        Ok(replicas)
    }

    /// One more of each of these, once they are ready.
    pub(super) async fn add(&mut self, roles: &[Role]) -> Result<()> {
        for role in roles {
            let process = self.launch(*role).await?;
            self.admins().push(process.admin_addr());
            self.all.push(Replica {
                role: *role,
                process,
            });
        }
        self.publish().await
    }

    /// What a pod of the role runs, once it is ready.
    async fn launch(&self, role: Role) -> Result<Ferrule> {
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
        Ok(process)
    }

    /// Kills these at the same moment; what leads to them is told afterwards. Of what
    /// they were.
    pub(super) async fn kill(&mut self, indices: Vec<usize>) -> Result<Vec<Role>> {
        let killed = self.remove(indices);
        let roles = killed.iter().map(|replica| replica.role).collect();
        for replica in &killed {
            self.forget(replica);
        }
        try_join_all(killed.into_iter().map(|replica| replica.process.kill())).await?;
        self.publish().await?;
        Ok(roles)
    }

    /// Tells these to end; what leads to them is told afterwards.
    pub(super) async fn terminate(&mut self, indices: Vec<usize>) -> Result<Vec<Replica>> {
        let gone = self.remove(indices);
        for replica in &gone {
            replica.process.terminate()?;
        }
        self.publish().await?;
        Ok(gone)
    }

    fn remove(&mut self, mut indices: Vec<usize>) -> Vec<Replica> {
        indices.sort_unstable();
        let indices = indices.into_iter().rev();
        indices.map(|index| self.all.remove(index)).collect()
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

    /// The Leases under which these write.
    pub(super) async fn held_by(&self, indices: &[usize]) -> Result<Vec<&'static str>> {
        let mut held = Vec::new();
        for lease in LEASES {
            if indices.contains(&self.holder(lease).await?) {
                held.push(lease);
            }
        }
        Ok(held)
    }

    /// Those of a role, the oldest first.
    pub(super) fn of(&self, role: Role) -> impl Iterator<Item = usize> {
        let all = self.all.iter().enumerate();
        all.filter_map(move |(index, replica)| (replica.role == role).then_some(index))
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
        let mut slices = Vec::new();
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
            slices.extend(leading(service, name, &ports)?);
        }
        apply(&self.cluster, &slices).await
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

/// Slices of a Service, one for each port of this machine, and empty ones for those who
/// have gone.
fn leading(service: &str, name: &str, ports: &[u16]) -> Result<Vec<Value>> {
    let mut slices = Vec::new();
    for number in 0..REPLICAS {
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
    Ok(slices)
}
