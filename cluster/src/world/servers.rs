use crate::object::{
    ExternalWorkload, Name, ObjectKey, Pod, ProxyProtocol, Server, ServerPort, WorkloadSelector,
};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// The Servers of each namespace, by name.
#[derive(Default)]
pub(super) struct Servers {
    namespaces: FxHashMap<Name, BTreeMap<Name, Server>>,
    count: usize,
}

impl Servers {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        let all = self.namespaces.iter();
        all.flat_map(|(namespace, servers)| {
            let keys = servers.keys();
            keys.map(|name| ObjectKey::new(namespace.clone(), name.clone()))
        })
        .collect()
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Server> {
        self.namespaces.get(&key.namespace)?.get(&key.name)
    }

    pub(super) fn of(&self, namespace: &str) -> impl Iterator<Item = (&Name, &Server)> {
        self.namespaces.get(namespace).into_iter().flatten()
    }

    /// The Server that was there before.
    pub(super) fn insert(&mut self, key: &ObjectKey, server: Server) -> Option<Server> {
        let servers = self.namespaces.entry(key.namespace.clone()).or_default();
        let old = servers.insert(key.name.clone(), server);
        self.count += usize::from(old.is_none());
        old
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Server> {
        let servers = self.namespaces.get_mut(&key.namespace)?;
        let old = servers.remove(&key.name)?;
        self.count -= 1;
        if servers.is_empty() {
            self.namespaces.remove(&key.namespace);
        }
        Some(old)
    }
}

impl Server {
    /// Whether it is about this port of a pod of its namespace.
    pub fn selects_pod_port(&self, pod: &Pod, port: u16) -> bool {
        let is_port = match &self.port {
            None => false,
            Some(ServerPort::Number(number)) => *number == port,
            Some(ServerPort::Name(name)) => pod.template.ports.iter().any(|declared| {
                declared.name == *name
                    && (declared.port == port || declared.host_port == Some(port))
            }),
        };
        is_port && self.selects_pod(pod)
    }

    /// Whether it is about this port of an ExternalWorkload of its namespace.
    pub fn selects_workload_port(&self, workload: &ExternalWorkload, port: u16) -> bool {
        let is_port = match &self.port {
            None => false,
            Some(ServerPort::Number(number)) => *number == port,
            Some(ServerPort::Name(name)) => workload
                .ports
                .iter()
                .any(|declared| declared.name == *name && declared.port == port),
        };
        is_port && self.selects_workload(workload)
    }

    pub(super) fn selects_pod(&self, pod: &Pod) -> bool {
        matches!(&self.workloads, Some(WorkloadSelector::Pods(selector)) if selector.matches(&pod.labels))
    }

    pub(super) fn selects_workload(&self, workload: &ExternalWorkload) -> bool {
        matches!(
            &self.workloads,
            Some(WorkloadSelector::ExternalWorkloads(selector)) if selector.matches(&workload.labels)
        )
    }

    /// Whether what it selects is opaque.
    pub fn is_opaque(&self) -> bool {
        self.protocol == ProxyProtocol::Opaque
    }
}
