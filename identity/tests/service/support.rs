//! A mesh's certificates, and a workload that asks for one.

use ferrule_identity::{
    Authenticator, Certificate, CertificateAuthority, Credentials, IdentityName, IdentityScope,
    Issuer, ServiceAccount, TokenIssuer, TrustAnchors, Validity,
};
use ferrule_proto::identity::{CertifyRequest, CertifyResponse};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tracing_subscriber::fmt::MakeWriter;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) fn scope() -> IdentityScope {
    IdentityScope::new("linkerd", "cluster.local").unwrap()
}

/// A trust anchor with its key.
pub(crate) struct Root {
    pub(crate) pem: String,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Root {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority(
            name,
            SystemTime::now() - HOUR,
            SystemTime::now() + 10 * YEAR,
        );
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    /// An issuer under it, for a year.
    pub(crate) fn issuer(&self) -> Pair {
        self.issuer_valid(SystemTime::now() - HOUR, SystemTime::now() + YEAR)
    }

    pub(crate) fn issuer_valid(&self, not_before: SystemTime, not_after: SystemTime) -> Pair {
        self.sign(authority(
            "identity.linkerd.cluster.local",
            not_before,
            not_after,
        ))
    }

    /// What is no issuer, though signed by it.
    pub(crate) fn leaf(&self) -> Pair {
        let mut params = CertificateParams::new(["leaf.example".to_owned()]).unwrap();
        params.is_ca = IsCa::ExplicitNoCa;
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        params.use_authority_key_identifier_extension = true;
        Pair {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn credentials(&self, pair: &Pair) -> Credentials {
        let anchors = TrustAnchors::from_pem(self.pem.as_bytes()).unwrap();
        let issuer = Issuer::load(
            pair.certificate.as_bytes(),
            pair.key.as_bytes(),
            &anchors,
            &scope(),
            SystemTime::now(),
        );
        Credentials::new(Arc::new(issuer.unwrap()), anchors)
    }
}

fn authority(name: &str, not_before: SystemTime, not_after: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = not_before.into();
    params.not_after = not_after.into();
    params
}

pub(crate) fn fingerprint(pair: &Pair) -> String {
    let chain = Certificate::chain_from_pem(pair.certificate.as_bytes()).unwrap();
    chain[0].fingerprint().to_owned()
}

/// An authority with an issuer that knows the tokens of `tokens`.
pub(crate) struct Mesh {
    pub(crate) authority: Arc<CertificateAuthority>,
    pub(crate) tokens: TokenIssuer,
    pub(crate) root: Root,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let tokens = token_issuer();
        let root = Root::new("root.linkerd.cluster.local");
        let authenticator = Authenticator::Local(tokens.verifier());
        let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
        authority.install(root.credentials(&root.issuer()));
        Self {
            authority: Arc::new(authority),
            tokens,
            root,
        }
    }

    /// A token of the service account `name` in `emojivoto`.
    pub(crate) fn token(&self, name: &str) -> String {
        let account = ServiceAccount::new("emojivoto", name).unwrap();
        self.tokens
            .issue(&account, HOUR, SystemTime::now())
            .unwrap()
    }
}

pub(crate) fn token_issuer() -> TokenIssuer {
    TokenIssuer::from_pem(TokenIssuer::generate_key().unwrap().as_bytes()).unwrap()
}

/// A proxy: a key, and the name it wants certified.
pub(crate) struct Proxy {
    pub(crate) name: IdentityName,
    key: KeyPair,
}

impl Proxy {
    /// That of the service account `name` in `emojivoto`.
    pub(crate) fn new(name: &str) -> Self {
        Self::in_namespace("emojivoto", name)
    }

    pub(crate) fn in_namespace(namespace: &str, name: &str) -> Self {
        Self {
            name: scope().service_account(namespace, name).unwrap(),
            key: KeyPair::generate().unwrap(),
        }
    }

    pub(crate) fn csr(&self) -> Vec<u8> {
        self.csr_with(|_| {})
    }

    pub(crate) fn csr_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new([self.name.to_string()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, self.name.as_str());
        change(&mut params);
        params.serialize_request(&self.key).unwrap().der().to_vec()
    }

    pub(crate) fn request(&self, token: &str) -> CertifyRequest {
        CertifyRequest {
            identity: self.name.to_string(),
            token: token.as_bytes().to_vec(),
            certificate_signing_request: self.csr(),
        }
    }
}

/// Verifies an answer as a proxy does, and reads its leaf.
pub(crate) fn verify(answer: &CertifyResponse, root: &Root, name: &IdentityName) -> Certificate {
    let anchors = TrustAnchors::from_pem(root.pem.as_bytes()).unwrap();
    let leaf = CertificateDer::from(&*answer.leaf_certificate);
    let chain = answer.intermediate_certificates.iter();
    let chain: Vec<_> = chain.map(|der| CertificateDer::from(&**der)).collect();
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new(anchors.root_store()),
        Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
    );
    let name = ServerName::try_from(name.as_str()).unwrap();
    rustls::client::danger::ServerCertVerifier::verify_server_cert(
        &*verifier.build().unwrap(),
        &leaf,
        &chain,
        &name,
        &[],
        UnixTime::now(),
    )
    .unwrap();
    let leaf = Certificate::from_der(&leaf).unwrap();
    let until = SystemTime::try_from(answer.valid_until.unwrap()).unwrap();
    assert_eq!(until, leaf.not_after(), "what a proxy goes by");
    leaf
}

/// Waits until `look` finds something, a minute at most.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "not yet: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is logged by the thread of a test, while the guard lives.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn lines_with(&self, text: &str) -> Vec<String> {
        let lines = self.text();
        let found = lines.lines().filter(|line| line.contains(text));
        found.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
