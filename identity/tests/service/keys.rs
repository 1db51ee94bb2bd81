//! Tokens of a real API server, checked here by the keys that it publishes.

use crate::{
    cluster::{Accounts, Mesh},
    support::Proxy,
};
use anyhow::{Context as _, Result, ensure};
use ferrule_identity::{Doubt, KeyStats, KeyedReview, Reason, TOKEN_AUDIENCE};
use ferrule_test_cluster::{Cluster, Component, Options, PATIENCE};
use kube::Config;
use std::{
    ops::Deref,
    time::{Duration, Instant},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Code;

/// An authority that checks tokens itself.
struct Checking {
    mesh: Mesh,
    keys: KeyedReview,
    _end: DropGuard,
}

impl Checking {
    fn new(config: Config) -> Result<Self> {
        let (mesh, keys) = Mesh::checking(config)?;
        let stop = CancellationToken::new();
        tokio::spawn(keys.clone().run(stop.clone()));
        Ok(Self {
            mesh,
            keys,
            _end: stop.drop_guard(),
        })
    }

    fn stats(&self) -> &KeyStats {
        self.keys.stats()
    }

    /// Certifies until a token is decided here: keys have been read, and the watch has
    /// heard of what the token is bound to.
    async fn decides(&self, proxy: &Proxy, token: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let verified = self.stats().verified_tokens();
        while self.stats().verified_tokens() == verified {
            ensure!(Instant::now() < deadline, "{:?}", self.stats());
            self.certify(proxy, token).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Deref for Checking {
    type Target = Mesh;

    fn deref(&self) -> &Mesh {
        &self.mesh
    }
}

#[tokio::test]
async fn tokens_are_decided_here_and_reviewed_only_in_doubt() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("keys").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    accounts.create("web").await?;
    let mesh = Checking::new(cluster.config())?;
    let web = accounts.proxy("web");
    let token = accounts.token("web", &[TOKEN_AUDIENCE]).await?;
    mesh.decides(&web, &token).await?;

    let reviews = mesh.reviews();
    for token in accounts.tokens("web", 20, None).await? {
        mesh.certify(&web, &token).await?;
    }
    let default = accounts.token("default", &[TOKEN_AUDIENCE]).await?;
    let refusal = mesh.certify(&web, &default).await.err();
    assert_eq!(
        refusal.context("refused")?.reason(),
        Reason::IdentityMismatch
    );
    let (signed, _) = token.rsplit_once('.').context("three parts")?;
    for bad in [&format!("{signed}.{}", "A".repeat(342)), "garbage"] {
        let refusal = mesh.certify(&web, bad).await.err();
        assert_eq!(refusal.context("refused")?.reason(), Reason::TokenInvalid);
    }
    assert_eq!(mesh.reviews(), reviews, "the API server was asked");
    assert_eq!(mesh.stats().refused_tokens(), 2);

    // Scenarios 23 and 24: who it is for is for the API server to say.
    let plain = accounts.token("web", &[]).await?;
    mesh.certify(&web, &plain).await?;
    let vault = accounts.token("web", &["vault"]).await?;
    let refusal = mesh.certify(&web, &vault).await.err();
    assert_eq!(refusal.context("refused")?.reason(), Reason::TokenInvalid);
    assert_eq!(mesh.stats().doubted_tokens(Doubt::Audience), 2);
    assert_eq!(mesh.reviews(), reviews + 4);
    Ok(())
}

#[tokio::test]
async fn a_token_ends_with_its_pod_also_where_nobody_is_asked() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("bound").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    let mesh = Checking::new(cluster.config())?;
    let proxy = accounts.proxy("default");
    let bound_to = accounts.pod("default").await?;
    let token = accounts.tokens("default", 1, Some(&bound_to)).await?;
    let token = &token[0];
    mesh.decides(&proxy, token).await?;

    accounts.delete_pod().await?;
    let deadline = Instant::now() + PATIENCE;
    // The API server itself remembers for 10 s what it has said of a token.
    while mesh.certify(&proxy, token).await.is_ok() {
        ensure!(Instant::now() < deadline, "it is still certified");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(mesh.stats().doubted_tokens(Doubt::Object) > 0);
    Ok(())
}

/// A cluster of its own to break.
#[tokio::test]
async fn certificates_are_renewed_while_the_api_server_is_away() -> Result<()> {
    let mut cluster = Cluster::start(Options::default()).await?;
    let accounts = Accounts::of(cluster.client()?, "default");
    let mesh = Checking::new(cluster.config())?;
    let proxy = accounts.proxy("default");
    let token = accounts.token("default", &[TOKEN_AUDIENCE]).await?;
    mesh.decides(&proxy, &token).await?;
    let plain = accounts.token("default", &[]).await?;

    cluster.kill(Component::ApiServer);
    for _ in 0..100 {
        mesh.certify(&proxy, &token).await?;
    }
    // What only the API server can decide has to wait for it.
    let refusal = mesh.certify(&proxy, &plain).await.err();
    assert_eq!(
        refusal.context("refused")?.reason(),
        Reason::TokenReviewFailed
    );
    cluster.restart(Component::ApiServer).await?;
    mesh.certify(&proxy, &plain).await?;
    Ok(())
}

/// The keys are read every five minutes, which fly here.
#[tokio::test]
async fn a_key_that_is_withdrawn_counts_for_five_minutes_at_most() -> Result<()> {
    async fn fly(seconds: u64) {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    }
    let mut cluster = Cluster::start(Options::default()).await?;
    let accounts = Accounts::of(cluster.client()?, "default");
    let mesh = Checking::new(cluster.config())?;
    let proxy = accounts.proxy("default");
    let old = accounts.token("default", &[TOKEN_AUDIENCE]).await?;
    mesh.decides(&proxy, &old).await?;

    cluster.replace_token_key().await?;
    let reviews = mesh.reviews();
    mesh.certify(&proxy, &old).await?;
    fly(200).await;
    mesh.certify(&proxy, &old).await?;
    assert_eq!(mesh.reviews(), reviews, "its key is known");

    fly(100).await;
    let deadline = Instant::now() + PATIENCE;
    while mesh.certify(&proxy, &old).await.is_ok() {
        ensure!(Instant::now() < deadline, "its key still counts");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (code, reason) = (Code::InvalidArgument, Reason::TokenInvalid);
    mesh.is_refused(&proxy, &old, code, reason).await?;
    assert!(mesh.stats().doubted_tokens(Doubt::Key) > 0);

    // The other way round: a key that is not known yet has them read at once, if they
    // were not just now.
    let new = accounts.token("default", &[TOKEN_AUDIENCE]).await?;
    mesh.decides(&proxy, &new).await?;
    cluster.replace_token_key().await?;
    fly(10).await;
    let newest = accounts.token("default", &[TOKEN_AUDIENCE]).await?;
    let verified = mesh.stats().verified_tokens();
    mesh.certify(&proxy, &newest).await?;
    assert_eq!(mesh.stats().verified_tokens(), verified + 1);
    mesh.is_refused(&proxy, &new, code, reason).await?;
    Ok(())
}
