//! Tokens of a real API server, checked here by the keys that it publishes.

use crate::{
    support::{Proxy, Root, scope, verify},
    tokens::Accounts,
};
use anyhow::{Context as _, Result, ensure};
use ferrule_identity::{
    Authenticator, CertificateAuthority, Doubt, KeyStats, KeyedReview, Reason, Refusal,
    TOKEN_AUDIENCE, TokenReview, Validity,
};
use ferrule_test_cluster::{Cluster, Component, Options};
use k8s_openapi::api::{authentication::v1::BoundObjectReference, core::v1::Pod};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

/// An authority that checks tokens itself.
struct Mesh {
    authority: CertificateAuthority,
    root: Root,
    keys: KeyedReview,
    _end: DropGuard,
}

impl Mesh {
    fn new(mut config: Config) -> Result<Self> {
        // A refused connection is an answer.
        config.default_retry = false;
        let client = Client::try_from(config)?;
        let keys = KeyedReview::new(client.clone(), TokenReview::new(client));
        let stop = CancellationToken::new();
        tokio::spawn(keys.clone().run(stop.clone()));
        let authenticator = Authenticator::Keys(keys.clone());
        let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
        let root = Root::new("root");
        authority.install(root.credentials(&root.issuer()));
        Ok(Self {
            authority,
            root,
            keys,
            _end: stop.drop_guard(),
        })
    }

    fn stats(&self) -> &KeyStats {
        self.keys.stats()
    }

    fn reviews(&self) -> u64 {
        let stats = self.keys.review().stats();
        stats.durations().count + stats.failures()
    }

    async fn certify(&self, proxy: &Proxy, token: &str) -> Result<(), Refusal> {
        let answer = self.authority.certify(proxy.request(token)).await?;
        verify(&answer, &self.root, &proxy.name);
        Ok(())
    }

    /// Certifies until a token is decided here: keys have been read, and the watch has
    /// heard of what the token is bound to.
    async fn decides(&self, proxy: &Proxy, token: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let verified = self.stats().verified_tokens();
        while self.stats().verified_tokens() == verified {
            ensure!(Instant::now() < deadline, "{:?}", self.stats());
            self.certify(proxy, token).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn tokens_are_decided_here_and_reviewed_only_in_doubt() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("keys").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    accounts.create("web").await?;
    let mesh = Mesh::new(cluster.config())?;
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
    let client = cluster.client()?;
    let accounts = Accounts::of(client.clone(), namespace.name());
    let mesh = Mesh::new(cluster.config())?;
    let proxy = accounts.proxy("default");
    let pods: Api<Pod> = Api::namespaced(client, namespace.name());
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    }))?;
    let pod = pods.create(&PostParams::default(), &pod).await?;
    let bound_to = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.name_any()),
        uid: pod.uid(),
    };
    let token = [TOKEN_AUDIENCE];
    let token = accounts
        .token_for("default", &token, Some(bound_to))
        .await?;
    mesh.decides(&proxy, &token).await?;

    let params = DeleteParams::default().grace_period(0);
    pods.delete("web", &params).await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    // The API server itself remembers for 10 s what it has said of a token.
    while mesh.certify(&proxy, &token).await.is_ok() {
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
    let mesh = Mesh::new(cluster.config())?;
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
