use super::{DefaultPolicy, LabelSelector, Labels, Name};
use std::sync::Arc;

/// What the mesh reads of a Server: how a port of the workloads that it selects
/// is to be treated (policy.md section 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `metadata.labels`: ServerAuthorizations select by them.
    pub labels: Arc<Labels>,
    /// `metadata.creationTimestamp` in seconds since 1970. Of two Servers about
    /// one port the older counts.
    pub created: Option<i64>,
    /// Whose port it is. `None` where that cannot be read: it selects nothing.
    pub workloads: Option<WorkloadSelector>,
    /// Which port. `None` where that cannot be read: it is about none.
    pub port: Option<ServerPort>,
    /// What is spoken on it.
    pub protocol: ProxyProtocol,
    /// Who is let in besides those whom authorizations let in: nobody, where
    /// nothing is said or that cannot be read.
    pub access: DefaultPolicy,
}

impl Default for Server {
    /// A Server without a spec: it is about nothing.
    fn default() -> Self {
        Self {
            labels: Arc::default(),
            created: None,
            workloads: None,
            port: None,
            protocol: ProxyProtocol::default(),
            access: DefaultPolicy::Deny,
        }
    }
}

/// Which workloads a Server is about, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadSelector {
    /// `podSelector`.
    Pods(LabelSelector),
    /// `externalWorkloadSelector`.
    ExternalWorkloads(LabelSelector),
}

/// `port` of a Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerPort {
    /// This number, whether or not a workload declares it.
    Number(u16),
    /// Every port that a workload gives this name. The text `"8080"` is a name.
    Name(Name),
}

/// `proxyProtocol` of a Server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// `unknown`: to be detected.
    #[default]
    Unknown,
    /// `HTTP/1`.
    Http1,
    /// `HTTP/2`.
    Http2,
    /// `gRPC`.
    Grpc,
    /// `opaque`.
    Opaque,
    /// `TLS`.
    Tls,
}

impl ProxyProtocol {
    /// Every protocol with its spelling, which is case-sensitive.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Unknown, "unknown"),
        (Self::Http1, "HTTP/1"),
        (Self::Http2, "HTTP/2"),
        (Self::Grpc, "gRPC"),
        (Self::Opaque, "opaque"),
        (Self::Tls, "TLS"),
    ];

    /// The protocol of this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, spelling)| *spelling == text)
            .map(|(protocol, _)| protocol)
    }
}
