//! The values that flags take, read once.

use clap::ValueEnum;
use ferrule_cluster::object::{PortSet, is_dns_label};
use ferrule_proto::destination::Http2ClientParams;
use ipnet::IpNet;
use std::{net::SocketAddr, str::FromStr};
use tracing_subscriber::EnvFilter;

/// Which meshed endpoints are dialled at their proxy's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportMode {
    /// All of them
    TransportHeader,
    /// Those on opaque ports
    Transparent,
}

/// A list of ports in which every item can be read.
#[derive(Clone, Debug)]
pub(super) struct OpaquePorts(pub(super) PortSet);

impl FromStr for OpaquePorts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A port name means something in an object only, so there is none here.
        let (ports, errors) = PortSet::parse(text, |_| None);
        match errors.first() {
            None => Ok(Self(ports)),
            Some(error) => Err(format!(
                "{:?} is neither a port (0-65535) nor a range such as 9000-9100",
                error.item
            )),
        }
    }
}

/// HTTP/2 client settings, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Http2Params(pub(super) Option<Http2ClientParams>);

impl FromStr for Http2Params {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match ferrule_destination::parse_http2_params(text) {
            Ok(params) => Ok(Self(params)),
            Err(error) => Err(format!(
                "{error}; expected JSON such as {}",
                ferrule_destination::DEFAULT_HTTP2_PARAMS
            )),
        }
    }
}

/// A list of networks.
#[derive(Clone, Debug)]
pub(crate) struct Networks(pub(crate) Vec<IpNet>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ferrule_policy::parse_networks(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// What to log, in the syntax of tracing's filters or a single level of either
/// vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// The filter itself.
    pub(crate) fn to_filter(&self) -> EnvFilter {
        // The client reports each failed attempt as an error; the source says it
        // once. Whoever names kube wants to see.
        let filter = if self.0.contains("kube") {
            self.0.clone()
        } else {
            format!("{},kube_client::client::builder=off", self.0)
        };
        EnvFilter::builder()
            .parse(filter)
            .expect("parsed when it was read")
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ferrule_cli::log_filter(text).map(Self)
    }
}

/// An address to listen on.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "expected IP:PORT, such as 0.0.0.0:8086 or [::]:8086")
}

/// The name of a namespace.
pub(super) fn label(text: &str) -> Result<String, &'static str> {
    if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a namespace, such as linkerd")
    }
}
