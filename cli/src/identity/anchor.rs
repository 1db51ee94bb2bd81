//! `ferrule identity rotate trust-anchor`.

use crate::{
    Error,
    api_addr::ServerFlags,
    cluster::{ClusterFlags, ControlPlane, failed},
    output,
    progress::awaited,
    read::{Read, unread},
};
use clap::Args;
use ferrule_identity::{
    ABORT_ROTATION, ANCHOR_SECRET, Census, MANAGED_BY, Phase, ROTATE_ANCHOR, ROTATION,
    ROTATION_OVERRIDE, ROTATION_PAUSED, ROTATION_WAITS, Rotation, Trusts, Wanted,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(super) const EXAMPLES: &str = "\
The new anchor is published beside the old one and signs as soon as every workload
trusts it; the old one leaves when nothing under it is valid any more, two days later
unless you have set other lifetimes. Nothing fails meanwhile, and workloads that were
not restarted only keep it waiting. It goes on without this command; what it waits for
is in `ferrule identity status`.

Examples:
  ferrule identity rotate trust-anchor --dry-run
  ferrule identity rotate trust-anchor --watch
  ferrule identity rotate trust-anchor --pause
  ferrule identity rotate trust-anchor --abort";

/// A replica takes over from one that is gone in 30 s.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct RotateAnchor {
    /// Only say what would happen
    #[arg(long, group = "what")]
    dry_run: bool,

    /// Stay where it is, or do not begin, until it is resumed
    #[arg(long, group = "what")]
    pause: bool,

    /// Go on after a pause
    #[arg(long, group = "what")]
    resume: bool,

    /// Take the way back to the old anchor, which is open until that has left
    #[arg(long, group = "what")]
    abort: bool,

    /// Do not wait for workloads that do not trust the new anchor. While the old one signs,
    /// too, they go on; at the end they are cut off
    #[arg(long = "override", group = "what")]
    without_laggards: bool,

    /// Show how it goes on until it is over
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    server: ServerFlags,

    #[command(flatten)]
    control_plane: ControlPlane,

    #[command(flatten)]
    cluster: ClusterFlags,
}

/// The Secret without what is in it: nobody who asks needs to see the keys.
type Meta = PartialObjectMeta<Secret>;

/// What the Secret says of a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    rotation: Option<Rotation>,
    waits: Option<String>,
    is_paused: bool,
}

impl Told {
    fn read(secret: &Meta) -> Self {
        let said = secret.annotations();
        let rotation = said.get(ROTATION);
        Self {
            rotation: rotation.and_then(|text| serde_json::from_str(text).ok()),
            waits: said.get(ROTATION_WAITS).cloned(),
            is_paused: said.contains_key(ROTATION_PAUSED),
        }
    }

    /// What there is to be known in one line; nothing if nothing is under way.
    pub(super) fn line(&self) -> Option<String> {
        let waits = self.waits.iter().map(|waits| format!("waits: {waits}"));
        let paused = (self.is_paused && self.waits.is_none()).then(|| "paused".to_owned());
        let rest = waits.chain(paused).collect::<Vec<_>>().join("; ");
        let Some(rotation) = &self.rotation else {
            return (!rest.is_empty()).then_some(rest);
        };
        let Rotation {
            phase,
            incoming,
            outgoing,
            started,
            ..
        } = rotation;
        let [incoming, outgoing] = [incoming, outgoing]
            .map(|sha256| sha256.chars().take(super::FINGERPRINT).collect::<String>());
        let line = format!("{phase}, {incoming} follows {outgoing} since {started}");
        Some(if rest.is_empty() {
            line
        } else {
            format!("{line}; {rest}")
        })
    }

    /// Why it does not go on by itself, or none begins. What waits for a time that is to come
    /// does: leaves of the old issuer are to expire.
    pub(crate) fn held_up(&self, now: Timestamp) -> Option<String> {
        let is_to_come = |waits: &String| {
            let last = waits.split_whitespace().next_back();
            last.and_then(|last| last.parse::<Timestamp>().ok())
                .is_some_and(|until| until > now)
        };
        let waits = self.waits.as_ref().is_some_and(|waits| !is_to_come(waits));
        (waits || self.is_paused).then(|| self.line())?
    }

