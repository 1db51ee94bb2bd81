//! A Service and what stands behind it, but for the pods.

use std::net::IpAddr;

use serde_json::{Value, json};

/// The port of every Service, which is that of its pods.
pub(crate) const PORT: u16 = 8080;

/// What the endpoint slice controller puts into a slice at most.
pub(crate) const SLICE_SIZE: usize = 100;

/// More than there are Services.
const REVISION: usize = 1 << 20;

/// A Service, its Deployment of the same name, its ServiceAccount too.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(super) number: usize,
    /// Which rollout of its Deployment this is.
    revision: usize,
}

/// One endpoint of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) ip: IpAddr,
    pub(crate) node: String,
    pub(crate) zone: String,
}

/// What a slice says of an endpoint.
#[derive(Clone, Copy)]
enum Condition {
    Ready,
    /// Its pod is going away.
    Terminating,
}

impl Service {
    pub(crate) fn new(namespace: &str, number: usize) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: format!("backend-{number}"),
            number,
            revision: 0,
        }
    }

    /// The same Service when its Deployment has been rolled out once more: its ReplicaSet and its
    /// pods have new names.
    pub(crate) fn next_revision(&self) -> Self {
        Self {
            revision: self.revision + 1,
            ..self.clone()
        }
    }

    /// What proxies ask for.
    pub(crate) fn authority(&self) -> String {
        format!("{}.{}.svc.cluster.local:{PORT}", self.name, self.namespace)
    }

    /// Ten characters, as the deployment controller's.
    pub(crate) fn template_hash(&self) -> String {
        // Odd, so that no two numbers have the same product.
        let number = (self.revision * REVISION + self.number) as u64;
        let hash = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{:010x}", hash >> 24)
    }

    pub(crate) fn replica_set(&self) -> String {
        format!("{}-{}", self.name, self.template_hash())
    }

    pub(crate) fn pod_name(&self, pod: usize) -> String {
        format!("{}-{:05x}", self.replica_set(), 0x10000 + pod)
    }

    pub(crate) fn slice_name(&self, slice: usize) -> String {
        format!("{}-{:05x}", self.name, 0x10000 + slice)
    }

    /// `/api/v1/namespaces/NS/PLURAL` for `core("PLURAL")`.
    pub(crate) fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    pub(crate) fn apps(&self, plural: &str) -> String {
        format!("/apis/apps/v1/namespaces/{}/{plural}", self.namespace)
    }

    pub(crate) fn slices(&self) -> String {
        let group = "/apis/discovery.k8s.io/v1";
        format!("{group}/namespaces/{}/endpointslices", self.namespace)
    }

    pub(crate) fn service_account(&self) -> Value {
        json!({"metadata": {"name": self.name}})
    }

    pub(crate) fn service(&self) -> Value {
        json!({
            "metadata": {"name": self.name, "labels": self.selector()},
            "spec": {
                "selector": self.selector(),
                "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
            },
        })
    }

    pub(crate) fn deployment(&self, replicas: usize) -> Value {
        json!({
            "metadata": {"name": self.name, "labels": self.selector()},
            "spec": self.template(replicas, &self.selector()),
        })
    }

    pub(crate) fn replica_set_object(&self, replicas: usize, deployment_uid: &str) -> Value {
        let mut labels = self.selector();
        labels["pod-template-hash"] = json!(self.template_hash());
        json!({
            "metadata": {
                "name": self.replica_set(),
                "labels": labels,
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": self.name,
                    "uid": deployment_uid, "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": self.template(replicas, &labels),
        })
    }

    /// One endpoint of a slice.
    fn endpoint(&self, endpoint: &Endpoint, condition: Condition) -> Value {
        let (ready, terminating) = match condition {
            Condition::Ready => (true, false),
            Condition::Terminating => (false, true),
        };
        json!({
            "addresses": [endpoint.ip],
            "conditions": {"ready": ready, "serving": true, "terminating": terminating},
            "nodeName": endpoint.node,
            "zone": endpoint.zone,
            "targetRef": {
                "kind": "Pod", "namespace": self.namespace,
                "name": endpoint.pod, "uid": endpoint.uid,
            },
        })
    }

    /// All endpoints of a slice: those that are ready, then those that are leaving.
    pub(crate) fn endpoints(&self, ready: &[Endpoint], leaving: &[Endpoint]) -> Value {
        let ready = ready
            .iter()
            .map(|endpoint| self.endpoint(endpoint, Condition::Ready));
        let leaving = leaving
            .iter()
            .map(|endpoint| self.endpoint(endpoint, Condition::Terminating));
        Value::Array(ready.chain(leaving).collect())
    }

    /// A slice as the endpoint slice controller writes it.
    pub(crate) fn slice(&self, number: usize, service_uid: &str, endpoints: &Value) -> Value {
        let mut labels = self.selector();
        labels["kubernetes.io/service-name"] = json!(self.name);
        labels["endpointslice.kubernetes.io/managed-by"] = json!("endpointslice-controller.k8s.io");
        json!({
            "metadata": {
                "name": self.slice_name(number),
                "generateName": format!("{}-", self.name),
                "labels": labels,
                "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-11-01T08:00:00Z"},
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Service", "name": self.name,
                    "uid": service_uid, "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
            "endpoints": endpoints,
        })
    }

    pub(super) fn selector(&self) -> Value {
        json!({"app.kubernetes.io/name": self.name, "app.kubernetes.io/part-of": "shop"})
    }

    fn template(&self, replicas: usize, labels: &Value) -> Value {
        json!({
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {"linkerd.io/inject": "enabled"}},
                "spec": {
                    "serviceAccountName": self.name,
                    "containers": [{
                        "name": "app", "image": "registry.example.com/shop/backend:v2.14.3",
                        "ports": [{"name": "http", "containerPort": PORT}],
                    }],
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_services_share_a_replica_set_nor_do_two_rollouts() {
        let hashes: HashSet<_> = (0..10_000)
            .map(|number| Service::new("bench", number))
            .flat_map(|service| [service.next_revision(), service])
            .map(|service| service.template_hash())
            .collect();
        assert_eq!(hashes.len(), 20_000);
        assert!(hashes.iter().all(|hash| hash.len() == 10));
    }
}
