//! What policy is asked about.

use crate::hint::Asked;
use ferrule_cluster::object::is_dns_label;
use ferrule_proto::{
    inbound::PortSpec,
    outbound::{TrafficSpec, traffic_spec},
};
use serde_json::json;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// Where a name without a namespace is looked for, as kubectl does.
const DEFAULT_NAMESPACE: &str = "default";
/// The pod that asks about outbound policy: only its namespace matters, it need
/// not exist (policy.md 6.1).
const ASKING_POD: &str = "ferrule-diagnostics";

/// A target as it is written: `pod/NAME[.NAMESPACE]`,
/// `externalworkload/NAME[.NAMESPACE]`, `svc/NAME[.NAMESPACE]` or an IP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetName {
    Object { kind: Kind, name: String },
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pod,
    ExternalWorkload,
    Service,
}

/// What there is a policy for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// What comes in on a port of a pod.
    Pod {
        namespace: String,
        name: String,
        port: u16,
    },
    /// What comes in on a port of an ExternalWorkload.
    ExternalWorkload {
        namespace: String,
        name: String,
        port: u16,
    },
    /// What goes out to a port of a Service, from a namespace.
    Service {
        namespace: String,
        name: String,
        port: u16,
        source: String,
    },
    /// What goes out to an address, from a namespace.
    Address { addr: SocketAddr, source: String },
}

/// Why a text names nothing that there is policy for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither an object nor an address.
    #[error("expected pod/NAME, externalworkload/NAME, svc/NAME or an IP address")]
    Form,
    /// An object that has no policy of its own.
    #[error(
        "there is no policy of kind {0:?}: ask about one of its pods (pod/NAME, what comes in), a \
         Service (svc/NAME, what goes out to it) or an IP address"
    )]
    Kind(String),
    /// Not the name of an object.
    #[error("{0:?} is no name: expected lower-case letters, digits and dashes")]
    Name(String),
    /// Inbound policy is the same for whoever calls.
    #[error("--source is about what goes out: it is for svc/NAME and addresses, not for workloads")]
    Source,
}

/// What is asked over the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Question {
    Inbound(PortSpec),
    Outbound(TrafficSpec),
}

impl FromStr for TargetName {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Address(ip));
        }
        let (kind, name) = text.split_once('/').ok_or(TargetError::Form)?;
        let kind = match &*kind.to_ascii_lowercase() {
            "pod" | "pods" | "po" => Kind::Pod,
            "externalworkload" | "externalworkloads" => Kind::ExternalWorkload,
            "service" | "services" | "svc" => Kind::Service,
            "" => return Err(TargetError::Form),
            _ => return Err(TargetError::Kind(kind.to_owned())),
        };
        if !name.split('.').all(is_dns_label) {
            return Err(TargetError::Name(name.to_owned()));
        }
        Ok(Self::Object {
            kind,
            name: name.to_owned(),
        })
    }
}

impl Target {
    /// With `namespace`, names are taken as they are: those of pods may have dots.
    /// Without, what follows the last dot is the namespace.
    pub(crate) fn new(
        name: TargetName,
        port: u16,
        namespace: Option<&str>,
        source: Option<&str>,
    ) -> Result<Self, TargetError> {
        for given in [namespace, source].into_iter().flatten() {
            if !is_dns_label(given) {
                return Err(TargetError::Name(given.to_owned()));
            }
        }
        let (kind, name) = match name {
            TargetName::Object { kind, name } => (kind, name),
            TargetName::Address(ip) => {
                let source = source.or(namespace).unwrap_or(DEFAULT_NAMESPACE);
                return Ok(Self::Address {
                    addr: SocketAddr::new(ip, port),
                    source: source.to_owned(),
                });
            }
        };
        let (name, namespace) = match (namespace, name.rsplit_once('.')) {
            (Some(namespace), _) => (&*name, namespace),
            (None, Some(split)) => split,
            (None, None) => (&*name, DEFAULT_NAMESPACE),
        };
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        match kind {
            Kind::Pod | Kind::ExternalWorkload if source.is_some() => Err(TargetError::Source),
            Kind::Pod => Ok(Self::Pod {
                namespace,
                name,
                port,
            }),
            Kind::ExternalWorkload => Ok(Self::ExternalWorkload {
                namespace,
                name,
                port,
            }),
            // Names of Services are labels: a dot would be read as the end of it.
            Kind::Service if !is_dns_label(&name) => Err(TargetError::Name(name)),
            Kind::Service => Ok(Self::Service {
                source: source.unwrap_or(&namespace).to_owned(),
                namespace,
                name,
                port,
            }),
        }
    }

    /// What a proxy would ask.
    pub(crate) fn question(&self) -> Question {
        match self {
            Self::Pod {
                namespace,
                name,
                port,
            } => Question::Inbound(PortSpec {
                workload: workload(namespace, name),
                port: (*port).into(),
            }),
            Self::ExternalWorkload {
                namespace,
                name,
                port,
            } => Question::Inbound(PortSpec {
                workload: json!({"ns": namespace, "external_workload": name}).to_string(),
                port: (*port).into(),
            }),
            Self::Service {
                namespace,
                name,
                port,
                source,
            } => Question::Outbound(TrafficSpec {
                source_workload: workload(source, ASKING_POD),
                // Without the cluster's domain, which nobody here knows, it is
                // understood as well (policy.md 6.1).
                target: Some(traffic_spec::Target::Authority(format!(
                    "{name}.{namespace}.svc:{port}"
                ))),
            }),
            Self::Address { addr, source } => Question::Outbound(TrafficSpec {
                source_workload: workload(source, ASKING_POD),
                target: Some(traffic_spec::Target::Addr((*addr).into())),
            }),
        }
    }

