use super::{DefaultPolicy, Labels, Name, Owner, PortSet};
use smallvec::SmallVec;
use std::{net::IpAddr, sync::Arc};

/// The inbound port of a proxy whose ExternalWorkload names none
/// (destination.md section 8.2).
const PROXY_PORT: u16 = 4143;
/// The name of the port on which an ExternalWorkload's proxy listens.
const PROXY_PORT_NAME: &str = "linkerd-proxy";

/// What the mesh reads of an ExternalWorkload: a meshed machine outside of the
/// cluster (policy.md section 3.9).
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalWorkload {
    /// `metadata.labels`.
    pub labels: Arc<Labels>,
    /// `metadata.ownerReferences`.
    pub owner: Owner,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<Name>,
    /// `spec.meshTLS.identity`: what its certificate says, a DNS name or a URI.
    pub identity: Name,
    /// `spec.meshTLS.serverName`: what is asked for when it is dialled.
    pub server_name: Name,
    /// `spec.workloadIPs`.
    pub ips: SmallVec<[IpAddr; 1]>,
    /// `spec.ports`.
    pub ports: Box<[WorkloadPort]>,
    /// Annotation `config.linkerd.io/opaque-ports`; `None` where there is none.
    pub opaque_ports: Option<PortSet>,
    /// Annotation `config.linkerd.io/default-inbound-policy`, where it is one.
    pub default_policy: Option<DefaultPolicy>,
    /// Annotation `config.linkerd.io/proxy-require-identity-inbound-ports`
    /// (numbers only).
    pub require_identity_ports: PortSet,
}

/// A port of an ExternalWorkload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadPort {
    /// Empty where it has no name.
    pub name: Name,
    /// The number.
    pub port: u16,
    /// `protocol` is TCP: inbound policy knows no others by name.
    pub is_tcp: bool,
}

impl ExternalWorkload {
    /// Whether it says whom its proxy's certificate names and by which name it is
    /// dialled; without either it cannot be sent to as a part of the mesh.
    pub fn is_meshed(&self) -> bool {
        !self.identity.is_empty() && !self.server_name.is_empty()
    }

    /// The number of the port with this name.
    pub fn port_named(&self, name: &str) -> Option<u16> {
        self.ports
            .iter()
            .find(|port| !port.name.is_empty() && *port.name == *name)
            .map(|port| port.port)
    }

    /// The port on which its proxy takes traffic.
    pub fn proxy_port(&self) -> u16 {
        self.port_named(PROXY_PORT_NAME).unwrap_or(PROXY_PORT)
    }
}
