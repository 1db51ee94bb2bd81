use super::namespaced::Namespaced;
use crate::object::{
    ExternalWorkload, Name, Pod, ProxyProtocol, Server, ServerPort, WorkloadSelector,
};

/// The Servers of each namespace, by name.
pub(super) type Servers = Namespaced<Server>;

impl Server {
    /// Whether it is about this port of a pod of its namespace: a TCP port of a
    /// container, as the pod's proxy knows it (policy.md section 5.2).
    pub fn governs_pod_port(&self, pod: &Pod, port: u16) -> bool {
        self.has_port(port, |name| {
            let mut ports = pod.template.ports.iter();
            ports.any(|declared| declared.is_tcp && declared.name == *name && declared.port == port)
        }) && self.selects_pod(pod)
    }

    /// The same, as its clients know it: a port of any protocol (destination.md section
    /// 5.5), or one of the pod's host, which they may call as well.
    pub fn selects_pod_port(&self, pod: &Pod, port: u16) -> bool {
        self.has_port(port, |name| {
            let mut ports = pod.template.ports.iter();
            ports.any(|declared| {
                declared.name == *name
                    && (declared.port == port || declared.host_port == Some(port))
            })
        }) && self.selects_pod(pod)
    }

    /// Whether it is about this port of an ExternalWorkload of its namespace, as the
    /// workload's proxy knows it.
    pub fn governs_workload_port(&self, workload: &ExternalWorkload, port: u16) -> bool {
        self.has_port(port, |name| {
            let mut ports = workload.ports.iter();
            ports.any(|declared| declared.is_tcp && declared.name == *name && declared.port == port)
        }) && self.selects_workload(workload)
    }

    /// The same, as its clients know it: a port of any protocol.
    pub fn selects_workload_port(&self, workload: &ExternalWorkload, port: u16) -> bool {
        self.has_port(port, |name| {
            let mut ports = workload.ports.iter();
            ports.any(|declared| declared.name == *name && declared.port == port)
        }) && self.selects_workload(workload)
    }

    /// What decides between Servers about one port: the smaller one counts. The
    /// older ones come first, those of which nothing is known before all.
    pub fn precedence<'n>(&self, name: &'n Name) -> (Option<i64>, &'n Name) {
        (self.created, name)
    }

    fn has_port(&self, port: u16, is_named: impl Fn(&Name) -> bool) -> bool {
        match &self.port {
            None => false,
            Some(ServerPort::Number(number)) => *number == port,
            Some(ServerPort::Name(name)) => is_named(name),
        }
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
