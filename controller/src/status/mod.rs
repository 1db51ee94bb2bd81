//! The status writer: it writes on routes, EgressNetworks and rate limits what the
//! index finds of them (policy.md section 7).
//!
//! ```text
//!   Outbox ── Schedule ── up to 16 at once: get, compare, patch ──► API server
//!               ▲             │
//!               └── later ────┘
//! ```
//!
//! One replica writes, under a Lease. What the others hold on to is what they will
//! have to write should they take over, and it goes as the watch brings what the
//! leader wrote. Nothing is read or written of an object that says what it should.

mod object;
mod schedule;
mod stats;
mod writer;

pub(crate) use self::{stats::Stats, writer::Writer};

/// The Lease under which statuses are written: Linkerd's, so that of its replicas and
/// ours one writes.
pub(crate) const LEASE: &str = "policy-controller-write";
