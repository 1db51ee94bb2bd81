use super::condition;
use crate::{PolicySettings, egress};
use ferrule_cluster::object::{EgressNetwork, StatusCondition};

/// What is to be said of an EgressNetwork (policy.md section 7.6).
pub fn egress_network_status(
    settings: &PolicySettings,
    network: &EgressNetwork,
) -> StatusCondition {
    let networks = egress::networks(settings, network);
    let overlaps = networks.iter().any(|network| {
        let mut cluster = settings.cluster_networks.iter();
        cluster.any(|cluster| egress::intersects(network, cluster))
    });
    let result = if overlaps {
        Err((
            "EgressReasonNetworkOverlap",
            "networks overlap with clusterNetworks",
        ))
    } else {
        Ok("Accepted")
    };
    condition(StatusCondition::ACCEPTED, result)
}
