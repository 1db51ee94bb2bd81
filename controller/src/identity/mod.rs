//! The identity role: where its issuer comes from, and who vouches for clients.

mod events;

use self::events::Recorder;
use crate::{
    flags::{EventPolicy, OwnIdentity, ServeFlags, TokenChecks},
    lease::{Leadership, Leases},
};
use anyhow::{Context as _, bail};
use ferrule_identity::{
    Authenticator, CertificateAuthority, FilesStatus, GuardStatus, IdentityFiles, IdentityServer,
    IdentityService, IssuerGuard, KeyedReview, Leader, ManagedIssuer, ManagedStatus, Notices,
    Permission, StateDirectory, TokenReview,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// How long the API server may take to say whether tokens may be reviewed. It is
/// asked so that a missing permission is found at start; without an answer it is
/// found at the first Certify.
const PERMISSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Which of several replicas keeps the issuer (ruling 16).
const LEASE: &str = "ferrule-ca";

/// The certificate authority, and what others may know of it.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) authority: Arc<CertificateAuthority>,
    /// What proxies ask of it.
    pub(crate) api: IdentityServer,
    /// How following the issuer fares, in files or in the cluster; `None` where it is
    /// in the state directory.
    pub(crate) followed: Option<Arc<FilesStatus>>,
    /// What keeps an issuer from signing; `None` where there is no cluster.
    pub(crate) guarded: Option<Arc<GuardStatus>>,
    /// How keeping it fares; `None` where it is not in the cluster.
    pub(crate) managed: Option<Arc<ManagedStatus>>,
}

/// What has to run beside it.
pub(crate) struct Upkeep {
    issuer: IssuerUpkeep,
    keys: Option<KeyedReview>,
    recorder: Option<Recorder>,
}

/// What keeps the issuer good.
enum IssuerUpkeep {
    Files(Box<IdentityFiles>),
    Cluster(Box<ManagedIssuer>, CaLeader),
    State(StateDirectory),
}

impl Identity {
    /// Loads or makes the issuer; one in the cluster is waited for.
    ///
    /// # Errors
    /// The files are not good, or tokens may not be reviewed (ruling 13).
    pub(crate) async fn open(
        flags: &ServeFlags,
        client: Option<&kube::Client>,
        leases: Option<&mut Leases>,
    ) -> anyhow::Result<(Self, Upkeep)> {
        let scope = flags.mesh.scope();
        let validity = flags.identity.validity()?;
        let now = SystemTime::now();
        let (authenticator, state) = authenticator(flags, client).await?;
        let keys = match &authenticator {
            Authenticator::Keys(keys) => Some(keys.clone()),
            Authenticator::TokenReview(_) | Authenticator::Local(_) => None,
        };
        let (notices, recorder) = recorder(flags, client);
        let own = flags.identity.issuer(flags.is_embedded())?;
        let mut authority = CertificateAuthority::new(scope.clone(), validity, authenticator);
        if matches!(own, OwnIdentity::Cluster) {
            authority = authority.confirmed_for(flags.identity.rotation().unconfirmed);
        }
        let authority = Arc::new(authority.telling(notices));
        let mut identity = Self {
            api: IdentityService::server(authority.clone()),
            authority,
            followed: None,
            guarded: None,
            managed: None,
        };
        let issuer = match own {
            OwnIdentity::Files {
                anchors,
                issuer_dir,
            } => {
                let scheme = flags.identity.scheme();
                let mut files = IdentityFiles::new(anchors, issuer_dir, scheme, scope);
                if let Some(client) = client {
                    let control_plane = &flags.mesh.control_plane_namespace;
                    let guard = IssuerGuard::new(client, control_plane, &validity);
                    identity.guarded = Some(guard.status());
                    files = files.guarded(guard);
                }
                let credentials = files
                    .load(now)
                    .context("identity cannot start; without it: --roles destination,policy")?;
                identity.authority.install(credentials);
                identity.followed = Some(files.status());
                IssuerUpkeep::Files(Box::new(files))
            }
            OwnIdentity::Cluster => {
                let (client, leases) = client.zip(leases).context("there is no cluster")?;
                let issuer = ManagedIssuer::new(
                    client,
                    &scope,
                    flags.identity.scheme(),
                    flags.identity.lifetimes()?,
                    flags.identity.rotation(),
                    &validity,
                    leases.terms().call_timeout(),
                );
                identity.followed = Some(issuer.followed());
                identity.guarded = Some(issuer.guarded());
                identity.managed = Some(issuer.status());
                IssuerUpkeep::Cluster(Box::new(issuer), CaLeader(leases.lead(LEASE)))
            }
            OwnIdentity::State(path) => {
                let state = match state {
                    Some(state) => state,
                    None => StateDirectory::open(path)?,
                };
                identity.authority.install(state.credentials(&scope, now)?);
                IssuerUpkeep::State(state)
            }
        };
        let upkeep = Upkeep {
            issuer,
            keys,
            recorder,
        };
        Ok((identity, upkeep))
    }
}

