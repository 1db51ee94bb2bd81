//! The certificate that API servers see, in files that somebody else renews.

use anyhow::{Context as _, anyhow};
use ferrule_identity::{Certificate, DirectoryChanges, FileMark, FilesStatus, date, read_file};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Called so in a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// How often the files are looked at where no change is told.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
/// Who writes two files is given this long between them before what they hold
/// counts as bad.
const SETTLE: Duration = Duration::from_millis(500);
/// HTTP/2 first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What is served now, whoever makes it.
pub(crate) struct ServingCertificate {
    /// None before the first was made.
    current: watch::Sender<Option<Arc<Served>>>,
    status: FilesStatus,
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
    directory: PathBuf,
    /// What is served was read from.
    live: Marks,
    /// The bad contents that were last complained of.
    complained: Option<Marks>,
    /// The certificate whose end was last warned of.
    warned: Option<String>,
}

type Marks = [FileMark; 2];

/// What is in the files at one moment.
struct Contents {
    certificate: io::Result<Vec<u8>>,
    key: io::Result<Vec<u8>>,
}

impl ServingCertificate {
    /// One that is to be made yet.
    pub(crate) fn none() -> Self {
        Self {
            current: watch::Sender::new(None),
            status: FilesStatus::default(),
        }
    }

    /// What connections are accepted with.
    pub(super) fn current(&self) -> Option<Arc<Served>> {
        self.current.borrow().clone()
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
        let contents = Contents::read(directory);
        let served = contents.serve(directory)?;
        let files = Self {
            directory: directory.to_owned(),
            live: contents.marks(),
            complained: None,
            warned: None,
        };
        let serving = ServingCertificate::none();
        serving.set(served);
        Ok((files, Arc::new(serving)))
    }

    /// Follows the files until `stop`. What is good is served from the next
    /// connection on; what is not is said once, and the last that was good stays.
    pub(crate) async fn run(mut self, serving: Arc<ServingCertificate>, stop: CancellationToken) {
        let directory = self.directory.clone();
        let subject = "the webhooks' certificate";
        let mut changes = DirectoryChanges::of(subject, [&*directory].into_iter());
        let followed = async {
            loop {
                // Before reading: what changes meanwhile is told.
                changes.watch();
                self.look(&serving).await;
                changes.told_within(LOOK_ANYWAY).await;
            }
        };
        stop.run_until_cancelled(followed).await;
    }

    async fn look(&mut self, serving: &ServingCertificate) {
        let mut contents = self.read().await;
        loop {
            let marks = contents.marks();
            if marks == self.live {
                self.recovered(serving);
                break;
            }
            match contents.serve(&self.directory) {
                Ok(served) => {
                    self.live = marks;
                    self.recovered(serving);
                    adopt(serving, served);
                }
                Err(_) if self.complained.as_ref() == Some(&marks) => {}
                Err(error) => {
                    // Half of it may be written.
                    tokio::time::sleep(SETTLE).await;
                    contents = self.read().await;
                    if contents.marks() != marks {
                        continue;
                    }
                    self.complain(serving, marks, &error);
                }
            }
            break;
        }
        if let Some(served) = serving.current() {
            self.warn_of_its_end(&served);
        }
    }

    /// Beside the runtime: disks may be slow.
    async fn read(&self) -> Contents {
        let directory = self.directory.clone();
        let read = tokio::task::spawn_blocking(move || Contents::read(&directory));
        match read.await {
            Ok(contents) => contents,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn complain(&mut self, serving: &ServingCertificate, marks: Marks, error: &anyhow::Error) {
        let error = format!("{error:#}");
        tracing::warn!("the last good certificate of the webhooks stays in use: {error}");
        serving.status.failed(error);
        self.complained = Some(marks);
    }

    fn recovered(&mut self, serving: &ServingCertificate) {
        if self.complained.take().is_some() {
            tracing::info!("the files of the webhooks' certificate are good again");
            serving.status.recovered();
        }
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
    serving.status.reloaded();
    serving.set(served);
}

impl Contents {
    fn read(directory: &Path) -> Self {
        Self {
            certificate: read_file(&directory.join(CERTIFICATE)),
            key: read_file(&directory.join(KEY)),
        }
    }

    fn marks(&self) -> Marks {
        [FileMark::of(&self.certificate), FileMark::of(&self.key)]
    }

    /// What they make, if the key is the certificate's. One that has ended is
    /// served, too: it is for the API server to say so, and discovery in the same
    /// process has nothing to do with it.
    fn serve(&self, directory: &Path) -> anyhow::Result<Served> {
        let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
        let chain = bytes(&self.certificate, &certificate)?;
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .with_context(|| format!("{}: no PEM certificate found", certificate.display()))?;
        let leaf = Certificate::from_der(&chain[0])
            .with_context(|| format!("the certificate in {}", certificate.display()))?;
        // What the parser says may quote a line of the key.
        let no_key = || anyhow!("{}: no PEM private key found", key.display());
        let pem = bytes(&self.key, &key)?;
        let private = PrivateKeyDer::from_pem_slice(pem).map_err(|_| no_key())?;
        let provider = CryptoProvider::get_default().expect("installed first in main");
        let certified = CertifiedKey::from_der(chain, private, provider).with_context(|| {
            let (key, certificate) = (key.display(), certificate.display());
            format!("the key in {key} does not serve the certificate in {certificate}")
        })?;
        Served::new(leaf, certified)
    }
}

fn bytes<'c>(contents: &'c io::Result<Vec<u8>>, path: &Path) -> anyhow::Result<&'c [u8]> {
    match contents {
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(anyhow!("cannot read {}: {error}", path.display())),
    }
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
