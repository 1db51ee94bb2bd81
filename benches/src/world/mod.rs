//! The cluster a row is measured in: a real API server, and objects written to it as Kubernetes'
//! controllers and kubelets would, without waiting for them.

mod fill;
mod injected;
mod pod;
mod policies;
mod requests;
mod rollout;
mod service;
mod tokens;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use ferrule_test_cluster::{Cluster, Component, Options};
use serde_json::json;

pub(crate) use pod::{PodIdentity, PodSize, pod, status as pod_status};
pub(crate) use policies::Target;
pub(crate) use requests::CONCURRENCY;
pub(crate) use rollout::{Replaced, Rollout};
pub(crate) use service::{Endpoint, SLICE_SIZE, Service};
pub(crate) use tokens::ProxyToken;

use fill::Node;
use requests::Requests;

/// Clients and pods are spread over as many; three is what clouds have.
pub(crate) const ZONES: usize = 3;
/// A busy node.
const PODS_PER_NODE: usize = 100;
const SERVICES_PER_NAMESPACE: usize = 100;

/// How many objects there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) services: usize,
    pub(crate) pods_per_service: usize,
}

impl Shape {
    pub(crate) const EMPTY: Self = Self::new(0, 0);
    pub(crate) const ONE_SERVICE: Self = Self::new(1, 5_000);
    pub(crate) const HUNDRED_PODS: Self = Self::new(100, 1);
    pub(crate) const ONE_DEPLOYMENT: Self = Self::new(1, 1_000);
    pub(crate) const HUNDRED_SERVICES: Self = Self::new(100, 100);
    pub(crate) const THOUSAND_SERVICES: Self = Self::new(1_000, 10);
    pub(crate) const LARGE: Self = Self::new(10_000, 10);

    const fn new(services: usize, pods_per_service: usize) -> Self {
        Self {
            services,
            pods_per_service,
        }
    }

    pub(crate) fn pods(self) -> usize {
        self.services * self.pods_per_service
    }

    fn service_objects(self) -> Vec<Service> {
        let service = |number| {
            let namespace = format!("shop-{}", number / SERVICES_PER_NAMESPACE);
            Service::new(&namespace, number)
        };
        (0..self.services).map(service).collect()
    }

    fn nodes(self) -> usize {
        self.pods().div_ceil(PODS_PER_NODE).max(ZONES)
    }
}

/// A cluster that is filled, and left alone: nothing in it changes but by [`World::toggle`],
/// [`Rollout::replace`] and what is about policies.
pub(crate) struct World {
    pub(crate) shape: Shape,
    cluster: Cluster,
    requests: Requests,
    services: Vec<Service>,
    nodes: Vec<Node>,
    /// Of one Service after another, as they were at first.
    endpoints: Vec<Endpoint>,
    pub(crate) size: PodSize,
}

/// When a change was made, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
}

impl World {
    /// Starts a cluster and fills it.
    pub(crate) async fn create(shape: Shape, size: PodSize) -> Result<Self> {
        let began = Instant::now();
        let mut cluster = Cluster::start(Options {
            dual_stack: false,
            // Every pod is written twice in minutes: the second version is all that is wanted.
            api_server_flags: vec!["--etcd-compaction-interval=30s".to_owned()],
        })
        .await?;
        eprintln!("  cluster: {:.1} s", began.elapsed().as_secs_f64());
        let requests = Requests::new(cluster.client()?);
        let services = shape.service_objects();
        fill::create_namespaces(&requests, &services).await?;
        // From here on its controllers would only undo what is written in their place.
        cluster.kill(Component::ControllerManager);
        let (nodes, endpoints) = if services.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            fill::fill(&cluster, &requests, shape, size, &services).await?
        };
        Ok(Self {
            shape,
            cluster,
            requests,
            services,
            nodes,
            endpoints,
            size,
        })
    }

    /// How long the API server takes to give all of `collection`, the path of a kind, to a client
    /// that does not read it, in pages of 500, and how many bytes that is. Nobody who reads it can
    /// be faster.
    pub(crate) async fn list(&self, collection: &str) -> Result<(Duration, usize)> {
        #[derive(serde::Deserialize)]
        struct Page {
            metadata: PageMetadata,
        }
        #[derive(serde::Deserialize)]
        struct PageMetadata {
            #[serde(default)]
            r#continue: String,
        }
        let began = Instant::now();
        let (mut next, mut bytes) = (String::new(), 0);
        loop {
            let path = format!("{collection}?limit=500&continue={next}");
            let page = self.requests.get(&path).await?;
            bytes += page.len();
            next = serde_json::from_str::<Page>(&page)?.metadata.r#continue;
            if next.is_empty() {
                return Ok((began.elapsed(), bytes));
            }
        }
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        self.cluster.kubeconfig()
    }

    /// What proxies ask for, the first `count`.
    pub(crate) fn authorities(&self, count: usize) -> Vec<String> {
        self.services[..count]
            .iter()
            .map(Service::authority)
            .collect()
    }

    /// The context tokens of a proxy on each node of the first `zones` zones.
    pub(crate) fn contexts(&self, zones: usize) -> Vec<String> {
        let context = |node: &Node| {
            let node = &node.name;
            format!("{{\"ns\":\"shop-0\", \"nodeName\":\"{node}\", \"pod\":\"client-{node}\"}}\n")
        };
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(number, _)| number % ZONES < zones)
            .map(|(_, node)| context(node))
            .collect()
    }

    /// Changes one endpoint of Service `service`: the `number`th such change. Each endpoint goes
    /// away at its first change and comes back at its second, so each is one message to a stream.
    pub(crate) async fn toggle(&self, service: usize, number: usize) -> Result<Change> {
        let service = &self.services[service];
        let slices = self.shape.pods_per_service.div_ceil(SLICE_SIZE);
        // Another slice each time, and all its changes in turn.
        let (slice, round) = ((number / 2) % slices, number / 2 / slices);
        let endpoint = round % self.shape.pods_per_service.min(SLICE_SIZE);
        let path = format!("{}/{}", service.slices(), service.slice_name(slice));
        let patch = json!([{
            "op": "replace",
            "path": format!("/endpoints/{endpoint}/conditions/ready"),
            "value": number % 2 == 1,
        }]);
        let sent = crate::protocol::now();
        self.requests.patch(&path, &patch).await?;
        Ok(Change {
            sent,
            answered: crate::protocol::now(),
        })
    }
}
