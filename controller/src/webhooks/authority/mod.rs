//! Certificates for the webhooks that nobody has to look after.
//!
//! ```text
//!  the replica that leads                     every replica
//!  ──────────────────────                     ─────────────
//!  Keeper ──writes──> Secret ──watched──────> Follower: signs its own leaf,
//!    │  ▲             (authorities)                     in memory, and serves it
//!    ▼  │ "published"
//!  Registrar ──> caBundle of the webhook configurations
//! ```
//!
//! An authority and its key are in a Secret; each replica signs a leaf for itself and
//! renews it. An authority is replaced after two thirds of its life, in steps that
//! never leave an API server with a bundle by which it cannot verify what it is shown:
//!
//! 1. the next authority is made, and is in the bundle from then on;
//! 2. when the bundle has been in all configurations for a while, replicas sign with it;
//! 3. when all leaves under the last one have expired, that leaves the bundle.
//!
//! Which step is due follows from the Secret and the clock (`Authorities::due`), so any
//! replica can go on with it.

mod certificates;
mod follower;
mod keeper;
mod record;

pub(crate) use self::certificates::Lifetimes;

pub(super) use self::record::Authorities;

use self::{follower::Follower, keeper::Keeper};
use super::{
    ServingCertificate,
    registrations::{Acceptance, Registrar},
};
use crate::lease::Leadership;
use ferrule_identity::IdentityScope;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rustls::pki_types::ServerName;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Secret and Lease are called so.
pub(crate) const NAME: &str = "ferrule-webhook-ca";

/// What makes and renews the certificate of the webhooks.
pub(crate) struct WebhookAuthority {
    pub(crate) client: Client,
    pub(crate) scope: IdentityScope,
    /// What the API server dials.
    pub(crate) names: Vec<ServerName<'static>>,
    pub(crate) lifetimes: Lifetimes,
    /// Whether this replica writes.
    pub(crate) leadership: Leadership,
    /// The most that a request may take.
    pub(crate) call_timeout: Duration,
}

/// How the authority fares.
#[derive(Debug, Default)]
pub(crate) struct AuthorityStatus {
    /// Seconds since 1970; 0 for none.
    not_after: AtomicU64,
    accepted: AtomicBool,
}

impl AuthorityStatus {
    /// When the authority that signs ends; `None` before there is one.
    pub(crate) fn not_after(&self) -> Option<SystemTime> {
        let seconds = self.not_after.load(Relaxed);
        (seconds > 0).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// Whether API servers have ever been told to verify by it, wherever they call us:
    /// before that, to be called is to fail.
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted.load(Relaxed)
    }

    pub(super) fn accept(&self) {
        self.accepted.store(true, Relaxed);
    }

    fn set(&self, not_after: SystemTime) {
        let since = not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.not_after.store(since.as_secs(), Relaxed);
    }
}

impl WebhookAuthority {
    /// Serves good certificates through `serving` until `stop`; while this replica
    /// leads, also keeps the Secret and the webhook configurations.
    pub(crate) async fn run(
        self,
        serving: Arc<ServingCertificate>,
        status: Arc<AuthorityStatus>,
        stop: CancellationToken,
    ) {
        let namespace = self.scope.control_plane_namespace().to_owned();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let known = watch::Sender::new(None::<Arc<Authorities>>);
        let bundle = watch::Sender::new(None);
        let published = watch::Sender::new(None);
        let keeper = Keeper {
            secrets: secrets.clone(),
            scope: self.scope.clone(),
            lifetimes: self.lifetimes,
            leadership: self.leadership.clone(),
            call_timeout: self.call_timeout,
            known: known.subscribe(),
            bundle: bundle.clone(),
            published: published.subscribe(),
        };
        let registrar = Registrar {
            client: self.client,
            namespace,
            leadership: self.leadership,
            call_timeout: self.call_timeout,
            bundle: bundle.subscribe(),
            published,
            acceptance: Some(Acceptance {
                known: known.subscribe(),
                status: status.clone(),
            }),
        };
        let follower = Follower {
            secrets,
            scope: self.scope,
            names: self.names,
            lifetimes: self.lifetimes,
            known,
            serving,
            status,
        };
        let mut parts = JoinSet::new();
        parts.spawn(follower.run());
        parts.spawn(keeper.run());
        parts.spawn(registrar.run());
        // None of them ends, but for a panic.
        let ended = async {
            if let Some(Err(error)) = parts.join_next().await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        };
        stop.run_until_cancelled(ended).await;
    }
}