    pub(crate) fn asked(&self) -> Asked {
        match self {
            Self::Pod { .. } => Asked::Pod,
            Self::ExternalWorkload { .. } => Asked::ExternalWorkload,
            Self::Service { .. } => Asked::Service,
            Self::Address { .. } => Asked::Address,
        }
    }

    /// Where the calls come from that the policy is about; None for all.
    pub(crate) fn source(&self) -> Option<&str> {
        match self {
            Self::Pod { .. } | Self::ExternalWorkload { .. } => None,
            Self::Service { source, .. } | Self::Address { source, .. } => Some(source),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod {
                namespace,
                name,
                port,
            } => write!(f, "pod/{name}.{namespace}:{port}"),
            Self::ExternalWorkload {
                namespace,
                name,
                port,
            } => write!(f, "externalworkload/{name}.{namespace}:{port}"),
            Self::Service {
                namespace,
                name,
                port,
                ..
            } => write!(f, "svc/{name}.{namespace}:{port}"),
            Self::Address { addr, .. } => addr.fmt(f),
        }
    }
}

/// What proxies say of whom they are the proxy.
fn workload(namespace: &str, pod: &str) -> String {
    json!({"ns": namespace, "pod": pod}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(
        text: &str,
        namespace: Option<&str>,
        source: Option<&str>,
    ) -> Result<Target, TargetError> {
        Target::new(text.parse()?, 80, namespace, source)
    }

    #[test]
    fn a_target_is_a_pod_a_service_or_an_address() {
        for (text, namespace, source, shown, from) in [
            ("pod/web-0.shop", None, None, "pod/web-0.shop:80", None),
            ("po/web-0", None, None, "pod/web-0.default:80", None),
            ("Pod/web-0", Some("shop"), None, "pod/web-0.shop:80", None),
            // A static pod has the name of its node in its own.
            (
                "pods/proxy-n1.ec2.internal",
                Some("kube-system"),
                None,
                "pod/proxy-n1.ec2.internal.kube-system:80",
                None,
            ),
            (
                "pod/proxy-n1.ec2.internal.kube-system",
                None,
                None,
                "pod/proxy-n1.ec2.internal.kube-system:80",
                None,
            ),
            (
                "externalworkload/vm.shop",
                None,
                None,
                "externalworkload/vm.shop:80",
                None,
            ),
            ("svc/web.shop", None, None, "svc/web.shop:80", Some("shop")),
            (
                "service/web",
                Some("shop"),
                Some("office"),
                "svc/web.shop:80",
                Some("office"),
            ),
            ("10.0.0.1", None, None, "10.0.0.1:80", Some("default")),
            ("10.0.0.1", Some("shop"), None, "10.0.0.1:80", Some("shop")),
            (
                "fd00::1",
                Some("shop"),
                Some("office"),
                "[fd00::1]:80",
                Some("office"),
            ),
        ] {
            let target = target(text, namespace, source).expect(text);
            assert_eq!(target.to_string(), shown, "{text}");
            assert_eq!(target.source(), from, "{text}");
        }
    }

    #[test]
    fn what_has_no_policy_is_told_apart() {
        for (text, namespace, source, error) in [
            ("web", None, None, TargetError::Form),
            ("/web", None, None, TargetError::Form),
            ("10.0.0.256", None, None, TargetError::Form),
            (
                "deployment/web",
                None,
                None,
                TargetError::Kind("deployment".into()),
            ),
            ("pod/", None, None, TargetError::Name(String::new())),
            ("pod/Web", None, None, TargetError::Name("Web".into())),
            (
                "svc/web..shop",
                None,
                None,
                TargetError::Name("web..shop".into()),
            ),
            // With --namespace the dot would be part of the name.
            (
                "svc/web.shop",
                Some("office"),
                None,
                TargetError::Name("web.shop".into()),
            ),
            (
                "pod/web-0",
                Some("no space"),
                None,
                TargetError::Name("no space".into()),
            ),
            ("pod/web-0", None, Some("office"), TargetError::Source),
        ] {
            assert_eq!(target(text, namespace, source), Err(error), "{text}");
        }
    }

    #[test]
    fn a_question_is_what_a_proxy_would_ask() {
        let question = |text| target(text, None, None).unwrap().question();
        assert_eq!(
            question("pod/web-0.shop"),
            Question::Inbound(PortSpec {
                workload: r#"{"ns":"shop","pod":"web-0"}"#.into(),
                port: 80,
            })
        );
        assert_eq!(
            question("externalworkload/vm.shop"),
            Question::Inbound(PortSpec {
                workload: r#"{"external_workload":"vm","ns":"shop"}"#.into(),
                port: 80,
            })
        );
        let source =
            |namespace: &str| format!(r#"{{"ns":"{namespace}","pod":"ferrule-diagnostics"}}"#);
        assert_eq!(
            question("svc/web.shop"),
            Question::Outbound(TrafficSpec {
                source_workload: source("shop"),
                target: Some(traffic_spec::Target::Authority("web.shop.svc:80".into())),
            })
        );
        let addr = SocketAddr::from(([10, 0, 0, 1], 80));
        assert_eq!(
            question("10.0.0.1"),
            Question::Outbound(TrafficSpec {
                source_workload: source("default"),
                target: Some(traffic_spec::Target::Addr(addr.into())),
            })
        );
    }
}
