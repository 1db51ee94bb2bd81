//! Who may call.

use crate::{PolicySettings, metadata, network};
use ferrule_cluster::object::DefaultPolicy;
use ferrule_proto::inbound::{
    Authn, Authz, IdentitySuffix, Network,
    authn::{
        Permit, PermitMeshTls, PermitUnauthenticated,
        permit_mesh_tls::{Clients, PermitClientIdentities},
    },
};
use ipnet::IpNet;
use std::collections::BTreeMap;

/// The authorization that a policy's name stands for (policy.md section 5.4).
pub(super) fn of_policy(settings: &PolicySettings, policy: DefaultPolicy) -> Option<Authz> {
    let cluster = &*settings.cluster_networks;
    let (networks, permit) = match policy {
        // Proxies log what is let in by the name `audit`; nothing else tells it
        // from the first.
        DefaultPolicy::AllUnauthenticated | DefaultPolicy::Audit => {
            (&network::any()[..], unauthenticated())
        }
        DefaultPolicy::AllAuthenticated => (&network::any()[..], any_identity()),
        DefaultPolicy::ClusterUnauthenticated => (cluster, unauthenticated()),
        DefaultPolicy::ClusterAuthenticated => (cluster, any_identity()),
        DefaultPolicy::Deny => return None,
    };
    authz(policy.as_str(), networks, permit)
}

/// The authorization of probes.
pub(super) fn of_probes(settings: &PolicySettings) -> Option<Authz> {
    authz("probe", &settings.probe_networks, unauthenticated())
}

/// The labels of what no object configures.
pub(super) fn labels(name: &str) -> BTreeMap<String, String> {
    [("group", ""), ("kind", "default"), ("name", name)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// None where there is no network to let in: proxies refuse a whole server for
/// one authorization without any.
fn authz(name: &str, networks: &[IpNet], permit: Permit) -> Option<Authz> {
    if networks.is_empty() {
        return None;
    }
    let networks = networks.iter().map(|network| Network {
        net: Some(network::message(*network)),
        except: Vec::new(),
    });
    Some(Authz {
        networks: networks.collect(),
        authentication: Some(Authn {
            permit: Some(permit),
        }),
        labels: labels(name),
        metadata: Some(metadata::default(name)),
    })
}

fn unauthenticated() -> Permit {
    Permit::Unauthenticated(PermitUnauthenticated {})
}

fn any_identity() -> Permit {
    let any = IdentitySuffix { parts: Vec::new() };
    Permit::MeshTls(PermitMeshTls {
        clients: Some(Clients::Identities(PermitClientIdentities {
            identities: Vec::new(),
            suffixes: vec![any],
        })),
    })
}
