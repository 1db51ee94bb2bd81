use crate::{
    der::{DerError, check_name},
    signature::{PublicKey, SignatureError, Signed},
};
use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls_pki_types::{
    CertificateDer,
    pem::{self, PemObject, SectionKind},
};
use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use thiserror::Error;
use x509_parser::{
    certificate::{TbsCertificate, X509Certificate},
    error::X509Error,
    extensions::ParsedExtension,
    nom::Err as Failure,
    oid_registry::{
        OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE,
        OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, Oid,
    },
    prelude::FromDer,
    time::ASN1Time,
};

/// Nobody wants to hear of a certificate that is due in more than this (ruling 12).
const LONGEST_WARNING: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// A certificate of an authority: its DER, and what it says as far as that
/// matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    subject: Name,
    issuer: Name,
    serial: String,
    not_before: SystemTime,
    not_after: SystemTime,
    public_key: PublicKey,
    self_signed: bool,
    extensions: Extensions,
    fingerprint: String,
}

/// Names are compared by their DER and shown as text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    der: Vec<u8>,
    text: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Extensions {
    subject_key_id: Option<Vec<u8>>,
    is_ca: bool,
    path_length: Option<u32>,
    may_sign_certificates: Option<bool>,
    extended_key_usage: Option<ExtendedKeyUsage>,
}

/// What a certificate, and those below it, may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedKeyUsage {
    /// Anything.
    pub any: bool,
    /// To be a TLS server.
    pub server_auth: bool,
    /// To be a TLS client.
    pub client_auth: bool,
}

/// Why bytes are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// The frame is wrong.
    #[error(transparent)]
    Der(#[from] DerError),
    /// What is in it is wrong.
    #[error("{0}")]
    Content(String),
    /// It says one signature algorithm where it is signed and another where not.
    #[error("it names two signature algorithms")]
    SignatureAlgorithm,
    /// Proxies can not use it.
    #[error("unusable as a trust anchor: {0}")]
    Unusable(String),
}

/// Why a text is no list of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainError {
    /// There is no certificate in it.
    #[error("no certificates found, expected at least one PEM block CERTIFICATE")]
    Empty,
    /// A PEM block that can not be read.
    #[error("the PEM is malformed after {before} certificates: {reason}")]
    Pem {
        /// How many certificates stand before it.
        before: usize,
        /// What the PEM parser says.
        reason: String,
    },
    /// A block CERTIFICATE that holds none.
    #[error("certificate number {number} is malformed: {reason}")]
    Certificate {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: CertificateError,
    },
}

impl From<X509Error> for CertificateError {
    fn from(error: X509Error) -> Self {
        Self::Content(error.to_string())
    }
}

