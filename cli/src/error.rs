use crate::api::ApiAddr;
use std::{fmt, io};
use tonic::{Code, Status};

/// Why a question could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens, or not on a way that leads there.
    #[error(
        "cannot connect to {addr}: {reason}\n\
         Is a Ferrule running there? --api-addr HOST:PORT (or FERRULE_API_ADDR) says where to ask.\n\
         To start one without a cluster: ferrule serve --manifests DIR"
    )]
    Connect {
        /// Where.
        addr: String,
        /// What the system says.
        reason: String,
    },
    /// The server refused some of what was asked.
    #[error("{}", Lines(.0))]
    Refused(Vec<Refusal>),
    /// Standard output cannot be written to.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

/// One question that was answered with an error status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    authority: String,
    code: Code,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(authority: &str, status: &Status, addr: &ApiAddr) -> Self {
        Self {
            authority: authority.to_owned(),
            code: status.code(),
            message: status.message().to_owned(),
            hint: hint(authority, status, addr),
        }
    }

    /// What was asked for.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Code and message.
    pub(crate) fn reason(&self) -> String {
        format!("{:?}: {}", self.code, self.message)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.authority, self.reason())?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

struct Lines<'a>(&'a [Refusal]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, refusal) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            refusal.fmt(f)?;
        }
        Ok(())
    }
}

/// What to do about a refusal.
fn hint(authority: &str, status: &Status, addr: &ApiAddr) -> Option<String> {
    let hint = match status.code() {
        Code::InvalidArgument if status.message().starts_with("IP queries") => {
            format!(
                "Endpoints are looked up by name; for an address: ferrule diagnostics profile {authority}"
            )
        }
        Code::InvalidArgument => {
            "Expected SERVICE.NAMESPACE.svc.CLUSTER_DOMAIN:PORT, such as web.shop.svc.cluster.local:80, \
             of a Service that is not an ExternalName; serve --cluster-domain says which domain."
                .to_owned()
        }
        // GetProfile says Unknown for a Service that does not exist (ruling 3).
        Code::NotFound | Code::Unknown if status.message().ends_with("not found") => {
            "Check the name and the namespace; with --watch it is shown as soon as it exists."
                .to_owned()
        }
        Code::Unavailable => format!(
            "{addr} does not answer now. If it has just started, its admin port says at /ready what it waits for."
        ),
        Code::DeadlineExceeded => format!("{addr} accepts connections but does not answer."),
        Code::Unimplemented => {
            format!("{addr} does not serve the destination API; --api-addr HOST:PORT says where to ask.")
        }
        Code::Internal | Code::Unknown if is_transport_error(status) => format!(
            "{addr} does not speak plaintext gRPC; --api-addr HOST:PORT says where to ask."
        ),
        _ => return None,
    };
    Some(hint)
}

fn is_transport_error(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_authority_and_the_code_and_says_what_to_do() {
        let addr: ApiAddr = "127.0.0.1:8086".parse().unwrap();
        let refusals = Error::Refused(vec![
            Refusal::new(
                "web.shop:80",
                &Status::invalid_argument("Invalid authority: web.shop:80"),
                &addr,
            ),
            Refusal::new(
                "10.0.0.1:80",
                &Status::invalid_argument("IP queries not supported by Get API: host=10.0.0.1"),
                &addr,
            ),
        ]);
        let text = refusals.to_string();
        assert!(
            text.starts_with("web.shop:80: InvalidArgument: Invalid authority: web.shop:80\n"),
            "{text}"
        );
        assert!(
            text.contains("such as web.shop.svc.cluster.local:80"),
            "{text}"
        );
        assert!(
            text.contains("\n10.0.0.1:80: InvalidArgument: IP queries"),
            "{text}"
        );
        assert!(
            text.ends_with("ferrule diagnostics profile 10.0.0.1:80"),
            "{text}"
        );
    }
}
