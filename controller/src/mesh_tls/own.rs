use super::{
    certifier::{Answer, Certifier},
    client_auth::{ClientAuth, ClientCertificates},
};
use anyhow::{Context as _, bail};
use ferrule_identity::{Certificate, IdentityName, TrustAnchors, date};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// When a certificate is renewed, as proxies do (api.md 2.10): after 70 % of what
/// is left of its life, not sooner than 10 s and not later than a day.
const RENEW_AFTER: f64 = 0.7;
const MIN_REFRESH: Duration = Duration::from_secs(10);
const MAX_REFRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// How long to wait after a failure: doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// A certificate of this process' own.
pub(crate) struct OwnCertificate {
    /// As metrics call it.
    service_account: &'static str,
    name: IdentityName,
    key: SigningKey,
    csr: Vec<u8>,
    clients: Arc<ClientCertificates>,
    current: watch::Sender<Option<Arc<Served>>>,
    last_error: Mutex<Option<String>>,
}

/// What is served until the next renewal.
pub(crate) struct Served {
    /// The leaf.
    pub(crate) certificate: Certificate,
    chain: Vec<CertificateDer<'static>>,
    anchors: TrustAnchors,
    asking_nobody: Arc<ServerConfig>,
    asking: Arc<ServerConfig>,
    requiring: Arc<ServerConfig>,
}

type SigningKey = Arc<dyn rustls::sign::SigningKey>;

/// Why a listener cannot be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotCertified {
    /// There has been no certificate yet.
    Waiting {
        /// The name.
        name: String,
        /// What the last attempt failed with.
        error: Option<String>,
    },
    /// The last one was not renewed in time.
    Expired {
        /// The name.
        name: String,
        /// What the last attempt failed with.
        error: Option<String>,
    },
}

impl fmt::Display for NotCertified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            NotCertified::Waiting { name, error } => {
                write!(f, "no certificate for {name} yet")?;
                error
            }
            NotCertified::Expired { name, error } => {
                write!(f, "the certificate for {name} has expired")?;
                error
            }
        };
        match error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl Served {
    /// Whom clients are verified by.
    pub(crate) fn anchors(&self) -> &TrustAnchors {
        &self.anchors
    }

    /// How TLS is done at a listener.
    pub(super) fn config(&self, auth: ClientAuth) -> Arc<ServerConfig> {
        let config = match auth {
            ClientAuth::None => &self.asking_nobody,
            ClientAuth::Asked => &self.asking,
            ClientAuth::Required => &self.requiring,
        };
        config.clone()
    }
}

impl OwnCertificate {
    /// A new key for `name`, which is that of the service account; there is no
    /// certificate yet.
    pub(crate) fn new(name: IdentityName, service_account: &'static str) -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(vec![name.to_string()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, name.as_str());
        let csr = params.serialize_request(&key)?.der().to_vec();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(Self {
            service_account,
            name,
            key: aws_lc_rs::sign::any_ecdsa_type(&key.into())?,
            csr,
            clients: Arc::default(),
            current: watch::Sender::new(None),
            last_error: Mutex::new(None),
        })
    }

    /// The name it is for.
    pub(crate) fn name(&self) -> &IdentityName {
        &self.name
    }

