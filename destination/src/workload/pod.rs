//! A pod's address (destination.md section 8.1).

use super::{Audience, ProxyUnreachable, Workload, audience_labels, bare, hint};
use crate::{endpoints::Addr, mesh::Mesh};
use ferrule_cluster::{
    object::{ObjectKey, Pod, ProxyContainer, ProxyPorts},
    world::World,
};
use ferrule_proto::destination::{
    ProtocolHint, TlsIdentity, WeightedAddr,
    tls_identity::{DnsLikeIdentity, Strategy},
};
use std::collections::BTreeMap;

pub(super) fn tell(
    mesh: &Mesh,
    world: &World,
    (key, pod): (&ObjectKey, &Pod),
    addr: Addr,
    audience: Audience<'_>,
) -> Result<WeightedAddr, ProxyUnreachable> {
    let mut weighted = bare(addr);
    weighted.metric_labels = labels(world, key, pod, audience);
    let Some(proxy) = proxy(pod, addr.port)? else {
        return Ok(weighted);
    };
    let opaque = Workload::Pod(key, pod).is_opaque(mesh, world, addr.port);
    weighted.http2 = mesh.http2;
    weighted.protocol_hint = Some(protocol_hint(mesh, proxy, addr.port, opaque)?);
    if let Some(control_plane) = &pod.template.control_plane
        && !mesh.trust_domain.is_empty()
        && **control_plane == *mesh.control_plane_namespace
    {
        weighted.tls_identity = Some(identity(mesh, key, pod, control_plane));
    }
    Ok(weighted)
}

pub(super) fn is_reachable(
    mesh: &Mesh,
    world: &World,
    (key, pod): (&ObjectKey, &Pod),
    port: u16,
) -> bool {
    match proxy(pod, port) {
        Ok(None) => true,
        Ok(Some(proxy)) if proxy.inbound.is_some() => true,
        Ok(Some(proxy)) => {
            let opaque = Workload::Pod(key, pod).is_opaque(mesh, world, port);
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

fn protocol_hint(
    mesh: &Mesh,
    proxy: ProxyPorts,
    port: u16,
    opaque: bool,
) -> Result<ProtocolHint, ProxyUnreachable> {
    let meta_port = port == proxy.admin || port == proxy.control;
    let inbound = if !meta_port && (mesh.transport_header || opaque) {
        Some(proxy.inbound.ok_or(ProxyUnreachable)?)
    } else {
        None
    };
    Ok(hint(opaque, mesh.h2_upgrade, inbound))
}

fn identity(mesh: &Mesh, key: &ObjectKey, pod: &Pod, control_plane: &str) -> TlsIdentity {
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

fn labels(
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
    audience_labels(audience, &key.namespace, None, &mut labels);
    labels
}
