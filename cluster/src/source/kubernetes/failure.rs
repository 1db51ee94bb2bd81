//! Why a list or watch failed, and what a user is told of it.

use super::protobuf::Unreadable;
use crate::{object::Kind, source::ErrorReason};
use kube::{core::Status, runtime::watcher};
use std::{error::Error, io};
use tokio::time::error::Elapsed;

/// A failed list or watch.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: ErrorReason,
    /// The status code, where the server answered.
    pub(super) code: Option<u16>,
    /// What was said.
    pub(super) text: String,
}

impl From<&watcher::Error> for Failure {
    fn from(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => error.into(),
            watcher::Error::WatchError(status) => (&**status).into(),
            watcher::Error::NoResourceVersion => Self {
                reason: ErrorReason::Malformed,
                code: None,
                text: error.to_string(),
            },
        }
    }
}

impl From<&kube::Error> for Failure {
    fn from(error: &kube::Error) -> Self {
        let reason = match error {
            kube::Error::Api(status) => return (&**status).into(),
            error if is_unreadable(error) => ErrorReason::Malformed,
            kube::Error::Service(cause) if is_timeout(&**cause) => ErrorReason::Timeout,
            kube::Error::Service(_)
            | kube::Error::HyperError(_)
            | kube::Error::ReadEvents(_)
            | kube::Error::RustlsTls(_) => ErrorReason::Connection,
            kube::Error::Auth(_) => ErrorReason::Unauthorized,
            kube::Error::SerdeError(_)
            | kube::Error::FromUtf8(_)
            | kube::Error::LinesCodecMaxLineLengthExceeded => ErrorReason::Malformed,
            _ => ErrorReason::Other,
        };
        Self {
            reason,
            code: None,
            text: chain(error),
        }
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        let reason = match status.code {
            401 => ErrorReason::Unauthorized,
            403 => ErrorReason::Forbidden,
            404 => ErrorReason::NotFound,
            410 => ErrorReason::Expired,
            429 => ErrorReason::Throttled,
            500.. => ErrorReason::Server,
            _ => ErrorReason::Other,
        };
        Self {
            reason,
            code: Some(status.code),
            text: format!("{} {}", status.code, status.message),
        }
    }
}

impl Failure {
    /// What to do about a kind that is forbidden or absent; `None` for other
    /// failures, which pass by themselves.
    pub(super) fn unavailable(&self, kind: Kind) -> Option<String> {
        let group = kind.group();
        let resource = match group {
            "" => kind.plural().to_owned(),
            _ => format!("{}.{group}", kind.plural()),
        };
        let said = &self.text;
        let cause = match self.reason {
            ErrorReason::Forbidden => format!(
                "{resource} may not be read: the control plane's service account needs get, list \
                 and watch on {resource} in all namespaces, see its ClusterRole (the API server \
                 says: {said})"
            ),
            ErrorReason::NotFound => format!(
                "the API server does not serve {resource} at {}: install the CRD or turn on the \
                 API (it says: {said})",
                kind.versions().join(", ")
            ),
            _ => return None,
        };
        Some(format!("{cause}; until then {}", consequence(kind)))
    }
}

fn consequence(kind: Kind) -> &'static str {
    match kind {
        Kind::Service | Kind::EndpointSlice | Kind::Pod => "no question of a proxy is answered",
        Kind::Node => "clients count as being in no zone",
        Kind::Namespace => "opaque ports set on a namespace do not count",
        Kind::ReplicaSet | Kind::Job => "metric labels name it, not what owns it",
        Kind::Server => "every port has its workload's default policy",
        Kind::ServiceProfile => "every Service has the default profile",
        Kind::ExternalWorkload => "endpoints outside of the cluster are left out",
        Kind::ServerAuthorization
        | Kind::AuthorizationPolicy
        | Kind::MeshTlsAuthentication
        | Kind::NetworkAuthentication => "it lets nobody in",
        Kind::RateLimit => "no port is limited",
        Kind::EgressNetwork => "traffic out of the cluster is let through",
        Kind::PolicyHttpRoute
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute => "no such route takes effect",
    }
}

fn is_timeout(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.is::<Elapsed>()
        || error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Whether it is about protobuf that could not be read.
fn is_unreadable(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Unreadable>() {
            return true;
        }
        next = match error.downcast_ref::<io::Error>() {
            // Its source is that of what it holds.
            Some(error) => error.get_ref().map(|error| error as _),
            None => error.source(),
        };
    }
    false
}

/// What an error and its causes say, each once: some repeat their cause, others
/// (hyper's) say nothing without it.
fn chain(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if texts.last().is_some_and(|wrapper| wrapper.contains(&text)) {
            texts.pop();
        }
        texts.push(text);
        cause = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Failure {
        (&Status::failure("no", "").with_code(code)).into()
    }

    #[test]
    fn a_missing_permission_or_api_is_said_with_what_to_do() {
        let text = status(403).unavailable(Kind::ReplicaSet).unwrap();
        assert!(
            text.starts_with("replicasets.apps may not be read"),
            "{text}"
        );
        assert!(
            text.contains("get, list and watch on replicasets.apps"),
            "{text}"
        );
        assert!(
            text.ends_with("until then metric labels name it, not what owns it"),
            "{text}"
        );
        let text = status(404).unavailable(Kind::Pod).unwrap();
        assert!(
            text.starts_with("the API server does not serve pods at v1"),
            "{text}"
        );
    }

    #[test]
    fn other_failures_pass_by_themselves() {
        for code in [401, 410, 429, 500, 503] {
            assert_eq!(status(code).unavailable(Kind::Pod), None, "{code}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = io::Error::other("connection refused");
        let error = kube::Error::Service(Box::new(cause));
        let failure = Failure::from(&error);
        assert_eq!(failure.reason, ErrorReason::Connection);
        assert_eq!(failure.text, "connection refused");
    }
}
