//! Asking the identity service for a certificate, again and again (api.md
//! section 2.10).

use super::{
    anchors::TrustAnchors,
    certificate::{Certificate, Holder, Rejection},
    connection::Dialer,
    refresh::Refresh,
    stream::{causes, explain},
    watched::{Failure, Seen},
};
use anyhow::Context as _;
use ferrule_proto::identity::{CertifyRequest, identity_client::IdentityClient};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use std::{io, path::PathBuf, sync::Arc, time::SystemTime};
use tokio::sync::watch;
use tonic::{Code, Status};

/// Why there is no (new) certificate; it is asked for again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CertifyFailure {
    /// The token could not be read.
    #[error("token {}: {error}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: Arc<io::Error>,
    },

    /// Nobody answered, or nobody who has the right name.
    #[error("cannot connect to identity: {0}")]
    Connection(String),

    /// The service said no.
    #[error("identity refuses: {}", explain(.0))]
    Refused(Status),

    /// The answer is none that a proxy uses.
    #[error("the answer of identity is refused: {0}")]
    Rejected(#[from] Rejection),
}

/// A proxy's key, request and way to the identity service.
#[derive(Debug)]
pub(crate) struct Identity {
    name: String,
    dialer: Dialer,
    key: KeyPair,
    request: Vec<u8>,
    token_file: PathBuf,
    anchors: TrustAnchors,
    refresh: Refresh,
}

impl CertifyFailure {
    /// The refusal's code, if it is a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(status) => Some(status.code()),
            _ => None,
        }
    }
}

impl Failure for CertifyFailure {
    /// An answer that is refused today may be right tomorrow, and so does a
    /// proxy think: it asks again.
    fn is_invalid(&self) -> bool {
        false
    }
}

impl Identity {
    /// Makes a P-256 key, and a request for `name` unless there is one. Both are
    /// kept for good.
    pub(crate) fn new(
        name: &str,
        dialer: Dialer,
        token_file: PathBuf,
        anchors: TrustAnchors,
        refresh: Refresh,
        request: Option<Vec<u8>>,
    ) -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("making a key")?;
        let request = match request {
            Some(request) => request,
            None => signing_request(name, &key)
                .with_context(|| format!("making a signing request for {name}"))?,
        };
        Ok(Self {
            name: name.to_owned(),
            dialer,
            key,
            request,
            token_file,
            anchors,
            refresh,
        })
    }

    /// Asks whenever it is time, for ever.
    pub(crate) async fn run(self, seen: watch::Sender<Seen<Certificate, CertifyFailure>>) {
        loop {
            match self.certify().await {
                Ok(certificate) => seen.send_modify(|seen| {
                    seen.messages += 1;
                    seen.redundant += usize::from(seen.value.as_deref() == Some(&certificate));
                    seen.calls += 1;
                    seen.failure = None;
                    seen.value = Some(Arc::new(certificate));
                }),
                Err(failure) => seen.send_modify(|seen| {
                    seen.failures += 1;
                    seen.failure = Some(failure);
                }),
            }
            let valid_until = seen.borrow().value.as_ref().map(|own| own.valid_until());
            let pause = self.refresh.pause(valid_until, SystemTime::now());
            tokio::time::sleep(pause).await;
        }
    }

    /// One request, with the token as it is now, on a connection of its own.
    async fn certify(&self) -> Result<Certificate, CertifyFailure> {
        let token = self.token().map_err(|error| CertifyFailure::Token {
            path: self.token_file.clone(),
            error: Arc::new(error),
        })?;
        let connection = self.dialer.connect().await;
        let connection = connection.map_err(|error| CertifyFailure::Connection(causes(&error)))?;
        let request = CertifyRequest {
            identity: self.name.clone(),
            token,
            certificate_signing_request: self.request.clone(),
        };
        let response = IdentityClient::new(connection).certify(request).await;
        let response = response.map_err(CertifyFailure::Refused)?.into_inner();
        let holder = Holder {
            name: &self.name,
            key: &self.key,
        };
        let now = SystemTime::now();
        Ok(Certificate::accept(response, holder, &self.anchors, now)?)
    }

    fn token(&self) -> io::Result<Vec<u8>> {
        let token = std::fs::read(&self.token_file)?;
        if token.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
        }
        Ok(token)
    }
}

/// What the helper in a proxy's image writes: a common name and one DNS name.
fn signing_request(name: &str, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params.serialize_request(key)?.der().to_vec())
}
