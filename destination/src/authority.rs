use ferrule_cluster::object::ObjectKey;
use std::net::IpAddr;
use thiserror::Error;

/// The port of an authority that names none.
const DEFAULT_PORT: u16 = 80;

/// `host:port` as a proxy asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// What stands before the port, without the brackets of an IPv6 address.
    pub host: String,
    /// The port, 80 where there is none.
    pub port: u16,
}

/// A host that is a name in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// The Service.
    pub service: ObjectKey,
    /// The pod's hostname in `hostname.service.namespace.svc...`.
    pub hostname: Option<String>,
}

/// Why a text is no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// `host:` or `[v6]`.
    #[error("missing port in address")]
    MissingPort,
    /// More colons than an unbracketed host may have.
    #[error("too many colons in address")]
    TooManyColons,
    /// A `[` or `]` where none belongs.
    #[error("misplaced bracket in address")]
    Bracket,
    /// Not a number from 1 to 65535.
    #[error("invalid port, expected a number from 1 to 65535")]
    Port,
}

/// Why a host is no Service.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServiceNameError {
    /// Does not end in `.svc.` and the cluster's domain.
    #[error("not a name under svc.{0}")]
    Domain(String),
    /// Neither `service.namespace` nor `hostname.service.namespace`.
    #[error(
        "expected SERVICE.NAMESPACE or HOSTNAME.SERVICE.NAMESPACE before svc, found {0} labels"
    )]
    Labels(usize),
}

impl Authority {
    /// Splits `path` (destination.md section 3): without any colon it is a host
    /// and the port is 80; else it is strictly `host:port`, IPv6 in brackets.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(path: &str) -> Result<Self, AuthorityError> {
        if !path.contains(':') {
            return Ok(Self {
                host: path.to_owned(),
                port: DEFAULT_PORT,
            });
        }
        let (host, port) = if let Some(rest) = path.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or(AuthorityError::Bracket)?;
            let port = after.strip_prefix(':').ok_or(AuthorityError::MissingPort)?;
            (host, port)
        } else {
            let (host, port) = path.rsplit_once(':').ok_or(AuthorityError::MissingPort)?;
            if host.contains(':') {
                return Err(AuthorityError::TooManyColons);
            }
            (host, port)
        };
        if host.contains(['[', ']']) || port.contains(['[', ']']) {
            return Err(AuthorityError::Bracket);
        }
        if port.is_empty() {
            return Err(AuthorityError::MissingPort);
        }
        match port.parse() {
            Ok(0) | Err(_) => Err(AuthorityError::Port),
            Ok(port) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
        }
    }

    /// The host as an IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The host as a Service, or a pod of one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn service(&self, cluster_domain: &str) -> Result<ServiceName, ServiceNameError> {
        ServiceName::parse(&self.host, cluster_domain)
    }
}

impl ServiceName {
    /// Reads a host. Names are taken as they are, also what can be none: case counts
    /// and a trailing dot fails.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(host: &str, cluster_domain: &str) -> Result<Self, ServiceNameError> {
        let outside = || ServiceNameError::Domain(cluster_domain.to_owned());
        let labels = host
            .strip_suffix(cluster_domain)
            .and_then(|rest| rest.strip_suffix(".svc."))
            .ok_or_else(outside)?;
        let labels: Vec<_> = labels.split('.').collect();
        match labels[..] {
            [service, namespace] => Ok(ServiceName {
                service: ObjectKey::new(namespace, service),
                hostname: None,
            }),
            [hostname, service, namespace] => Ok(ServiceName {
                service: ObjectKey::new(namespace, service),
                hostname: Some(hostname.to_owned()),
            }),
            _ => Err(ServiceNameError::Labels(labels.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "cluster.local";

    fn authority(host: &str, port: u16) -> Result<Authority, AuthorityError> {
        Ok(Authority {
            host: host.into(),
            port,
        })
    }

    #[test]
    fn hosts_and_ports_are_split_strictly() {
        for (path, expected) in [
            (
                "web.ns.svc.cluster.local:80",
                authority("web.ns.svc.cluster.local", 80),
            ),
            (
                "web.ns.svc.cluster.local",
                authority("web.ns.svc.cluster.local", 80),
            ),
            ("web:+8080", authority("web", 8080)),
            ("10.0.0.1:8080", authority("10.0.0.1", 8080)),
            ("[2001:db8::1]:443", authority("2001:db8::1", 443)),
            (":80", authority("", 80)),
            ("", authority("", 80)),
            ("web:0", Err(AuthorityError::Port)),
            ("web:70000", Err(AuthorityError::Port)),
            ("web:http", Err(AuthorityError::Port)),
            ("web:-1", Err(AuthorityError::Port)),
            ("web:", Err(AuthorityError::MissingPort)),
            ("::1", Err(AuthorityError::TooManyColons)),
            ("[::1]", Err(AuthorityError::MissingPort)),
            ("[::1", Err(AuthorityError::Bracket)),
            ("a]:80", Err(AuthorityError::Bracket)),
        ] {
            assert_eq!(Authority::parse(path), expected, "{path}");
        }
    }

    #[test]
    fn names_under_the_cluster_domain_are_services_or_their_pods() {
        let name = |host: &str| authority(host, 80).expect("literal").service(DOMAIN);
        assert_eq!(
            name("web.ns.svc.cluster.local"),
            Ok(ServiceName {
                service: ObjectKey::new("ns", "web"),
                hostname: None
            })
        );
        assert_eq!(
            name("db-0.db.ns.svc.cluster.local"),
            Ok(ServiceName {
                service: ObjectKey::new("ns", "db"),
                hostname: Some("db-0".into())
            })
        );
        // Labels are not looked at (section 3): such a Service is not there.
        assert_eq!(
            name(".ns.svc.cluster.local"),
            Ok(ServiceName {
                service: ObjectKey::new("ns", ""),
                hostname: None
            })
        );
        for host in [
            "",
            "web.ns",
            "web.ns.svc.cluster.local.",
            "web.ns.SVC.cluster.local",
            "x.y.web.ns.svc.cluster.local",
            "web.svc.cluster.local",
            ".svc.cluster.local",
            "svc.cluster.local",
            "linkerd.io",
        ] {
            assert!(name(host).is_err(), "{host}");
        }
    }
}
