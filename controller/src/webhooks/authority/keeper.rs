//! The leading replica's part: makes authorities and writes the Secret.

use super::{
    NAME,
    certificates::Lifetimes,
    record::{self, Authorities, Authority, Due},
};
use crate::{lease::Leadership, webhooks::registrations::Published};
use anyhow::{Context as _, bail};
use ferrule_identity::IdentityScope;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// How often the Secret is read though nobody says that it changed.
const LOOK: Duration = Duration::from_secs(600);

/// Keeps the Secret while this replica leads.
pub(super) struct Keeper {
    pub(super) secrets: Api<Secret>,
    pub(super) scope: IdentityScope,
    pub(super) lifetimes: Lifetimes,
    pub(super) leadership: Leadership,
    pub(super) call_timeout: Duration,
    /// What the Secret holds, or held when it was good.
    pub(super) known: watch::Receiver<Option<Arc<Authorities>>>,
    /// What is to be in the webhook configurations.
    pub(super) bundle: watch::Sender<Option<String>>,
    /// What is in all of them.
    pub(super) published: watch::Receiver<Option<Published>>,
}

impl Keeper {
    pub(super) async fn run(mut self) {
        let mut leadership = self.leadership.clone();
        loop {
            leadership.term(self.keep()).await;
        }
    }

    async fn keep(&mut self) {
        let mut complained = false;
        loop {
            self.known.mark_unchanged();
            self.published.mark_unchanged();
            let wait = match self.step().await {
                Ok(wait) => {
                    complained = false;
                    wait
                }
                Err(error) => {
                    if !std::mem::replace(&mut complained, true) {
                        tracing::warn!("the webhooks' authority cannot be kept: {error:#}");
                    }
                    PAUSE
                }
            };
            tokio::select! {
                // Whoever sends is here until the end.
                _ = self.known.changed() => {}
                _ = self.published.changed() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Does what is due; how long nothing is due then.
    async fn step(&self) -> anyhow::Result<Duration> {
        let secret = timeout(self.call_timeout, self.secrets.get_opt(NAME));
        let secret = secret.await.context("the API server does not answer")??;
        let now = SystemTime::now();
        let known = self.known.borrow().clone();
        let version = secret.as_ref().and_then(ResourceExt::resource_version);
        let problem = match &secret {
            None => None,
            Some(secret) => match Authorities::read(secret, &self.scope, now) {
                Ok(authorities) => return self.advance(authorities, version, now).await,
                Err(error) => Some(error),
            },
        };
        if let Some(error) = problem {
            tracing::warn!("Secret {NAME} is not good, and written anew: {error:#}");
        }
        // Whatever was done to it by hand, what replicas sign with is as good as before.
        let authorities = match known {
            Some(known) if known.current.issuer.certificate().not_after() > now => (*known).clone(),
            known => Authorities::first(known.as_deref(), &self.scope, &self.lifetimes, now)?,
        };
        self.write(&authorities, version).await
    }

    /// Does what is due with authorities that are good.
    async fn advance(
        &self,
        authorities: Authorities,
        version: Option<String>,
        now: SystemTime,
    ) -> anyhow::Result<Duration> {
        self.bundle.send_if_modified(|bundle| {
            let is_new = bundle.as_deref() != Some(&*authorities.bundle());
            *bundle = Some(authorities.bundle());
            is_new
        });
        let lifetimes = &self.lifetimes;
        let changed = match authorities.due(now) {
            Due::Nothing(then) => {
                let wait = then.duration_since(now).unwrap_or_default();
                return Ok(wait.min(LOOK));
            }
            Due::MakeNext => {
                tracing::info!("making the next authority of the webhooks");
                authorities.with_next(Authority::make(&self.scope, lifetimes, now)?)
            }
            Due::Promote => {
                let since = self.published_since(&authorities.bundle());
                let age = since.map(|since| since.elapsed());
                match age {
                    Some(age) if age >= lifetimes.settle() => {}
                    Some(age) => return Ok(lifetimes.settle().saturating_sub(age)),
                    None => return Ok(LOOK),
                }
                tracing::info!("the next authority of the webhooks signs from now on");
                authorities.promoted(lifetimes, now)
            }
            Due::DropPrevious => {
                tracing::info!("the previous authority of the webhooks is trusted no more");
                authorities.without_previous()
            }
        };
        self.write(&changed, version).await
    }

    /// Since when this is in all webhook configurations.
    fn published_since(&self, bundle: &str) -> Option<Instant> {
        let published = self.published.borrow();
        let published = published.as_ref();
        published
            .filter(|published| published.bundle == bundle)
            .map(|published| published.since)
    }

    /// Writes the Secret, if it still is of that version.
    async fn write(
        &self,
        authorities: &Authorities,
        version: Option<String>,
    ) -> anyhow::Result<Duration> {
        if !self.leadership.is_leader() {
            bail!("another replica leads");
        }
        let secret = authorities.secret(self.scope.control_plane_namespace());
        let written = async {
            match version {
                None => self.secrets.create(&PostParams::default(), &secret).await,
                Some(version) => {
                    // What others wrote beside it stays.
                    let patch = record::change(&secret, &version);
                    let params = PatchParams::default();
                    self.secrets
                        .patch(NAME, &params, &Patch::Merge(&patch))
                        .await
                }
            }
        };
        let written = timeout(self.call_timeout, written).await;
        written.context("the API server does not answer")??;
        // The next look finds what is due then.
        Ok(Duration::ZERO)
    }
}
