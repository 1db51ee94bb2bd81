//! The certificate that API servers see, in files that somebody else renews.

use crate::files::{Content, FollowedFiles, Names};
use anyhow::{Context as _, anyhow};
use ferrule_identity::{Certificate, FilesStatus, date};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{
    fmt::Display,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Called so in a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const NAMES: Names = Names {
    subject: "the webhooks' certificate",
    last_good: "the last good certificate of the webhooks stays in use",
};
/// How long a connection waits for what is about to be registered.
const PATIENCE: Duration = Duration::from_secs(1);
/// HTTP/2 first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What is served now, whoever makes it.
pub(crate) struct ServingCertificate {
    /// None before the first was made.
    current: watch::Sender<Option<Arc<Served>>>,
    /// Somebody else's ([`Handover`](super::handover)).
    lent: watch::Sender<Lent>,
    status: FilesStatus,
}

/// Whether API servers verify by somebody else's certificate.
#[derive(Default)]
pub(super) enum Lent {
    #[default]
    No,
    /// They may any moment, until then: it is there, and not registered as far as is known.
    Soon(Instant),
    Yes(Arc<Served>),
}

/// A certificate, ready to be served.
pub(crate) struct Served {
    /// The leaf.
    pub(crate) certificate: Certificate,
    /// How TLS is done with it.
    pub(super) config: Arc<ServerConfig>,
}

/// The files of a certificate and its key.
pub(crate) struct CertificateFiles {
    files: FollowedFiles,
    /// The certificate whose end was last warned of.
    warned: Option<String>,
}

impl ServingCertificate {
    /// One that is to be made yet.
    pub(crate) fn none() -> Self {
        Self {
            current: watch::Sender::new(None),
            lent: watch::Sender::new(Lent::No),
            status: FilesStatus::default(),
        }
    }

    /// What a new connection is accepted with.
    pub(super) async fn for_connection(&self) -> Option<Arc<Served>> {
        let mut lent = self.lent.subscribe();
        let soon = match *lent.borrow() {
            Lent::Soon(until) => Some(until),
            _ => None,
        };
        if let Some(until) = soon {
            // API servers keep connections, but for another registration, of which they may
            // know before us.
            let until = until.min(Instant::now() + PATIENCE);
            let told = lent.wait_for(|lent| !matches!(lent, Lent::Soon(_)));
            let _ = timeout_at(until, told).await.is_ok();
        }
        match &*self.lent.borrow() {
            Lent::Yes(lent) => Some(lent.clone()),
            _ => self.current.borrow().clone(),
        }
    }

    /// When it ends.
    pub(crate) fn not_after(&self) -> Option<SystemTime> {
        let current = self.current.borrow();
        current
            .as_ref()
            .map(|served| served.certificate.not_after())
    }

    /// From now on serves this, from the next connection on.
    pub(super) fn set(&self, served: Served) {
        self.current.send_replace(Some(Arc::new(served)));
    }

    /// From now on serves somebody else's instead, or its own again.
    pub(super) fn lend(&self, lent: Lent) {
        self.lent.send_replace(lent);
    }

    /// How its files fare.
    pub(crate) fn status(&self) -> &FilesStatus {
        &self.status
    }
}

impl Served {
    /// A leaf with its chain and key.
    pub(super) fn new(certificate: Certificate, certified: CertifiedKey) -> anyhow::Result<Self> {
        Ok(Self {
            certificate,
            config: server_config(certified)?,
        })
    }
}

impl CertificateFiles {
    /// Reads `tls.crt` and `tls.key` in the directory, when the process starts.
    ///
    /// # Errors
    /// What is wrong with one of them, naming it.
    pub(crate) fn load(directory: &Path) -> anyhow::Result<(Self, Arc<ServingCertificate>)> {
        let paths = [CERTIFICATE, KEY].map(|name| directory.join(name));
        let (files, served) = FollowedFiles::load(paths.into(), NAMES, serve)?;
        let files = Self {
            files,
            warned: None,
        };
        let serving = ServingCertificate::none();
        serving.set(served);
        Ok((files, Arc::new(serving)))
    }

    /// Follows the files until `stop`. What is good is served from the next
    /// connection on; what is not is said once, and the last that was good stays.
    pub(crate) async fn run(mut self, serving: Arc<ServingCertificate>, stop: CancellationToken) {
        let followed = async {
            loop {
                if let Some(served) = self.files.look(&serving.status, serve).await {
                    adopt(&serving, served);
                }
                let served = serving.current.borrow().clone();
                if let Some(served) = served {
                    self.warn_of_its_end(&served);
                }
            }
        };
        stop.run_until_cancelled(followed).await;
    }

    /// Whoever renews it may have stopped doing so.
    fn warn_of_its_end(&mut self, served: &Served) {
        let certificate = &served.certificate;
        let fingerprint = certificate.fingerprint();
        if SystemTime::now() < certificate.warn_from()
            || self.warned.as_deref() == Some(fingerprint)
        {
            return;
        }
        self.warned = Some(fingerprint.to_owned());
        tracing::warn!(
            until = %date(certificate.not_after()),
            "the webhooks' certificate is about to expire, or has: API servers call no webhook \
             whose certificate they cannot verify"
        );
    }
}

fn adopt(serving: &ServingCertificate, served: Served) {
    let certificate = &served.certificate;
    tracing::info!(
        subject = certificate.subject(),
        serial = certificate.serial(),
        until = %date(certificate.not_after()),
        "reloaded the webhooks' certificate",
    );
    serving.set(served);
}

/// What certificate and key make, if the key is the certificate's. One that has ended is
/// served, too: it is for the API server to say so, and discovery in the same process has
/// nothing to do with it.
fn serve(contents: &[Content]) -> anyhow::Result<Served> {
    let [certificate, key] = contents else {
        unreachable!("two files are read");
    };
    pair(
        (&certificate.path().display(), certificate.bytes()?),
        (&key.path().display(), key.bytes()?),
    )
}

/// As [`serve`], of certificate and key in PEM, each with where it is.
pub(super) fn pair(
    (certificate, chain): (&dyn Display, &[u8]),
    (key, private): (&dyn Display, &[u8]),
) -> anyhow::Result<Served> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty());
    let chain = chain.with_context(|| format!("{certificate}: no PEM certificate found"))?;
    let leaf = Certificate::from_der(&chain[0])
        .with_context(|| format!("the certificate in {certificate}"))?;
    // What the parser says may quote a line of the key.
    let private = PrivateKeyDer::from_pem_slice(private);
    let private = private.map_err(|_| anyhow!("{key}: no PEM private key found"))?;
    let provider = CryptoProvider::get_default().expect("installed first in main");
    let certified = CertifiedKey::from_der(chain, private, provider).with_context(|| {
        format!("the key in {key} does not serve the certificate in {certificate}")
    })?;
    Served::new(leaf, certified)
}