impl Identity {
    /// What is wrong with where the issuer comes from. What is in force is as it was.
    pub(crate) fn notes(&self) -> Vec<String> {
        let managed = self.managed.as_ref();
        let notes = [
            managed.and_then(|managed| managed.stuck()),
            managed.and_then(|managed| managed.unreadable()),
            self.followed
                .as_ref()
                .and_then(|followed| followed.last_error()),
        ];
        let notes = notes.into_iter().flatten();
        let held = self.guarded.as_ref().and_then(|guarded| guarded.held());
        notes
            .map(|note| note.as_str().to_owned())
            .chain(held.map(|held| held.to_string()))
            .collect()
    }
}

/// What knows workloads by their tokens, and the state directory if it was opened for
/// that.
async fn authenticator(
    flags: &ServeFlags,
    client: Option<&kube::Client>,
) -> anyhow::Result<(Authenticator, Option<StateDirectory>)> {
    let Some(client) = client else {
        let state = StateDirectory::open(flags.identity.state.path()?)?;
        let tokens = state.token_issuer()?;
        return Ok((Authenticator::Local(tokens.verifier()), Some(state)));
    };
    let review = TokenReview::new(client.clone());
    may_review(&review).await?;
    let authenticator = match flags.identity.token_review {
        TokenChecks::Always => Authenticator::TokenReview(review),
        TokenChecks::Local => Authenticator::Keys(KeyedReview::new(client.clone(), review)),
    };
    Ok((authenticator, None))
}

/// What tells people in the cluster, if they want to be told.
fn recorder(flags: &ServeFlags, client: Option<&kube::Client>) -> (Notices, Option<Recorder>) {
    let policy = flags.identity.identity_event_policy;
    let Some(client) = client.filter(|_| policy != EventPolicy::None) else {
        return (Notices::default(), None);
    };
    let (notices, told) = Notices::channel(policy == EventPolicy::All);
    let namespace = &flags.mesh.control_plane_namespace;
    let recorder = Recorder::new(client.clone(), namespace, told);
    (notices, Some(recorder))
}

/// Whether this replica keeps the issuer.
struct CaLeader(Leadership);

impl Leader for CaLeader {
    fn is_leader(&self) -> bool {
        self.0.is_leader()
    }

    async fn changed(&mut self) {
        self.0.changed().await;
    }
}

impl Upkeep {
    /// Follows files, or renews what was made here, until `stop`.
    pub(crate) async fn run(self, identity: Identity, stop: CancellationToken) {
        let issuer = self.issuer.run(identity.authority, stop.clone());
        let keys = async {
            if let Some(keys) = self.keys {
                keys.run(stop.clone()).await;
            }
        };
        let recorder = async {
            if let Some(recorder) = self.recorder {
                recorder.run(stop.clone()).await;
            }
        };
        tokio::join!(issuer, keys, recorder);
    }
}

impl IssuerUpkeep {
    async fn run(self, authority: Arc<CertificateAuthority>, stop: CancellationToken) {
        match self {
            Self::Files(files) => files.run(authority, stop).await,
            Self::Cluster(issuer, leader) => issuer.run(authority, leader, stop).await,
            Self::State(state) => state.run(authority, stop).await,
        }
    }
}

async fn may_review(review: &TokenReview) -> anyhow::Result<()> {
    match tokio::time::timeout(PERMISSION_TIMEOUT, review.can_review()).await {
        Ok(Ok(Permission::Allowed)) => {}
        Ok(Ok(Permission::Denied { reason })) => bail!(
            "identity may not create tokenreviews.authentication.k8s.io, which tell whose a \
             token is: {reason}"
        ),
        Ok(Err(error)) => tracing::warn!("cannot tell whether tokens may be reviewed: {error}"),
        Err(_) => tracing::warn!(
            "the API server did not say within {PERMISSION_TIMEOUT:?} whether tokens may be \
             reviewed"
        ),
    }
    Ok(())
}
