//! The steps of a rotation: what has to be asked before, and told after.

use super::{
    objects::Objects,
    plan::{Anchors, Rules, Turn},
    rotation::{Phase, Rotation, Waits},
};
use crate::{Census, Notice, Notices, TrustAnchors, Trusts, Wanted, certificate::date, outside};
use kube::Client;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tracing::{info, warn};

/// Pods are counted this often at the most; and so that the API server is not busy
/// with that for more than a thirtieth of its time.
const COUNT_EVERY: Duration = Duration::from_secs(10);
const SHARE: u32 = 30;
/// A clock that is further from the API server's is wrong: certificates begin an hour,
/// or a tenth of their life, before they are made.
const CLOCK: Duration = Duration::from_secs(300);

/// What is known of the pods that hold a rotation up.
pub(super) struct Turns {
    client: Client,
    control_plane: String,
    last: Option<Count>,
}

struct Count {
    /// What they were counted for.
    rotation: Rotation,
    census: Census,
    /// Proxies outside Kubernetes that are not under the anchor that comes.
    outside: Vec<String>,
    again: Instant,
}

impl Count {
    fn behind(&self) -> usize {
        self.census.behind() + self.outside.len()
    }

    /// Who they are, if there are any.
    fn told(&self) -> Option<String> {
        let pods = self.census.behind();
        let verb = if pods == 1 { "does" } else { "do" };
        let pods = (pods > 0).then(|| format!("{verb} not trust the new anchor: {}", self.census));
        let outside = self.outside.first().map(|first| {
            let more = match self.outside.len() {
                1 => String::new(),
                all => format!(" and {} more", all - 1),
            };
            format!("outside Kubernetes: {first}{more}")
        });
        let all: Vec<_> = pods.into_iter().chain(outside).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Turns {
    pub(super) fn new(client: &Client, control_plane: &str) -> Self {
        Self {
            client: client.clone(),
            control_plane: control_plane.to_owned(),
            last: None,
        }
    }

    /// Who does not trust the anchor that comes, in words. That there is nobody is
    /// never remembered: it was found out just now.
    pub(super) async fn held_up(
        &mut self,
        rotation: &Rotation,
        incoming: &TrustAnchors,
    ) -> Result<Option<String>, String> {
        let known = self.last.as_ref().filter(|last| {
            last.rotation == *rotation && Instant::now() < last.again && last.behind() > 0
        });
        if known.is_none() {
            let begun = Instant::now();
            let wanted = Wanted {
                trusts: Trusts::Anchors(std::slice::from_ref(&rotation.incoming)),
                published: rotation.published,
                ending: true,
            };
            let census = Census::take(&self.client, &self.control_plane, wanted);
            let census = census
                .await
                .map_err(|error| format!("pods cannot be counted: {error}"))?;
            // Before, the old anchor signs, and they show what they should.
            let outside = match rotation.phase {
                Phase::Switched => outside::behind(&self.client, incoming)
                    .await
                    .map_err(|error| format!("ExternalWorkloads cannot be listed: {error}"))?,
                _ => Vec::new(),
            };
            self.last = Some(Count {
                rotation: rotation.clone(),
                census,
                outside,
                again: Instant::now() + COUNT_EVERY.max(begun.elapsed() * SHARE),
            });
        }
        Ok(self.last.as_ref().and_then(Count::told))
    }

    /// How many pods did not trust the anchor that comes, when they were counted last.
    pub(super) fn laggards(&self) -> Option<usize> {
        self.last.as_ref().map(Count::behind)
    }

    /// Whether the clock is good enough to go by.
    pub(super) async fn clock(&self, objects: &Objects) -> Result<(), String> {
        let theirs = objects.clock().await;
        let theirs = theirs.map_err(|error| format!("the API server's time: {error}"))?;
        let Some(theirs) = theirs else {
            return Ok(());
        };
        let ours = SystemTime::now();
        let apart = ours
            .duration_since(theirs)
            .unwrap_or_else(|error| error.duration());
        if apart <= CLOCK {
            return Ok(());
        }
        let (ours, theirs) = (date(ours), date(theirs));
        Err(format!(
            "the clock says {ours} and the API server's {theirs}: the trust anchor is not \
             rotated with a clock that is wrong"
        ))
    }
}

/// Tells of a step that was taken.
pub(super) fn tell(notices: &Notices, anchors: &Anchors, turn: &Turn, rules: &Rules) {
    let name = &rules.names.anchor;
    let text = match turn {
        Turn::Start(reason) => {
            format!("began to rotate the trust anchor, because {reason}: {name}")
        }
        Turn::Enter(phase) => {
            let now = match phase {
                Phase::Distributing => "both anchors are published",
                Phase::Switched => "the new anchor signs, and the old one for who trusts no other",
                Phase::Retiring => "the old anchor leaves",
                Phase::Aborting => "the old anchor stays, and the new one leaves",
            };
            format!("the rotation of the trust anchor is {phase}: {now}: {name}")
        }
        Turn::Begin(phase) => {
            info!("the rotation of the trust anchor is {phase} everywhere: {name}");
            return;
        }
        Turn::BeginAgain(phase) => {
            warn!(
                "the rotation of the trust anchor is {phase} anew, because another issuer was \
                 there: {name}"
            );
            return;
        }
        Turn::End(Phase::Aborting) => {
            format!("the rotation of the trust anchor was aborted: {name}")
        }
        Turn::End(_) => format!("the trust anchor was rotated: {name}"),
    };
    info!("{text}");
    let incoming = anchors.rotation.as_ref();
    let incoming = incoming.map(|rotation| rotation.incoming.clone());
    notices.tell(|| Notice::Rotation {
        waits: false,
        step: format!("{turn:?} {incoming:?} {}", date(SystemTime::now())),
        text,
    });
}

/// Tells that a rotation waits; as an Event if for people, once for each phase.
pub(super) fn tell_waits(notices: &Notices, rotation: Option<&Rotation>, waits: &Waits) {
    info!("the rotation of the trust anchor waits: {waits}");
    let Waits::People(waits) = waits else {
        return;
    };
    let step = rotation.map(|rotation| (rotation.phase, &rotation.incoming, rotation.since));
    notices.tell(|| Notice::Rotation {
        waits: true,
        step: format!("{step:?}"),
        text: format!("the rotation of the trust anchor waits: {waits}"),
    });
}
