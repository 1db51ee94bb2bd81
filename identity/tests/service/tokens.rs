//! Tokens of a real API server: what it says of them, with and without audiences,
//! and what it cannot say when it is gone. Scenarios of 11.1 have their numbers.

use crate::{
    cluster::{Accounts, Mesh},
    support::Proxy,
};
use anyhow::{Context as _, Result};
use ferrule_identity::{Permission, Reason, TOKEN_AUDIENCE, TokenReview};
use ferrule_test_cluster::{Cluster, Component, Options};
use kube::api::DeleteParams;
use std::time::{Duration, Instant};
use tonic::Code;

#[tokio::test]
async fn a_token_for_the_mesh_is_reviewed_once_and_certified() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("certify").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    accounts.create("web").await?;
    let mesh = Mesh::reviewing(cluster.config())?;
    let web = accounts.proxy("web");

    let token = accounts.token("web", &[TOKEN_AUDIENCE]).await?;
    mesh.certify(&web, &token).await?;
    assert_eq!(mesh.reviews(), 1);
    mesh.certify(&web, &format!("{token}\n")).await?;
    let both = accounts.token("web", &["vault", TOKEN_AUDIENCE]).await?;
    mesh.certify(&web, &both).await?;
    assert_eq!(mesh.reviews(), 3);

    // Scenario 28, and the token of a pod's neighbour.
    let default = accounts.token("default", &[TOKEN_AUDIENCE]).await?;
    let (code, reason) = (Code::FailedPrecondition, Reason::IdentityMismatch);
    let text = mesh.is_refused(&web, &default, code, reason).await?;
    let found = accounts.proxy("default").name;
    assert!(text.contains(&format!("requested={}; found={found}", web.name)));
    assert_eq!(mesh.review().stats().failures(), 0);
    Ok(())
}

#[tokio::test]
async fn s23_a_token_without_an_audience_is_reviewed_again_without_one() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("audience").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    accounts.create("web").await?;
    let mesh = Mesh::reviewing(cluster.config())?;
    let web = accounts.proxy("web");
    let token = accounts.token("web", &[]).await?;
    mesh.certify(&web, &token).await?;
    assert_eq!(mesh.reviews(), 2);

    // Scenario 24: it is for somebody else, and so says the second review.
    let vault = accounts.token("web", &["vault"]).await?;
    let (code, reason) = (Code::InvalidArgument, Reason::TokenInvalid);
    let text = mesh.is_refused(&web, &vault, code, reason).await?;
    assert!(text.contains("token audiences [\"vault\"]"), "{text}");
    assert!(!text.contains(TOKEN_AUDIENCE), "of the second: {text}");
    assert_eq!(mesh.reviews(), 4);
    Ok(())
}

#[tokio::test]
async fn tokens_that_nobody_issued_or_that_are_no_service_accounts_are_refused() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("unknown").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    let mesh = Mesh::reviewing(cluster.config())?;
    let web = accounts.proxy("default");
    let token = accounts.token("default", &[TOKEN_AUDIENCE]).await?;

    // That of the administrator of the test cluster is good for the API server only.
    let kubeconfig = std::fs::read_to_string(cluster.kubeconfig())?;
    let admin = kubeconfig.split("token: \"").nth(1);
    let admin = admin.and_then(|rest| rest.split('"').next());
    let admin = admin.context("the administrator's token")?;
    let (signed, _) = token.rsplit_once('.').context("three parts")?;
    let forged = format!("{signed}.{}", "A".repeat(342));
    let (code, reason) = (Code::InvalidArgument, Reason::TokenInvalid);
    for unknown in ["garbage", admin, &forged] {
        let text = mesh.is_refused(&web, unknown, code, reason).await?;
        assert!(text.contains("invalid bearer token"), "{text}");
    }
    assert_eq!(mesh.reviews(), 3, "scenario 22: one each");

    // Scenario 26: Kubernetes allows the name, a mesh cannot.
    accounts.create("my.sa").await?;
    let dotted = accounts.token("my.sa", &[TOKEN_AUDIENCE]).await?;
    let text = mesh.is_refused(&web, &dotted, code, reason).await?;
    assert!(text.contains("\"my.sa\""), "{text}");
    Ok(())
}

