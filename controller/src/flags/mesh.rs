//! What holds for the whole mesh.

use super::values::{Http2Params, OpaquePorts, TransportMode, label};
use clap::Args;
use ferrule_cli::domain;
use ferrule_cluster::object::DEFAULT_OPAQUE_PORTS;
use ferrule_destination::{DEFAULT_HTTP2_PARAMS, Mesh};
use ferrule_identity::{IdentityName, IdentityScope};

/// What holds for the whole mesh. The defaults are the chart's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mesh")]
pub(crate) struct MeshFlags {
    /// The namespace of the control plane
    #[arg(long, env = "FERRULE_CONTROL_PLANE_NAMESPACE", value_name = "NAME", default_value = "linkerd", value_parser = label)]
    pub(crate) control_plane_namespace: String,

    /// The suffix of workloads' TLS identities [default: the cluster domain]
    #[arg(long, env = "FERRULE_TRUST_DOMAIN", value_name = "DOMAIN", value_parser = domain)]
    trust_domain: Option<String>,

    /// The suffix of Services' names, after "svc."
    #[arg(long, env = "FERRULE_CLUSTER_DOMAIN", value_name = "DOMAIN", default_value = "cluster.local", value_parser = domain)]
    pub(crate) cluster_domain: String,

    /// The ports that are opaque where no annotation says which are: numbers and
    /// ranges, separated by commas; empty for none
    #[arg(long, env = "FERRULE_DEFAULT_OPAQUE_PORTS", value_name = "PORTS", default_value = DEFAULT_OPAQUE_PORTS)]
    default_opaque_ports: OpaquePorts,

    /// Which meshed endpoints are dialled at their proxy's port with a transport
    /// header
    #[arg(
        long,
        env = "FERRULE_OUTBOUND_TRANSPORT_MODE",
        value_enum,
        value_name = "MODE",
        default_value = "transport-header"
    )]
    pub(crate) outbound_transport_mode: TransportMode,

    /// Carry HTTP/1 between proxies over HTTP/2
    #[arg(
        long,
        env = "FERRULE_ENABLE_H2_UPGRADE",
        value_name = "BOOL",
        default_value_t = true,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) enable_h2_upgrade: bool,

    /// Tell IPv6 endpoints, and prefer them where a pod has both
    #[arg(
        long,
        env = "FERRULE_ENABLE_IPV6",
        value_name = "BOOL",
        default_value_t = false,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) enable_ipv6: bool,

    /// HTTP/2 client settings for meshed endpoints: JSON with the fields of
    /// Http2ClientParams in snake case; empty for none
    #[arg(long, env = "FERRULE_MESHED_HTTP2_CLIENT_PARAMS", value_name = "JSON", default_value = DEFAULT_HTTP2_PARAMS)]
    meshed_http2_client_params: Http2Params,

    /// Give endpoints in the client's zone ten times the weight (experimental)
    #[arg(
        long,
        env = "FERRULE_EXT_ENDPOINT_ZONE_WEIGHTS",
        value_name = "BOOL",
        default_value_t = false,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) ext_endpoint_zone_weights: bool,

    /// How many streams of the destination API this replica answers at a time; further
    /// ones are refused with UNAVAILABLE, so that proxies try another replica; 0 for as
    /// many as there are
    #[arg(
        long,
        env = "FERRULE_MAX_STREAMS",
        value_name = "COUNT",
        default_value_t = 0
    )]
    pub(crate) max_streams: usize,

    /// Ignored: streams have no queues. Accepted from Linkerd's settings
    #[arg(
        long,
        env = "FERRULE_STREAM_QUEUE_CAPACITY",
        value_name = "COUNT",
        default_value_t = 100
    )]
    pub(crate) stream_queue_capacity: u32,
}

impl MeshFlags {
    /// The mesh that the flags describe.
    pub(crate) fn mesh(&self) -> Mesh {
        Mesh {
            control_plane_namespace: self.control_plane_namespace.clone(),
            trust_domain: self.trust_domain().to_owned(),
            cluster_domain: self.cluster_domain.clone(),
            default_opaque_ports: self.default_opaque_ports.0.clone(),
            transport_header: self.outbound_transport_mode == TransportMode::TransportHeader,
            h2_upgrade: self.enable_h2_upgrade,
            ipv6: self.enable_ipv6,
            http2: self.meshed_http2_client_params.0,
            zone_weights: self.ext_endpoint_zone_weights,
        }
    }

    /// The suffix of workloads' TLS identities.
    pub(crate) fn trust_domain(&self) -> &str {
        let own = self.trust_domain.as_deref();
        own.unwrap_or(&self.cluster_domain)
    }

    /// The names that the mesh gives.
    pub(crate) fn scope(&self) -> IdentityScope {
        IdentityScope::new(&self.control_plane_namespace, self.trust_domain())
            .expect("both were parsed with the flags")
    }

    /// The name of a service account of the control plane, such as
    /// `linkerd-destination`: proxies pin them.
    pub(crate) fn control_plane_identity(&self, service_account: &str) -> IdentityName {
        self.scope()
            .service_account(&self.control_plane_namespace, service_account)
            .expect("a literal in the control plane's namespace")
    }
}
