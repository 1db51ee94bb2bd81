//! The identity role: where its issuer comes from, and who vouches for clients.

use crate::flags::{OwnIdentity, ServeFlags};
use anyhow::{Context as _, bail};
use ferrule_identity::{
    Authenticator, CertificateAuthority, FilesStatus, IdentityFiles, IdentityServer,
    IdentityService, Permission, StateDirectory, TokenReview,
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

/// The certificate authority, and what others may know of it.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) authority: Arc<CertificateAuthority>,
    /// What proxies ask of it.
    pub(crate) api: IdentityServer,
    /// How the issuer's files fare; `None` where it is made here.
    pub(crate) files: Option<Arc<FilesStatus>>,
}

/// What keeps the issuer good.
pub(crate) enum Upkeep {
    Files(Box<IdentityFiles>),
    State(StateDirectory),
}

impl Identity {
    /// Loads or makes the issuer.
    ///
    /// # Errors
    /// The files are not good, or tokens may not be reviewed (ruling 13).
    pub(crate) async fn open(
        flags: &ServeFlags,
        client: Option<kube::Client>,
    ) -> anyhow::Result<(Self, Upkeep)> {
        let scope = flags.mesh.scope();
        let validity = flags.identity.validity()?;
        let now = SystemTime::now();
        let own = flags.identity.issuer(flags.is_embedded())?;
        let (authenticator, state) = match client {
            Some(client) => {
                let review = TokenReview::new(client);
                may_review(&review).await?;
                (Authenticator::TokenReview(review), None)
            }
            None => {
                let state = StateDirectory::open(flags.identity.state.path()?)?;
                let tokens = state.token_issuer()?;
                (Authenticator::Local(tokens.verifier()), Some(state))
            }
        };
        let (credentials, files, upkeep) = match own {
            OwnIdentity::Files {
                anchors,
                issuer_dir,
            } => {
                let scheme = flags.identity.scheme();
                let mut files = IdentityFiles::new(anchors, issuer_dir, scheme, scope.clone());
                let credentials = files
                    .load(now)
                    .context("identity cannot start; without it: --roles destination,policy")?;
                (
                    credentials,
                    Some(files.status()),
                    Upkeep::Files(Box::new(files)),
                )
            }
            OwnIdentity::State(path) => {
                let state = match state {
                    Some(state) => state,
                    None => StateDirectory::open(path)?,
                };
                let credentials = state.credentials(&scope, now)?;
                (credentials, None, Upkeep::State(state))
            }
        };
        let authority = CertificateAuthority::new(scope, validity, authenticator);
        authority.install(credentials);
        let authority = Arc::new(authority);
        let identity = Self {
            api: IdentityService::server(authority.clone()),
            authority,
            files,
        };
        Ok((identity, upkeep))
    }
}

impl Upkeep {
    /// Follows files, or renews what was made here.
    pub(crate) async fn run(self, identity: Identity, stop: CancellationToken) {
        match self {
            Upkeep::Files(files) => files.run(identity.authority, stop).await,
            Upkeep::State(state) => state.run(identity.authority, stop).await,
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
