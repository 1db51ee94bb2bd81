//! What a source says of itself, for the metrics endpoint and `/debug/state`.

use crate::{Distribution, Histogram, object::Kind};
use std::{
    fmt,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// The state of a source, written by it and read by anyone. Shared in an `Arc`.
#[derive(Debug, Default)]
pub struct WatchStats {
    kinds: [KindStats; Kind::ALL.len()],
    problems: Mutex<Vec<Problem>>,
}

/// Upper bounds for how late changes are heard of, in seconds (destination.md
/// section 14). API servers stamp whole seconds.
const LAG: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0];

/// The state of the watch of one kind.
#[derive(Debug)]
pub struct KindStats {
    lag: Histogram,
    restarts: AtomicU64,
    errors: [AtomicU64; ErrorReason::ALL.len()],
    last_event: AtomicU64,
    connected: AtomicBool,
    protobuf: AtomicBool,
}

/// Why a list or watch failed, as coarse as a metric label should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorReason {
    /// No connection, or it broke.
    Connection,
    /// Nothing was heard in time.
    Timeout,
    /// 401: the token is not accepted.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404: the kind does not exist there.
    NotFound,
    /// 410: the resource version is too old; a relist follows.
    Expired,
    /// 429.
    Throttled,
    /// 5xx.
    Server,
    /// An answer that is not what was asked for.
    Malformed,
    /// Anything else.
    Other,
}

/// A place in the manifests that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file or directory.
    pub path: PathBuf,
    /// The line in the file, from 1; none where the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong, and what holds meanwhile.
    pub text: String,
    /// Whether something that the files say is not in effect because of it;
    /// otherwise it is a detail of an object, or an oddity.
    pub is_error: bool,
}

impl WatchStats {
    /// Stats of a source that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stats of one kind.
    pub fn kind(&self, kind: Kind) -> &KindStats {
        // `Kind::ALL` lists the kinds in the order of their declaration.
        &self.kinds[kind as usize]
    }

    /// What is wrong with the manifests now; always empty for the Kubernetes
    /// source, whose problems travel with the objects.
    pub fn problems(&self) -> Vec<Problem> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_problems(&self, problems: Vec<Problem>) {
        *self.problems.lock().unwrap_or_else(PoisonError::into_inner) = problems;
    }
}

impl Default for KindStats {
    fn default() -> Self {
        Self {
            lag: Histogram::new(LAG),
            restarts: AtomicU64::default(),
            errors: Default::default(),
            last_event: AtomicU64::default(),
            connected: AtomicBool::default(),
            protobuf: AtomicBool::default(),
        }
    }
}

/// Now, in milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl KindStats {
    /// How often the list or watch had to begin again because of an error.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    /// How many errors there were of one reason.
    pub fn errors(&self, reason: ErrorReason) -> u64 {
        self.errors[reason as usize].load(Relaxed)
    }

    /// When the source last heard of this kind (an event, a bookmark, the end of
    /// a list), in milliseconds since 1970; 0 if it never did.
    pub fn last_event_millis(&self) -> u64 {
        self.last_event.load(Relaxed)
    }

    /// Whether the last request was answered and its answer has not failed since.
    /// For manifests: whether the directory could be read.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Whether the last watch was answered in protobuf.
    pub fn is_protobuf(&self) -> bool {
        self.protobuf.load(Relaxed)
    }

    pub(crate) fn heard(&self) {
        self.last_event.store(unix_millis(), Relaxed);
    }

    /// How long after they were written changes were heard of. Lists do not count,
    /// nor objects on their way out: nothing says when that began.
    pub fn lag(&self) -> Distribution {
        self.lag.read()
    }

    /// Notes a change of an object that was last written at `written`.
    pub(crate) fn changed(&self, written: SystemTime) {
        // Another machine's clock may be ahead of ours.
        self.lag.observe(written.elapsed().unwrap_or_default());
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Relaxed);
    }

    pub(crate) fn set_protobuf(&self, protobuf: bool) {
        self.protobuf.store(protobuf, Relaxed);
    }

    pub(crate) fn failed(&self, reason: ErrorReason) {
        self.errors[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }
}

impl ErrorReason {
    /// Every reason.
    pub const ALL: [ErrorReason; 10] = [
        ErrorReason::Connection,
        ErrorReason::Timeout,
        ErrorReason::Unauthorized,
        ErrorReason::Forbidden,
        ErrorReason::NotFound,
        ErrorReason::Expired,
        ErrorReason::Throttled,
        ErrorReason::Server,
        ErrorReason::Malformed,
        ErrorReason::Other,
    ];

    /// The reason as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorReason::Connection => "connection",
            ErrorReason::Timeout => "timeout",
            ErrorReason::Unauthorized => "unauthorized",
            ErrorReason::Forbidden => "forbidden",
            ErrorReason::NotFound => "not_found",
            ErrorReason::Expired => "expired",
            ErrorReason::Throttled => "throttled",
            ErrorReason::Server => "server",
            ErrorReason::Malformed => "malformed",
            ErrorReason::Other => "other",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_reason_has_a_place_of_its_own() {
        let stats = WatchStats::new();
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            stats.kind(kind).restarted();
        }
        for (index, reason) in ErrorReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            stats.kind(Kind::Pod).failed(reason);
        }
        assert!(
            Kind::ALL
                .iter()
                .all(|kind| stats.kind(*kind).restarts() == 1)
        );
        assert!(
            ErrorReason::ALL
                .iter()
                .all(|reason| stats.kind(Kind::Pod).errors(*reason) == 1)
        );
    }
}
