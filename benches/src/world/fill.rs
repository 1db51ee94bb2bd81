//! Writes what controllers and kubelets would have written.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ferrule_test_cluster::Cluster;
use serde_json::json;
use tokio::time::sleep;

use super::pod::{self, PodIdentity, PodSize};
use super::requests::{Requests, for_all};
use super::service::{Endpoint, SLICE_SIZE, Service};
use super::{Shape, ZONES};

const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(60);
/// Creating many pods takes minutes, in which something is to be seen.
const PROGRESS: usize = 20_000;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) address: String,
}

/// Creates the namespaces of `services`; pods can be created in them at once.
pub(super) async fn create_namespaces(requests: &Requests, services: &[Service]) -> Result<()> {
    let mut names: Vec<_> = services.iter().map(|service| &service.namespace).collect();
    names.dedup();
    for_all(names, |name| create_namespace(requests, name)).await?;
    Ok(())
}

async fn create_namespace(requests: &Requests, name: &str) -> Result<()> {
    let annotations = json!({"linkerd.io/inject": "enabled"});
    let namespace = json!({"metadata": {"name": name, "annotations": annotations}});
    requests.post("/api/v1/namespaces", &namespace).await?;
    let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
    let began = Instant::now();
    loop {
        match requests.get(&account).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > ACCOUNT_TIMEOUT => {
                return Err(error).context("kube-controller-manager makes no ServiceAccounts");
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Creates the Services with all that is behind them; returns the nodes, and the endpoints of one
/// Service after another.
pub(super) async fn fill(
    cluster: &Cluster,
    requests: &Requests,
    shape: Shape,
    size: PodSize,
    services: &[Service],
) -> Result<(Vec<Node>, Vec<Endpoint>)> {
    let mut watch = Watch::start();
    let nodes = for_all(0..shape.nodes(), |number| create_node(cluster, number)).await?;
    watch.lap(&format!("{} nodes", nodes.len()));
    let filler = Filler {
        cluster,
        requests,
        shape,
        size,
        nodes,
    };
    let owners = for_all(services, |service| filler.create_owners(service)).await?;
    watch.lap(&format!("{} services with their owners", owners.len()));

    let mut endpoints = Vec::with_capacity(shape.pods());
    let numbers: Vec<usize> = (0..shape.pods()).collect();
    for numbers in numbers.chunks(PROGRESS) {
        let create = |&number: &usize| filler.create_pod(&owners, number);
        endpoints.extend(for_all(numbers, create).await?);
        watch.lap(&format!("{} of {} pods", endpoints.len(), shape.pods()));
    }
    let by_service = owners.iter().zip(endpoints.chunks(shape.pods_per_service));
    let slices = by_service.flat_map(|(owners, endpoints)| {
        let slices = endpoints.chunks(SLICE_SIZE).enumerate();
        slices.map(move |(number, endpoints)| (owners, number, endpoints))
    });
    let create = |(owners, number, endpoints)| filler.create_slice(owners, number, endpoints);
    let slices = for_all(slices, create).await?.len();
    watch.lap(&format!("{slices} slices"));

    let service = &services[0];
    let path = format!("{}/{}", service.core("pods"), service.pod_name(0));
    eprintln!(
        "  a pod is {} bytes of JSON",
        requests.get(&path).await?.len()
    );
    Ok((filler.nodes, endpoints))
}

async fn create_node(cluster: &Cluster, number: usize) -> Result<Node> {
    let node = Node {
        name: format!("node-{number:04}"),
        zone: format!("zone-{}", number % ZONES),
        address: format!("172.20.{}.{}", number / 250, number % 250 + 1),
    };
    cluster.node(&node.name, Some(&node.zone)).await?;
    Ok(node)
}

struct Filler<'a> {
    cluster: &'a Cluster,
    requests: &'a Requests,
    shape: Shape,
    size: PodSize,
    nodes: Vec<Node>,
}

/// A Service that exists, and what its pods and slices refer to.
struct Owners<'a> {
    service: &'a Service,
    service_uid: String,
    replica_set_uid: String,
}

impl Filler<'_> {
    async fn create_owners<'a>(&self, service: &'a Service) -> Result<Owners<'a>> {
        let replicas = self.shape.pods_per_service;
        let post = async |path: String, object| -> Result<String> {
            Ok(self.requests.post(&path, &object).await?.uid())
        };
        post(service.core("serviceaccounts"), service.service_account()).await?;
        let service_uid = post(service.core("services"), service.service()).await?;
        let deployment = service.deployment(replicas);
        let deployment_uid = post(service.apps("deployments"), deployment).await?;
        let replica_set = service.replica_set_object(replicas, &deployment_uid);
        let replica_set_uid = post(service.apps("replicasets"), replica_set).await?;
        Ok(Owners {
            service,
            service_uid,
            replica_set_uid,
        })
    }

    /// The pod that is the `number`th of all.
    async fn create_pod(&self, owners: &[Owners<'_>], number: usize) -> Result<Endpoint> {
        let owners = &owners[number / self.shape.pods_per_service];
        let node = &self.nodes[number % self.nodes.len()];
        let identity = PodIdentity {
            name: owners
                .service
                .pod_name(number % self.shape.pods_per_service),
            node: node.name.clone(),
            ip: self.cluster.pod_addresses().next()[0],
        };
        let pods = Pods {
            requests: self.requests,
            size: self.size,
            service: owners.service,
            replica_set_uid: &owners.replica_set_uid,
        };
        pods.create(identity, node).await
    }

    async fn create_slice(
        &self,
        owners: &Owners<'_>,
        number: usize,
        endpoints: &[Endpoint],
    ) -> Result<()> {
        let service = owners.service;
        let endpoints = service.endpoints(endpoints, &[]);
        let slice = service.slice(number, &owners.service_uid, &endpoints);
        self.requests
            .post(&service.slices(), &slice)
            .await
            .map(drop)
    }
}

/// The pods of one ReplicaSet.
pub(super) struct Pods<'a> {
    pub(super) requests: &'a Requests,
    pub(super) size: PodSize,
    pub(super) service: &'a Service,
    pub(super) replica_set_uid: &'a str,
}

impl Pods<'_> {
    /// A pod that runs on `node` and is ready, as a slice lists it.
    pub(super) async fn create(&self, identity: PodIdentity, node: &Node) -> Result<Endpoint> {
        let pods = self.service.core("pods");
        let pod = pod::pod(self.size, self.service, &identity, self.replica_set_uid);
        let stored = self.requests.post(&pods, &pod).await?;
        let status = pod::status(self.size, &identity, &node.address);
        let path = format!("{pods}/{}/status", identity.name);
        self.requests.merge(&path, &status).await?;
        Ok(Endpoint {
            pod: identity.name,
            uid: stored.uid(),
            ip: identity.ip,
            node: identity.node,
            zone: node.zone.clone(),
        })
    }
}

/// Says how long each step took.
struct Watch(Instant);

impl Watch {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self, what: &str) {
        eprintln!("  {what}: {:.1} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}
