//! The flags of `ferrule serve`.

mod values;

pub(crate) use self::values::{LogFilter, TransportMode};

use self::values::{Http2Params, OpaquePorts, address, domain, duration, label};
use clap::{Args, ValueEnum};
use ferrule_destination::{DEFAULT_HTTP2_PARAMS, DEFAULT_OPAQUE_PORTS, Mesh};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Every flag has a variable; a flag beats its variable.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeFlags {
    /// The roles to run, separated by commas
    #[arg(
        long,
        env = "FERRULE_ROLES",
        value_enum,
        value_delimiter = ',',
        default_value = "destination",
        value_name = "ROLES"
    )]
    pub(crate) roles: Vec<Role>,
    #[command(flatten)]
    pub(crate) source: SourceFlags,
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
    #[command(flatten)]
    pub(crate) mesh: MeshFlags,
    #[command(flatten)]
    pub(crate) log: LogFlags,
    #[command(flatten)]
    pub(crate) shutdown: ShutdownFlags,
}

const EXAMPLES: &str = "\
Examples:
  ferrule serve --manifests ./manifests       no cluster: a directory, watched for changes
  ferrule serve --kubeconfig ~/.kube/config   a cluster, from outside
  ferrule serve                               a cluster, from a pod in it";

/// What a process can be of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Tells proxies endpoints and profiles
    Destination,
}

/// Where the objects of the mesh come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source")]
pub(crate) struct SourceFlags {
    /// Serve the manifests in this directory instead of a cluster
    #[arg(long, env = "FERRULE_MANIFESTS", value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    pub(crate) manifests: Option<PathBuf>,

    /// Reach the cluster as this file says [default: $KUBECONFIG or
    /// ~/.kube/config; in a pod, its service account]
    #[arg(long, env = "FERRULE_KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use [default: its current one]
    #[arg(long, env = "FERRULE_CONTEXT", value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// Where the process is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listeners")]
pub(crate) struct ListenFlags {
    /// The destination API, gRPC in plaintext [default: 0.0.0.0:8086, with
    /// --manifests 127.0.0.1:8086]
    #[arg(long, env = "FERRULE_DESTINATION_ADDR", value_name = "IP:PORT", value_parser = address)]
    pub(crate) destination_addr: Option<SocketAddr>,

    /// Probes, metrics and state, HTTP [default: 0.0.0.0:9990, with --manifests
    /// 127.0.0.1:9990]
    #[arg(long, env = "FERRULE_ADMIN_ADDR", value_name = "IP:PORT", value_parser = address)]
    pub(crate) admin_addr: Option<SocketAddr>,

    /// Answer /debug/state and /log-level on the admin address to peers on other
    /// machines, too
    #[arg(
        long,
        env = "FERRULE_DEBUG_REMOTE",
        value_name = "BOOL",
        default_value_t = false,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) debug_remote: bool,
}

/// What holds for the whole mesh. The defaults are the chart's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mesh")]
pub(crate) struct MeshFlags {
    /// The namespace of the control plane
    #[arg(long, env = "FERRULE_CONTROL_PLANE_NAMESPACE", value_name = "NAME", default_value = "linkerd", value_parser = label)]
    pub(crate) control_plane_namespace: String,

    /// The suffix of workloads' TLS identities
    #[arg(long, env = "FERRULE_TRUST_DOMAIN", value_name = "DOMAIN", default_value = "cluster.local", value_parser = domain)]
    pub(crate) trust_domain: String,

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

    /// Ignored: streams have no queues. Accepted from Linkerd's settings
    #[arg(
        long,
        env = "FERRULE_STREAM_QUEUE_CAPACITY",
        value_name = "COUNT",
        default_value_t = 100
    )]
    pub(crate) stream_queue_capacity: u32,
}

/// What is logged, to standard error.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogFlags {
    /// What to log: a level (trace, debug, info, warn, error; panic and fatal
    /// mean error), or levels by module, such as info,ferrule_destination=debug
    #[arg(
        long,
        env = "FERRULE_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub(crate) log_level: LogFilter,

    /// How to log
    #[arg(
        long,
        env = "FERRULE_LOG_FORMAT",
        value_enum,
        value_name = "FORMAT",
        default_value = "plain"
    )]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Plain,
    /// An object a line: timestamp, level, target, message and fields
    Json,
}

/// How the process ends on SIGTERM or SIGINT. A second signal ends it at once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Shutdown")]
pub(crate) struct ShutdownFlags {
    /// How long to serve on while not ready, so that clients look elsewhere
    /// [default: 5s, with --manifests 0s]
    #[arg(long, env = "FERRULE_DRAIN_DELAY", value_name = "DURATION", value_parser = duration)]
    pub(crate) drain_delay: Option<Duration>,

    /// Over how long streams are ended, so that clients do not all come back in
    /// the same second [default: 20s, with --manifests 1s]
    #[arg(long, env = "FERRULE_DRAIN_WINDOW", value_name = "DURATION", value_parser = duration)]
    pub(crate) drain_window: Option<Duration>,

