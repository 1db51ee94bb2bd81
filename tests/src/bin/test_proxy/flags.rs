//! What the proxy is given: flags, or the variables of a real one.

use anyhow::{Context as _, ensure};
use clap::{Args, Parser, ValueEnum};
use ferrule_tests::{Builder, ClientCertificate, Limits, TestProxy, Transport};
use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// A proxy without traffic: gets a certificate, asks for policies, profiles and
/// endpoints, and prints what it is told, as it changes.
///
/// Flags stand in for the variables of a real proxy, which are read where a flag
/// is not given. What has no address is not asked.
#[derive(Debug, Parser)]
#[command(name = "test-proxy", after_help = EXAMPLES)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) asked: Asked,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    services: Services,
    #[command(flatten)]
    streams: Streams,

    /// Stop when all that was asked for has been told once; exit code 1 says that
    /// something was not
    #[arg(long)]
    pub(crate) once: bool,

    /// How long --once waits
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) wait: Duration,
}

const EXAMPLES: &str = "\
Examples:
  test-proxy --destination-addr 127.0.0.1:8086 --get web.shop.svc.cluster.local:80
  test-proxy --policy-addr 127.0.0.1:8090 --workload shop:web-0 --inbound-ports 8080
  test-proxy --identity-addr 127.0.0.1:8080 --token-file token \\
    --trust-anchors ca.crt --once \\
    --local-name web.shop.serviceaccount.identity.linkerd.cluster.local";

/// What to ask for.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to ask for")]
pub(crate) struct Asked {
    /// The endpoints of a Service's port; may be repeated
    #[arg(long, value_name = "NAME:PORT")]
    pub(crate) get: Vec<String>,

    /// What a connection to this address needs: policy, profile, and the
    /// endpoints that the policy leads to; may be repeated
    #[arg(long, value_name = "IP:PORT or NAME:PORT")]
    pub(crate) target: Vec<Target>,

    /// The policies of the workload's own ports, asked for before there is a
    /// certificate
    #[arg(
        long,
        env = "LINKERD2_PROXY_INBOUND_PORTS",
        value_name = "PORTS",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) inbound_ports: Ports,
}

/// Who the proxy is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
struct Identity {
    /// The identity to be certified as
    #[arg(long, env = "LINKERD2_PROXY_IDENTITY_LOCAL_NAME", value_name = "NAME")]
    local_name: Option<String>,

    /// The token that proves it, read anew for each request
    #[arg(long, env = "LINKERD2_PROXY_IDENTITY_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The trust anchors, PEM [default: those in
    /// $LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS]
    #[arg(long, value_name = "FILE")]
    trust_anchors: Option<PathBuf>,

    #[arg(long, env = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", hide = true)]
    trust_anchors_pem: Option<String>,

    /// The shortest pause between two requests for a certificate
    #[arg(long, env = "LINKERD2_PROXY_IDENTITY_MIN_REFRESH", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    min_refresh: Duration,

    /// The longest
    #[arg(long, env = "LINKERD2_PROXY_IDENTITY_MAX_REFRESH", value_name = "DURATION", default_value = "24h", value_parser = duration)]
    max_refresh: Duration,

    /// Show servers no certificate
    #[arg(long)]
    no_client_certificate: bool,
}

/// Where the control plane is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Control plane")]
struct Services {
    /// The identity service
    #[arg(
        long,
        env = "LINKERD2_PROXY_IDENTITY_SVC_ADDR",
        value_name = "HOST:PORT"
    )]
    identity_addr: Option<String>,

    /// Who it must be; not needed on loopback
    #[arg(
        long,
        env = "LINKERD2_PROXY_IDENTITY_SVC_NAME",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    identity_name: String,

    /// The destination service
    #[arg(
        long,
        env = "LINKERD2_PROXY_DESTINATION_SVC_ADDR",
        value_name = "HOST:PORT"
    )]
    destination_addr: Option<String>,

    /// Who it must be; not needed on loopback
    #[arg(
        long,
        env = "LINKERD2_PROXY_DESTINATION_SVC_NAME",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    destination_name: String,

    /// What it is told about the workload, such as {"ns":"shop","nodeName":"a"}
    #[arg(
        long,
        env = "LINKERD2_PROXY_DESTINATION_CONTEXT",
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    context: String,

    /// The policy service
    #[arg(long, env = "LINKERD2_PROXY_POLICY_SVC_ADDR", value_name = "HOST:PORT")]
    policy_addr: Option<String>,

    /// Who it must be; not needed on loopback
    #[arg(
        long,
        env = "LINKERD2_PROXY_POLICY_SVC_NAME",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    policy_name: String,

    /// What it is told about the workload, such as {"ns":"shop","pod":"web-0"}
    #[arg(
        long,
        env = "LINKERD2_PROXY_POLICY_WORKLOAD",
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    workload: String,

    /// Which connections are encrypted
    #[arg(long, value_enum, default_value_t = Tls::Auto)]
    tls: Tls,
}

/// Which connections are encrypted.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tls {
    /// All but those to loopback addresses and "localhost."
    Auto,
    Never,
    Always,
}

