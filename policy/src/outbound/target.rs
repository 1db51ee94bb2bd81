//! What a proxy asks about (policy.md section 6.1).

use super::OutboundTarget;
use ferrule_cluster::object::{ObjectKey, is_dns_label};
use ferrule_proto::outbound::traffic_spec::Target;
use http::uri::Authority;
use std::net::SocketAddr;
use thiserror::Error;

/// The port of an authority that names none.
const DEFAULT_PORT: u16 = 80;

/// Why there is no policy for a target, whatever the cluster looks like.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TargetError {
    /// Nothing is asked.
    #[error("the target is missing, expected an address or an authority")]
    Missing,
    /// No address to connect to.
    #[error("the target is no address: {0}")]
    Address(String),
    /// No authority at all.
    #[error("the target {0:?} is no authority, expected HOST or HOST:PORT")]
    Authority(String),
    /// A host that is no Service.
    #[error("the target {0:?} is no service, expected SERVICE.NAMESPACE.svc")]
    NoService(String),
}

/// Reads what is asked.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn target(target: Option<Target>) -> Result<OutboundTarget, TargetError> {
    match target.ok_or(TargetError::Missing)? {
        Target::Addr(addr) => {
            let addr = SocketAddr::try_from(addr)
                .map_err(|error| TargetError::Address(error.to_string()))?;
            if addr.port() == 0 {
                return Err(TargetError::Address("port 0 is not in 1-65535".into()));
            }
            Ok(OutboundTarget::Address {
                ip: addr.ip(),
                port: addr.port(),
            })
        }
        Target::Authority(text) => authority(&text),
    }
}

fn authority(text: &str) -> Result<OutboundTarget, TargetError> {
    let shown = || text.chars().take(300).collect();
    let invalid = || TargetError::Authority(shown());
    let authority: Authority = text.parse().map_err(|_| invalid())?;
    if authority.host().is_empty() {
        return Err(invalid());
    }
    let service = service(authority.host()).ok_or_else(|| TargetError::NoService(shown()))?;
    let port = port(&authority).ok_or_else(invalid)?;
    Ok(OutboundTarget::Service { service, port })
}

/// The port, 80 where there is none or 0.
fn port(authority: &Authority) -> Option<u16> {
    let (_, after) = authority.as_str().rsplit_once(authority.host())?;
    match after.strip_prefix(':').unwrap_or(after) {
        "" => Some(DEFAULT_PORT),
        port => match port.parse().ok()? {
            0 => Some(DEFAULT_PORT),
            port => Some(port),
        },
    }
}

/// The Service that a host names: what follows `svc` does not matter, so that
/// short names and names with a trailing dot are understood as well. The proxy is
/// told the name back in a backend, and would panic there on what is no name in DNS.
fn service(host: &str) -> Option<ObjectKey> {
    let mut labels = host.split('.');
    match (labels.next()?, labels.next()?, labels.next()?) {
        (name, namespace, "svc") if is_dns_label(name) && is_dns_label(namespace) => {
            Some(ObjectKey::new(namespace, name))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::net::TcpAddress;

    fn named(text: &str) -> Result<OutboundTarget, TargetError> {
        target(Some(Target::Authority(text.into())))
    }

    #[test]
    fn an_authority_names_a_service_and_a_port() {
        let web = |port| {
            Ok(OutboundTarget::Service {
                service: ObjectKey::new("ns", "web"),
                port,
            })
        };
        for (text, port) in [
            ("web.ns.svc.cluster.local:8080", 8080),
            ("web.ns.svc.cluster.local", 80),
            ("web.ns.svc.cluster.local.:81", 81),
            ("web.ns.svc.cluster.local.", 80),
            ("web.ns.svc", 80),
            ("web.ns.svc.", 80),
            ("web.ns.svc.other.org:1", 1),
            ("web.ns.svc:0", 80),
            ("web.ns.svc:", 80),
            ("user@web.ns.svc:81", 81),
        ] {
            assert_eq!(named(text), web(port), "{text}");
        }
    }

    #[test]
    fn other_hosts_are_no_service() {
        for text in [
            "example.com:443",
            "pod-0.web.ns.svc.cluster.local",
            "web.ns",
            "web.ns.svcs",
            "web.ns.SVC",
            "WEB.ns.svc",
            ".ns.svc",
            "web..svc",
            "-web.ns.svc",
            "a!b.ns.svc",
            "10.96.0.1:80",
            "[fd00::1]:80",
        ] {
            assert_eq!(
                named(text),
                Err(TargetError::NoService(text.into())),
                "{text}"
            );
        }
        let long = format!("{}.ns.svc", "x".repeat(64));
        assert!(named(&long).is_err());
    }

    #[test]
    fn what_cannot_be_parsed_is_invalid() {
        for text in [
            "",
            ":80",
            "a b",
            "web.ns.svc:x",
            "web.ns.svc:70000",
            "http://web.ns.svc",
            "web.ns.svc/x",
        ] {
            assert_eq!(
                named(text),
                Err(TargetError::Authority(text.into())),
                "{text}"
            );
        }
        assert_eq!(target(None), Err(TargetError::Missing));
    }

    #[test]
    fn an_address_has_an_ip_and_a_port() {
        let addr = |text: &str| TcpAddress::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(
            target(Some(Target::Addr(addr("10.96.0.1:80")))),
            Ok(OutboundTarget::Address {
                ip: [10, 96, 0, 1].into(),
                port: 80
            })
        );
        for bad in [
            addr("10.96.0.1:0"),
            TcpAddress::default(),
            TcpAddress { ip: None, port: 80 },
            TcpAddress {
                port: 70_000,
                ..addr("10.96.0.1:80")
            },
        ] {
            let error = target(Some(Target::Addr(bad))).unwrap_err();
            assert!(matches!(error, TargetError::Address(_)), "{error}");
        }
    }
}
