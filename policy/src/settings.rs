use crate::{
    Acceptance,
    network::{any, parse_networks},
};
use ferrule_cluster::object::{DEFAULT_OPAQUE_PORTS, DefaultPolicy, PortSet};
use ipnet::IpNet;

/// What holds for the whole mesh, as policy needs it. The defaults are the
/// chart's.
#[derive(Clone, Debug)]
pub struct PolicySettings {
    /// The networks of the cluster's pods, Services and nodes. An address outside
    /// of them is nobody's here, and traffic to it is let through.
    pub cluster_networks: Vec<IpNet>,
    /// Where probes come from; none for no routes of their own.
    pub probe_networks: Vec<IpNet>,
    /// The policy of ports whose workload names none.
    pub default_policy: DefaultPolicy,
    /// Ports of Services that are opaque where no annotation says which are.
    pub default_opaque_ports: PortSet,
    /// The suffix of Services' names.
    pub cluster_domain: String,
    /// Where the control plane is; part of every identity.
    pub control_plane_namespace: String,
    /// The suffix of identities.
    pub trust_domain: String,
    /// The namespace whose EgressNetworks are for clients of those that have none.
    pub global_egress_namespace: String,
    /// Whether proxies may say by headers of a request what is to be done with it.
    pub allow_l5d_request_headers: bool,
    /// What decides whether routes, EgressNetworks and rate limits take effect.
    pub acceptance: Acceptance,
}

/// The chart's default for the networks of the cluster.
pub const DEFAULT_CLUSTER_NETWORKS: &str =
    "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8";

/// The chart's default for the networks that probes come from.
pub const DEFAULT_PROBE_NETWORKS: &str = "0.0.0.0/0,::/0";

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            cluster_networks: parse_networks(DEFAULT_CLUSTER_NETWORKS).expect("a literal"),
            probe_networks: any().into(),
            default_policy: DefaultPolicy::default(),
            default_opaque_ports: PortSet::parse(DEFAULT_OPAQUE_PORTS, |_| None).0,
            cluster_domain: "cluster.local".into(),
            control_plane_namespace: "linkerd".into(),
            trust_domain: "cluster.local".into(),
            global_egress_namespace: "linkerd-egress".into(),
            allow_l5d_request_headers: false,
            acceptance: Acceptance::default(),
        }
    }
}
