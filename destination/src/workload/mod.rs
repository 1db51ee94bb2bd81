//! How the address of a workload, or of none, is told to a proxy (destination.md
//! section 8).

mod external;
mod pod;

use crate::{endpoints::Addr, mesh::Mesh};
use ferrule_cluster::{
    object::{ExternalWorkload, Mirror, Name, ObjectKey, Pod},
    world::World,
};
use ferrule_proto::{
    destination::{
        AuthorityOverride, ProtocolHint, TlsIdentity, WeightedAddr,
        protocol_hint::{self, OpaqueTransport, Protocol},
        tls_identity::{DnsLikeIdentity, Strategy},
    },
    net::TcpAddress,
};
use std::{collections::BTreeMap, net::SocketAddr};

/// The weight of an endpoint; proxies ignore it (section 8).
const WEIGHT: u32 = 10_000;
/// The weight of one in the client's zone, where zones weigh.
const LOCAL_WEIGHT: u32 = 100_000;

/// Who is at an address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Workload<'w> {
    Pod(&'w ObjectKey, &'w Pod),
    External(&'w ObjectKey, &'w ExternalWorkload),
}

/// Where an endpoint is, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locality {
    Local,
    Remote,
    Unknown,
}

impl Locality {
    pub(crate) fn between(client: Option<&Name>, endpoint: Option<&Name>) -> Self {
        match (client, endpoint) {
            (Some(client), Some(endpoint)) if client == endpoint => Locality::Local,
            (Some(_), Some(_)) => Locality::Remote,
            _ => Locality::Unknown,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Locality::Local => "local",
            Locality::Remote => "remote",
            Locality::Unknown => "unknown",
        }
    }
}

/// A workload cannot be told: it is meshed, but does not say where its proxy
/// listens (D19) or whom its certificate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProxyUnreachable;

/// What of a workload's description depends on who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Audience<'a> {
    /// `Get`: the endpoint's zone, and where that is from the client.
    Get(Option<&'a Name>, Locality),
    /// `GetProfile` by address: the set-level labels are missing there, so the
    /// namespace is among the endpoint's.
    Profile,
}

impl Workload<'_> {
    /// Its address.
    pub(crate) fn tell(
        self,
        mesh: &Mesh,
        world: &World,
        addr: Addr,
        audience: Audience<'_>,
    ) -> Result<WeightedAddr, ProxyUnreachable> {
        let mut weighted = match self {
            Workload::Pod(key, pod) => pod::tell(mesh, world, (key, pod), addr, audience)?,
            Workload::External(key, workload) => {
                external::tell(mesh, world, (key, workload), addr, audience)?
            }
        };
        if let Audience::Get(_, Locality::Local) = audience
            && mesh.zone_weights
        {
            weighted.weight = LOCAL_WEIGHT;
        }
        Ok(weighted)
    }

    /// Whether [`tell`](Self::tell) has anything to say: one that cannot be
    /// reached takes no address from another.
    pub(crate) fn is_reachable(self, mesh: &Mesh, world: &World, port: u16) -> bool {
        match self {
            Workload::Pod(key, pod) => pod::is_reachable(mesh, world, (key, pod), port),
            Workload::External(_, workload) => workload.is_meshed(),
        }
    }

    /// Whether a port of it is opaque.
    pub(crate) fn is_opaque(self, mesh: &Mesh, world: &World, port: u16) -> bool {
        let default = &mesh.default_opaque_ports;
        match self {
            Workload::Pod(key, pod) => world.is_pod_port_opaque(key, pod, port, default),
            Workload::External(key, workload) => {
                world.is_external_workload_port_opaque(key, workload, port, default)
            }
        }
    }
}

/// An address of which nothing is known.
pub(crate) fn bare(addr: Addr) -> WeightedAddr {
    WeightedAddr {
        addr: Some(TcpAddress::from(SocketAddr::new(addr.ip, addr.port))),
        weight: WEIGHT,
        ..WeightedAddr::default()
    }
}

/// An address that belongs to no object; perhaps a gateway to another cluster
/// (section 8.3). `port` is the one that was asked for.
pub(crate) fn address(mesh: &Mesh, addr: Addr, port: u16, mirror: Option<&Mirror>) -> WeightedAddr {
    let mut weighted = bare(addr);
    weighted
        .metric_labels
        .insert("zone_locality".into(), Locality::Unknown.label().into());
    let Some(mirror) = mirror else {
        return weighted;
    };
    weighted.authority_override = mirror.remote_name.as_ref().map(|name| AuthorityOverride {
        authority_override: format!("{name}:{port}"),
    });
    if let Some(identity) = mirror.gateway_identity.as_ref().filter(|id| !id.is_empty()) {
        weighted.tls_identity = Some(TlsIdentity {
            strategy: Some(Strategy::DnsLikeIdentity(DnsLikeIdentity {
                name: identity.to_string(),
            })),
            server_name: None,
        });
        weighted.http2 = mesh.http2;
        weighted.protocol_hint = mesh.h2_upgrade.then_some(ProtocolHint {
            protocol: Some(Protocol::H2(protocol_hint::H2 {})),
            opaque_transport: None,
        });
    }
    weighted
}

/// The hint of a meshed port. `h2` is whether it takes HTTP/2 for HTTP/1,
/// `inbound` where its proxy is dialled instead of the port itself.
fn hint(opaque: bool, h2: bool, inbound: Option<u16>) -> ProtocolHint {
    let protocol = if opaque {
        Some(Protocol::Opaque(protocol_hint::Opaque {}))
    } else if h2 {
        Some(Protocol::H2(protocol_hint::H2 {}))
    } else {
        None
    };
    ProtocolHint {
        protocol,
        opaque_transport: inbound.map(|port| OpaqueTransport {
            inbound_port: port.into(),
        }),
    }
}

/// The labels that depend on who asks. `known_zone` is the workload's own.
fn audience_labels(
    audience: Audience<'_>,
    namespace: &str,
    known_zone: Option<&Name>,
    labels: &mut BTreeMap<String, String>,
) {
    let mut set = |name: &str, value: &str| labels.insert(name.to_owned(), value.to_owned());
    match audience {
        Audience::Get(zone, locality) => {
            set("zone", zone.map_or("", |zone| zone));
            set("zone_locality", locality.label());
        }
        Audience::Profile => {
            set("zone", known_zone.map_or("", |zone| zone));
            set("namespace", namespace);
        }
    }
}
