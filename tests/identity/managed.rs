//! Nobody brings a certificate authority: Ferrule makes one and keeps it.

use crate::mesh::{ANCHOR, ISSUER, Mesh, Traffic, der};
use anyhow::{Context as _, Result};
use ferrule_test_cluster::eventually;
use ferrule_tests::Ferrule;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

const SHORT: &str = "--issuer-lifetime=24s";

/// How many issuers were made, by all of these.
async fn made(replicas: &[&Ferrule]) -> Result<f64> {
    let mut made = 0.0;
    for replica in replicas {
        made += replica
            .metric("issuers_made_total")
            .await?
            .context("a count")?;
    }
    Ok(made)
}

#[tokio::test]
async fn two_replicas_make_one_authority_and_renew_its_issuer_while_proxies_talk() -> Result<()> {
    let mesh = Mesh::new("managed").await?;
    let (one, two) = tokio::try_join!(mesh.identity(&[SHORT]), mesh.identity(&[SHORT]))?;
    tokio::try_join!(one.ready(), two.ready())?;
    let anchors = mesh.anchors().await?;
    let first = mesh.issuer("crt.pem").await?;
    assert_eq!(made(&[&one, &two]).await?, 1.0);
    let proxies = [
        mesh.proxy(&one, &anchors).await?,
        mesh.proxy(&two, &anchors).await?,
    ];
    let traffic = Traffic::begin(proxies.into());

    let second = eventually("another issuer", async || {
        let issuer = mesh.issuer("crt.pem").await?;
        Ok((issuer != first).then_some(issuer))
    });
    let second = second.await?;
    traffic.is_under(&second).await?;
    assert_eq!(made(&[&one, &two]).await?, 2.0, "one for each time");
    assert_eq!(mesh.anchors().await?, anchors, "the anchor stays");

    // Somebody asks for one, as `ferrule identity rotate issuer` does.
    mesh.ask_for_another_issuer().await?;
    let third = eventually("the issuer that was asked for", async || {
        let issuer = mesh.issuer("crt.pem").await?;
        Ok((issuer != second).then_some(issuer))
    });
    traffic.is_under(&third.await?).await?;
    let secret = mesh.secrets().get(ISSUER).await?;
    assert!(
        !secret
            .annotations()
            .contains_key("ferrule.io/rotate-issuer")
    );
    traffic.end().await?;
    Ok(())
}

#[tokio::test]
async fn another_replica_takes_over_from_one_that_is_killed() -> Result<()> {
    let mesh = Mesh::new("takeover").await?;
    let (one, two) = tokio::try_join!(mesh.identity(&[]), mesh.identity(&[]))?;
    tokio::try_join!(one.ready(), two.ready())?;
    let leads = "leader{lease=\"ferrule-ca\"}";
    let (leader, other) = eventually("one leads", async || {
        let leading = [one.metric(leads).await?, two.metric(leads).await?];
        Ok(match leading {
            [Some(1.0), Some(0.0)] => Some((0, 1)),
            [Some(0.0), Some(1.0)] => Some((1, 0)),
            _ => None,
        })
    })
    .await?;
    let mut replicas = [Some(one), Some(two)];
    let leader = replicas[leader].take().context("it is there")?;
    let other = replicas[other].take().context("it is there")?;
    let before = made(&[&other]).await?;
    let anchors = mesh.anchors().await?;
    let first = mesh.issuer("crt.pem").await?;
    let traffic = Traffic::begin(vec![mesh.proxy(&other, &anchors).await?]);
    leader.kill().await?;
    mesh.ask_for_another_issuer().await?;
    let second = eventually("another issuer", async || {
        let issuer = mesh.issuer("crt.pem").await?;
        Ok((issuer != first).then_some(issuer))
    });
    traffic.is_under(&second.await?).await?;
    assert_eq!(made(&[&other]).await?, before + 1.0);
    traffic.end().await?;
    Ok(())
}