impl Certificate {
    /// Reads one certificate and nothing more.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let signed = Signed::parse(der)?;
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| match error {
            Failure::Error(error) | Failure::Failure(error) => error,
            Failure::Incomplete(_) => X509Error::InvalidCertificate,
        })?;
        if parsed.signature_algorithm != parsed.signature {
            return Err(CertificateError::SignatureAlgorithm);
        }
        let name = |name: &x509_parser::x509::X509Name<'_>| Name {
            der: name.as_raw().to_vec(),
            text: name.to_string(),
        };
        check_name(parsed.subject.as_raw())?;
        let public_key = PublicKey::from_der(parsed.public_key().raw)?;
        let mut certificate = Self {
            der: CertificateDer::from(der.to_vec()),
            subject: name(&parsed.subject),
            issuer: name(&parsed.issuer),
            serial: hex(parsed.raw_serial()),
            not_before: time(parsed.validity.not_before),
            not_after: time(parsed.validity.not_after),
            public_key,
            self_signed: false,
            extensions: Extensions::read(&parsed)?,
            fingerprint: sha256(der),
        };
        certificate.self_signed = certificate.is_issued_under_the_name_of(&certificate)
            && certificate.public_key.verify(&signed).is_ok();
        Ok(certificate)
    }

    /// The certificates in `pem`, in their order. Text around the blocks and
    /// blocks of other kinds are skipped.
    ///
    /// # Errors
    /// There is none, or one can not be read.
    pub fn chain_from_pem(pem: &[u8]) -> Result<Vec<Self>, ChainError> {
        let mut chain = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            let (kind, der) = section.map_err(|error| ChainError::Pem {
                before: chain.len(),
                reason: pem_reason(&error),
            })?;
            if kind == SectionKind::Certificate {
                let certificate =
                    Self::from_der(&der).map_err(|reason| ChainError::Certificate {
                        number: chain.len() + 1,
                        reason,
                    })?;
                chain.push(certificate);
            }
        }
        if chain.is_empty() {
            return Err(ChainError::Empty);
        }
        Ok(chain)
    }

    /// All of it.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The DER of whom it is for: what certificates below it name as their issuer.
    pub fn subject_der(&self) -> &[u8] {
        &self.subject.der
    }

    /// Whom it is for, as `CN=identity.linkerd.cluster.local`.
    pub fn subject(&self) -> &str {
        &self.subject.text
    }

    /// Who signed it.
    pub fn issuer(&self) -> &str {
        &self.issuer.text
    }

    /// The serial number in lower-case hexadecimal.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// From when it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Until when it is valid, that second included.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The octets of its subject key identifier: what certificates below it have
    /// as authority key identifier.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key_id.as_deref()
    }

    /// Is it the certificate of an authority?
    pub fn is_ca(&self) -> bool {
        self.extensions.is_ca
    }

    /// How many authorities may stand below it before the leaf, if that is limited.
    pub fn path_length(&self) -> Option<u32> {
        self.extensions.path_length
    }

    /// Does its key usage have keyCertSign? `None` if it says nothing of key usage.
    pub fn may_sign_certificates(&self) -> Option<bool> {
        self.extensions.may_sign_certificates
    }

    /// What it may be used for. `None` is anything.
    pub fn extended_key_usage(&self) -> Option<&ExtendedKeyUsage> {
        self.extensions.extended_key_usage.as_ref()
    }

    /// The key of whom it is for.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Is it signed with its own key? A trust anchor is.
    pub fn is_self_signed(&self) -> bool {
        self.self_signed
    }

    /// The SHA-256 of the DER in lower-case hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// From when on people should be warned that it will expire: the last third
    /// of its life, but not more than 60 days (ruling 12).
    pub fn warn_from(&self) -> SystemTime {
        let life = self
            .not_after
            .duration_since(self.not_before)
            .unwrap_or_default();
        self.not_after - LONGEST_WARNING.min(life / 3)
    }

    /// Does it name `parent` as who signed it?
    pub(crate) fn is_issued_under_the_name_of(&self, parent: &Self) -> bool {
        self.issuer.der == parent.subject.der
    }

    /// Did `parent` sign it?
    pub(crate) fn verify_signature(&self, parent: &Self) -> Result<(), SignatureError> {
        let signed = Signed::parse(&self.der).expect("parsed before");
        parent.public_key.verify(&signed)
    }
}

/// Those that [`Extensions`] tells of.
const READ: [Oid<'static>; 4] = [
    OID_X509_EXT_BASIC_CONSTRAINTS,
    OID_X509_EXT_KEY_USAGE,
    OID_X509_EXT_EXTENDED_KEY_USAGE,
    OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
];

impl Extensions {
    fn read(certificate: &TbsCertificate<'_>) -> Result<Self, X509Error> {
        // Refuses what is there twice.
        certificate.extensions_map()?;
        let mut extensions = Self::default();
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => {
                    extensions.is_ca = constraints.ca;
                    extensions.path_length = constraints.path_len_constraint;
                }
                ParsedExtension::KeyUsage(usage) => {
                    extensions.may_sign_certificates = Some(usage.key_cert_sign());
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    extensions.extended_key_usage = Some(ExtendedKeyUsage {
                        any: usage.any,
                        server_auth: usage.server_auth,
                        client_auth: usage.client_auth,
                    });
                }
                ParsedExtension::SubjectKeyIdentifier(id) => {
                    extensions.subject_key_id = Some(id.0.to_vec());
                }
                ParsedExtension::ParseError { .. } if READ.contains(&extension.oid) => {
                    return Err(X509Error::InvalidExtensions);
                }
                // Proxies do not look at the others either, or else the pre-flight
                // of the issuer finds out.
                _ => {}
            }
        }
        Ok(extensions)
    }
}

/// A time as errors, logs and certificates have it: in whole seconds, UTC; it displays
/// as `2026-01-31T00:00:00Z`. What is beyond the year 9999, as of certificates that
/// never end, is the last second that can be named.
pub fn date(time: SystemTime) -> Timestamp {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(time.as_second()).expect("it has been one")
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes all");
            text
        })
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    if time.timestamp() < 0 {
        UNIX_EPOCH - seconds
    } else {
        UNIX_EPOCH + seconds
    }
}

/// The parser's own texts quote lines, and a key may stand in the same file.
fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a line -----END ...----- is missing".into(),
        pem::Error::IllegalSectionStart { .. } => {
            "a line -----BEGIN ...----- goes on after that".into()
        }
        pem::Error::Base64Decode(_) => "a block is not base64".into(),
        other => other.to_string(),
    }
}