    /// The service account whose name it is.
    pub(crate) fn service_account(&self) -> &'static str {
        self.service_account
    }

    /// What the last attempt failed with, if it did.
    pub(crate) fn last_error(&self) -> Option<String> {
        let error = self.last_error.lock();
        error.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What clients showed at the listeners that serve it.
    pub(crate) fn clients(&self) -> &ClientCertificates {
        &self.clients
    }

    /// What is served now.
    pub(crate) fn current(&self) -> Option<Arc<Served>> {
        self.current.borrow().clone()
    }

    /// What is served, from the first certificate on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<Served>>> {
        self.current.subscribe()
    }

    /// Whether clients find a certificate that they accept.
    pub(crate) fn check(&self, now: SystemTime) -> Result<(), NotCertified> {
        let name = self.name.to_string();
        let error = self.last_error();
        match &*self.current.borrow() {
            None => Err(NotCertified::Waiting { name, error }),
            Some(served) if served.certificate.not_after() <= now => {
                Err(NotCertified::Expired { name, error })
            }
            Some(_) => Ok(()),
        }
    }

    /// Obtains and renews the certificate until the token is cancelled.
    pub(crate) async fn run(self: Arc<Self>, mut certifier: Certifier, stop: CancellationToken) {
        let mut retry = FIRST_RETRY;
        loop {
            if let Some(anchors) = certifier.reload() {
                self.trust(&anchors);
            }
            let pause = match self.renew(&certifier).await {
                Ok(not_after) => {
                    retry = FIRST_RETRY;
                    self.note(None);
                    refresh_after(SystemTime::now(), not_after)
                }
                Err(error) => {
                    self.note(Some(format!("{error:#}")));
                    let pause = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    pause
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                anchors = certifier.changed() => self.trust(&anchors),
            }
        }
    }

    async fn renew(&self, certifier: &Certifier) -> anyhow::Result<SystemTime> {
        let answer = certifier.certify(&self.name, &self.csr).await?;
        let served = self.serve(answer)?;
        let not_after = served.certificate.not_after();
        tracing::info!(
            identity = %self.name,
            until = %date(not_after),
            serial = served.certificate.serial(),
            "certified",
        );
        self.current.send_replace(Some(Arc::new(served)));
        Ok(not_after)
    }

    /// Serves on with other anchors.
    fn trust(&self, anchors: &TrustAnchors) {
        let Some(current) = self.current() else {
            return;
        };
        if current.anchors.sha256() == anchors.sha256() {
            return;
        }
        let answer = Answer {
            chain: current.chain.clone(),
            anchors: anchors.clone(),
        };
        match self.serve(answer) {
            Ok(served) => {
                self.current.send_replace(Some(Arc::new(served)));
            }
            // The renewal that follows will say the same if it is still true.
            Err(error) => self.note(Some(format!("{error:#}"))),
        }
    }

    /// What an answer makes, if clients will accept it.
    fn serve(&self, answer: Answer) -> anyhow::Result<Served> {
        let Answer { chain, anchors } = answer;
        let Some((leaf, intermediates)) = chain.split_first() else {
            bail!("the answer has no certificate");
        };
        let name = ServerName::try_from(self.name.as_str())?;
        WebPkiServerVerifier::builder(Arc::new(anchors.root_store()))
            .build()
            .context("the trust anchors cannot verify servers")?
            .verify_server_cert(leaf, intermediates, &name, &[], UnixTime::now())
            .context("clients would refuse the certificate")?;
        let certificate = Certificate::from_der(leaf)?;
        let certified = CertifiedKey::new(chain.clone(), self.key.clone());
        certified
            .keys_match()
            .context("the certificate is for another key")?;
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        let config = |auth: ClientAuth| {
            let verifier = auth.verifier(&anchors, &self.clients)?;
            server_config(verifier, resolver.clone())
        };
        Ok(Served {
            certificate,
            asking_nobody: config(ClientAuth::None)?,
            asking: config(ClientAuth::Asked)?,
            requiring: config(ClientAuth::Required)?,
            chain,
            anchors,
        })
    }

    /// Says a failure once, and that it is over.
    fn note(&self, error: Option<String>) {
        let mut last = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &error {
            Some(error) if last.as_ref() != Some(error) => {
                tracing::warn!(identity = %self.name, "cannot get a certificate: {error}");
            }
            _ => {}
        }
        *last = error;
    }
}

/// TLS 1.3 only, without ALPN (proxies offer none and begin HTTP/2 at once) and
/// without tickets (they do not resume).
fn server_config(
    verifier: Arc<dyn rustls::server::danger::ClientCertVerifier>,
    resolver: Arc<dyn ResolvesServerCert>,
) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = CryptoProvider::get_default().expect("installed first in main");
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// How long to wait before a certificate is renewed.
fn refresh_after(now: SystemTime, not_after: SystemTime) -> Duration {
    let left = not_after.duration_since(now).unwrap_or_default();
    left.mul_f64(RENEW_AFTER).clamp(MIN_REFRESH, MAX_REFRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_after_most_of_its_life() {
        let now = SystemTime::now();
        for (left, expected) in [
            (100, 70),
            (24 * 3600, 60_480),
            (5, 10),
            (0, 10),
            (10 * 24 * 3600, 24 * 3600),
        ] {
            let not_after = now + Duration::from_secs(left);
            let pause = refresh_after(now, not_after);
            assert_eq!(pause.as_secs_f64().round(), f64::from(expected), "{left}");
        }
        assert_eq!(
            refresh_after(now, now - Duration::from_secs(60)),
            MIN_REFRESH
        );
    }
}
