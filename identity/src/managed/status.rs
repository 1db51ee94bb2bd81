//! How keeping an issuer goes.

use arc_swap::ArcSwapOption;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// Written by [`ManagedIssuer`](crate::ManagedIssuer) and read by anyone.
#[derive(Debug, Default)]
pub struct ManagedStatus {
    pub(super) unreadable: Arc<ArcSwapOption<String>>,
    pub(super) stuck: ArcSwapOption<String>,
    made: AtomicU64,
    kept: AtomicBool,
}

impl ManagedStatus {
    /// Why the objects cannot be read now; the last good ones are in force then.
    pub fn unreadable(&self) -> Option<Arc<String>> {
        self.unreadable.load_full()
    }

    /// What keeps this replica, which leads, from keeping them.
    pub fn stuck(&self) -> Option<Arc<String>> {
        self.stuck.load_full()
    }

    /// How many issuers this replica has made.
    pub fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    /// Whether the issuer was found to be kept here by this replica when it led last.
    pub fn is_kept(&self) -> bool {
        self.kept.load(Relaxed)
    }

    pub(super) fn made_one(&self) {
        self.made.fetch_add(1, Relaxed);
    }

    pub(super) fn set_kept(&self, kept: bool) {
        self.kept.store(kept, Relaxed);
    }
}
