//! What to do about a refusal.

use crate::api_addr::ApiAddr;
use tonic::{Code, Status};

/// What a question was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The endpoints or the profile of an authority.
    Destination,
    /// The inbound policy of a pod.
    Pod,
    /// The inbound policy of an ExternalWorkload.
    ExternalWorkload,
    /// The outbound policy of a Service.
    Service,
    /// The outbound policy of an address.
    Address,
}

impl Asked {
    /// What may help somebody who was answered with `status`.
    pub(crate) fn hint(self, subject: &str, status: &Status, addr: &ApiAddr) -> Option<String> {
        let code = status.code();
        match code {
            Code::Unavailable => Some(format!(
                "{addr} does not answer now. If it has just started, its admin port says at /ready what it waits for."
            )),
            Code::DeadlineExceeded => {
                Some(format!("{addr} accepts connections but does not answer."))
            }
            Code::Unimplemented => Some(format!(
                "{addr} does not serve the {} API; --api-addr HOST:PORT says where to ask.",
                self.api()
            )),
            Code::Internal | Code::Unknown if is_transport_error(status) => Some(format!(
                "{addr} does not speak plaintext gRPC, or only with peers on its own machine \
                 (kubectl port-forward); --api-addr HOST:PORT says where to ask."
            )),
            _ => self.hint_for_subject(subject, code, status.message()),
        }
    }

    fn api(self) -> &'static str {
        match self {
            Asked::Destination => "destination",
            Asked::Pod | Asked::ExternalWorkload | Asked::Service | Asked::Address => "policy",
        }
    }

    fn hint_for_subject(self, subject: &str, code: Code, message: &str) -> Option<String> {
        let hint = match (self, code) {
            (Asked::Destination, Code::InvalidArgument) if message.starts_with("IP queries") => {
                return Some(format!(
                    "Endpoints are looked up by name; for an address: ferrule diagnostics profile {subject}"
                ));
            }
            (Asked::Destination, Code::InvalidArgument) => {
                "Expected SERVICE.NAMESPACE.svc.CLUSTER_DOMAIN:PORT, such as web.shop.svc.cluster.local:80, \
                 of a Service that is not an ExternalName; serve --cluster-domain says which domain."
            }
            // GetProfile says Unknown for a Service that does not exist (ruling 3).
            (Asked::Destination, Code::NotFound | Code::Unknown)
                if message.ends_with("not found") =>
            {
                "Check the name and the namespace; with --watch it is shown as soon as it exists."
            }
            (Asked::Pod, Code::NotFound) => {
                "Check the name and the namespace. Only pods with a proxy are known (label \
                 linkerd.io/control-plane-ns); with --watch it is shown as soon as it is."
            }
            (Asked::ExternalWorkload | Asked::Service, Code::NotFound) => {
                "Check the name and the namespace; with --watch it is shown as soon as it exists."
            }
            // Proxies then go by the profile (policy.md 6.1).
            (Asked::Address, Code::NotFound) => {
                return Some(format!(
                    "No Service has this address, and it is in one of the cluster's networks: proxies \
                     go by ferrule diagnostics profile {subject}"
                ));
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn is_transport_error(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_about_what_was_asked() {
        let addr: ApiAddr = "127.0.0.1:8086".parse().unwrap();
        for (asked, subject, status, part) in [
            (
                Asked::Destination,
                "web.shop.svc.cluster.local:80",
                Status::not_found("Service web.shop not found"),
                Some("as soon as it exists"),
            ),
            (
                Asked::Pod,
                "pod/web-0.shop:80",
                Status::not_found("unknown server"),
                Some("Only pods with a proxy are known"),
            ),
            (
                Asked::Address,
                "10.42.0.1:80",
                Status::not_found("No such service"),
                Some("ferrule diagnostics profile 10.42.0.1:80"),
            ),
            (
                Asked::Service,
                "svc/web.shop:80",
                Status::unimplemented(""),
                Some("127.0.0.1:8086 does not serve the policy API"),
            ),
            (
                Asked::Pod,
                "pod/web-0.shop:80",
                Status::unavailable("syncing"),
                Some("/ready"),
            ),
            (
                Asked::Pod,
                "pod/web-0.shop:80",
                Status::invalid_argument("no"),
                None,
            ),
        ] {
            let hint = asked.hint(subject, &status, &addr);
            match (&hint, part) {
                (Some(hint), Some(part)) => assert!(hint.contains(part), "{hint}"),
                (hint, part) => assert_eq!(hint.as_deref(), part, "{subject}: {status}"),
            }
        }
    }
}
