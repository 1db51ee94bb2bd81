//! Where a service of the control plane is, as a proxy is told.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};
use tokio::net::lookup_host;

/// `IP:PORT`, `[IPv6]:PORT` or `NAME:PORT` (api.md section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ControlAddr {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// Text that is no address of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: expected IP:PORT, [IPv6]:PORT or NAME:PORT")]
pub(crate) struct ControlAddrError(String);

impl ControlAddr {
    /// Whether a proxy speaks plaintext to it, without looking it up: that is so
    /// for loopback addresses and `localhost.`, dot included.
    pub(crate) fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case("localhost."),
        }
    }

    /// What requests have as `:authority`: no trailing dot, and no port 80.
    pub(crate) fn authority(&self) -> String {
        let host = match &self.host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.trim_end_matches('.').to_owned(),
        };
        match self.port {
            80 => host,
            port => format!("{host}:{port}"),
        }
    }

    /// The addresses to try, in order. A proxy asks for SRV records first; here
    /// the port is always the one that was given.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            Host::Ip(ip) => Ok(vec![(*ip, self.port).into()]),
            Host::Name(_) if self.is_loopback() => {
                Ok(vec![(Ipv4Addr::LOCALHOST, self.port).into()])
            }
            Host::Name(name) => Ok(lookup_host((name.as_str(), self.port)).await?.collect()),
        }
    }
}

impl FromStr for ControlAddr {
    type Err = ControlAddrError;

    fn from_str(text: &str) -> Result<Self, ControlAddrError> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(Self {
                host: Host::Ip(addr.ip()),
                port: addr.port(),
            });
        }
        let error = || ControlAddrError(text.to_owned());
        let (name, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().map_err(|_| error())?;
        if !is_name(name) {
            return Err(error());
        }
        Ok(Self {
            host: Host::Name(name.to_owned()),
            port,
        })
    }
}

impl fmt::Display for ControlAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Whether this can be a DNS name; one dot may trail.
pub(crate) fn is_name(text: &str) -> bool {
    rustls_pki_types::DnsName::try_from(text.strip_suffix('.').unwrap_or(text)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_is_for_loopback_and_for_localhost_with_a_dot() {
        for (text, loopback, authority) in [
            ("127.0.0.1:8080", true, "127.0.0.1:8080"),
            ("127.1.2.3:80", true, "127.1.2.3"),
            ("[::1]:8080", true, "[::1]:8080"),
            ("localhost.:8086", true, "localhost:8086"),
            ("localhost:8086", false, "localhost:8086"),
            ("10.0.0.1:8086", false, "10.0.0.1:8086"),
            (
                "linkerd-dst-headless.linkerd.svc.cluster.local.:8086",
                false,
                "linkerd-dst-headless.linkerd.svc.cluster.local:8086",
            ),
        ] {
            let addr: ControlAddr = text.parse().unwrap();
            assert_eq!(addr.is_loopback(), loopback, "{text}");
            assert_eq!(addr.authority(), authority, "{text}");
            assert_eq!(addr.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_said_so() {
        for text in [
            "",
            "web",
            "web:",
            "web:x",
            "web:65536",
            "w b:1",
            ":1",
            "::1:1",
        ] {
            let error = text.parse::<ControlAddr>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{text:?} is no")));
        }
    }
}
