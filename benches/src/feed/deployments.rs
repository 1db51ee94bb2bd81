//! Deployments that are created, rolled out, scaled and deleted, as the events that come of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::{Value, json};

use super::store::{Kind, Prepared, Store};
use crate::world::{Endpoint, PodIdentity, PodSize, SLICE_SIZE, Service, ZONES, pod, pod_status};

const NODES: usize = 100;
/// Pods that are replaced at a time: a step of a rollout.
const STEP: usize = 5;
/// Pods have addresses in turn: ones that are free come again, as in clusters.
const ADDRESSES: u32 = 1 << 16;
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 128, 0, 0]);

/// Makes Deployments and changes them.
pub(crate) struct Deployments {
    store: Arc<Store>,
    size: PodSize,
    addresses: u32,
    uids: u64,
    /// Endpoints that came and that went.
    changes: u64,
}

/// A Deployment with its Service, ReplicaSet, pods and slices.
pub(crate) struct Deployment {
    service: Service,
    service_uid: String,
    replica_set_uid: String,
    /// By slice.
    endpoints: Vec<Vec<Endpoint>>,
    /// How many pods were ever made for this ReplicaSet: each has a name of its own.
    named: usize,
}

impl Deployment {
    /// What proxies ask for.
    pub(crate) fn authority(&self) -> String {
        self.service.authority()
    }

    fn pods(&self) -> usize {
        self.endpoints.iter().map(Vec::len).sum()
    }
}

impl Deployments {
    /// Nodes in three zones, and nothing on them.
    pub(crate) async fn new(store: Arc<Store>, size: PodSize) -> Self {
        for number in 0..NODES {
            let node = json!({"metadata": {
                "name": node(number),
                "labels": {"topology.kubernetes.io/zone": zone(number)},
            }});
            store.apply(Kind::NODE, "", node).await;
        }
        Self {
            store,
            size,
            addresses: 0,
            uids: 0,
            changes: 0,
        }
    }

    /// How many endpoints have come, and how many have gone.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// The context tokens of a proxy on each node.
    pub(crate) fn contexts() -> Vec<String> {
        let context = |number| {
            let node = node(number);
            format!("{{\"ns\":\"shop-0\", \"nodeName\":\"{node}\", \"pod\":\"client-{node}\"}}\n")
        };
        (0..NODES).map(context).collect()
    }

    /// A Deployment of so many pods, all ready.
    pub(crate) async fn create(&mut self, number: usize, pods: usize) -> Deployment {
        let service = Service::new("shop-0", number);
        let service_uid = self.uid();
        let mut object = service.service();
        object["metadata"]["uid"] = json!(service_uid);
        let namespace = &service.namespace;
        self.store.apply(Kind::SERVICE, namespace, object).await;
        let mut deployment = Deployment {
            service,
            service_uid,
            replica_set_uid: String::new(),
            endpoints: Vec::new(),
            named: 0,
        };
        self.replica_set(&mut deployment).await;
        self.scale(&mut deployment, pods).await;
        deployment
    }

    /// All that there is of it goes.
    pub(crate) async fn delete(&mut self, mut deployment: Deployment) {
        self.scale(&mut deployment, 0).await;
        let Service {
            namespace, name, ..
        } = &deployment.service;
        let replica_set = deployment.service.replica_set();
        let store = &self.store;
        store
            .delete(Kind::REPLICA_SET, namespace, &replica_set)
            .await;
        store.delete(Kind::SERVICE, namespace, name).await;
    }

    /// Adds pods, or takes some away, the newest first; a slice is written when it has changed.
    pub(crate) async fn scale(&mut self, deployment: &mut Deployment, pods: usize) {
        while deployment.pods() < pods {
            let is_full = |slice: &Vec<Endpoint>| slice.len() == SLICE_SIZE;
            if deployment.endpoints.last().is_none_or(is_full) {
                deployment.endpoints.push(Vec::new());
            }
            let slice = deployment.endpoints.len() - 1;
            let room = SLICE_SIZE - deployment.endpoints[slice].len();
            let count = STEP.min(room).min(pods - deployment.pods());
            for _ in 0..count {
                let endpoint = self.start(deployment).await;
                deployment.endpoints[slice].push(endpoint);
            }
            self.write(deployment, slice, &[]).await;
        }
        while deployment.pods() > pods {
            let slice = deployment.endpoints.len() - 1;
            let excess = deployment.pods() - pods;
            let endpoints = &mut deployment.endpoints[slice];
            let leaving = endpoints.split_off(endpoints.len().saturating_sub(STEP.min(excess)));
            let is_empty = endpoints.is_empty();
            let service = deployment.service.clone();
            self.end(deployment, &service, slice, leaving).await;
            if is_empty {
                deployment.endpoints.pop();
                let Service { namespace, .. } = &deployment.service;
                let name = deployment.service.slice_name(slice);
                self.store.delete(Kind::SLICE, namespace, &name).await;
            }
        }
    }

