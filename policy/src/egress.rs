//! Addresses outside of the cluster.

use crate::{PolicySettings, network};
use ferrule_cluster::{
    World,
    object::{EgressNetwork, Name, Network, ObjectKey},
};
use ipnet::IpNet;
use std::{borrow::Cow, net::IpAddr};

/// The EgressNetwork that an address belongs to, as clients of a namespace see it
/// (policy.md section 6.2): one of their own, and only where they have none, one
/// that is for all. The smallest network wins, then the oldest, then by name. Its
/// status does not matter.
pub(crate) fn find<'w>(
    settings: &PolicySettings,
    world: &'w World,
    client: &Name,
    ip: IpAddr,
) -> Option<(ObjectKey, &'w EgressNetwork)> {
    let global = Name::from(&*settings.global_egress_namespace);
    let namespace = match world.egress_networks(client).next() {
        Some(_) => client,
        None => &global,
    };
    // In the order of their names, of which the first is taken.
    let candidates = world.egress_networks(namespace);
    let sized = candidates.filter_map(|(name, egress)| {
        let networks = networks(settings, egress);
        let around = networks.iter().filter(|network| contains(network, ip));
        Some((around.map(size).min()?, name, egress))
    });
    let (_, name, egress) = sized.min_by_key(|(size, _, egress)| (*size, egress.created))?;
    let key = ObjectKey {
        namespace: namespace.clone(),
        name: name.clone(),
    };
    Some((key, egress))
}

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

fn contains(network: &Network, ip: IpAddr) -> bool {
    network.cidr.contains(&ip) && !network::contain(&network.except, ip)
}

/// How many hosts a network has, as far as they can be counted (policy.md section
/// 2.4, D-11).
fn size(network: &Network) -> u128 {
    let except = network.except.iter().map(hosts);
    except.fold(hosts(&network.cidr), u128::saturating_sub)
}

fn hosts(cidr: &IpNet) -> u128 {
    let all = cidr.max_prefix_len() - cidr.prefix_len();
    let all = 1_u128.checked_shl(all.into()).unwrap_or(u128::MAX);
    match cidr {
        // The network's own address and that of broadcasts are nobody's, but in
        // the smallest ones.
        IpNet::V4(_) if all > 2 => all - 2,
        _ => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(cidr: &str, except: &[&str]) -> Network {
        let cidrs = |text: &&str| text.parse().expect("literal");
        Network {
            cidr: cidrs(&cidr),
            except: except.iter().map(cidrs).collect(),
        }
    }

    #[test]
    fn a_network_is_as_large_as_it_has_hosts() {
        for (cidr, except, expected) in [
            ("10.0.0.0/24", &[][..], 254),
            ("10.0.0.0/31", &[], 2),
            ("10.0.0.1/32", &[], 1),
            ("0.0.0.0/0", &[], (1 << 32) - 2),
            ("10.0.0.0/24", &["10.0.0.0/25", "10.0.0.200/32"], 127),
            // More is left out than is there.
            ("10.0.0.0/31", &["10.0.0.0/8"], 0),
            ("fd00::/64", &[], 1 << 64),
            ("fd00::/8", &[], 1 << 120),
            ("fd00::1/128", &[], 1),
            ("::/0", &[], u128::MAX),
        ] {
            assert_eq!(size(&network(cidr, except)), expected, "{cidr} {except:?}");
        }
    }

    #[test]
    fn exceptions_are_not_of_a_network() {
        let network = network("10.0.0.0/8", &["10.1.0.0/16"]);
        for (ip, expected) in [("10.2.0.1", true), ("10.1.0.1", false), ("fd00::1", false)] {
            assert_eq!(contains(&network, ip.parse().expect("literal")), expected);
        }
    }
}
