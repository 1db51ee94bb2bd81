//! An issuer and trust anchors that are kept in the cluster.
//!
//! ```text
//! Secret ferrule-trust-anchor              current.crt, current.key   read by the writer only
//! ConfigMap linkerd-identity-trust-roots   ca-bundle.crt              what everybody trusts
//! Secret linkerd-identity-issuer           crt.pem, key.pem           what signs
//! ```
//!
//! Every replica follows the last two, by a watch and by reading them every 10 s. One
//! of them, the [`Leader`], makes what is missing in that order and renews the issuer
//! with a third of its life left. Each step is one write of one object that names the
//! version that was read, and the next step follows from what is there: whoever is
//! killed between two leaves a state that the next one goes on from.
//!
//! The same replica replaces the trust anchor when a third of its life is left, or when
//! somebody asks ([`rotation`]).
//!
//! Only what has the label [`MANAGED_BY`] is ever written. An issuer or a bundle that
//! somebody else keeps (cert-manager, trust-manager) is followed just so.

mod bundle;
mod objects;
mod plan;
mod rotation;
mod status;
mod turns;

pub use self::{
    bundle::Bundle,
    objects::{
        ANCHOR_SECRET, ISSUER_NOT_AFTER, ISSUER_SECRET, ISSUER_SHA256, MANAGED_BY, ROTATE_ISSUER,
        TRUST_ROOTS, TRUST_ROOTS_KEY,
    },
    rotation::{
        ABORT_ROTATION, Phase, ROTATE_ANCHOR, ROTATION, ROTATION_OVERRIDE, ROTATION_PAUSED,
        ROTATION_WAITS, Rotation, Waits, WaitsFor,
    },
    status::{Laggards as RotationLaggards, ManagedStatus, RotationStatus},
};

use self::{
    objects::{Found, Objects},
    plan::{Known, Names, Plan, Rules, Why},
    rotation::Laggards,
    turns::Turns,
};
use crate::{
    CertificateAuthority, FilesStatus, GuardStatus, IdentityScope, IssuerGuard, IssuerScheme,
    Lifetimes, Validity, certificate::date, follow::Follower,
};
use arc_swap::ArcSwapOption;
use futures::StreamExt as _;
use kube::Client;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the objects are looked at where no change is told (ruling 12).
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
/// How soon something is tried again, at the soonest.
const BREATH: Duration = Duration::from_millis(100);
/// Everything is made in three steps; more are somebody else's writes.
const MOST_STEPS: usize = 10;

/// Who of several replicas writes.
pub trait Leader: Send + Sync {
    /// Whether this one may write now.
    fn is_leader(&self) -> bool;

    /// Ends when that has changed. May be cancelled.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// How the trust anchor is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// Whether a rotation begins when a third of the anchor's life is left, or only when
    /// somebody asks.
    pub automatic: bool,
    /// For how long a replica that cannot read its issuer gives certificates their whole
    /// lifetime. A rotation waits as much longer.
    pub unconfirmed: Duration,
}

impl Default for RotationPolicy {
    /// A day: tokens are not renewed without the API server, and last about as long.
    fn default() -> Self {
        Self {
            automatic: true,
            unconfirmed: Duration::from_secs(24 * 3600),
        }
    }
}

/// Follows an issuer in the cluster, and keeps it if it is to be kept here.
pub struct ManagedIssuer {
    objects: Objects,
    rules: Rules,
    follower: Follower,
    guarded: Arc<GuardStatus>,
    status: Arc<ManagedStatus>,
    turns: Turns,
    /// How often the objects are looked at where no change is told.
    look: Duration,
}

