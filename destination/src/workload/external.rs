//! An ExternalWorkload's address (destination.md section 8.2).

use super::{Audience, ProxyUnreachable, Workload, audience_labels, bare, hint};
use crate::{endpoints::Addr, mesh::Mesh};
use ferrule_cluster::{
    object::{ExternalWorkload, ObjectKey, Owner},
    world::World,
};
use ferrule_proto::destination::{
    TlsIdentity, WeightedAddr,
    tls_identity::{DnsLikeIdentity, Strategy, UriLikeIdentity},
};
use std::collections::BTreeMap;

/// Without an identity a proxy would send plaintext out of the cluster: such a
/// workload is not told.
pub(super) fn tell(
    mesh: &Mesh,
    world: &World,
    (key, workload): (&ObjectKey, &ExternalWorkload),
    addr: Addr,
    audience: Audience<'_>,
) -> Result<WeightedAddr, ProxyUnreachable> {
    if !workload.is_meshed() {
        return Err(ProxyUnreachable);
    }
    let opaque = Workload::External(key, workload).is_opaque(mesh, world, addr.port);
    let inbound = (mesh.transport_header || opaque).then(|| workload.proxy_port());
    Ok(WeightedAddr {
        metric_labels: labels(key, workload, audience),
        http2: mesh.http2,
        // It is HTTP/2 whether or not the mesh upgrades HTTP/1 for pods.
        protocol_hint: Some(hint(opaque, true, inbound)),
        tls_identity: Some(TlsIdentity {
            strategy: Some(Strategy::UriLikeIdentity(UriLikeIdentity {
                uri: workload.identity.to_string(),
            })),
            server_name: Some(DnsLikeIdentity {
                name: workload.server_name.to_string(),
            }),
        }),
        ..bare(addr)
    })
}

fn labels(
    key: &ObjectKey,
    workload: &ExternalWorkload,
    audience: Audience<'_>,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    if let Owner::One(owner) = &workload.owner {
        let kind = match audience {
            Audience::Get(..) => owner.kind.to_ascii_lowercase(),
            // As the reference spells it here (section 5.2).
            Audience::Profile => owner.kind.to_string(),
        };
        labels.insert(kind, owner.name.to_string());
    }
    labels.insert("external_workload".to_owned(), key.name.to_string());
    audience_labels(
        audience,
        &key.namespace,
        workload.zone.as_ref(),
        &mut labels,
    );
    labels
}
