//! How keeping an issuer goes.

use super::rotation::{Rotation, Waits};
use crate::Census;
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
    rotation: ArcSwapOption<RotationStatus>,
}

/// How a rotation of the trust anchor goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationStatus {
    /// How far it is; none if it has not begun, for the reason in `waits`.
    pub rotation: Option<Rotation>,
    /// What it waits for.
    pub waits: Option<Waits>,
    /// Who does not trust the new anchor, when they were counted last.
    pub laggards: Option<Laggards>,
}

/// Who holds a rotation up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laggards {
    /// The pods.
    pub census: Arc<Census>,
    /// How many proxies outside Kubernetes.
    pub outside: usize,
}

impl Laggards {
    /// All of them.
    pub fn count(&self) -> usize {
        self.census.behind() + self.outside
    }
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

    /// How a rotation goes, where this replica leads and there is one.
    pub fn rotation(&self) -> Option<Arc<RotationStatus>> {
        self.rotation.load_full()
    }

    pub(super) fn set_rotation(&self, status: RotationStatus) {
        let is_over = status == RotationStatus::default();
        self.rotation.store((!is_over).then(|| Arc::new(status)));
    }

    pub(super) fn made_one(&self) {
        self.made.fetch_add(1, Relaxed);
    }

    pub(super) fn set_kept(&self, kept: bool) {
        self.kept.store(kept, Relaxed);
    }
}
