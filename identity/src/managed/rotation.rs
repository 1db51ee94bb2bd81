//! How one trust anchor follows another.
//!
//! ```text
//!               bundle      issuer signed by   ends when
//! Distributing  old + new   old                every workload trusts the new one
//! Switched      old + new   new and old        no leaf is left that only the old one vouches for
//! Retiring      old + new   new                at once: the old one leaves the bundle
//! ```
//!
//! While it is switched there are two certificates of the issuer's one key, and every
//! leaf comes with both. Whoever trusts either anchor verifies every peer, so a
//! workload that was started in between with the old bundle is nobody's outage: it
//! only has to be gone before the rotation ends. The way back is [`Phase::Aborting`]:
//! the issuer is signed by the old anchor alone again, and the new one leaves.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// On the trust anchor's Secret: how far a rotation is, a [`Rotation`] as JSON.
pub const ROTATION: &str = "ferrule.io/rotation";
/// On the trust anchor's Secret: what the rotation waits for, or why none begins.
pub const ROTATION_WAITS: &str = "ferrule.io/rotation-waits-for";
/// On the trust anchor's Secret: asks for another trust anchor. Any value will do.
pub const ROTATE_ANCHOR: &str = "ferrule.io/rotate-trust-anchor";
/// On the trust anchor's Secret: as long as it is there, a rotation stays where it is.
pub const ROTATION_PAUSED: &str = "ferrule.io/rotation-paused";
/// On the trust anchor's Secret: asks for the way back. Any value will do.
pub const ABORT_ROTATION: &str = "ferrule.io/abort-rotation";
/// On the trust anchor's Secret: the phase whose end is not to wait for workloads that
/// do not trust the new anchor.
pub const ROTATION_OVERRIDE: &str = "ferrule.io/rotation-override";

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Both anchors are published; the old one signs.
    Distributing,
    /// Both are published, and both sign.
    Switched,
    /// The new one alone signs; the old one leaves the bundle.
    Retiring,
    /// The old one alone signs again; the new one leaves the bundle.
    Aborting,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 4] = [
        Phase::Distributing,
        Phase::Switched,
        Phase::Retiring,
        Phase::Aborting,
    ];

    /// As it is written and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Distributing => "distributing",
            Phase::Switched => "switched",
            Phase::Retiring => "retiring",
            Phase::Aborting => "aborting",
        }
    }

    /// The phase of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }

    /// Whether there is a way back.
    pub(super) fn can_abort(self) -> bool {
        matches!(self, Phase::Distributing | Phase::Switched)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rotation under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// How far it is.
    pub phase: Phase,
    /// When it began.
    pub started: Timestamp,
    /// Since when all that the phase stands for is in the cluster: the bundle, and
    /// an issuer under the anchors that sign in it. None while that is being written.
    pub since: Option<Timestamp>,
    /// Since when the anchor that comes is in the bundle.
    #[serde(default)]
    pub published: Option<Timestamp>,
    /// SHA-256 of the anchor that comes.
    pub incoming: String,
    /// SHA-256 of the anchor that goes.
    pub outgoing: String,
}

impl Rotation {
    /// The same with everything of its phase in the cluster.
    pub(super) fn begun(&self, now: Timestamp) -> Self {
        Self {
            since: Some(now),
            published: self.published.or(Some(now)),
            ..self.clone()
        }
    }

    /// Whether somebody wants the way back, and there is one.
    pub(super) fn is_aborted(&self, requests: &Requests) -> bool {
        requests.abort && self.phase.can_abort()
    }

    /// The same rotation at the beginning of another phase.
    pub(super) fn at(&self, phase: Phase) -> Self {
        Self {
            phase,
            since: None,
            ..self.clone()
        }
    }
}

/// What somebody has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) rotate: bool,
    pub(super) paused: bool,
    pub(super) abort: bool,
    pub(super) unless_waiting_in: Option<Phase>,
}

/// What there is in the cluster of what a phase stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether the bundle lacks an anchor that is to be trusted.
    pub(super) lacks: bool,
    /// Whether the issuer is signed by all that are to sign, and by no other.
    pub(super) signed: bool,
    /// Whether the bundle has the anchor still that is to leave.
    pub(super) spare: bool,
}

/// What the next phase depends on, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) requests: &'a Requests,
    /// For how long after an issuer was replaced leaves of its predecessor can be
    /// valid.
    pub(super) leaves_last: Duration,
    /// Workloads that the phase has to wait for, counted since it is complete.
    pub(super) laggards: Laggards<'a>,
    /// How the anchor that signs is doing.
    pub(super) end: End,
}

/// How near its end an anchor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Issuers have their whole life under it.
    Far,
    /// Until this time it can sign issuers, shorter and shorter ones.
    Near(Timestamp),
    /// Issuers cannot be renewed under it alone any more.
    Come,
}

/// What is known of pods that hold a rotation up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Laggards<'a> {
    /// They were not counted lately.
    Unknown,
    /// None.
    Gone,
    /// These, or whatever keeps them from being counted.
    Some(&'a Waits),
}

