use super::World;
use crate::object::{
    ExternalWorkload, Name, ObjectKey, Pod, PortProtocol, PortSet, Server, Service,
};

/// The opaque ports of an object: its own annotation, else its namespace's, else
/// the mesh's default. An annotation replaces what is above it, also by an empty
/// list (destination.md section 13). A Server adds to a workload's.
impl World {
    /// How traffic to a Service's port is to be read. Profiles and outbound
    /// policy both ask here (ruling 2).
    pub fn service_protocol(
        &self,
        key: &ObjectKey,
        service: &Service,
        port: u16,
        default: &PortSet,
    ) -> PortProtocol {
        let opaque = match &service.opaque_ports {
            Some(own) => own.contains(port),
            None => self.is_opaque_in(&key.namespace, port, default, |name| {
                service.port_named(name)
            }),
        };
        service.protocol(port, opaque)
    }

    /// Whether a port of a pod is opaque: the one place that decides it, for an
    /// endpoint's hint and for the profile of a pod's address (ruling 2).
    pub fn is_pod_port_opaque(
        &self,
        key: &ObjectKey,
        pod: &Pod,
        port: u16,
        default: &PortSet,
    ) -> bool {
        let annotated = match &pod.template.opaque_ports {
            Some(own) => own.contains(port),
            None => self.is_opaque_in(&key.namespace, port, default, |name| {
                pod.template.port_named(name)
            }),
        };
        annotated
            || self.has_opaque_server(&key.namespace, |server| server.selects_pod_port(pod, port))
    }

    /// Whether a port of an ExternalWorkload is opaque; as for a pod.
    pub fn is_external_workload_port_opaque(
        &self,
        key: &ObjectKey,
        workload: &ExternalWorkload,
        port: u16,
        default: &PortSet,
    ) -> bool {
        let annotated = match &workload.opaque_ports {
            Some(own) => own.contains(port),
            None => self.is_opaque_in(&key.namespace, port, default, |name| {
                workload.port_named(name)
            }),
        };
        annotated
            || self.has_opaque_server(&key.namespace, |server| {
                server.selects_workload_port(workload, port)
            })
    }

    /// Whether any of the Servers that there are now says so (D7, D8). Asked for
    /// each endpoint that is encoded; most namespaces have no Server.
    fn has_opaque_server(&self, namespace: &str, selects: impl Fn(&Server) -> bool) -> bool {
        let mut servers = self.servers.of(namespace);
        servers.any(|(_, server)| server.is_opaque() && selects(server))
    }

    /// Whether a port of what has no annotation of its own is opaque.
    fn is_opaque_in(
        &self,
        namespace: &Name,
        port: u16,
        default: &PortSet,
        port_named: impl Fn(&str) -> Option<u16>,
    ) -> bool {
        match self.namespace_opaque_ports(namespace) {
            // Items that cannot be read were reported when the namespace came;
            // names mean ports only of objects that have them.
            Some(text) => PortSet::parse(text, port_named).0.contains(port),
            None => default.contains(port),
        }
    }
}