    /// Replaces all pods, some at a time; of several Deployments at once, in turn.
    pub(crate) async fn roll_out(&mut self, deployments: &mut [Deployment]) {
        let mut old = Vec::with_capacity(deployments.len());
        for deployment in &mut *deployments {
            old.push(deployment.service.clone());
            deployment.service = deployment.service.next_revision();
            self.replica_set(deployment).await;
        }
        let most = deployments.iter().map(Deployment::pods).max().unwrap_or(0);
        for step in 0..most.div_ceil(STEP) {
            let (slice, first) = (step * STEP / SLICE_SIZE, step * STEP % SLICE_SIZE);
            for (deployment, old) in deployments.iter_mut().zip(&old) {
                let Some(endpoints) = deployment.endpoints.get(slice) else {
                    continue;
                };
                let mut leaving = Vec::with_capacity(STEP);
                for at in first..(first + STEP).min(endpoints.len()) {
                    let new = self.start(deployment).await;
                    let place = &mut deployment.endpoints[slice][at];
                    leaving.push(std::mem::replace(place, new));
                }
                self.end(deployment, old, slice, leaving).await;
            }
        }
        for service in old {
            let Service { namespace, .. } = &service;
            let name = service.replica_set();
            self.store.delete(Kind::REPLICA_SET, namespace, &name).await;
        }
    }

    /// The ReplicaSet of the present revision.
    async fn replica_set(&mut self, deployment: &mut Deployment) {
        let (uid, owner) = (self.uid(), self.uid());
        let service = &deployment.service;
        let mut object = service.replica_set_object(deployment.pods(), &owner);
        object["metadata"]["uid"] = json!(uid);
        self.store
            .apply(Kind::REPLICA_SET, &service.namespace, object)
            .await;
        deployment.replica_set_uid = uid;
        deployment.named = 0;
    }

    /// One more pod: created, then running and ready.
    async fn start(&mut self, deployment: &mut Deployment) -> Endpoint {
        let service = &deployment.service;
        let ip = Ipv4Addr::from_bits(FIRST_ADDRESS + self.addresses % ADDRESSES);
        self.addresses += 1;
        let number = self.addresses as usize % NODES;
        let endpoint = Endpoint {
            pod: service.pod_name(deployment.named),
            uid: self.uid(),
            ip: IpAddr::V4(ip),
            node: node(number),
            zone: zone(number),
        };
        deployment.named += 1;
        self.changes += 1;
        let mut pod = self.pod(&deployment.service, &deployment.replica_set_uid, &endpoint);
        let status = pod["status"].take();
        let namespace = &deployment.service.namespace;
        self.store.apply(Kind::POD, namespace, pod.clone()).await;
        pod["status"] = status;
        self.store.apply(Kind::POD, namespace, pod).await;
        endpoint
    }

    /// Pods that are told to end, are terminating in their slice, and are gone.
    /// `service` is of the revision that they are of.
    async fn end(
        &mut self,
        deployment: &Deployment,
        service: &Service,
        slice: usize,
        leaving: Vec<Endpoint>,
    ) {
        let namespace = &service.namespace;
        for endpoint in &leaving {
            let mut pod = self.pod(service, &deployment.replica_set_uid, endpoint);
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-01T09:00:00Z");
            self.store.apply(Kind::POD, namespace, pod).await;
        }
        self.write(deployment, slice, &leaving).await;
        for endpoint in &leaving {
            self.store.delete(Kind::POD, namespace, &endpoint.pod).await;
        }
        self.changes += leaving.len() as u64;
        self.write(deployment, slice, &[]).await;
    }

    async fn write(&self, deployment: &Deployment, slice: usize, leaving: &[Endpoint]) {
        let ready = &deployment.endpoints[slice];
        self.slice(deployment, slice, ready, leaving).send().await;
    }

    /// One endpoint of the first slice goes, or is back; nobody is told yet.
    pub(crate) fn toggle(&self, deployment: &Deployment, at: usize, is_there: bool) -> Prepared {
        let ready = &deployment.endpoints[0];
        if is_there {
            return self.slice(deployment, 0, ready, &[]);
        }
        let mut others = ready.clone();
        let one = others.remove(at);
        self.slice(deployment, 0, &others, &[one])
    }

    fn slice(
        &self,
        deployment: &Deployment,
        number: usize,
        ready: &[Endpoint],
        leaving: &[Endpoint],
    ) -> Prepared {
        let service = &deployment.service;
        let endpoints = service.endpoints(ready, leaving);
        let object = service.slice(number, &deployment.service_uid, &endpoints);
        self.store.prepare(Kind::SLICE, &service.namespace, object)
    }

    /// A running pod.
    fn pod(&self, service: &Service, replica_set_uid: &str, endpoint: &Endpoint) -> Value {
        let identity = PodIdentity {
            name: endpoint.pod.clone(),
            node: endpoint.node.clone(),
            ip: endpoint.ip,
        };
        let mut pod = pod(self.size, service, &identity, replica_set_uid);
        pod["metadata"]["uid"] = json!(endpoint.uid);
        let mut status = pod_status(self.size, &identity, "172.20.0.1");
        pod["status"] = status["status"].take();
        pod
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }
}

fn node(number: usize) -> String {
    format!("node-{number:04}")
}

fn zone(number: usize) -> String {
    format!("zone-{}", number % ZONES)
}
