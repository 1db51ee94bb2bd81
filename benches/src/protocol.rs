//! What the driver and the generator say to each other: JSON, a line each, over the generator's
//! stdin and stdout. Every command is answered by one report.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::quantiles::Quantiles;

/// How many reasons a report repeats; one is usually the reason of all.
const MAX_REASONS: usize = 5;

/// What the driver asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Open connections and streams, in place of those there are.
    Open(Open),
    /// Report the messages after each stream's first, once there are `count` of them since the
    /// last report, or `timeout_ms` have passed.
    Later { count: usize, timeout_ms: u64 },
    /// Report which endpoints streams that [`Open::follow`] were told of after their first
    /// message, once there are `count` of them, each stream's counted by itself, since the last
    /// report, or `timeout_ms` have passed.
    Told { count: usize, timeout_ms: u64 },
    /// Drop every connection.
    Close,
    /// Ask for certificates.
    Certify(Certify),
    /// Ask what is to become of an object that is being created.
    Review(Reviews),
}

/// Connections to one server, and streams spread evenly over them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) server: SocketAddr,
    /// How TLS is done; none in plaintext.
    pub(crate) tls: Option<Tls>,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    pub(crate) asked: Asked,
    /// Whether the clock starts when all connections are up, else before the first connects.
    pub(crate) connect_first: bool,
    /// Whether one that does not connect in a second tries again, as proxies do; else it waits.
    pub(crate) gives_up: bool,
    /// Whether the addresses that messages add are read and noted, in place of when each message
    /// came: for where one change is not over before the next.
    pub(crate) follow: bool,
    /// When to stop waiting for first messages.
    pub(crate) timeout_ms: u64,
}

/// What streams ask for. A connection is a proxy, and its streams ask for different things.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    /// `Get`.
    Endpoints {
        /// Of what, in turn.
        authorities: Vec<String>,
        /// The proxies' context tokens, in turn.
        contexts: Vec<String>,
    },
    /// Policies.
    Policies {
        /// Whose the proxies say they are, in turn.
        workloads: Vec<String>,
        /// Which of them, in turn.
        subjects: Vec<PolicySubject>,
    },
}

/// What a proxy wants to know a policy of.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PolicySubject {
    /// `WatchPort` of a port of its workload.
    Port(u16),
    /// `Watch` of where a connection goes.
    Address(SocketAddr),
}

/// Calls of `Certify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certify {
    pub(crate) server: SocketAddr,
    /// How TLS is done.
    pub(crate) tls: Tls,
    /// A file of requests, gRPC frames one after another: they are sent in turn.
    pub(crate) requests: PathBuf,
    pub(crate) calls: usize,
    /// How many calls are under way at a time.
    pub(crate) in_flight: usize,
    pub(crate) connections: ConnectionUse,
    /// When to stop waiting for answers.
    pub(crate) timeout_ms: u64,
}

/// Reviews as an API server sends them, over a few connections that it keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reviews {
    pub(crate) server: SocketAddr,
    pub(crate) tls: Tls,
    pub(crate) path: String,
    /// The file of the review that is sent every time.
    pub(crate) body: PathBuf,
    pub(crate) calls: usize,
    /// How many are under way at a time.
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    /// When to stop waiting for answers.
    pub(crate) timeout_ms: u64,
}

/// What calls are sent on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConnectionUse {
    /// So many, shared; the clock starts when they are up.
    Warm(usize),
    /// One each, which the call begins and ends with.
    OnePerCall,
}

/// How a proxy does mesh TLS. The files are PEM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tls {
    pub(crate) trust_anchors: PathBuf,
    /// Who the server must be.
    pub(crate) server_name: String,
    /// What is shown to a server that asks.
    pub(crate) certificate: Option<ClientCertificate>,
    /// Whether HTTP/2 is asked for: proxies know without.
    #[serde(default)]
    pub(crate) alpn: bool,
}

/// A certificate with those towards the root, and its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClientCertificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// What the generator answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Opened(Opened),
    Later(Later),
    Told(Told),
    Closed,
    Certified(Certified),
    Reviewed(Certified),
}

/// How the streams of an [`Open`] were answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// Streams whose first gRPC message has arrived whole.
    pub(crate) answered: usize,
    /// Milliseconds from before the first connects until each connection is up.
    pub(crate) connect_ms: Quantiles,
    /// How often one gave up connecting.
    pub(crate) given_up: usize,
    /// Milliseconds from the start of the clock to each stream's first whole message.
    pub(crate) first_ms: Quantiles,
    /// Bytes of the DATA frames up to each stream's first whole message.
    pub(crate) first_bytes: Quantiles,
    /// Bytes of all DATA frames, of all streams.
    pub(crate) bytes: u64,
    /// Streams and connections that ended.
    pub(crate) ended: Failures,
}

/// Messages after the first of each stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Later {
    /// When each arrived, in nanoseconds since the epoch ([`now`]).
    pub(crate) times: Vec<u64>,
    /// Streams and connections that have ended since they were opened.
    pub(crate) ended: Failures,
}

/// The endpoints that streams were told of after the first message of each.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) endpoints: Vec<ToldEndpoint>,
    /// Messages by which they were.
    pub(crate) messages: usize,
    /// Bytes of all DATA frames since the streams were opened.
    pub(crate) bytes: u64,
    /// Streams and connections that have ended since.
    pub(crate) ended: Failures,
}

/// How one endpoint became known; times are in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct ToldEndpoint {
    pub(crate) address: Ipv4Addr,
    /// How many streams were told.
    pub(crate) streams: usize,
    /// When the middle one of them was.
    pub(crate) median: u64,
    /// When the last of them was.
    pub(crate) last: u64,
}

/// How the calls of a [`Certify`] or [`Reviews`] were answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certified {
    /// Calls that ended with one whole message and status 0.
    pub(crate) answered: usize,
    /// From the start of the clock to the last answer.
    pub(crate) seconds: f64,
    /// Milliseconds of each of these, with its connection if it has one of its own.
    pub(crate) each_ms: Quantiles,
    /// Bytes of the answers.
    pub(crate) bytes: Quantiles,
    /// The other calls.
    pub(crate) failed: Failures,
}

/// What did not go as it should.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Failures {
    pub(crate) count: usize,
    /// Why, a few different ones.
    pub(crate) reasons: Vec<String>,
}

impl Failures {
    pub(crate) fn add(&mut self, reason: String) {
        self.count += 1;
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

/// Nanoseconds since the epoch: the one clock that both processes can read.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}
