//! Addresses outside of the cluster.

use crate::{PolicySettings, network};
use ferrule_cluster::object::{EgressNetwork, Network};
use ipnet::IpNet;
use std::borrow::Cow;

/// The addresses of an EgressNetwork: where it names none, all but the cluster's
/// (policy.md section 6.2).
pub(crate) fn networks<'n>(
    settings: &PolicySettings,
    egress: &'n EgressNetwork,
) -> Cow<'n, [Network]> {
    match &egress.networks {
        Some(networks) => Cow::Borrowed(networks),
        None => {
            let all = network::any().map(|cidr| {
                let inside = settings.cluster_networks.iter();
                let inside = inside.filter(|network| cidr.contains(*network));
                Network {
                    cidr,
                    except: inside.copied().collect(),
                }
            });
            Cow::Owned(all.into())
        }
    }
}

/// Whether a network has addresses in common with a plain one (policy.md section
/// 2.4).
pub(crate) fn intersects(network: &Network, other: &IpNet) -> bool {
    let meet = network.cidr.contains(other) || other.contains(&network.cidr);
    meet && !network.except.iter().any(|except| except.contains(other))
}