impl ManagedIssuer {
    /// For identities of `scope`, in the control plane's namespace; `scheme` says how
    /// the issuer's Secret calls its parts. A write takes `write_timeout` at most.
    pub fn new(
        client: &Client,
        scope: &IdentityScope,
        scheme: IssuerScheme,
        lifetimes: Lifetimes,
        rotation: RotationPolicy,
        validity: &Validity,
        write_timeout: Duration,
    ) -> Self {
        let namespace = scope.control_plane_namespace();
        let status = Arc::<ManagedStatus>::default();
        let unreadable = status.unreadable.clone();
        let objects = Objects::new(client, namespace, scheme, write_timeout, unreadable);
        let names = Names {
            anchor: objects.name("Secret", ANCHOR_SECRET),
            issuer: objects.name("Secret", ISSUER_SECRET),
            bundle: objects.name("ConfigMap", TRUST_ROOTS),
        };
        let guard = IssuerGuard::new(client, namespace, validity);
        Self {
            objects,
            guarded: guard.status(),
            rules: Rules {
                scope: scope.clone(),
                lifetimes,
                rotates: rotation.automatic,
                // Clocks may differ by the skew: of who signed, and of who waits.
                leaves_last: rotation.unconfirmed + validity.lifetime() + validity.clock_skew() * 2,
                names,
            },
            follower: Follower::new(scope.clone()).guarded(guard),
            turns: Turns::new(client, namespace),
            // What was heard must not be too old to be gone by.
            look: LOOK_ANYWAY.min(rotation.unconfirmed / 3).max(BREATH),
            status,
        }
    }

    /// What became of changes of the objects, for metrics.
    pub fn followed(&self) -> Arc<FilesStatus> {
        self.follower.status()
    }

    /// What waits and who is cut off, where somebody else keeps the objects.
    pub fn guarded(&self) -> Arc<GuardStatus> {
        self.guarded.clone()
    }

    /// How keeping them goes, for metrics.
    pub fn status(&self) -> Arc<ManagedStatus> {
        self.status.clone()
    }

    /// Follows the objects until `shutdown` and gives the authority what they hold;
    /// while this replica leads, keeps them, too.
    pub async fn run(
        mut self,
        authority: Arc<CertificateAuthority>,
        mut leader: impl Leader,
        shutdown: CancellationToken,
    ) {
        let mut changes = self.objects.changes();
        let followed = async {
            loop {
                let mut pause = self.look;
                if leader.is_leader() {
                    let due = self.keep(&leader, &authority).await;
                    let left = due.and_then(|due| due.duration_since(SystemTime::now()).ok());
                    pause = left.unwrap_or(pause).clamp(BREATH, self.look);
                } else {
                    // Whoever leads says it now.
                    self.status.stuck.store(None);
                    self.status.set_rotation(RotationStatus::default());
                }
                let asked = SystemTime::now();
                if self.follower.look(&self.objects, &authority).await {
                    authority.confirm(asked);
                }
                tokio::select! {
                    Some(()) = changes.next() => {}
                    () = sleep(pause) => {}
                    () = leader.changed() => {}
                }
            }
        };
        shutdown.run_until_cancelled(followed).await;
    }

    /// Takes steps until there is nothing to do; when there will be.
    async fn keep(
        &mut self,
        leader: &impl Leader,
        authority: &CertificateAuthority,
    ) -> Option<SystemTime> {
        for _ in 0..MOST_STEPS {
            if !leader.is_leader() {
                return None;
            }
            match self.step(leader, authority).await {
                Ok(Some(due)) => {
                    if self.status.stuck.swap(None).is_some() {
                        info!("the identity issuer is kept again");
                    }
                    return Some(due);
                }
                Ok(None) => {}
                Err(reason) => {
                    let text = format!("the identity issuer cannot be kept: {reason}");
                    note(&self.status.stuck, text.clone());
                    if let Stuck::People(reason) = reason {
                        self.turns.tell_stuck(authority.notices(), &reason, text);
                    }
                    return None;
                }
            }
        }
        None
    }

