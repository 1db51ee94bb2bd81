//! Somebody brings files, and replaces them.

use crate::mesh::{Mesh, Traffic};
use anyhow::Result;
use ferrule_test_cluster::eventually;
use ferrule_tests::{Ferrule, TestAuthority};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The files of an identity pod.
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(crate) fn new(mesh: &Mesh) -> Self {
        Self {
            folder: mesh.folder.path().to_owned(),
        }
    }

    pub(crate) fn issuer(&self, authority: &TestAuthority) -> Result<()> {
        fs::write(self.folder.join("crt.pem"), authority.issuer_pem())?;
        Ok(fs::write(
            self.folder.join("key.pem"),
            authority.issuer_key_pem(),
        )?)
    }

    pub(crate) fn anchors(&self, pem: &str) -> Result<()> {
        Ok(fs::write(self.folder.join("ca-bundle.crt"), pem)?)
    }

    pub(crate) async fn identity(&self, mesh: &Mesh) -> Result<Ferrule> {
        self.identity_as(mesh, mesh.kubeconfig()).await
    }

    /// The same as somebody else.
    pub(crate) async fn identity_as(&self, mesh: &Mesh, kubeconfig: &Path) -> Result<Ferrule> {
        let folder = self.folder.display();
        let flags = [
            &*format!("--issuer-dir={folder}"),
            &format!("--trust-anchors={folder}/ca-bundle.crt"),
        ];
        let identity = mesh.identity_as(kubeconfig, &flags).await?;
        identity.ready().await?;
        Ok(identity)
    }
}

/// identity-injector.md 4.3, in its order.
#[tokio::test]
async fn issuer_and_anchor_are_replaced_in_the_documented_order_while_proxies_talk() -> Result<()> {
    let mesh = Mesh::new("files").await?;
    let files = Files::new(&mesh);
    let old = TestAuthority::new()?;
    files.issuer(&old)?;
    files.anchors(&old.anchors_pem())?;
    let identity = files.identity(&mesh).await?;
    let anchors = old.anchors_pem();
    let start = async |anchors: &str| mesh.proxy(&identity, anchors).await;
    let traffic = Traffic::begin(vec![start(&anchors).await?, start(&anchors).await?]);

    // Another issuer under the same anchor: nobody restarts.
    let old = old.with_another_issuer(YEAR)?;
    files.issuer(&old)?;
    traffic.is_under(&old.issuer_pem()).await?;
    traffic.end().await?;

    // 1 and 2: publish both, restart. Some have restarted and some have not.
    let new = TestAuthority::new()?;
    let both = format!("{}{}", new.anchors_pem(), old.anchors_pem());
    files.anchors(&both)?;
    identity.logged("updated trust anchors").await?;
    let mixed = Traffic::begin(vec![start(&anchors).await?, start(&both).await?]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    mixed.end().await?;
    let traffic = Traffic::begin(vec![start(&both).await?, start(&both).await?]);
    let laggard = start(&anchors).await?;

    // 4 and 5: the issuer moves under the new one.
    files.issuer(&new)?;
    traffic.is_under(&new.issuer_pem()).await?;
    // Why the order matters: who has not restarted refuses those who have.
    let fresh = start(&both).await?;
    assert!(laggard.handshake(&fresh).await.is_err());
    assert!(fresh.handshake(&laggard).await.is_err());

    // 6: the old one leaves, and everybody restarts again.
    files.anchors(&new.anchors_pem())?;
    eventually("one anchor", async || {
        let state = identity.json("/debug/identity").await?;
        let anchors = state["trustAnchors"].as_array().map_or(0, Vec::len);
        Ok((anchors == 1).then_some(()))
    })
    .await?;
    traffic.end().await?;
    let alone = new.anchors_pem();
    let last = Traffic::begin(vec![start(&both).await?, start(&alone).await?]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    last.end().await?;
    Ok(())
}

#[tokio::test]
async fn s37_an_issuer_that_has_expired_is_said_and_replaced_without_a_restart() -> Result<()> {
    let mesh = Mesh::new("expired").await?;
    let files = Files::new(&mesh);
    // Long enough for a process to start and a proxy to be certified on a busy machine.
    let authority = TestAuthority::new()?.with_another_issuer(Duration::from_secs(25))?;
    files.issuer(&authority)?;
    files.anchors(&authority.anchors_pem())?;
    let identity = files.identity(&mesh).await?;
    let anchors = authority.anchors_pem();
    let proxy = mesh.proxy(&identity, &anchors).await?;
    eventually("it has expired", async || {
        Ok((!identity.is_ready().await?).then_some(()))
    })
    .await?;
    let refused = "certificates_refused_total{reason=\"issuer_invalid\"}";
    eventually("a proxy is refused", async || {
        Ok(identity.metric(refused).await?.filter(|count| *count > 0.0))
    })
    .await?;
    mesh.event("IssuerValidationFailed").await?;
    let left = identity.metric("issuer_cert_ttl_seconds").await?;
    assert!(left.is_some_and(|left| left < 0.0), "scenario 62: {left:?}");

    let authority = authority.with_another_issuer(YEAR)?;
    files.issuer(&authority)?;
    identity.ready().await?;
    let traffic = Traffic::begin_when(vec![proxy], &authority.issuer_pem()).await?;
    traffic.end().await?;
    mesh.event("IssuerUpdated").await?;
    Ok(())
}
