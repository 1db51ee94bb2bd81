use super::{DefaultPolicy, Labels, Name, PortSet};
use smallvec::SmallVec;
use std::{net::IpAddr, sync::Arc};

/// What the mesh reads of a Pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// What it shares with the other pods of its template.
    pub template: Arc<PodTemplate>,
    /// `metadata.labels`.
    pub labels: Arc<Labels>,
    /// `metadata.ownerReferences`.
    pub owner: Owner,
    /// `spec.nodeName`, empty before it is scheduled.
    pub node: Name,
    /// `status.podIPs`, else `status.podIP`.
    pub ips: SmallVec<[IpAddr; 1]>,
    /// `status.hostIPs`, else `status.hostIP`; kept only for pods with a host port.
    pub host_ips: SmallVec<[IpAddr; 1]>,
    /// `status.phase`.
    pub phase: Phase,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// `spec.hostNetwork`.
    pub host_network: bool,
}

/// The parts of a Pod that its siblings have too. Equal ones are one allocation
/// (see [`Interner::template`](crate::Interner::template)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodTemplate {
    /// `spec.serviceAccountName`, `default` where empty.
    pub service_account: Name,
    /// Label `linkerd.io/control-plane-ns` where it is not empty: the pod is
    /// meshed, by the control plane in that namespace.
    pub control_plane: Option<Name>,
    /// Label `pod-template-hash` where it is not empty.
    pub template_hash: Option<Name>,
    /// Annotation `config.linkerd.io/opaque-ports`; `None` where there is none.
    pub opaque_ports: Option<PortSet>,
    /// Annotation `config.linkerd.io/skip-inbound-ports` (numbers only).
    pub skip_inbound_ports: PortSet,
    /// Annotation `config.linkerd.io/default-inbound-policy`, where it is one.
    pub default_policy: Option<DefaultPolicy>,
    /// Annotation `config.linkerd.io/proxy-require-identity-inbound-ports`
    /// (numbers only).
    pub require_identity_ports: PortSet,
    /// The HTTP probes of init and regular containers: sorted, each once.
    pub probes: Box<[HttpProbe]>,
    /// Ports of init and regular containers.
    pub ports: Box<[ContainerPort]>,
    /// The `linkerd-proxy` container.
    pub proxy: ProxyContainer,
}

/// A port that a container declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerPort {
    /// `name`, empty where there is none.
    pub name: Name,
    /// `containerPort`.
    pub port: u16,
    /// `hostPort`, where it is not 0.
    pub host_port: Option<u16>,
    /// `protocol` is TCP: inbound policy knows no others by name.
    pub is_tcp: bool,
}

/// A request by which a kubelet asks a container how it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HttpProbe {
    /// The container's port.
    pub port: u16,
    /// The path, without a query.
    pub path: Name,
}

/// What a pod's `linkerd-proxy` container (init containers are searched first)
/// says of the ports it listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProxyContainer {
    /// There is no such container.
    #[default]
    Absent,
    /// There is one whose admin or control address is absent or not `ip:port`.
    Incomplete,
    /// Its addresses.
    Listening(ProxyPorts),
}

/// The ports of a sidecar proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProxyPorts {
    /// `LINKERD2_PROXY_INBOUND_LISTEN_ADDR`; `None` where absent or not `ip:port`.
    pub inbound: Option<u16>,
    /// `LINKERD2_PROXY_ADMIN_LISTEN_ADDR`.
    pub admin: u16,
    /// `LINKERD2_PROXY_CONTROL_LISTEN_ADDR`.
    pub control: u16,
}

/// `status.phase` of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Pending, Unknown or not set.
    #[default]
    Pending,
    /// Running.
    Running,
    /// Succeeded or Failed.
    Finished,
}

/// `metadata.ownerReferences`, as far as metric labels need them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// There is none, or more than one.
    #[default]
    Unclear,
    /// Exactly one.
    One(OwnerRef),
}

/// The one owner of an object, in the object's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRef {
    /// `kind` as written.
    pub kind: Name,
    /// `name`.
    pub name: Name,
}

impl Pod {
    /// Whether it is neither on its way out nor finished: its claim to an address comes
    /// before those of others.
    pub fn is_live(&self) -> bool {
        !self.terminating && self.phase != Phase::Finished
    }

    /// Whether any container asks for a port of the host.
    pub fn has_host_port(&self) -> bool {
        self.template
            .ports
            .iter()
            .any(|port| port.host_port.is_some())
    }
}

impl PodTemplate {
    /// The number of the container port with this name.
    pub fn port_named(&self, name: &str) -> Option<u16> {
        self.ports
            .iter()
            .find(|port| !port.name.is_empty() && *port.name == *name)
            .map(|port| port.port)
    }

    /// The paths of the HTTP probes of a port, in order.
    pub fn probe_paths(&self, port: u16) -> impl Iterator<Item = &Name> {
        self.probes
            .iter()
            .filter(move |probe| probe.port == port)
            .map(|probe| &probe.path)
    }
}
