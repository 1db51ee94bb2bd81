use crate::{InstallError, api_addr::ApiAddr, hint::Asked, policy::TargetError};
use std::{fmt, io, time::Duration};
use tonic::{Code, Status};

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens, or not on a way that leads there.
    #[error(
        "cannot connect to {addr}: {reason}\n\
         Is a Ferrule running there? --api-addr HOST:PORT (or FERRULE_API_ADDR) says where to ask.\n\
         To reach one in a cluster: kubectl -n linkerd port-forward deploy/linkerd-destination 9990\n\
         To start one without a cluster: ferrule serve --manifests DIR"
    )]
    Connect {
        /// Where.
        addr: String,
        /// What the system says.
        reason: String,
    },
    /// Somebody listens, and is no admin listener that can tell what was asked.
    #[error(
        "{addr} does not tell {path}: {reason}\n\
         --api-addr HOST:PORT (or FERRULE_API_ADDR) is to be the admin listener of a Ferrule, port 9990."
    )]
    Admin {
        /// Where.
        addr: String,
        /// What was asked for.
        path: &'static str,
        /// What was wrong with the answer.
        reason: String,
    },
    /// Nothing can be told for what was named.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The server refused some of what was asked.
    #[error("{}", Lines(.0))]
    Refused(Vec<Refusal>),
    /// The Ferrule that answered has nothing to do with certificates.
    #[error(
        "the Ferrule at {addr} holds no certificates: it neither runs the identity role nor serves TLS.\n\
         Ask one that does: --api-addr HOST:PORT (or FERRULE_API_ADDR) is its admin listener."
    )]
    NoIdentity {
        /// Where.
        addr: String,
    },
    /// The API server is not to be had.
    #[error(
        "cannot {what}: {reason}\n\
         --kubeconfig FILE and --context NAME say which API server is meant; what kubectl \
         can read, this can."
    )]
    ApiServer {
        /// What was to be done.
        what: String,
        /// What was wrong.
        reason: String,
    },
    /// The issuer is somebody else's.
    #[error(
        "the issuer in {secret} is not kept by Ferrule (it has no label {label}): renew it with \
         what made it; a changed Secret or changed files are taken without a restart"
    )]
    NotManaged {
        /// The Secret.
        secret: String,
        /// What it would have.
        label: String,
    },
    /// The trust anchor is not rotated.
    #[error("{secret}: {reason}")]
    Rotation {
        /// The trust anchor's.
        secret: String,
        /// Why not.
        reason: String,
    },
    /// A workload's certificate cannot be shown, or is not good.
    #[error("the certificate of {addr}: {reason}")]
    Workload {
        /// Where the workload is.
        addr: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody has made another issuer.
    #[error(
        "no other issuer has been made within {waited:?}; it is still asked for. Which replica is \
         to make it: kubectl -n {namespace} get lease ferrule-ca; what keeps it from that is in its \
         log and in /ready"
    )]
    NotRotated {
        /// How long it was waited for.
        waited: Duration,
        /// The control plane's.
        namespace: String,
    },
    /// An index is out of date.
    #[error("{count} objects are out of date for longer than {grace:?}")]
    Stale {
        /// How many objects.
        count: usize,
        /// How long a change may be on its way.
        grace: Duration,
    },
    /// Some kinds could not be looked at.
    #[error("could not compare {0}")]
    Uncompared(String),
    /// Nothing says where state is kept.
    #[error("neither XDG_STATE_HOME nor HOME is set; say with --state-dir DIR where state is kept")]
    NoStateDir,
    /// The state directory is not usable.
    #[error(transparent)]
    State(#[from] ferrule_identity::StateError),
    /// A token cannot be made.
    #[error(transparent)]
    Token(#[from] ferrule_identity::TokenKeyError),
    /// A manifest or another file cannot be read.
    #[error("cannot read {name}: {reason}")]
    Unreadable {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// A file cannot be written.
    #[error("cannot write {name}: {reason}")]
    Unwritable {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// Manifests are files.
    #[error("{0} is a URL, which is not read here; use: curl -sSfL {0} | ferrule inject -")]
    Url(String),
    /// A manifest is no YAML.
    #[error("{name}:{line}: {reason}")]
    Manifest {
        /// Its file.
        name: String,
        /// Its line there.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to look at.
    #[error("there is no *.yaml, *.yml or *.json file below {0}")]
    NoManifests(String),
    /// Manifests are not as they should be.
    #[error("{}", told(*errors, *warnings))]
    Check {
        /// How many problems a cluster would refuse something for.
        errors: usize,
        /// How many others there are.
        warnings: usize,
    },
    /// A cluster is not as it should be.
    #[error("{}", of_cluster(*errors, *warnings))]
    Unwell {
        /// How many checks failed.
        errors: usize,
        /// How many others there is something to say of.
        warnings: usize,
    },
    /// The chart's values cannot be read.
    #[error(transparent)]
    Values(#[from] ferrule_proxy_injector::ValuesError),
    /// What is asked about is not there.
    #[error("{0}")]
    NoSubject(String),
    /// No manifests can be printed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// Something of the control plane cannot be read from the cluster.
    #[error(
        "cannot read ConfigMap {what} from the cluster: {reason}\n\
         To do without a cluster: --values FILE --trust-anchors FILE"
    )]
    Cluster {
        /// Its namespace and name.
        what: String,
        /// Why.
        reason: String,
    },
    /// A proxy needs something to trust.
    #[error("there are no trust anchors: without the cluster, --trust-anchors FILE says them")]
    NoTrustAnchors,
    /// Some objects cannot get a proxy.
    #[error("{}", .0.join("\n"))]
    Inject(Vec<String>),
    /// Standard output cannot be written to.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl Error {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Check { errors: 0, .. } | Self::Unwell { errors: 0, .. } => 2,
            _ => 1,
        }
    }

    pub(crate) fn connect(addr: &ApiAddr, reason: String) -> Self {
        Self::Connect {
            addr: addr.to_string(),
            reason,
        }
    }
}

/// One question that was answered with an error status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    subject: String,
    code: Code,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(subject: &str, asked: Asked, status: &Status, addr: &ApiAddr) -> Self {
        Self {
            subject: subject.to_owned(),
            code: status.code(),
            message: status.message().to_owned(),
            hint: asked.hint(subject, status, addr),
        }
    }

    /// What was asked for.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Code and message.
    pub(crate) fn reason(&self) -> String {
        format!("{:?}: {}", self.code, self.message)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason())?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

fn told(errors: usize, warnings: usize) -> &'static str {
    match (errors, warnings) {
        (0, _) => "some of the manifests would not be understood",
        _ => "some of the manifests would be refused",
    }
}

fn of_cluster(errors: usize, warnings: usize) -> String {
    match (errors, warnings) {
        (0, 1) => "1 check warns".to_owned(),
        (0, warnings) => format!("{warnings} checks warn"),
        (1, _) => "1 check failed".to_owned(),
        (errors, _) => format!("{errors} checks failed"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_addr::DEFAULT_API_ADDR;

    #[test]
    fn a_refusal_names_the_authority_and_the_code_and_says_what_to_do() {
        let addr: ApiAddr = DEFAULT_API_ADDR.parse().unwrap();
        let refusal = |subject, status| Refusal::new(subject, Asked::Destination, &status, &addr);
        let refusals = Error::Refused(vec![
            refusal(
                "web.shop:80",
                Status::invalid_argument("Invalid authority: web.shop:80"),
            ),
            refusal(
                "10.0.0.1:80",
                Status::invalid_argument("IP queries not supported by Get API: host=10.0.0.1"),
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
