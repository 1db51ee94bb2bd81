//! Whoever keeps the issuer is killed at every step: before each of its writes and after it.
//! A process that comes then makes it right, and no proxy fails to shake hands meanwhile.

use crate::{
    door::{Door, End},
    mesh::{ANCHOR, ISSUER, Mesh, ROOTS, Traffic, der, until_under},
    rotation::{annotate, certificates, rotate, told},
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::eventually;
use ferrule_tests::{Ferrule, Relay};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Longer than starts and a Lease together take on a busy machine, so that no certificate
/// ends between a kill and the next process.
const LIFETIME: &str = "--identity-issuance-lifetime=120s";
/// Who comes waits for the Lease of each who is killed.
const LEASE: &str = "--lease-duration=3s";
/// More writes than there are.
const MOST: usize = 12;

/// Before and after each write, until there are no more.
fn ends() -> impl Iterator<Item = End> {
    (1..MOST).flat_map(|number| [End::Before(number), End::After(number)])
}

/// Starts a process behind a door and kills it there; `None` if it was ready before.
async fn killed(mesh: &Mesh, end: End) -> Result<Option<()>> {
    let door = Door::open(&mesh.client, mesh.folder.path(), end).await?;
    let identity = mesh
        .identity_as(door.kubeconfig(), &[LIFETIME, LEASE])
        .await?;
    let is_shut = tokio::select! {
        () = door.shut() => Some(()),
        settled = settled(mesh, &identity) => { settled?; None }
    };
    identity.kill().await?;
    Ok(is_shut)
}

/// Waits until all is there and nothing is left to do.
async fn settled(mesh: &Mesh, identity: &Ferrule) -> Result<()> {
    identity.ready().await?;
    eventually("everything is kept", async || {
        let issuer = mesh.secrets().get_opt(ISSUER).await?;
        let is_asked = issuer.as_ref().is_none_or(|issuer| {
            issuer
                .annotations()
                .contains_key("ferrule.io/rotate-issuer")
        });
        let is_whole = !mesh.anchors().await?.contains("garbage");
        Ok((!is_asked && is_whole).then_some(()))
    })
    .await?;
    eventually("nothing is in the way", async || {
        let stuck = identity.metric("issuer_upkeep_stuck").await?;
        Ok((stuck == Some(0.0)).then_some(()))
    })
    .await
}

/// One anchor with its key, published, and an issuer below it.
async fn is_right(mesh: &Mesh) -> Result<()> {
    let anchor = mesh.secrets().get(ANCHOR).await?;
    let part = |key: &str| {
        let data = anchor.data.as_ref().and_then(|data| data.get(key));
        String::from_utf8(data.context("a part")?.0.clone()).context("PEM")
    };
    ensure!(mesh.anchors().await? == part("current.crt")?, "the bundle");
    ensure!(part("current.key")?.contains("PRIVATE KEY"), "the key");
    let issuer = der(&mesh.issuer("crt.pem").await?)?;
    let (_, issuer) = x509_parser::parse_x509_certificate(&issuer)?;
    let anchor = der(&part("current.crt")?)?;
    let (_, anchor) = x509_parser::parse_x509_certificate(&anchor)?;
    ensure!(issuer.issuer() == anchor.subject(), "the issuer");
    Ok(())
}

#[tokio::test]
async fn an_authority_is_made_whoever_is_killed_at_which_step() -> Result<()> {
    let tried = stream::iter(ends()).map(|end| async move {
        let mesh = Mesh::new("made").await?;
        let was_killed = killed(&mesh, end).await?.is_some();
        let identity = mesh.identity(&[LIFETIME, LEASE]).await?;
        let right = async {
            settled(&mesh, &identity).await?;
            is_right(&mesh).await?;
            let anchors = mesh.anchors().await?;
            let proxies = [
                mesh.proxy(&identity, &anchors).await?,
                mesh.proxy(&identity, &anchors).await?,
            ];
            let issuer = mesh.issuer("crt.pem").await?;
            Traffic::begin_when(proxies.into(), &issuer)
                .await?
                .end()
                .await
        };
        right.await.with_context(|| format!("{end:?}"))?;
        anyhow::Ok(was_killed)
    });
    // In their order, three at a time.
    let tried = tried.buffered(3).try_take_while(|was_killed| {
        let was_killed = *was_killed;
        async move { Ok(was_killed) }
    });
    let kills = tried.try_collect::<Vec<_>>().await?.len();
    // The Lease, the anchor, the bundle, the issuer.
    assert!((8..2 * (MOST - 1)).contains(&kills), "{kills} kills");
    Ok(())
}

#[tokio::test]
async fn a_rotation_is_ended_whoever_is_killed_at_which_step_while_proxies_talk() -> Result<()> {
    let mesh = Mesh::new("rotated").await?;
    let mut identity = mesh.identity(&[LIFETIME, LEASE]).await?;
    identity.ready().await?;
    let anchors = mesh.anchors().await?;
    let relay = Relay::to(identity.address_of("identity").await?).await?;
    let proxies = [
        mesh.proxy_at(relay.addr(), &anchors).await?,
        mesh.proxy_at(relay.addr(), &anchors).await?,
    ];
    let traffic = Traffic::begin(proxies.into());
    let mut kills = 0;
    for end in ends() {
        let before = mesh.issuer("crt.pem").await?;
        // It gives its Lease up, so the next one need not wait for it.
        identity.terminate()?;
        identity.ended().await?;
        let params = PatchParams::default();
        let damaged = json!({"data": {"ca-bundle.crt": format!("{anchors}\n-----BEGIN CERTIFICATE-----\ngarbage")}});
        let bundles = mesh.config_maps();
        bundles
            .patch(ROOTS, &params, &Patch::Merge(damaged))
            .await?;
        mesh.ask_for_another_issuer().await?;
        let was_killed = killed(&mesh, end).await?.is_some();

        identity = mesh.identity(&[LIFETIME, LEASE]).await?;
        relay.point_to(identity.address_of("identity").await?);
        let right = async {
            settled(&mesh, &identity).await?;
            is_right(&mesh).await?;
            ensure!(mesh.anchors().await? == anchors, "another anchor");
            let after = mesh.issuer("crt.pem").await?;
            ensure!(after != before, "no other issuer");
            // Who is certified by the new one knows those that are not yet, and they it.
            let fresh = mesh.proxy_at(relay.addr(), &anchors).await?;
            until_under(&fresh, &after).await?;
            traffic.meets(&fresh).await
        };
        right.await.with_context(|| format!("{end:?}"))?;
        if !was_killed {
            break;
        }
        kills += 1;
    }
    // The Lease, the bundle, the issuer.
    assert!((6..2 * (MOST - 1)).contains(&kills), "{kills} kills");
    traffic.is_under(&mesh.issuer("crt.pem").await?).await?;
    traffic.end().await?;
    Ok(())
}

/// Has a rotation taken back as soon as both anchors sign, and waits until it is over.
async fn there_and_back(mesh: &Mesh) -> Result<()> {
    eventually("it is over", async || {
        let secret = mesh.secrets().get(ANCHOR).await?;
        let is_asked = secret
            .annotations()
            .contains_key("ferrule.io/rotate-trust-anchor");
        let told = told(mesh).await?;
        match told.phase.as_deref() {
            Some("switched") if !told.waits.is_empty() => {
                annotate(mesh, "ferrule.io/abort-rotation", json!("now")).await?;
            }
            None if !is_asked => return Ok(Some(())),
            _ => {}
        }
        Ok(None)
    })
    .await
}

/// The way to the end has the same writes as the way back, and a leaf's life between.
#[tokio::test]
async fn an_anchor_comes_and_goes_whoever_is_killed_at_which_step_while_proxies_talk() -> Result<()>
{
    let tried = stream::iter(1..2 * MOST).map(|number| async move {
        let mesh = Mesh::new("turned").await?;
        let mut first = mesh.identity(&[LIFETIME]).await?;
        first.ready().await?;
        let old = mesh.anchors().await?;
        let relay = Relay::to(first.address_of("identity").await?).await?;
        let traffic = Traffic::begin(vec![
            mesh.proxy_at(relay.addr(), &old).await?,
            mesh.proxy_at(relay.addr(), &old).await?,
        ]);
        first.terminate()?;
        first.ended().await?;
        rotate(&mesh).await?;
        let end = End::BeforeObject(number);
        let door = Door::open(&mesh.client, mesh.folder.path(), end).await?;
        let second = mesh.identity_as(door.kubeconfig(), &[LIFETIME]).await?;
        let was_killed = tokio::select! {
            () = door.shut() => true,
            over = there_and_back(&mesh) => { over?; false }
        };
        second.kill().await?;
        let right = async {
            let third = mesh.identity(&[LIFETIME]).await?;
            third.ready().await?;
            relay.point_to(third.address_of("identity").await?);
            there_and_back(&mesh).await?;
            ensure!(mesh.anchors().await? == old, "another anchor");
            is_right(&mesh).await?;
            let issuer = mesh.issuer("crt.pem").await?;
            ensure!(certificates(&issuer) == 1, "the issuer's certificates");
            let fresh = mesh.proxy_at(relay.addr(), &old).await?;
            traffic.is_under(&issuer).await?;
            traffic.meets(&fresh).await?;
            traffic.end().await
        };
        right.await.with_context(|| format!("{end:?}"))?;
        anyhow::Ok(was_killed)
    });
    // They wait for Leases most of the time.
    let tried = tried.buffered(5).try_take_while(|was_killed| {
        let was_killed = *was_killed;
        async move { Ok(was_killed) }
    });
    let kills = tried.try_collect::<Vec<_>>().await?.len();
    // There: the Secret, the bundle and the Secret; the Secret, the issuer and the Secret,
    // and what it waits for. Back: the Secret, the issuer, the bundle and the Secret.
    assert!((11..2 * MOST - 1).contains(&kills), "{kills} kills");
    Ok(())
}
