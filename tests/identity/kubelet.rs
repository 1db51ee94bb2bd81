//! Secret and ConfigMap are mounted, as a kubelet does it, and cert-manager and trust-manager
//! write them.

use crate::mesh::{Mesh, Traffic, der};
use anyhow::Result;
use ferrule_tests::TestAuthority;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A mounted volume: a folder for each version, the link `..data` to the one that counts, and
/// links through it. All files change at once, when that link is replaced.
struct Volume {
    folder: PathBuf,
    version: usize,
}

impl Volume {
    fn mount(folder: PathBuf, files: &[(&str, String)]) -> Result<Self> {
        fs::create_dir(&folder)?;
        let mut volume = Self { folder, version: 0 };
        volume.update(files)?;
        for (name, _) in files {
            symlink(Path::new("..data").join(name), volume.folder.join(name))?;
        }
        Ok(volume)
    }

    fn update(&mut self, files: &[(&str, String)]) -> Result<()> {
        let old = format!("..{}", self.version);
        self.version += 1;
        let new = format!("..{}", self.version);
        let folder = &self.folder;
        fs::create_dir(folder.join(&new))?;
        for (name, text) in files {
            fs::write(folder.join(&new).join(name), text)?;
        }
        symlink(&new, folder.join("..data_tmp"))?;
        fs::rename(folder.join("..data_tmp"), folder.join("..data"))?;
        if self.version > 1 {
            fs::remove_dir_all(folder.join(old))?;
        }
        Ok(())
    }
}

/// What cert-manager puts into a Secret.
fn secret(authority: &TestAuthority) -> [(&'static str, String); 3] {
    [
        ("tls.crt", authority.issuer_pem()),
        ("tls.key", authority.issuer_key_pem()),
        ("ca.crt", authority.anchors_pem()),
    ]
}

#[tokio::test]
async fn s54_what_cert_manager_renews_is_in_force_when_the_kubelet_has_it_while_proxies_talk()
-> Result<()> {
    let mesh = Mesh::new("mounted").await?;
    let folder = mesh.folder.path();
    let mut authority = TestAuthority::new()?;
    let anchors = authority.anchors_pem();
    let mut issuer = Volume::mount(folder.join("issuer"), &secret(&authority))?;
    let bundle = |pem: &str| [("ca-bundle.crt", pem.to_owned())];
    let mut roots = Volume::mount(folder.join("roots"), &bundle(&anchors))?;
    let identity = mesh
        .identity(&[
            "--identity-scheme=kubernetes.io/tls",
            &format!("--issuer-dir={}", issuer.folder.display()),
            &format!("--trust-anchors={}/ca-bundle.crt", roots.folder.display()),
        ])
        .await?;
    identity.ready().await?;
    let proxies = [
        mesh.proxy(&identity, &anchors).await?,
        mesh.proxy(&identity, &anchors).await?,
    ];
    let traffic = Traffic::begin(proxies.into());
    for part in 1..4 {
        authority = authority.with_another_issuer(YEAR / part)?;
        issuer.update(&secret(&authority))?;
        traffic.is_under(&authority.issuer_pem()).await?;
        let der = der(&authority.issuer_pem())?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der)?;
        let end = certificate.validity().not_after.timestamp() as f64;
        let scrape = identity.scrape().await?;
        let told = scrape.sum("identity_issuer_expiry_timestamp_seconds", &[]);
        assert_eq!(told, Some(end), "the gauge");
    }
    mesh.event("IssuerUpdated").await?;

    // A second anchor comes, and goes.
    let both = format!("{anchors}{}", TestAuthority::new()?.anchors_pem());
    for (pem, count) in [(&both, 2), (&anchors, 1)] {
        roots.update(&bundle(pem))?;
        identity
            .scraped("as many anchors", |scrape| {
                let text = scrape.to_string();
                let series = "identity_trust_anchor_expiry_timestamp_seconds{";
                text.lines().filter(|line| line.starts_with(series)).count() == count
            })
            .await?;
    }

    // What is corrupted counts only once it is not.
    let mut corrupted = secret(&authority);
    corrupted[1].1 = "garbage".to_owned();
    issuer.update(&corrupted)?;
    mesh.event("IssuerUpdateSkipped").await?;
    assert!(identity.is_ready().await?);
    assert_eq!(identity.metric("issuer_files_bad").await?, Some(1.0));
    authority = authority.with_another_issuer(YEAR)?;
    issuer.update(&secret(&authority))?;
    traffic.is_under(&authority.issuer_pem()).await?;
    assert_eq!(identity.metric("issuer_files_bad").await?, Some(0.0));
    traffic.end().await?;
    Ok(())
}
