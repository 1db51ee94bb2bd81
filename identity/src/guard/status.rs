//! What waits, and who is cut off.

use crate::certificate::date;
use arc_swap::ArcSwapOption;
use std::{fmt, sync::Arc, time::SystemTime};

/// Written by [`IssuerGuard`](crate::IssuerGuard) and read by anyone.
#[derive(Debug, Default)]
pub struct GuardStatus {
    held: ArcSwapOption<HeldIssuer>,
    laggards: ArcSwapOption<usize>,
}

/// An issuer that is there and does not sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldIssuer {
    /// SHA-256 of its certificate.
    pub sha256: String,
    /// SHA-256 of the certificate that signs in its place.
    pub signing: String,
    /// When it signs at the latest.
    pub until: SystemTime,
    /// How many pods do not trust it, when they were counted last; `None` if they could
    /// not be counted.
    pub laggards: Option<usize>,
    /// Who they are, or why they could not be counted, in words.
    pub waits_for: String,
}

impl GuardStatus {
    /// The issuer that waits until all pods trust it.
    pub fn held(&self) -> Option<Arc<HeldIssuer>> {
        self.held.load_full()
    }

    /// How many pods do not trust the issuer that signs, when they were counted last. They
    /// are counted after a start, and when another came under other anchors, until all do.
    pub fn laggards(&self) -> Option<usize> {
        self.laggards.load().as_deref().copied()
    }

    pub(super) fn set_held(&self, held: Option<HeldIssuer>) {
        self.held.store(held.map(Arc::new));
    }

    pub(super) fn set_laggards(&self, count: usize) {
        self.laggards.store(Some(Arc::new(count)));
    }
}

impl fmt::Display for HeldIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [new, old] = [&self.sha256, &self.signing].map(|sha256| super::short(sha256));
        let until = date(self.until);
        write!(
            f,
            "issuer {new} waits, and {old} signs on until {until} at the latest: {}",
            self.waits_for
        )
    }
}