#[tokio::test]
async fn who_is_killed_at_any_step_is_gone_on_from() -> Result<()> {
    let mesh = Mesh::new("killed").await?;
    let identity = mesh.identity(&[]).await?;
    identity.ready().await?;
    let anchors = mesh.anchors().await?;
    let first = mesh.issuer("crt.pem").await?;
    identity.kill().await?;

    // Killed after the anchor, and after the bundle.
    let (secrets, bundles) = (mesh.secrets(), mesh.config_maps());
    let anchor = secrets.get(ANCHOR).await?;
    let params = DeleteParams::default();
    for with_bundle in [false, true] {
        secrets.delete(ISSUER, &params).await?;
        if !with_bundle {
            bundles
                .delete("linkerd-identity-trust-roots", &params)
                .await?;
        }
        let identity = mesh.identity(&[]).await?;
        identity.ready().await?;
        assert_eq!(mesh.anchors().await?, anchors);
        assert_eq!(secrets.get(ANCHOR).await?.data, anchor.data);
        let issuer = mesh.issuer("crt.pem").await?;
        assert_ne!(issuer, first);
        let proxy = mesh.proxy(&identity, &anchors).await?;
        Traffic::begin(vec![proxy]).is_under(&issuer).await?;
        identity.kill().await?;
    }

    // The anchor's key is what cannot be made again: nothing is, and it goes on.
    let identity = mesh.identity(&[]).await?;
    identity.ready().await?;
    secrets.delete(ANCHOR, &params).await?;
    identity.logged("ferrule-trust-anchor is gone").await?;
    assert!(identity.is_ready().await?);
    assert!(secrets.get_opt(ANCHOR).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_expired_while_nobody_was_there_is_replaced_at_the_start() -> Result<()> {
    let mesh = Mesh::new("expired").await?;
    let identity = mesh.identity(&["--issuer-lifetime=10s"]).await?;
    identity.ready().await?;
    let anchors = mesh.anchors().await?;
    let proxy = mesh.proxy(&identity, &anchors).await?;
    identity.kill().await?;
    let first = mesh.issuer("crt.pem").await?;
    let end = {
        let der = der(&first)?;
        let (_, issuer) = x509_parser::parse_x509_certificate(&der)?;
        issuer.validity().not_after.timestamp()
    };
    eventually("it has expired", async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok((now as i64 > end).then_some(()))
    })
    .await?;
    drop(proxy);

    let identity = mesh.identity(&[]).await?;
    identity.ready().await?;
    identity
        .logged("replaced an issuer that cannot be used")
        .await?;
    assert_eq!(mesh.anchors().await?, anchors);
    let proxies = vec![mesh.proxy(&identity, &anchors).await?];
    let issuer = mesh.issuer("crt.pem").await?;
    assert_ne!(issuer, first);
    Traffic::begin_when(proxies, &issuer).await?.end().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_corrupted_is_mended_while_the_last_good_issuer_signs() -> Result<()> {
    let mesh = Mesh::new("corrupted").await?;
    let identity = mesh.identity(&[]).await?;
    identity.ready().await?;
    let anchors = mesh.anchors().await?;
    let first = mesh.issuer("crt.pem").await?;
    let proxy = mesh.proxy(&identity, &anchors).await?;
    let traffic = Traffic::begin(vec![proxy]);

    let params = PatchParams::default();
    let garbage = json!({"stringData": {"key.pem": "garbage"}});
    let secrets = mesh.secrets();
    secrets
        .patch(ISSUER, &params, &Patch::Merge(garbage))
        .await?;
    let second = eventually("a good issuer", async || {
        let issuer = mesh.issuer("crt.pem").await?;
        Ok((issuer != first).then_some(issuer))
    });
    let second = second.await?;
    traffic.is_under(&second).await?;

    let garbage =
        json!({"data": {"ca-bundle.crt": format!("{anchors}\n-----BEGIN CERTIFICATE-----")}});
    let bundles = mesh.config_maps();
    bundles
        .patch(
            "linkerd-identity-trust-roots",
            &params,
            &Patch::Merge(garbage),
        )
        .await?;
    eventually("a good bundle", async || {
        Ok((mesh.anchors().await? == anchors).then_some(()))
    })
    .await?;
    assert_eq!(mesh.issuer("crt.pem").await?, second);
    traffic.end().await?;
    Ok(())
}