/// How long streams live.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of streams (none on loopback)")]
struct Streams {
    /// From the request to the first message
    #[arg(
        long,
        env = "LINKERD2_PROXY_CONTROL_STREAM_INITIAL_TIMEOUT",
        value_name = "DURATION",
        default_value = "",
        hide_default_value = true
    )]
    stream_initial_timeout: Limit,

    /// Between two messages
    #[arg(
        long,
        env = "LINKERD2_PROXY_CONTROL_STREAM_IDLE_TIMEOUT",
        value_name = "DURATION",
        default_value = "",
        hide_default_value = true
    )]
    stream_idle_timeout: Limit,

    /// In all
    #[arg(
        long,
        env = "LINKERD2_PROXY_CONTROL_STREAM_LIFETIME",
        value_name = "DURATION",
        default_value = "",
        hide_default_value = true
    )]
    stream_lifetime: Limit,
}

impl Flags {
    /// Whether a certificate is asked for.
    pub(crate) fn is_certified(&self) -> bool {
        self.services.identity_addr.is_some()
    }

    /// The proxy that is meant.
    pub(crate) fn proxy(&self) -> anyhow::Result<Builder> {
        let services = &self.services;
        ensure!(
            services.destination_addr.is_some() || self.asked.get.is_empty(),
            "--get needs --destination-addr"
        );
        let needs_policy = !(self.asked.target.is_empty() && self.asked.inbound_ports.0.is_empty());
        ensure!(
            services.policy_addr.is_some() || !needs_policy,
            "--target and --inbound-ports need --policy-addr"
        );
        let name = self.identity.local_name.as_deref();
        let mut builder = TestProxy::builder(name.unwrap_or_default())
            .trust_anchors(self.identity.trust_anchors()?)
            .refresh(self.identity.min_refresh, self.identity.max_refresh)
            .context(&services.context)
            .workload(&services.workload)
            .transport(services.tls.into())
            .inbound_ports(self.asked.inbound_ports.0.iter().copied())
            .limits(Limits {
                initial: self.streams.stream_initial_timeout.0,
                idle: self.streams.stream_idle_timeout.0,
                lifetime: self.streams.stream_lifetime.0,
            });
        if let Some(addr) = &services.identity_addr {
            name.context("--identity-addr needs --local-name")?;
            let token = self.identity.token_file.as_ref();
            builder = builder
                .identity(addr, &services.identity_name)
                .token_file(token.context("--identity-addr needs --token-file")?);
        }
        if let Some(addr) = &services.destination_addr {
            builder = builder.destination(addr, &services.destination_name);
        }
        if let Some(addr) = &services.policy_addr {
            builder = builder.policy(addr, &services.policy_name);
        }
        if self.identity.no_client_certificate {
            builder = builder.client_certificate(ClientCertificate::None);
        }
        Ok(builder)
    }

    /// Whether profiles can be asked for.
    pub(crate) fn has_destination(&self) -> bool {
        self.services.destination_addr.is_some()
    }
}

impl Identity {
    fn trust_anchors(&self) -> anyhow::Result<String> {
        match &self.trust_anchors {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("trust anchors {}", path.display())),
            None => Ok(self.trust_anchors_pem.clone().unwrap_or_default()),
        }
    }
}

impl From<Tls> for Transport {
    fn from(tls: Tls) -> Self {
        match tls {
            Tls::Auto => Self::AsProxy,
            Tls::Never => Self::Plaintext,
            Tls::Always => Self::MeshTls,
        }
    }
}

/// What traffic would go to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Addr(SocketAddr),
    Authority(String),
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(addr) = text.parse() {
            return Ok(Self::Addr(addr));
        }
        match text.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Authority(text.to_owned()))
            }
            _ => Err("expected IP:PORT or NAME:PORT"),
        }
    }
}

/// Ports and ranges; blanks and empty items do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports(Vec<u16>);

impl Ports {
    pub(crate) fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().copied()
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ports = Vec::new();
        let items = text.split(',').map(str::trim);
        for item in items.filter(|item| !item.is_empty()) {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            match (first.parse::<u16>(), last.parse()) {
                (Ok(first), Ok(last)) if (1..=last).contains(&first) => ports.extend(first..=last),
                _ => {
                    let error = "is neither a port (1-65535) nor a range such as 9000-9100";
                    return Err(format!("{item:?} {error}"));
                }
            }
        }
        Ok(Self(ports))
    }
}

/// A duration, or nothing for none.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<Duration>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self(None)),
            text => Ok(Self(Some(duration(text)?))),
        }
    }
}

/// As proxies read durations: a number and one unit.
fn duration(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| expected(text))?;
    let millis = match &trimmed[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        "" if number == 0 => 0,
        _ => return Err(expected(text)),
    };
    let millis = number.checked_mul(millis).ok_or_else(|| expected(text))?;
    Ok(Duration::from_millis(millis))
}

fn expected(text: &str) -> String {
    format!("{text:?} is no duration: expected a number and ms, s, m, h or d, such as 10s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_proxies_do() {
        for (text, millis) in [
            ("10s", Some(10_000)),
            (" 5m ", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("1d", Some(86_400_000)),
            ("300ms", Some(300)),
            ("0", Some(0)),
            ("10", None),
            ("10 s", None),
            ("1.5s", None),
            ("-1s", None),
            ("", None),
        ] {
            let read = duration(text).ok().map(|duration| duration.as_millis());
            assert_eq!(read, millis, "{text:?}");
        }
    }

    #[test]
    fn ports_are_read_as_proxies_do() {
        for (text, ports) in [
            ("", Some(vec![])),
            ("8080", Some(vec![8080])),
            (" 80, ,443-445,", Some(vec![80, 443, 444, 445])),
            ("0", None),
            ("9-8", None),
            ("http", None),
            ("65536", None),
        ] {
            assert_eq!(text.parse().ok(), ports.map(Ports), "{text:?}");
        }
    }
}
