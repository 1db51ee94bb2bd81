//! What the driver and the generator say to each other: JSON, a line each, over the generator's
//! stdin and stdout. Every command is answered by one report.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::quantiles::Quantiles;

/// What the driver asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// Open connections and streams, in place of those there are.
    Open(Open),
    /// Report the messages after each stream's first, once there are `count` of them since the
    /// last report, or `timeout_ms` have passed.
    Later { count: usize, timeout_ms: u64 },
    /// Drop every connection.
    Close,
}

/// Connections to one server, and `Get` streams spread evenly over them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) server: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    /// The authorities asked for, in turn: the streams of one connection ask for different ones.
    pub(crate) authorities: Vec<String>,
    /// Context tokens, in turn: a connection is a proxy.
    pub(crate) contexts: Vec<String>,
    /// Whether the clock starts when all connections are up, else before the first connects.
    pub(crate) connect_first: bool,
    /// When to stop waiting for first messages.
    pub(crate) timeout_ms: u64,
}

/// What the generator answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Opened(Opened),
    Later(Later),
    Closed,
}

/// How the streams of an [`Open`] were answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// Streams whose first gRPC message has arrived whole.
    pub(crate) answered: usize,
    /// Milliseconds from the start of the clock to each stream's first whole message.
    pub(crate) first_ms: Quantiles,
    /// Bytes of the DATA frames up to each stream's first whole message.
    pub(crate) first_bytes: Quantiles,
    /// Bytes of all DATA frames, of all streams.
    pub(crate) bytes: u64,
    /// Streams and connections that ended, and why the first of them did.
    pub(crate) ended: usize,
    pub(crate) reasons: Vec<String>,
}

/// Messages after the first of each stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Later {
    /// When each arrived, in nanoseconds since the epoch ([`now`]).
    pub(crate) times: Vec<u64>,
    /// Streams and connections that have ended since they were opened.
    pub(crate) ended: usize,
    pub(crate) reasons: Vec<String>,
}

/// Nanoseconds since the epoch: the one clock that both processes can read.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}
