//! How a workload's address is told to a proxy (destination.md section 8).

use crate::{endpoints::Addr, mesh::Mesh};
use ferrule_cluster::{
    object::{Mirror, Name, ObjectKey, Pod, ProxyContainer, ProxyPorts},
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

/// A pod cannot be told: it is meshed, but its proxy does not say where it
/// listens (D19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProxyUnreachable;

/// What of a pod's description depends on who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Audience<'a> {
    /// `Get`: the endpoint's zone, and where that is from the client.
    Get(Option<&'a Name>, Locality),
    /// `GetProfile` by address: the set-level labels are missing there, so the
    /// namespace is among the endpoint's.
    Profile,
}

/// Whether a port of a pod is opaque.
pub(crate) fn is_opaque(mesh: &Mesh, world: &World, key: &ObjectKey, pod: &Pod, port: u16) -> bool {
    world.is_pod_port_opaque(key, pod, port, &mesh.default_opaque_ports)
}

/// A pod's address.
pub(crate) fn pod(
    mesh: &Mesh,
    world: &World,
    (key, pod): (&ObjectKey, &Pod),
    addr: Addr,
    audience: Audience<'_>,
) -> Result<WeightedAddr, ProxyUnreachable> {
    let mut weighted = bare(addr);
    weighted.metric_labels = pod_labels(world, key, pod, audience);
    if let Audience::Get(_, Locality::Local) = audience
        && mesh.zone_weights
    {
        weighted.weight = LOCAL_WEIGHT;
    }
    let Some(proxy) = proxy(pod, addr.port)? else {
        return Ok(weighted);
    };
    let opaque = is_opaque(mesh, world, key, pod, addr.port);
    weighted.http2 = mesh.http2;
    weighted.protocol_hint = Some(protocol_hint(mesh, proxy, addr.port, opaque)?);
    if let Some(control_plane) = &pod.template.control_plane
        && !mesh.trust_domain.is_empty()
        && **control_plane == *mesh.control_plane_namespace
    {
        weighted.tls_identity = Some(pod_identity(mesh, key, pod, control_plane));
    }
    Ok(weighted)
}

/// Whether [`pod`] has anything to say: one that cannot be reached takes no
/// address from another.
pub(crate) fn is_reachable(
    mesh: &Mesh,
    world: &World,
    (key, pod): (&ObjectKey, &Pod),
    port: u16,
) -> bool {
    match proxy(pod, port) {
        Ok(None) => true,
        Ok(Some(proxy)) if proxy.inbound.is_some() => true,
        Ok(Some(proxy)) => {
            let opaque = is_opaque(mesh, world, key, pod, port);
            protocol_hint(mesh, proxy, port, opaque).is_ok()
        }
        Err(ProxyUnreachable) => false,
    }
}

/// The proxy that traffic to a port of the pod goes through, if there is one.
fn proxy(pod: &Pod, port: u16) -> Result<Option<ProxyPorts>, ProxyUnreachable> {
    let template = &*pod.template;
    if template.control_plane.is_none() || template.skip_inbound_ports.contains(port) {
        return Ok(None);
    }
    match template.proxy {
        // The control plane's own pods carry the label and no proxy (ruling 7).
        ProxyContainer::Absent => Ok(None),
        ProxyContainer::Incomplete => Err(ProxyUnreachable),
        ProxyContainer::Listening(proxy) => Ok(Some(proxy)),
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

fn protocol_hint(
    mesh: &Mesh,
    proxy: ProxyPorts,
    port: u16,
    opaque: bool,
) -> Result<ProtocolHint, ProxyUnreachable> {
    let meta_port = port == proxy.admin || port == proxy.control;
    let opaque_transport = if !meta_port && (mesh.transport_header || opaque) {
        let inbound_port = proxy.inbound.ok_or(ProxyUnreachable)?;
        Some(OpaqueTransport {
            inbound_port: inbound_port.into(),
        })
    } else {
        None
    };
    let protocol = if opaque {
        Some(Protocol::Opaque(protocol_hint::Opaque {}))
    } else if mesh.h2_upgrade {
        Some(Protocol::H2(protocol_hint::H2 {}))
    } else {
        None
    };
    Ok(ProtocolHint {
        protocol,
        opaque_transport,
    })
}

fn pod_identity(mesh: &Mesh, key: &ObjectKey, pod: &Pod, control_plane: &str) -> TlsIdentity {
    let name = DnsLikeIdentity {
        name: format!(
            "{}.{}.serviceaccount.identity.{control_plane}.{}",
            pod.template.service_account, key.namespace, mesh.trust_domain,
        ),
    };
    TlsIdentity {
        strategy: Some(Strategy::DnsLikeIdentity(name.clone())),
        server_name: Some(name),
    }
}

fn pod_labels(
    world: &World,
    key: &ObjectKey,
    pod: &Pod,
    audience: Audience<'_>,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut set = |name: &str, value: &str| labels.insert(name.to_owned(), value.to_owned());
    set("pod", &key.name);
    let workload = world.workload(key, pod);
    match &*workload.kind.to_ascii_lowercase() {
        // `job` is Prometheus' own.
        "job" => set("k8s_job", workload.name),
        kind => set(kind, workload.name),
    };
    set("serviceaccount", &pod.template.service_account);
    if let Some(control_plane) = &pod.template.control_plane {
        set("control_plane_ns", control_plane);
    }
    if let Some(hash) = &pod.template.template_hash {
        set("pod_template_hash", hash);
    }
    match audience {
        Audience::Get(zone, locality) => {
            set("zone", zone.map_or("", |zone| zone));
            set("zone_locality", locality.label());
        }
        Audience::Profile => {
            set("zone", "");
            set("namespace", &key.namespace);
        }
    }
    labels
}
