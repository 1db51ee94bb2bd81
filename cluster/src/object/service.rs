use super::{Name, ObjectKey, PortSet, traffic::Traffic};
use std::net::IpAddr;

/// What the mesh reads of a Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// `spec.ports`, in order.
    pub ports: Box<[ServicePort]>,
    /// `spec.clusterIPs`, else `spec.clusterIP`; empty when headless.
    pub cluster_ips: Box<[IpAddr]>,
    /// `spec.type` is ExternalName.
    pub external_name: bool,
    /// `spec.internalTrafficPolicy` is Local.
    pub local_traffic: bool,
    /// Annotation `config.linkerd.io/opaque-ports`; `None` where there is none.
    pub opaque_ports: Option<PortSet>,
    /// What its annotations say of traffic to it; `None` for nothing.
    pub traffic: Option<Box<Traffic>>,
    /// Where its endpoints are, if not in its own slices.
    pub multicluster: Option<Box<Multicluster>>,
}

/// Where the endpoints of a Service are that stands for others (destination.md
/// section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Multicluster {
    /// Label `multicluster.linkerd.io/remote-discovery`: they are those of a
    /// Service of another cluster.
    Remote {
        /// The cluster; may be empty, and then is none.
        cluster: Name,
        /// Label `multicluster.linkerd.io/remote-service`: the Service there.
        service: Option<Name>,
    },
    /// Annotation `multicluster.linkerd.io/local-discovery` or
    /// `multicluster.linkerd.io/remote-discovery`: they are those of its members.
    Federated {
        /// The member in this cluster and namespace.
        local: Option<Name>,
    },
}

/// One of a Service's ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// Empty for an unnamed port.
    pub name: Name,
    /// The port that clients ask for.
    pub port: u16,
    /// `appProtocol` as written.
    pub app_protocol: Option<Name>,
}

/// How traffic to a Service's port is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortProtocol {
    /// Found out from the first bytes of each connection.
    Detect,
    /// `appProtocol: http`.
    Http1,
    /// `appProtocol: kubernetes.io/h2c`.
    Http2,
    /// `appProtocol: grpc`.
    Grpc,
    /// Not looked into.
    Opaque,
}

impl Service {
    /// Where this cluster's part of a federated Service is; `None` for one that
    /// has none or is not federated. `key` is its own.
    pub fn local_member(&self, key: &ObjectKey) -> Option<ObjectKey> {
        match self.multicluster.as_deref()? {
            Multicluster::Federated { local } => Some(ObjectKey {
                namespace: key.namespace.clone(),
                name: local.clone()?,
            }),
            Multicluster::Remote { .. } => None,
        }
    }

    /// The declared port that a request port means: the first match.
    pub fn port(&self, port: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|declared| declared.port == port)
    }

    /// The number of the port with this name.
    pub fn port_named(&self, name: &str) -> Option<u16> {
        self.ports
            .iter()
            .find(|port| !port.name.is_empty() && *port.name == *name)
            .map(|port| port.port)
    }

    /// The one place that decides a Service port's protocol (ruling 2): profiles
    /// and outbound policy both ask here, since a proxy that is told an opaque
    /// profile and an HTTP policy panics. `opaque` is whether the port is in the
    /// set that holds for this Service (own annotation, else its namespace's,
    /// else the default); an `appProtocol` beats it. Where a number is declared
    /// twice (TCP and UDP) the last `appProtocol` counts.
    pub fn protocol(&self, port: u16, opaque: bool) -> PortProtocol {
        let app_protocol = self
            .ports
            .iter()
            .filter(|declared| declared.port == port)
            .filter_map(|declared| declared.app_protocol.as_deref())
            .next_back();
        match app_protocol.map(str::to_ascii_lowercase).as_deref() {
            Some("http") => PortProtocol::Http1,
            Some("kubernetes.io/h2c") => PortProtocol::Http2,
            Some("grpc") => PortProtocol::Grpc,
            // Also https, web sockets and what is not known: carried unread.
            Some(_) => PortProtocol::Opaque,
            None if opaque => PortProtocol::Opaque,
            None => PortProtocol::Detect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(app_protocol: Option<&str>) -> Service {
        Service {
            ports: [ServicePort {
                name: "".into(),
                port: 80,
                app_protocol: app_protocol.map(Into::into),
            }]
            .into(),
            ..Service::default()
        }
    }

    #[test]
    fn an_app_protocol_beats_the_opaque_set() {
        for (app_protocol, opaque, expected) in [
            (None, false, PortProtocol::Detect),
            (None, true, PortProtocol::Opaque),
            (Some("http"), true, PortProtocol::Http1),
            (Some("HTTP"), true, PortProtocol::Http1),
            (Some("kubernetes.io/h2c"), true, PortProtocol::Http2),
            (Some("grpc"), true, PortProtocol::Grpc),
            (Some("linkerd.io/opaque"), false, PortProtocol::Opaque),
            (Some("https"), false, PortProtocol::Opaque),
        ] {
            assert_eq!(
                service(app_protocol).protocol(80, opaque),
                expected,
                "{app_protocol:?} {opaque}"
            );
        }
    }
}
