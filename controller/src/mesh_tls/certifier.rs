use anyhow::{Context as _, bail};
use ferrule_identity::{CertificateAuthority, IdentityName, TrustAnchors, read_file};
use ferrule_proto::identity::{CertifyRequest, identity_client::IdentityClient};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName},
};
use std::{io, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// A proxy's own limit for connections to the control plane is 1 s; an answer may
/// have to wait for the API server (identity gives up after 10 s).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const CERTIFY_TIMEOUT: Duration = Duration::from_secs(15);
/// How often the anchors' file is read again (ruling 12).
const POLL: Duration = Duration::from_secs(10);

/// Who signs this process' own certificates (ruling 9).
pub(crate) enum Certifier {
    /// The identity role runs in this process.
    Local {
        /// It.
        authority: Arc<CertificateAuthority>,
        /// Its swaps of issuer or anchors.
        swaps: watch::Receiver<u64>,
    },
    /// It runs elsewhere.
    Remote(RemoteIdentity),
}

/// A certificate with what leads to the trust anchors, leaf first.
pub(crate) struct Answer {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) anchors: TrustAnchors,
}

impl Certifier {
    /// Signs in this process.
    pub(crate) fn local(authority: Arc<CertificateAuthority>) -> Self {
        Certifier::Local {
            swaps: authority.subscribe(),
            authority,
        }
    }

    /// A certificate for `name` and the key that signed `csr`.
    pub(super) async fn certify(&self, name: &IdentityName, csr: &[u8]) -> anyhow::Result<Answer> {
        let (response, anchors) = match self {
            Certifier::Local { authority, .. } => {
                let response = authority.certify_self(name, csr)?;
                let credentials = authority
                    .credentials()
                    .context("the issuer has gone in the meantime")?;
                (response, credentials.anchors.clone())
            }
            Certifier::Remote(identity) => {
                let anchors = identity.anchors.clone();
                let certify = identity.certify(name, csr);
                let response = tokio::time::timeout(CERTIFY_TIMEOUT, certify)
                    .await
                    .map_err(|_| {
                        let (addr, timeout) = (&identity.addr, CERTIFY_TIMEOUT);
                        anyhow::anyhow!("{addr} did not answer within {timeout:?}")
                    })??;
                (response, anchors)
            }
        };
        let chain = std::iter::once(response.leaf_certificate)
            .chain(response.intermediate_certificates)
            .map(CertificateDer::from)
            .collect();
        Ok(Answer { chain, anchors })
    }

    /// The anchors, if their file has others since they were last read: identity may
    /// have an issuer under a new one already.
    pub(super) fn reload(&mut self) -> Option<TrustAnchors> {
        match self {
            Certifier::Local { .. } => None,
            Certifier::Remote(identity) => identity.reload(),
        }
    }

    /// The anchors, once they or the issuer have changed.
    pub(super) async fn changed(&mut self) -> TrustAnchors {
        loop {
            match self {
                Certifier::Local { authority, swaps } => {
                    if swaps.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    if let Some(credentials) = authority.credentials() {
                        return credentials.anchors.clone();
                    }
                }
                Certifier::Remote(identity) => {
                    identity.polls.tick().await;
                    if let Some(anchors) = identity.reload() {
                        return anchors;
                    }
                }
            }
        }
    }
}

/// The identity role of another process, as proxies know it.
pub(crate) struct RemoteIdentity {
    /// `HOST:PORT`.
    addr: String,
    /// What it must prove to be.
    name: IdentityName,
    token_file: PathBuf,
    anchors_file: PathBuf,
    anchors: TrustAnchors,
    /// Goes on where it was when the wait for a change is given up for something
    /// else.
    polls: Interval,
    /// Whether identity speaks mesh TLS at loopback addresses, too.
    meshed_loopback: bool,
    /// What the last bad content of the anchors' file was refused with.
    last_error: Option<String>,
}

impl RemoteIdentity {
    /// Identity at `addr`, trusted by the anchors in a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn new(
        addr: String,
        name: IdentityName,
        token_file: PathBuf,
        anchors_file: PathBuf,
        meshed_loopback: bool,
    ) -> anyhow::Result<Self> {
        let anchors = read_anchors(&anchors_file)?;
        let mut polls = interval_at(Instant::now() + POLL, POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            addr,
            name,
            token_file,
            anchors_file,
            anchors,
            polls,
            meshed_loopback,
            last_error: None,
        })
    }

    /// The anchors, if the file has others now. A bad file changes nothing.
    fn reload(&mut self) -> Option<TrustAnchors> {
        match read_anchors(&self.anchors_file) {
            Ok(anchors) => {
                self.last_error = None;
                if anchors.sha256() == self.anchors.sha256() {
                    return None;
                }
                tracing::info!(file = %self.anchors_file.display(), "reloaded the trust anchors");
                self.anchors = anchors.clone();
                Some(anchors)
            }
            Err(error) => {
                let error = format!("{error:#}");
                if self.last_error.as_ref() != Some(&error) {
                    tracing::warn!("the trust anchors stay as they are: {error}");
                }
                self.last_error = Some(error);
                None
            }
        }
    }

    async fn certify(
        &self,
        name: &IdentityName,
        csr: &[u8],
    ) -> anyhow::Result<ferrule_proto::identity::CertifyResponse> {
        let token = std::fs::read(&self.token_file)
            .with_context(|| format!("cannot read the token {}", self.token_file.display()))?;
        if token.is_empty() {
            bail!("the token {} is empty", self.token_file.display());
        }
        let channel = self
            .connect()
            .await
            .with_context(|| format!("cannot reach identity at {}", self.addr))?;
        let request = CertifyRequest {
            identity: name.to_string(),
            token,
            certificate_signing_request: csr.to_vec(),
        };
        match IdentityClient::new(channel).certify(request).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => bail!(
                "identity at {} refused: {:?}: {}",
                self.addr,
                status.code(),
                status.message()
            ),
        }
    }

    /// A new connection for each attempt, as proxies do: plaintext to loopback
    /// (unless told otherwise), mesh TLS to anywhere else.
    async fn connect(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::try_from(format!("http://{}", self.addr))
            .context("not HOST:PORT")?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        let host = endpoint.uri().host().unwrap_or_default();
        if is_loopback(host) && !self.meshed_loopback {
            return Ok(endpoint.connect().await?);
        }
        let provider = CryptoProvider::get_default().expect("installed first in main");
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.anchors.root_store())
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(self.name.to_string())?;
        let connect = tower::service_fn(move |uri: Uri| {
            let (connector, name) = (connector.clone(), name.clone());
            async move {
                let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
                let port = uri.port_u16().unwrap_or(80);
                let stream = TcpStream::connect((host, port)).await?;
                let stream = connector.connect(name, stream).await?;
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        Ok(endpoint.connect_with_connector(connect).await?)
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost."
        || host
            .parse()
            .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

fn read_anchors(file: &std::path::Path) -> anyhow::Result<TrustAnchors> {
    let pem = read_file(file)
        .with_context(|| format!("cannot read the trust anchors {}", file.display()))?;
    TrustAnchors::from_pem(&pem).with_context(|| format!("the trust anchors {}", file.display()))
}
