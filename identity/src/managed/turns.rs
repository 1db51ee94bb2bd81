//! The steps of a rotation: what has to be asked before, and told after.

use super::{
    objects::Objects,
    plan::{Anchors, Rules, Turn},
    rotation::{Phase, Rotation, Waits, WaitsFor},
    status::Laggards,
};
use crate::{Census, Notice, Notices, TrustAnchors, Trusts, Wanted, certificate::date, outside};
use kube::Client;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Pods are counted this often at the most; and so that the API server is not busy
/// with that for more than a thirtieth of its time.
const COUNT_EVERY: Duration = Duration::from_secs(10);
const SHARE: u32 = 30;
/// How old numbers may be that nothing depends on.
const COUNT_ANYWAY: Duration = Duration::from_secs(600);
/// A clock that is further from the API server's is wrong: certificates begin an hour,
/// or a tenth of their life, before they are made.
const CLOCK: Duration = Duration::from_secs(300);
/// Clusters keep Events for an hour or so: what lasts is told again after these.
const AGAIN: Duration = Duration::from_secs(3 * 3600);

/// What is known of the pods that hold a rotation up.
pub(super) struct Turns {
    client: Client,
    control_plane: String,
    last: Option<Count>,
    /// What was told last of waiting, and of being stuck.
    told: [String; 2],
}

struct Count {
    /// What they were counted for.
    rotation: Rotation,
    census: Arc<Census>,
    /// Proxies outside Kubernetes that are not under the anchor that comes.
    outside: Vec<String>,
    taken: Instant,
    again: Instant,
}

impl Count {
    fn behind(&self) -> usize {
        self.census.behind() + self.outside.len()
    }

    /// Who they are, if there are any.
    fn told(&self) -> Option<Waits> {
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
        let on = match pods {
            Some(_) => WaitsFor::Pods,
            None => WaitsFor::Machines,
        };
        let all: Vec<_> = pods.into_iter().chain(outside).collect();
        (!all.is_empty()).then(|| Waits::new(on, all.join("; ")))
    }
}

impl Turns {
    pub(super) fn new(client: &Client, control_plane: &str) -> Self {
        Self {
            client: client.clone(),
            control_plane: control_plane.to_owned(),
            last: None,
            told: Default::default(),
        }
    }

    /// Who does not trust the anchor that comes, or why nobody can tell. That there is
    /// nobody is never remembered: it was found out just now.
    pub(super) async fn held_up(&mut self, anchors: Option<&Anchors>) -> Option<Waits> {
        let Some((rotation, incoming)) = anchors.and_then(Anchors::incoming) else {
            let text = "the anchor that comes cannot be read";
            return Some(Waits::new(WaitsFor::Anchor, text));
        };
        let known = self.last.as_ref().filter(|last| {
            last.rotation == *rotation && Instant::now() < last.again && last.behind() > 0
        });
        if known.is_none() {
            match self.count(rotation, &incoming).await {
                Ok(count) => self.last = Some(count),
                Err(problem) => return Some(Waits::new(WaitsFor::Count, problem)),
            }
        }
        self.last.as_ref().and_then(Count::told)
    }

    /// Counts them where the rotation waits for something else, for people who want to
    /// see them become less.
    pub(super) async fn count_anyway(&mut self, anchors: &Anchors) {
        let Some((rotation, incoming)) = anchors.incoming() else {
            return;
        };
        let is_known = self.last.as_ref().is_some_and(|last| {
            let age = last.taken.elapsed();
            last.rotation.phase == rotation.phase && age < COUNT_ANYWAY
        });
        // Before that nobody can trust it.
        if is_known || rotation.since.is_none() {
            return;
        }
        match self.count(rotation, &incoming).await {
            Ok(count) => self.last = Some(count),
            Err(problem) => debug!("who does not trust the new anchor: {problem}"),
        }
    }

    async fn count(&self, rotation: &Rotation, incoming: &TrustAnchors) -> Result<Count, String> {
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
        Ok(Count {
            rotation: rotation.clone(),
            census: Arc::new(census),
            outside,
            taken: Instant::now(),
            again: Instant::now() + COUNT_EVERY.max(begun.elapsed() * SHARE),
        })
    }

