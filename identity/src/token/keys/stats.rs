//! Which tokens were checked how.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

/// Why the API server is asked about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// There are no keys yet.
    NoKeys,
    /// It is signed with a key that is not known.
    Key,
    /// It is of another issuer, such as one that the API server had before.
    Issuer,
    /// It is not for the mesh; it may be for the API server itself.
    Audience,
    /// It is bound to something that is not followed here, or to nothing.
    Binding,
    /// What it is bound to is not known, or has gone.
    Object,
}

impl Doubt {
    /// Every one.
    pub const ALL: [Doubt; 6] = [
        Doubt::NoKeys,
        Doubt::Key,
        Doubt::Issuer,
        Doubt::Audience,
        Doubt::Binding,
        Doubt::Object,
    ];

    /// As a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Doubt::NoKeys => "no_keys",
            Doubt::Key => "key",
            Doubt::Issuer => "issuer",
            Doubt::Audience => "audience",
            Doubt::Binding => "binding",
            Doubt::Object => "object",
        }
    }
}

/// Counts, written by [`KeyedReview`](crate::KeyedReview) and read by anyone.
#[derive(Debug, Default)]
pub struct KeyStats {
    verified: AtomicU64,
    refused: AtomicU64,
    doubted: [AtomicU64; Doubt::ALL.len()],
    failures: AtomicU64,
    keys: AtomicUsize,
    read_at: AtomicU64,
}

impl KeyStats {
    /// Tokens that were found to be good here.
    pub fn verified_tokens(&self) -> u64 {
        self.verified.load(Relaxed)
    }

    /// Tokens that were refused here.
    pub fn refused_tokens(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Tokens that the API server was asked about, for one reason.
    pub fn doubted_tokens(&self, doubt: Doubt) -> u64 {
        self.doubted[doubt as usize].load(Relaxed)
    }

    /// How often the keys could not be read.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.keys.load(Relaxed)
    }

    /// When they were read last, in milliseconds since 1970; 0 before the first time.
    pub fn read_at_millis(&self) -> u64 {
        self.read_at.load(Relaxed)
    }

    pub(super) fn verified(&self) {
        self.verified.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn doubted(&self, doubt: Doubt) {
        self.doubted[doubt as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self, keys: usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = now.unwrap_or_default().as_millis();
        self.read_at
            .store(u64::try_from(millis).unwrap_or(u64::MAX), Relaxed);
        self.keys.store(keys, Relaxed);
    }

    pub(super) fn unread(&self) {
        self.failures.fetch_add(1, Relaxed);
    }
}
