//! A Deployment that is rolled out: its pods are replaced one by one.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::sync::Mutex;

use super::fill::Pods;
use super::pod::PodIdentity;
use super::requests::Stored;
use super::service::{Endpoint, SLICE_SIZE, Service};
use super::{Change, World};

/// What kubelets are given to end a pod, unless it says otherwise.
const GRACE_SECONDS: u32 = 30;

/// The rollout of the first Service's Deployment.
pub(crate) struct Rollout<'w> {
    world: &'w World,
    /// As it is when it has been rolled out.
    service: Service,
    replica_set_uid: String,
    /// One who writes at a time, as the endpoint slice controller does.
    slices: Vec<Mutex<Slice>>,
}

/// What a slice lists.
struct Slice {
    ready: Vec<Endpoint>,
    /// The pod that was replaced last.
    leaving: Option<Endpoint>,
}

/// A pod that took another's place.
pub(crate) struct Replaced {
    /// The new pod.
    pub(crate) address: IpAddr,
    /// The PATCH of the slice by which it came, and the other went.
    pub(crate) change: Change,
}

impl<'w> Rollout<'w> {
    /// Creates the new ReplicaSet.
    pub(crate) async fn begin(world: &'w World) -> Result<Self> {
        let before = world.services.first().context("there is no Service")?;
        let service = before.next_revision();
        let replicas = world.shape.pods_per_service;
        let path = format!("{}/{}", service.apps("deployments"), service.name);
        let deployment: Stored = serde_json::from_str(&world.requests.get(&path).await?)?;
        let replica_set = service.replica_set_object(replicas, &deployment.uid());
        let path = service.apps("replicasets");
        let replica_set_uid = world.requests.post(&path, &replica_set).await?.uid();
        let slices = world.endpoints[..replicas].chunks(SLICE_SIZE);
        let slices = slices.map(|endpoints| Slice {
            ready: endpoints.to_vec(),
            leaving: None,
        });
        Ok(Self {
            world,
            service,
            replica_set_uid,
            slices: slices.map(Mutex::new).collect(),
        })
    }

    /// How many pods there are to replace.
    pub(crate) fn len(&self) -> usize {
        self.world.shape.pods_per_service
    }

    /// Replaces the `number`th pod. A new one is created and becomes ready; the old one is told
    /// to end; the slice lists the new one, the old one as terminating, and no longer the one
    /// that was replaced before; the old one is gone. That is five writes, and to a stream an
    /// endpoint that comes and one that goes.
    pub(crate) async fn replace(&self, number: usize) -> Result<Replaced> {
        let World {
            requests, nodes, ..
        } = self.world;
        let node = &nodes[number % nodes.len()];
        let identity = PodIdentity {
            name: self.service.pod_name(number),
            node: node.name.clone(),
            ip: self.world.cluster.pod_addresses().next()[0],
        };
        let pods = Pods {
            requests,
            size: self.world.size,
            service: &self.service,
            replica_set_uid: &self.replica_set_uid,
        };
        let new = pods.create(identity, node).await?;
        let address = new.ip;

        // One slice after another, so that writes do not wait for each other.
        let at = number % self.slices.len();
        let mut slice = self.slices[at].lock().await;
        let old = std::mem::replace(&mut slice.ready[number / self.slices.len()], new);
        let old_path = format!("{}/{}", self.service.core("pods"), old.pod);
        requests.delete(&old_path, GRACE_SECONDS).await?;
        slice.leaving = Some(old);
        let endpoints = self
            .service
            .endpoints(&slice.ready, slice.leaving.as_slice());
        let path = format!("{}/{}", self.service.slices(), self.service.slice_name(at));
        let sent = crate::protocol::now();
        requests
            .merge(&path, &json!({"endpoints": endpoints}))
            .await?;
        let change = Change {
            sent,
            answered: crate::protocol::now(),
        };
        drop(slice);
        requests.delete(&old_path, 0).await?;
        Ok(Replaced { address, change })
    }
}
