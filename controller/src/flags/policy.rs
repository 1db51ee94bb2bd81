//! What policy needs to know beyond the mesh.

use super::{MeshFlags, values::Networks};
use clap::Args;
use ferrule_cluster::object::DefaultPolicy;
use ferrule_policy::{
    Acceptance, DEFAULT_CLUSTER_NETWORKS, DEFAULT_PROBE_NETWORKS, PolicySettings,
};

/// What policy needs to know beyond the mesh. The defaults are the chart's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFlags {
    /// The networks that the cluster's pods and Services are in, separated by
    /// commas
    #[arg(long, env = "FERRULE_CLUSTER_NETWORKS", value_name = "CIDRS", default_value = DEFAULT_CLUSTER_NETWORKS)]
    pub(crate) cluster_networks: Networks,

    /// The networks that kubelets probe from, separated by commas; empty for none
    #[arg(long, env = "FERRULE_PROBE_NETWORKS", value_name = "CIDRS", default_value = DEFAULT_PROBE_NETWORKS)]
    pub(crate) probe_networks: Networks,

    /// What is let in where neither a workload nor a Server says: all-unauthenticated,
    /// all-authenticated, cluster-unauthenticated, cluster-authenticated, deny or
    /// audit
    #[arg(
        long,
        env = "FERRULE_DEFAULT_POLICY",
        value_name = "POLICY",
        default_value = "all-unauthenticated"
    )]
    pub(crate) default_policy: DefaultPolicy,

    /// The namespace whose EgressNetworks are for the clients of all namespaces
    /// that have none
    #[arg(
        long,
        env = "FERRULE_GLOBAL_EGRESS_NETWORK_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "linkerd-egress"
    )]
    pub(crate) global_egress_network_namespace: String,

    /// Let requests say by l5d- headers what is to be done with them (retries,
    /// timeouts)
    #[arg(long, env = "FERRULE_ALLOW_L5D_REQUEST_HEADERS")]
    pub(crate) allow_l5d_request_headers: bool,
}

impl PolicyFlags {
    /// The settings that these flags and the mesh's make.
    /// `acceptance` is who says what takes effect.
    pub(crate) fn settings(&self, mesh: &MeshFlags, acceptance: Acceptance) -> PolicySettings {
        PolicySettings {
            cluster_networks: self.cluster_networks.0.clone(),
            probe_networks: self.probe_networks.0.clone(),
            default_policy: self.default_policy,
            cluster_domain: mesh.cluster_domain.clone(),
            default_opaque_ports: mesh.mesh().default_opaque_ports,
            control_plane_namespace: mesh.control_plane_namespace.clone(),
            trust_domain: mesh.trust_domain().to_owned(),
            global_egress_namespace: self.global_egress_network_namespace.clone(),
            allow_l5d_request_headers: self.allow_l5d_request_headers,
            acceptance,
        }
    }
}