    /// How long connections may stay open after that
    #[arg(long, env = "FERRULE_SHUTDOWN_TIMEOUT", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) shutdown_timeout: Duration,
}

impl ServeFlags {
    /// Whether there is no cluster: one person tries it out.
    pub(crate) fn is_embedded(&self) -> bool {
        self.source.manifests.is_some()
    }
}

impl ListenFlags {
    /// Where the destination API is served.
    pub(crate) fn destination_addr(&self, embedded: bool) -> SocketAddr {
        self.destination_addr
            .unwrap_or_else(|| default_addr(embedded, 8086))
    }

    /// Where probes and metrics are.
    pub(crate) fn admin_addr(&self, embedded: bool) -> SocketAddr {
        self.admin_addr
            .unwrap_or_else(|| default_addr(embedded, 9990))
    }
}

fn default_addr(embedded: bool, port: u16) -> SocketAddr {
    let ip = if embedded { [127, 0, 0, 1] } else { [0; 4] };
    (ip, port).into()
}

impl ShutdownFlags {
    /// The delay before streams are ended.
    pub(crate) fn drain_delay(&self, embedded: bool) -> Duration {
        let default = Duration::from_secs(if embedded { 0 } else { 5 });
        self.drain_delay.unwrap_or(default)
    }

    /// Over how long they are.
    pub(crate) fn drain_window(&self, embedded: bool) -> Duration {
        let default = Duration::from_secs(if embedded { 1 } else { 20 });
        self.drain_window.unwrap_or(default)
    }
}

impl MeshFlags {
    /// The mesh that the flags describe.
    pub(crate) fn mesh(&self) -> Mesh {
        Mesh {
            control_plane_namespace: self.control_plane_namespace.clone(),
            trust_domain: self.trust_domain.clone(),
            cluster_domain: self.cluster_domain.clone(),
            default_opaque_ports: self.default_opaque_ports.0.clone(),
            transport_header: self.outbound_transport_mode == TransportMode::TransportHeader,
            h2_upgrade: self.enable_h2_upgrade,
            ipv6: self.enable_ipv6,
            http2: self.meshed_http2_client_params.0,
            zone_weights: self.ext_endpoint_zone_weights,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Serve {
        #[command(flatten)]
        flags: ServeFlags,
    }

    fn parse(args: &[&str]) -> Result<ServeFlags, String> {
        let args = ["serve"].iter().chain(args);
        match Serve::try_parse_from(args) {
            Ok(serve) => Ok(serve.flags),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_defaults_are_the_charts() {
        let flags = parse(&[]).unwrap();
        let mesh = flags.mesh.mesh();
        let defaults = Mesh::default();
        assert_eq!(format!("{mesh:?}"), format!("{defaults:?}"));
        assert_eq!(
            flags.listen.destination_addr(false).to_string(),
            "0.0.0.0:8086"
        );
        assert_eq!(
            flags.listen.destination_addr(true).to_string(),
            "127.0.0.1:8086"
        );
        assert_eq!(flags.shutdown.drain_window(false), Duration::from_secs(20));
        assert_eq!(flags.shutdown.drain_delay(true), Duration::ZERO);
    }

    #[test]
    fn a_bad_value_is_refused_by_the_name_of_its_flag() {
        for (flag, value, told) in [
            (
                "--roles",
                "destination,policy",
                "possible values: destination",
            ),
            ("--destination-addr", "8086", "0.0.0.0:8086"),
            ("--default-opaque-ports", "25,http", "\"http\""),
            ("--meshed-http2-client-params", "{", "EOF"),
            ("--outbound-transport-mode", "opaque", "transport-header"),
            ("--trust-domain", "", "cluster.local"),
            ("--cluster-domain", "cluster.local.", "cluster.local"),
            ("--control-plane-namespace", "a.b", "linkerd"),
            ("--log-level", "ferrule=loud", "info"),
            ("--drain-window", "soon", "20s"),
            ("--drain-delay", "-5s", "20s"),
            ("--enable-ipv6", "yes please", "true"),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            assert!(error.contains(flag), "{flag}: {error}");
            assert!(error.contains(told), "{flag}: {error}");
        }
    }

    #[test]
    fn switches_take_a_value_or_none() {
        assert!(parse(&["--enable-ipv6"]).unwrap().mesh.enable_ipv6);
        let flags = parse(&["--enable-ipv6", "true", "--enable-h2-upgrade=false"]).unwrap();
        assert!(flags.mesh.enable_ipv6);
        assert!(!flags.mesh.enable_h2_upgrade);
    }

    #[test]
    fn a_directory_and_a_cluster_exclude_each_other() {
        let error = parse(&["--manifests", ".", "--context", "dev"]).unwrap_err();
        assert!(
            error.contains("--manifests") && error.contains("--context"),
            "{error}"
        );
    }
}