    /// Who did not trust the anchor that comes, when they were counted last.
    pub(super) fn laggards(&self, rotation: &Rotation) -> Option<Laggards> {
        let last = self.last.as_ref();
        let last = last.filter(|last| last.rotation.incoming == rotation.incoming)?;
        Some(Laggards {
            census: last.census.clone(),
            outside: last.outside.len(),
        })
    }

    /// What is wrong with the clock, if it is not good enough to go by.
    pub(super) async fn clock(&self, objects: &Objects) -> kube::Result<Option<Waits>> {
        let theirs = objects.clock().await?;
        Ok(theirs.and_then(|theirs| apart(SystemTime::now(), theirs)))
    }

    /// Tells that a rotation waits: as an Event if somebody has to do something, once for
    /// each reason in each phase, and again as long as it lasts.
    pub(super) fn tell_waits(
        &mut self,
        notices: &Notices,
        rotation: Option<&Rotation>,
        waits: &Waits,
    ) {
        let at = rotation.map(|rotation| (rotation.phase, &rotation.incoming, rotation.since));
        let Some(step) = news(
            &mut self.told[0],
            &format!("{at:?} {:?}", waits.on),
            SystemTime::now(),
        ) else {
            return;
        };
        let text = match rotation {
            Some(_) => format!("the rotation of the trust anchor waits: {waits}"),
            None => format!("no rotation of the trust anchor begins: {waits}"),
        };
        info!("{text}");
        if waits.on != WaitsFor::Leaves {
            notices.tell(|| Notice::Rotation {
                waits: true,
                step,
                text,
            });
        }
    }

    /// Tells that the issuer cannot be kept before somebody does something, likewise.
    pub(super) fn tell_stuck(&mut self, notices: &Notices, reason: &Waits, text: String) {
        if let Some(reason) = news(&mut self.told[1], reason.on.as_str(), SystemTime::now()) {
            notices.tell(|| Notice::UpkeepStuck { text, reason });
        }
    }
}

/// The name of what is to be told, if it is not what was told last. It is the same for
/// all who tell of it at about the same time.
fn news(told: &mut String, what: &str, now: SystemTime) -> Option<String> {
    let since = now.duration_since(UNIX_EPOCH);
    let turn = since.unwrap_or_default().as_secs() / AGAIN.as_secs();
    let step = format!("{what} {turn}");
    (*told != step).then(|| told.clone_from(&step))?;
    Some(step)
}

/// That two clocks are too far from each other.
fn apart(ours: SystemTime, theirs: SystemTime) -> Option<Waits> {
    let apart = ours
        .duration_since(theirs)
        .unwrap_or_else(|error| error.duration());
    if apart <= CLOCK {
        return None;
    }
    let (ours, theirs) = (date(ours), date(theirs));
    Some(Waits::new(
        WaitsFor::Clock,
        format!(
            "the clock says {ours} and the API server's {theirs}: the trust anchor is not \
             rotated with a clock that is wrong"
        ),
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_that_is_more_than_five_minutes_from_the_api_servers_either_way() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (seconds, is_wrong) in [(0, false), (300, false), (301, true), (86_400, true)] {
            let other = now + Duration::from_secs(seconds);
            for waits in [apart(now, other), apart(other, now)] {
                assert_eq!(waits.is_some(), is_wrong, "{seconds} s");
                assert!(waits.is_none_or(|waits| waits.on == WaitsFor::Clock));
            }
        }
    }

    #[test]
    fn what_lasts_is_told_every_three_hours_and_another_reason_at_once() {
        let noon = UNIX_EPOCH + Duration::from_secs(1_800_057_600);
        let at = |minutes: u64| noon + Duration::from_secs(minutes * 60);
        let mut told = String::new();
        let first = news(&mut told, "None Clock", at(0)).unwrap();
        assert_eq!(news(&mut told, "None Clock", at(1)), None);
        assert_eq!(news(&mut told, "None Clock", at(179)), None);
        // Who takes over tells the same by the same name.
        let mut of_another = String::new();
        let theirs = news(&mut of_another, "None Clock", at(179)).unwrap();
        assert_eq!(theirs, first);
        let again = news(&mut told, "None Clock", at(180)).unwrap();
        assert_ne!(again, first);
        let other = news(&mut told, "None Key", at(181)).unwrap();
        assert_ne!(other, again);
    }
}
