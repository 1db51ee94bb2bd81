mod leaf;
mod path;
pub(crate) mod preflight;
mod validity;

pub use self::{
    leaf::{Leaf, SignError},
    path::PathError,
    preflight::IssuerWarning,
    validity::{Validity, ValidityError},
};

use self::leaf::AlternativeName;
use crate::{
    anchors::TrustAnchors,
    certificate::{Certificate, ChainError},
    csr::CertificateRequest,
    key::{KeyError, SigningKey},
    name::IdentityScope,
    signature::PublicKey,
};
use rustls_pki_types::ServerName;
use std::{fmt, ops::RangeInclusive, time::SystemTime};
use thiserror::Error;

/// The certificate and key that leaves are signed with.
pub struct Issuer {
    key: SigningKey,
    /// As in the file: the issuer itself first. Never empty.
    chain: Vec<Certificate>,
    response_chain: Vec<Certificate>,
    warnings: Vec<IssuerWarning>,
}

/// Why nothing can be signed with a certificate and key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IssuerError {
    /// The file has no certificates that can be read.
    #[error("issuer certificate: {0}")]
    Certificate(#[from] ChainError),
    /// The file has no key that can be used.
    #[error("issuer key: {0}")]
    Key(#[from] KeyError),
    /// They are of different pairs.
    #[error("public and private key do not match")]
    KeyMismatch,
    /// Nobody who has the trust anchors would trust it now.
    #[error("issuer certificate: {0}")]
    Path(#[from] PathError),
    /// It is a leaf itself.
    #[error("the issuer certificate {0} must be an intermediate CA, its basic constraints say no")]
    NotAnAuthority(String),
    /// It verifies, but leaves that it signs do not.
    #[error("proxies would refuse every certificate signed by this issuer: {0}")]
    LeavesRefused(String),
}

impl Issuer {
    /// Reads PEM files and checks, in the order of identity-injector.md 3.3, that
    /// leaves can be signed with them that proxies will accept. `certificate_pem`
    /// holds the issuer's certificate and then its parents' towards the root;
    /// `scope` is what the leaves' names will be in.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn load(
        certificate_pem: &[u8],
        key_pem: &[u8],
        anchors: &TrustAnchors,
        scope: &IdentityScope,
        now: SystemTime,
    ) -> Result<Self, IssuerError> {
        let chain = Certificate::chain_from_pem(certificate_pem)?;
        let key = SigningKey::from_pem(key_pem)?;
        let own = &chain[0];
        if own.public_key() != key.public_key() {
            return Err(IssuerError::KeyMismatch);
        }
        path::verify(&chain, anchors.certificates(), now)?;
        if !own.is_ca() {
            return Err(IssuerError::NotAnAuthority(own.subject().to_owned()));
        }
        let response_chain = response_chain(&chain);
        let mut issuer = Self {
            key,
            chain,
            response_chain,
            warnings: Vec::new(),
        };
        issuer.warnings = preflight::fly(&issuer, anchors, scope, now)?;
        Ok(issuer)
    }

    /// Would it be trusted now? The same rules as when it was loaded
    /// (identity-injector.md 3.5, step 6). Returned is when all certificates of the path
    /// to an anchor are valid: for so long it is trusted.
    ///
    /// # Errors
    /// It, or one of those that it chains to, expired since, or `anchors` are
    /// others than those it was loaded with.
    pub fn verify(
        &self,
        anchors: &TrustAnchors,
        now: SystemTime,
    ) -> Result<RangeInclusive<SystemTime>, IssuerError> {
        Ok(path::verify(&self.chain, anchors.certificates(), now)?)
    }

    /// Whether it would be trusted now by who trusts only this anchor.
    pub(crate) fn is_under(&self, anchor: &Certificate, now: SystemTime) -> bool {
        path::verify(&self.chain, std::slice::from_ref(anchor), now).is_ok()
    }

    /// The certificate that leaves are signed with.
    pub fn certificate(&self) -> &Certificate {
        &self.chain[0]
    }

    /// The certificates of the file in its order: the issuer's own, then towards
    /// the root.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// What is sent with a leaf (ruling 11): [`Self::chain`] without the roots,
    /// which only help those who have them anyhow. The issuer is always there.
    pub fn response_chain(&self) -> &[Certificate] {
        &self.response_chain
    }

    /// What people should know of it. It is no reason to refuse it.
    pub fn warnings(&self) -> &[IssuerWarning] {
        &self.warnings
    }

    /// Signs a certificate for the key and the name in `request`
    /// (identity-injector.md 3.7). Whether the requester may have that name is
    /// for the caller to know: [`CertificateRequest::check`] and the token.
    ///
    /// # Errors
    /// There is no such leaf, because the issuer has expired or because the
    /// request has no key or not one name.
    pub fn sign(
        &self,
        request: &CertificateRequest,
        validity: &Validity,
        now: SystemTime,
    ) -> Result<Leaf, SignError> {
        let subject = leaf::Subject {
            name: request.subject(),
            alternative_names: &[AlternativeName::Dns(request.dns_name()?)],
            usage: leaf::Usage::Mesh,
            public_key: request.key()?,
        };
        leaf::sign(self, &subject, validity, now)
    }

    /// Signs the certificate of a server that is dialled by these names, which is no
    /// workload of the mesh; `public_key` is a SubjectPublicKeyInfo in DER. The first
    /// name is its subject.
    ///
    /// # Errors
    /// There is no such leaf, because the issuer has expired, there is no name, or the
    /// key is none.
    pub fn sign_server(
        &self,
        server_names: &[ServerName<'_>],
        public_key: &[u8],
        validity: &Validity,
        now: SystemTime,
    ) -> Result<Leaf, SignError> {
        let first = server_names.first();
        let first = first.ok_or(SignError::Subject("a server has at least one name"))?;
        let public_key = PublicKey::from_der(public_key)
            .map_err(|_| SignError::Subject("the public key is malformed"))?;
        let names: Vec<_> = server_names.iter().filter_map(alternative_name).collect();
        let subject = leaf::Subject {
            name: &preflight::common_name(&first.to_str()),
            alternative_names: &names,
            usage: leaf::Usage::Server,
            public_key: &public_key,
        };
        leaf::sign(self, &subject, validity, now)
    }
}

fn alternative_name<'a>(name: &'a ServerName<'_>) -> Option<AlternativeName<'a>> {
    match name {
        ServerName::DnsName(name) => Some(AlternativeName::Dns(name.as_ref())),
        ServerName::IpAddress(address) => Some(AlternativeName::Ip((*address).into())),
        // There are no others yet.
        _ => None,
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("subject", &self.certificate().subject())
            .field("fingerprint", &self.certificate().fingerprint())
            .finish_non_exhaustive()
    }
}

fn response_chain(chain: &[Certificate]) -> Vec<Certificate> {
    let (issuer, parents) = chain.split_first().expect("never empty");
    let parents = parents.iter().filter(|parent| !parent.is_self_signed());
    std::iter::once(issuer).chain(parents).cloned().collect()
}
