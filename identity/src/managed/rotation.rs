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

/// What the next phase depends on, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) requests: &'a Requests,
    /// For how long after an issuer was replaced leaves of its predecessor can be
    /// valid.
    pub(super) leaves_last: Duration,
    /// Workloads that the phase has to wait for, counted since it is complete.
    pub(super) laggards: Laggards<'a>,
    /// Whether issuers cannot be renewed under the old anchor alone any more.
    pub(super) must_switch: bool,
}

/// What is known of pods that hold a rotation up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Laggards<'a> {
    /// They were not counted lately.
    Unknown,
    /// None.
    Gone,
    /// These, in words.
    Some(&'a str),
}

/// Why a rotation stays where it is, or does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// Nobody has to do anything.
    Time(String),
    /// Somebody has.
    People(String),
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Time(text) | Self::People(text)) = self;
        f.write_str(text)
    }
}

/// What becomes of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is complete only now: its time begins.
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

/// What becomes of a phase all of which is in the cluster.
pub(super) fn next(rotation: &Rotation, facts: &Facts<'_>, now: Timestamp) -> Next {
    let phase = rotation.phase;
    if facts.requests.abort && phase.can_abort() {
        return Next::Enter(Phase::Aborting);
    }
    // What is only tidied up is not held up.
    if !phase.can_abort() {
        return Next::End;
    }
    let Some(since) = rotation.since else {
        return Next::Begin;
    };
    if facts.requests.paused {
        return Next::Wait(Waits::People("it is paused".to_owned()));
    }
    let until = since
        .checked_add(facts.leaves_last)
        .unwrap_or(Timestamp::MAX);
    if phase == Phase::Switched && now < until {
        let until = until.strftime("%Y-%m-%dT%H:%M:%SZ");
        return Next::Wait(Waits::Time(format!(
            "leaves that only the old anchor vouches for are valid until {until}"
        )));
    }
    let onward = match phase {
        Phase::Distributing => Phase::Switched,
        _ => Phase::Retiring,
    };
    // Nobody is left behind by that: the old anchor signs, too.
    let must_go_on = facts.must_switch && phase == Phase::Distributing;
    if must_go_on || facts.requests.unless_waiting_in == Some(phase) {
        return Next::Enter(onward);
    }
    match facts.laggards {
        Laggards::Unknown => Next::Count,
        Laggards::Some(who) => Next::Wait(Waits::People(who.to_owned())),
        Laggards::Gone => Next::Enter(onward),
    }
}

#[cfg(test)]
mod model;
