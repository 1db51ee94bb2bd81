//! What policy needs to know beyond the mesh.

use super::{MeshFlags, values::Networks};
use crate::lease::Terms;
use clap::Args;
use ferrule_cluster::object::DefaultPolicy;
use ferrule_policy::{
    Acceptance, DEFAULT_CLUSTER_NETWORKS, DEFAULT_PROBE_NETWORKS, PolicySettings,
};
use std::time::Duration;

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

    /// Write the statuses of routes, EgressNetworks and rate limits, which take effect
    /// by them, whenever no other replica does. Switch it off to look at a cluster
    /// that another control plane looks after
    #[arg(
        long,
        env = "FERRULE_WRITE_STATUSES",
        value_name = "BOOL",
        default_value_t = true,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) write_statuses: bool,

    /// How long, in milliseconds, a request may take that writes a status or reads
    /// what is there; a third of --lease-duration at most
    #[arg(
        long,
        env = "FERRULE_PATCH_TIMEOUT_MS",
        value_name = "MILLISECONDS",
        default_value_t = 5_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    patch_timeout_ms: u64,

    /// How many objects a second may be read and given another status, at most; 0 for as
    /// many as there are to write
    #[arg(
        long,
        env = "FERRULE_PATCH_QPS",
        value_name = "COUNT",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(..=1_000)
    )]
    patch_qps: u32,
}

impl PolicyFlags {
    /// How long a request of the status writer may take, under these Leases.
    pub(crate) fn patch_timeout(&self, terms: &Terms) -> Duration {
        Duration::from_millis(self.patch_timeout_ms).min(terms.call_timeout())
    }

    /// How long the status writer waits between two objects.
    pub(crate) fn patch_pause(&self) -> Duration {
        match self.patch_qps {
            0 => Duration::ZERO,
            count => Duration::from_secs(1) / count,
        }
    }

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