/// The API server hears of a deletion a little later itself, and remembers a token that it
/// has authenticated for 10 s: each is tried once.
async fn are_soon_refused(mesh: &Mesh, proxy: &Proxy, tokens: &[String]) {
    for token in tokens {
        if let Err(refusal) = mesh.certify(proxy, token).await {
            assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("tokens of what is gone are certified");
}

#[tokio::test]
async fn s31_a_token_ends_with_its_pod_and_with_its_account() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("deleted").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    accounts.create("web").await?;
    let mesh = Mesh::reviewing(cluster.config())?;
    let web = accounts.proxy("web");
    let bound_to = accounts.pod("web").await?;
    let of_pod = accounts.tokens("web", 40, Some(&bound_to)).await?;
    mesh.certify(&web, &of_pod[0]).await?;
    accounts.delete_pod().await?;
    are_soon_refused(&mesh, &web, &of_pod[1..]).await;

    let of_account = accounts.tokens("web", 40, None).await?;
    mesh.certify(&web, &of_account[0]).await?;
    accounts.api.delete("web", &DeleteParams::default()).await?;
    are_soon_refused(&mesh, &web, &of_account[1..]).await;
    Ok(())
}

#[tokio::test]
async fn s43_a_control_plane_that_may_not_review_tokens_learns_why() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("forbidden").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    let allowed = TokenReview::new(cluster.client()?);
    assert_eq!(allowed.can_review().await?, Permission::Allowed);

    let token = accounts.token("default", &[]).await?;
    let denied = TokenReview::new(cluster.client_for_token(&token)?);
    let Permission::Denied { .. } = denied.can_review().await? else {
        panic!("RBAC allows nothing that is not granted");
    };
    let mut config = cluster.config();
    config.auth_info.token = Some(token.clone().into());
    let mesh = Mesh::reviewing(config)?;
    let (code, reason) = (Code::Internal, Reason::TokenReviewFailed);
    let proxy = accounts.proxy("default");
    let text = mesh.is_refused(&proxy, &token, code, reason).await?;
    assert!(text.contains("tokenreviews"), "{text}");
    assert_eq!(mesh.review().stats().failures(), 1);
    Ok(())
}

#[tokio::test]
async fn more_workloads_than_reviews_at_once_are_all_certified() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("storm").await?;
    let accounts = Accounts::of(cluster.client()?, namespace.name());
    let mesh = Mesh::reviewing(cluster.config())?;
    let proxy = accounts.proxy("default");
    // Each is to be reviewed within ten seconds, on whatever machine.
    let tokens = accounts.tokens("default", 100, None).await?;
    let calls = tokens.iter().map(|token| mesh.certify(&proxy, token));
    futures::future::try_join_all(calls).await?;
    assert_eq!(mesh.reviews(), 100);

    // The same token at the same time: all of them share a review.
    let calls = (0..100).map(|_| mesh.certify(&proxy, &tokens[0]));
    futures::future::try_join_all(calls).await?;
    assert_eq!(mesh.reviews(), 101);
    Ok(())
}

/// A cluster of its own to break.
#[tokio::test]
async fn s20_without_the_api_server_nobody_is_certified_and_with_it_all_are_again() -> Result<()> {
    let mut cluster = Cluster::start(Options::default()).await?;
    let accounts = Accounts::of(cluster.client()?, "default");
    let token = accounts.token("default", &[TOKEN_AUDIENCE]).await?;
    let mesh = Mesh::reviewing(cluster.config())?;
    let proxy = accounts.proxy("default");
    mesh.certify(&proxy, &token).await?;

    cluster.kill(Component::ApiServer);
    let (code, reason) = (Code::Internal, Reason::TokenReviewFailed);
    let text = mesh.is_refused(&proxy, &token, code, reason).await?;
    assert!(text.contains("the API server has not reviewed"), "{text}");
    cluster.restart(Component::ApiServer).await?;
    mesh.certify(&proxy, &token).await?;

    // One that is there and says nothing.
    cluster.pause(Component::ApiServer)?;
    let started = Instant::now();
    let text = mesh.is_refused(&proxy, &token, code, reason).await?;
    assert!(text.ends_with("in 10 s"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(60));
    cluster.resume(Component::ApiServer)?;
    mesh.certify(&proxy, &token).await?;
    assert_eq!(mesh.authority.stats().issued(), 3);
    Ok(())
}