/// Why a rotation stays where it is, or does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// What for.
    pub on: WaitsFor,
    /// The same for people: who or what it is, and what to do.
    pub text: String,
}

impl Waits {
    pub(super) fn new(on: WaitsFor, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { on, text }
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a rotation can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitsFor {
    /// Pods that do not trust the anchor that comes.
    Pods,
    /// Proxies outside Kubernetes that are not under it.
    Machines,
    /// Leaves that only the old anchor vouches for; nobody has to do anything.
    Leaves,
    /// Whoever has paused it.
    Paused,
    /// The same, and the old anchor comes to its end.
    PausedAtEnd,
    /// The clock, which is not the API server's.
    Clock,
    /// The private key of an anchor.
    Key,
    /// Whoever keeps the bundle.
    Bundle,
    /// Pods, or proxies outside Kubernetes, cannot be counted.
    Count,
    /// A rotation by hand.
    ByHand,
    /// An anchor, or what is written of the rotation, that is gone, damaged or expired.
    Anchor,
}

impl WaitsFor {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Pods,
        Self::Machines,
        Self::Leaves,
        Self::Paused,
        Self::PausedAtEnd,
        Self::Clock,
        Self::Key,
        Self::Bundle,
        Self::Count,
        Self::ByHand,
        Self::Anchor,
    ];

    /// As metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Machines => "machines",
            Self::Leaves => "leaves",
            Self::Paused => "paused",
            Self::PausedAtEnd => "paused_at_end",
            Self::Clock => "clock",
            Self::Key => "key",
            Self::Bundle => "bundle",
            Self::Count => "count",
            Self::ByHand => "by_hand",
            Self::Anchor => "anchor",
        }
    }
}

/// What becomes of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The bundle is to have all anchors that are to be trusted.
    Publish,
    /// Leaves are signed that the phase did not count on: its time begins anew.
    BeginAgain,
    /// An issuer is to be made that is signed as it should be.
    Sign,
    /// The bundle is to lose the anchor that leaves.
    Withdraw,
    /// The phase is complete only now: its time begins.
    Begin,
    /// The rotation goes on to this phase.
    Enter(Phase),
    /// The rotation is over.
    End,
    /// It stays, for this reason.
    Wait(Waits),
    /// Pods have to be counted first.
    Count,
}

/// The phase that a rotation begins with: under an expired anchor nothing can be renewed
/// while workloads restart.
pub(super) fn first(end: End) -> Phase {
    match end {
        End::Come => Phase::Switched,
        End::Far | End::Near(_) => Phase::Distributing,
    }
}

/// That it is paused.
pub(super) fn paused(end: End) -> Waits {
    match end {
        End::Far => Waits::new(WaitsFor::Paused, "it is paused"),
        End::Near(until) => Waits::new(
            WaitsFor::PausedAtEnd,
            format!(
                "it is paused, and the old anchor can sign issuers until {} only: resume it",
                until.strftime("%Y-%m-%dT%H:%M:%SZ")
            ),
        ),
        End::Come => Waits::new(
            WaitsFor::PausedAtEnd,
            "it is paused, and the old anchor cannot sign another issuer: resume it, or no              certificates are given once the issuer has expired",
        ),
    }
}

/// What becomes of a rotation: what is to be trusted comes first, then the issuer, then
/// what is not needed any more leaves, and then the phase may end.
pub(super) fn next(rotation: &Rotation, seen: Seen, facts: &Facts<'_>, now: Timestamp) -> Next {
    let phase = rotation.phase;
    if rotation.is_aborted(facts.requests) {
        return Next::Enter(Phase::Aborting);
    }
    if seen.lacks {
        return Next::Publish;
    }
    if !seen.signed {
        return match rotation.since {
            Some(_) => Next::BeginAgain,
            None => Next::Sign,
        };
    }
    // What is only tidied up is not held up.
    if !phase.can_abort() {
        return if seen.spare {
            Next::Withdraw
        } else {
            Next::End
        };
    }
    let Some(since) = rotation.since else {
        return Next::Begin;
    };
    if facts.requests.paused {
        return Next::Wait(paused(match phase {
            Phase::Distributing => facts.end,
            _ => End::Far,
        }));
    }
    let until = since
        .checked_add(facts.leaves_last)
        .unwrap_or(Timestamp::MAX);
    if phase == Phase::Switched && now < until {
        let until = until.strftime("%Y-%m-%dT%H:%M:%SZ");
        return Next::Wait(Waits::new(
            WaitsFor::Leaves,
            format!("leaves that only the old anchor vouches for are valid until {until}"),
        ));
    }
    let onward = match phase {
        Phase::Distributing => Phase::Switched,
        _ => Phase::Retiring,
    };
    // Nobody is left behind by that: the old anchor signs, too.
    let must_go_on = facts.end == End::Come && phase == Phase::Distributing;
    if must_go_on || facts.requests.unless_waiting_in == Some(phase) {
        return Next::Enter(onward);
    }
    match facts.laggards {
        Laggards::Unknown => Next::Count,
        Laggards::Some(who) => Next::Wait(who.clone()),
        Laggards::Gone => Next::Enter(onward),
    }
}

#[cfg(test)]
mod model;