/// TLS 1.3 only; anybody may ask, what is told is no secret.
fn server_config(certified: CertifiedKey) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = CryptoProvider::get_default().expect("installed first in main");
    let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(certified));
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn served() -> Served {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default();
        let certificate = certificate.self_signed(&key).expect("signed").pem();
        let (key, name) = (key.serialize_pem(), "here");
        pair((&name, certificate.as_bytes()), (&name, key.as_bytes())).expect("good")
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_waits_for_what_may_be_registered_any_moment_and_not_for_long() {
        let certificate = ServingCertificate::none();
        certificate.set(served());
        let own = certificate.for_connection().await.expect("its own");
        let theirs = Arc::new(served());
        for (until, registered, lent, waits) in [
            (60, None, false, 1000),
            (60, Some(300), true, 300),
            (0, Some(300), false, 0),
        ] {
            let until = Instant::now() + Duration::from_secs(until);
            certificate.lend(Lent::Soon(until));
            let start = Instant::now();
            let register = async {
                if let Some(after) = registered {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    certificate.lend(Lent::Yes(theirs.clone()));
                }
            };
            let connect = async {
                let with = certificate.for_connection().await.expect("one of them");
                (with, start.elapsed().as_millis())
            };
            let ((with, waited), ()) = tokio::join!(connect, register);
            assert!(Arc::ptr_eq(&with, if lent { &theirs } else { &own }));
            assert_eq!(waited, waits);
        }
    }
}