    /// One step; when the next is due, if there is none to take now.
    async fn step(
        &mut self,
        leader: &impl Leader,
        authority: &CertificateAuthority,
    ) -> Result<Option<SystemTime>, Stuck> {
        let now = SystemTime::now();
        let found = self.objects.find().await?;
        let mut known = Known::NOTHING;
        let mut plan = self.rules.plan(&found.state, known, now);
        let held_up;
        if matches!(plan, Plan::Count) {
            held_up = self.turns.held_up(found.state.anchors.as_ref()).await;
            known.laggards = held_up.as_ref().map_or(Laggards::Gone, Laggards::Some);
            plan = self.rules.plan(&found.state, known, now);
        }
        let wrong;
        if matches!(plan, Plan::Rotate(..)) {
            wrong = self.turns.clock(&self.objects).await?;
            // Issuers are renewed all the same.
            if wrong.is_some() {
                known.refused = wrong.as_ref();
                plan = self.rules.plan(&found.state, known, now);
            }
        }
        // Reading may have taken long.
        if !leader.is_leader() {
            return Ok(Some(now + LOOK_ANYWAY));
        }
        match plan {
            Plan::Done(due, waits) => {
                self.status.set_kept(true);
                self.say(&found, waits, authority).await;
                return Ok(Some(due));
            }
            Plan::Stuck(reason, waits) => {
                self.say(&found, waits, authority).await;
                return Err(Stuck::People(reason));
            }
            Plan::Count => unreachable!("they were counted"),
            Plan::Rotate(anchors, turn) => {
                self.objects.write_anchors(&found, &anchors).await?;
                turns::tell(authority.notices(), &anchors, &turn, &self.rules);
            }
            Plan::NotOurs => {
                self.status.set_kept(false);
                self.status.set_rotation(RotationStatus::default());
                return Ok(Some(now + LOOK_ANYWAY));
            }
            Plan::MakeAnchor => {
                let made = self.rules.make_anchor(now);
                let (certificate, key) = made.map_err(|error| Stuck::Else(error.to_string()))?;
                self.objects.create_anchor(&certificate, &key).await?;
                info!("made a trust anchor: {}", self.rules.names.anchor);
            }
            Plan::Publish(pem) => {
                self.objects.publish(&found, &pem).await?;
                info!("published the trust anchors: {}", self.rules.names.bundle);
            }
            Plan::MakeIssuer(successor, why) => {
                let made = self.rules.make_issuer(&successor, now);
                let made = made.map_err(Stuck::Else)?;
                self.objects.write_issuer(&found, &made).await?;
                self.status.made_one();
                let until = date(made.not_after);
                let name = &self.rules.names.issuer;
                match why {
                    Why::Missing => info!("made an issuer until {until}: {name}"),
                    Why::Due => info!("renewed the issuer until {until}: {name}"),
                    Why::Asked => info!("made another issuer, as asked, until {until}: {name}"),
                    Why::Rotation(phase) => info!(
                        %phase,
                        "made another issuer, as the rotation of the trust anchor asks, until \
                         {until}: {name}"
                    ),
                    Why::Unusable(reason) => {
                        warn!(
                            "replaced an issuer that cannot be used, until {until}: {name}: {reason}"
                        );
                    }
                }
            }
        }
        Ok(None)
    }

    /// Says what a rotation waits for, or why none begins: to people in the Secret, and as
    /// an Event, again and again as long as it does.
    async fn say(&mut self, found: &Found, waits: Option<Waits>, authority: &CertificateAuthority) {
        let Some(anchors) = &found.state.anchors else {
            self.status.set_rotation(RotationStatus::default());
            return;
        };
        let rotation = anchors.rotation.clone();
        if let Some(waits) = &waits {
            let is_for_others = matches!(
                waits.on,
                WaitsFor::Leaves | WaitsFor::Paused | WaitsFor::PausedAtEnd
            );
            if is_for_others {
                self.turns.count_anyway(anchors).await;
            }
            self.turns
                .tell_waits(authority.notices(), rotation.as_ref(), waits);
        }
        let text = waits.as_ref().map(Waits::to_string);
        self.status.set_rotation(RotationStatus {
            laggards: rotation
                .as_ref()
                .and_then(|rotation| self.turns.laggards(rotation)),
            rotation,
            waits,
        });
        if anchors.waits == text {
            return;
        }
        // It is for people only, and is written again when it changes.
        if let Err(error) = self.objects.write_waits(found, text.as_deref()).await {
            warn!("cannot say what the rotation of the trust anchor waits for: {error}");
        }
    }
}

/// Why there is no next step.
enum Stuck {
    /// Somebody has to do something first.
    People(Waits),
    /// Something that may pass by itself, such as an API server that does not answer.
    Else(String),
}

impl From<kube::Error> for Stuck {
    fn from(error: kube::Error) -> Self {
        Self::Else(error.to_string())
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::People(waits) => waits.fmt(f),
            Self::Else(text) => f.write_str(text),
        }
    }
}

/// Remembers what is wrong, and says it once.
fn note(last: &ArcSwapOption<String>, problem: String) {
    if last.load().as_deref() != Some(&problem) {
        warn!("{problem}");
        last.store(Some(Arc::new(problem)));
    }
}
