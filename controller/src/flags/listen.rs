//! Where the process is reached, and by whom.

use super::{Role, values::address};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;

/// Where the process is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listeners")]
pub(crate) struct ListenFlags {
    /// The identity API, gRPC [default: 0.0.0.0:8080, with --manifests
    /// 127.0.0.1:8080]
    #[arg(long, env = "FERRULE_IDENTITY_ADDR", value_name = "IP:PORT", value_parser = address)]
    pub(crate) identity_addr: Option<SocketAddr>,

    /// The destination API, gRPC [default: 0.0.0.0:8086, with --manifests
    /// 127.0.0.1:8086]
    #[arg(long, env = "FERRULE_DESTINATION_ADDR", value_name = "IP:PORT", value_parser = address)]
    pub(crate) destination_addr: Option<SocketAddr>,

    /// The policy APIs, gRPC [default: 0.0.0.0:8090, with --manifests
    /// 127.0.0.1:8090]
    #[arg(long, env = "FERRULE_POLICY_ADDR", value_name = "IP:PORT", value_parser = address)]
    pub(crate) policy_addr: Option<SocketAddr>,

    /// Probes, metrics and state, HTTP; to peers on this machine also the
    /// destination and policy APIs [default: 0.0.0.0:9990, with --manifests
    /// 127.0.0.1:9990]
    #[arg(long, env = "FERRULE_ADMIN_ADDR", value_name = "IP:PORT", value_parser = address)]
    pub(crate) admin_addr: Option<SocketAddr>,

    /// Whether proxies are spoken to by mesh TLS. They expect it at every
    /// address but loopback ones
    #[arg(
        long,
        env = "FERRULE_MESH_TLS",
        value_enum,
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub(crate) mesh_tls: MeshTls,

    /// Let nobody without a certificate of the mesh ask the destination API, where
    /// it is served by mesh TLS
    #[arg(
        long,
        env = "FERRULE_REQUIRE_MESHED_CLIENTS",
        value_name = "BOOL",
        default_value_t = true,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) require_meshed_clients: bool,

    /// Answer what the admin address tells peers on this machine only (the APIs,
    /// /debug and /log-level) to all others, too
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

/// When a listener speaks mesh TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MeshTls {
    /// At every address but loopback ones
    Auto,
    /// Everywhere
    Always,
    /// Nowhere: something in front terminates it
    Never,
}

impl ListenFlags {
    /// Where the API of a role is served, if proxies ask it for something.
    pub(crate) fn addr(&self, role: Role, embedded: bool) -> Option<SocketAddr> {
        let (chosen, port) = match role {
            Role::Identity => (self.identity_addr, 8080),
            Role::Destination => (self.destination_addr, 8086),
            Role::Policy => (self.policy_addr, 8090),
            Role::ProxyInjector => return None,
        };
        Some(chosen.unwrap_or_else(|| default_addr(embedded, port)))
    }

    /// Where probes and metrics are.
    pub(crate) fn admin_addr(&self, embedded: bool) -> SocketAddr {
        self.admin_addr
            .unwrap_or_else(|| default_addr(embedded, 9990))
    }

    /// Whether a listener at `addr` speaks mesh TLS.
    pub(crate) fn is_meshed(&self, addr: SocketAddr) -> bool {
        match self.mesh_tls {
            MeshTls::Auto => !addr.ip().to_canonical().is_loopback(),
            MeshTls::Always => true,
            MeshTls::Never => false,
        }
    }
}

pub(super) fn default_addr(embedded: bool, port: u16) -> SocketAddr {
    let ip = if embedded { [127, 0, 0, 1] } else { [0; 4] };
    (ip, port).into()
}

impl Role {
    /// The flag that chooses where its API is served.
    pub(crate) const fn addr_flag(self) -> &'static str {
        match self {
            Role::Identity => "--identity-addr",
            Role::Destination => "--destination-addr",
            Role::Policy => "--policy-addr",
            Role::ProxyInjector => "--webhook-addr",
        }
    }

    /// As it is written on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Role::Identity => "identity",
            Role::Destination => "destination",
            Role::Policy => "policy",
            Role::ProxyInjector => "proxy-injector",
        }
    }
}