    pub(super) fn json(&self) -> Value {
        json!({"rotation": self.rotation, "waitsFor": self.waits, "paused": self.is_paused})
    }
}

/// What the Secret says, if there is one.
///
/// # Errors
/// If it may not be read.
pub(crate) async fn rotation(client: &Client, namespace: &str) -> Read<Option<Told>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_metadata_opt(ANCHOR_SECRET).await;
    let secret = secret.map_err(unread("get", "secrets"))?;
    Ok(secret.as_ref().map(Told::read))
}

impl RotateAnchor {
    pub(super) async fn run(self) -> Result<(), Error> {
        let client = self.cluster.api_server().await?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.control_plane.namespace);
        let told = Told::read(&self.managed(&secrets).await?);
        if self.dry_run {
            return self.would(&client, &told).await;
        }
        let phase = told.rotation.as_ref().map(|rotation| rotation.phase);
        let now = Timestamp::now().to_string();
        let nothing = || self.refused("no rotation is under way");
        let annotation = if self.pause {
            json!({ROTATION_PAUSED: now})
        } else if self.resume {
            json!({ROTATION_PAUSED: null})
        } else if self.abort {
            match phase {
                None => return Err(nothing()),
                Some(Phase::Distributing | Phase::Switched) => json!({ABORT_ROTATION: now}),
                Some(phase) => {
                    let reason = format!("it is {phase}, from which there is no way back");
                    return Err(self.refused(&reason));
                }
            }
        } else if self.without_laggards {
            json!({ROTATION_OVERRIDE: phase.ok_or_else(nothing)?.as_str()})
        } else if let (Some(line), true) = (told.line(), told.rotation.is_some()) {
            // It is asked for again, or looked at.
            output::print(&format!("under way already: {line}"))?;
            return self.follow(&secrets, told).await;
        } else {
            json!({ROTATE_ANCHOR: now})
        };
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotation}}));
        let params = PatchParams::default();
        let written = secrets.patch_metadata(ANCHOR_SECRET, &params, &patch).await;
        let written = written.map_err(failed(format!("write {}", self.secret())))?;
        if self.pause || self.resume {
            let done = if self.pause { "paused" } else { "resumed" };
            output::print(done)?;
            return self.follow(&secrets, Told::read(&written)).await;
        }
        let taken = self.answered(&secrets, told);
        let told = awaited("waiting for a replica to take it up", taken).await?;
        output::print(&told.line().unwrap_or_else(|| "it is over".to_owned()))?;
        self.follow(&secrets, told).await
    }

    fn secret(&self) -> String {
        format!("Secret {}/{ANCHOR_SECRET}", self.control_plane.namespace)
    }

    fn refused(&self, reason: &str) -> Error {
        Error::Rotation {
            secret: self.secret(),
            reason: reason.to_owned(),
        }
    }

    /// The Secret, if the anchor in it is kept by Ferrule.
    async fn managed(&self, secrets: &Api<Secret>) -> Result<Meta, Error> {
        let read = failed(format!("read {}", self.secret()));
        let secret = secrets
            .get_metadata_opt(ANCHOR_SECRET)
            .await
            .map_err(read)?;
        let secret = secret.ok_or_else(|| {
            self.refused(
                "there is none, so the trust anchor is somebody else's: publish a bundle with \
                 both anchors, restart what `ferrule identity status` lists, then replace the \
                 issuer",
            )
        })?;
        match secret.labels().get(MANAGED_BY.0).map(String::as_str) {
            Some(keeper) if keeper == MANAGED_BY.1 => Ok(secret),
            _ => Err(self.refused(&format!(
                "it has no label {}={}",
                MANAGED_BY.0, MANAGED_BY.1
            ))),
        }
    }

    /// Says what would happen, and to whom.
    async fn would(&self, client: &Client, told: &Told) -> Result<(), Error> {
        if let (Some(line), true) = (told.line(), told.rotation.is_some()) {
            output::print(&format!("under way already: {line}"))?;
        }
        // Of an anchor that nobody has: everybody is to be restarted.
        let rotation = told.rotation.as_ref();
        let incoming = rotation.map(|rotation| rotation.incoming.clone());
        let wanted = Wanted {
            trusts: Trusts::Anchors(&[incoming.unwrap_or_default()]),
            published: rotation.and_then(|rotation| rotation.published),
            ending: true,
        };
        let census = Census::take(client, &self.control_plane.namespace, wanted);
        let census = awaited("listing pods", census).await;
        let census = census.map_err(failed("list pods"))?;
        let mut lines = vec![
            "1. a new anchor is made, and published beside the old one".to_owned(),
            match census.behind() {
                0 => "2. every workload trusts it: there is nobody to wait for".to_owned(),
                _ => format!("2. it waits until these are restarted: {census}"),
            },
            "3. the issuer is signed by both anchors, until no certificate is left that only the \
             old one vouches for"
                .to_owned(),
            "4. the old anchor leaves".to_owned(),
        ];
        if told.is_paused {
            lines.push("It is paused: nothing begins before it is resumed.".to_owned());
        }
        Ok(output::print(&lines.join("\n"))?)
    }

    /// Waits until somebody has taken what was asked for.
    async fn answered(&self, secrets: &Api<Secret>, before: Told) -> Result<Told, Error> {
        let read = || failed(format!("read {}", self.secret()));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let secret = secrets.get_metadata(ANCHOR_SECRET).await.map_err(read())?;
            let said = secret.annotations();
            let is_asked = [ROTATE_ANCHOR, ABORT_ROTATION, ROTATION_OVERRIDE]
                .iter()
                .any(|request| said.contains_key(*request));
            let told = Told::read(&secret);
            // What cannot be done now is asked for still.
            let is_refused = told.waits.is_some() && told != before && told.rotation.is_none();
            if !is_asked || is_refused {
                return Ok(told);
            }
            if Instant::now() > deadline {
                return Err(Error::NotRotated {
                    waited: PATIENCE,
                    namespace: self.control_plane.namespace.clone(),
                });
            }
            sleep(LOOK).await;
        }
    }

    /// Why the process at --api-addr cannot go on with it; nothing where nobody answers.
    async fn stuck(&self) -> Option<String> {
        let (report, _) = super::ask(&self.server).await.ok()?;
        report.stuck().map(ToOwned::to_owned)
    }

    /// Shows each change until it is over, if that is wanted.
    async fn follow(&self, secrets: &Api<Secret>, mut told: Told) -> Result<(), Error> {
        let read = || failed(format!("read {}", self.secret()));
        let mut stuck = None;
        while self.watch && told.rotation.is_some() {
            sleep(LOOK).await;
            let why = self.stuck().await;
            if why != stuck {
                stuck = why;
                stuck
                    .iter()
                    .for_each(|why| output::note(&format!("warning: {why}")));
            }
            let secret = secrets.get_metadata(ANCHOR_SECRET).await.map_err(read())?;
            let now = Told::read(&secret);
            if now != told {
                output::print(&now.line().unwrap_or_else(|| "it is over".to_owned()))?;
                told = now;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_held_up_by_people_and_not_by_time() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let laggards = "do not trust the new anchor: 2 pods of 1 workload: shop/deployment/web";
        let leaves = "leaves that only the old anchor vouches for are valid until ";
        let (future, past) = ("2026-11-23T12:00:00Z", "2026-11-20T12:00:00Z");
        for (waits, is_paused, told) in [
            (None, false, None),
            (None, true, Some("paused".to_owned())),
            (
                Some(laggards.to_owned()),
                false,
                Some(format!("waits: {laggards}")),
            ),
            (Some(format!("{leaves}{future}")), false, None),
            (
                Some(format!("{leaves}{past}")),
                false,
                Some(format!("waits: {leaves}{past}")),
            ),
            (
                Some("it is paused".to_owned()),
                true,
                Some("waits: it is paused".to_owned()),
            ),
        ] {
            let said = Told {
                rotation: None,
                waits,
                is_paused,
            };
            assert_eq!(said.held_up(now), told, "{said:?}");
        }
    }
}
