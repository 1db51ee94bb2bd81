//! What people in the cluster should hear of, for whoever tells them.

use crate::IdentityName;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};
use tokio::sync::mpsc;

/// How many notices may wait to be told; further ones are dropped. Nothing ever waits
/// for them.
const BACKLOG: usize = 256;

/// Something that happened to the issuer, or with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another issuer signs.
    IssuerUpdated {
        /// SHA-256 of the certificates that signed before and that signs now.
        fingerprints: [String; 2],
    },
    /// Another issuer was there and cannot be used; the last good one signs on.
    IssuerUpdateSkipped {
        /// Why not.
        error: String,
        /// What of: the same for all who read the same.
        fingerprint: String,
    },
    /// Another issuer is there, and does not sign before all pods trust it.
    IssuerHeld {
        /// What is to be known of it.
        text: String,
        /// Of which change: the same for all who tell of it.
        change: String,
    },
    /// The issuer signs, and not all pods trust it.
    IssuerNotTrusted {
        /// What is to be known of it.
        text: String,
        /// SHA-256 of its certificate.
        fingerprint: String,
    },
    /// The issuer does not verify any more, so nothing can be signed.
    IssuerValidationFailed {
        /// What is wrong with it.
        error: String,
        /// Who asked.
        identity: String,
        /// SHA-256 of its certificate.
        fingerprint: String,
    },
    /// An issuer or a trust anchor is about to expire, or has.
    Expiring {
        /// What is to be known of it.
        text: String,
        /// SHA-256 of the certificate.
        fingerprint: String,
    },
    /// A rotation of the trust anchor begins, goes on, ends, or has to wait.
    Rotation {
        /// Whether it waits for somebody.
        waits: bool,
        /// What is to be known of it.
        text: String,
        /// Of which step: the same for all who tell of it.
        step: String,
    },
    /// The issuer cannot be kept before somebody does something.
    UpkeepStuck {
        /// What is to be known of it.
        text: String,
        /// For which reason, and about when: the same for all who tell of it.
        reason: String,
    },
    /// A certificate was given.
    Issued {
        /// To whom.
        identity: IdentityName,
        /// Until when it is valid.
        until: SystemTime,
        /// SHA-256 of it.
        fingerprint: String,
    },
}

/// Where notices are put.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    sender: Option<mpsc::Sender<Notice>>,
    leaves: bool,
    dropped: Arc<AtomicU64>,
}

impl Notices {
    /// Notices, and where they come out; those of each certificate only with `leaves`.
    pub fn channel(leaves: bool) -> (Self, mpsc::Receiver<Notice>) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let notices = Self {
            sender: Some(sender),
            leaves,
            dropped: Arc::default(),
        };
        (notices, receiver)
    }

    /// How many were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(crate) fn tell(&self, notice: impl FnOnce() -> Notice) {
        if let Some(sender) = &self.sender
            && sender.try_send(notice()).is_err()
        {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn tell_leaf(&self, notice: impl FnOnce() -> Notice) {
        if self.leaves {
            self.tell(notice);
        }
    }
}
