use crate::{
    der::{
        BOOLEAN, DerError, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET,
        check_name, context,
    },
    signature::{KeyAlgorithm, PublicKey, SignatureError, Signed},
};
use thiserror::Error;
use x509_parser::{oid_registry::OID_X509_COMMON_NAME, prelude::FromDer, x509::X509Name};

/// The content of the object identifier extensionRequest (RFC 2985, 5.4.2).
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];

/// The content of the object identifier subjectAltName (RFC 5280, 4.2.1.6).
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// First byte and length of an uncompressed point on P-256: 04, x and y.
const P256_POINT: (u8, usize) = (0x04, 65);

/// A proxy's request has some 400 bytes; one for the longest name has 1 KiB.
/// Anybody may send one, before any token is looked at.
const LARGEST: usize = 64 * 1024;

/// Names in messages are cut after this many characters: a message travels in a
/// header.
const SHOWN: usize = 256;

/// A PKCS#10 request for a certificate: for which key, and under which names.
/// What else it asks for is nobody's concern: leaves are all alike (ruling 10).
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    der: Vec<u8>,
    /// DER.
    subject: Vec<u8>,
    /// `None` is one that is no text.
    common_names: Vec<Option<String>>,
    names: Names,
    public_key: PublicKey,
}

/// The subject alternative names that it asks for.
#[derive(Clone, Debug, Default)]
struct Names {
    dns: Vec<String>,
    emails: usize,
    ip_addresses: usize,
    uris: usize,
}

/// What about a request a [`CsrError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CsrErrorKind {
    /// It is no request at all; gRPC's InvalidArgument. The others are
    /// FailedPrecondition.
    Malformed,
    /// Who made it does not have the key.
    Possession,
    /// It asks for names that the requester can not have.
    Names,
    /// The key is none that proxies use.
    Key,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CsrError {
    /// Not exactly one PKCS#10 request in DER.
    #[error("malformed certificate signing request: {0}")]
    Malformed(String),
    /// Its own signature does not verify.
    #[error("the CSR does not prove that its key is the requester's: {0}")]
    Possession(SignatureError),
    /// More than one, or none.
    #[error("CSR must have exactly one DNSName, found {0}")]
    DnsNames(usize),
    /// The name is not the identity that is asked for.
    #[error("CSR name mismatch: csr={csr}; req={identity}")]
    NameMismatch {
        /// The name in the CSR.
        csr: String,
        /// The identity in the call.
        identity: String,
    },
    /// A common name that is not the identity.
    #[error("invalid CommonName: {0}")]
    CommonName(String),
    /// There are email addresses in it.
    #[error("cannot validate email addresses")]
    EmailAddresses,
    /// There are IP addresses in it.
    #[error("cannot validate IP addresses")]
    IpAddresses,
    /// There are URIs in it.
    #[error("cannot validate URIs")]
    Uris,
    /// Not the kind of key that proxies have.
    #[error("CSR must contain an ECDSA P-256 public key, found {0}")]
    Key(KeyAlgorithm),
    /// The key's point is compressed, which not every TLS library reads.
    #[error("CSR must contain an uncompressed ECDSA P-256 public key")]
    CompressedKey,
}

impl CsrError {
    /// What it is about, for metrics and for the status code.
    pub fn kind(&self) -> CsrErrorKind {
        match self {
            Self::Malformed(_) => CsrErrorKind::Malformed,
            Self::Possession(_) => CsrErrorKind::Possession,
            Self::DnsNames(_)
            | Self::NameMismatch { .. }
            | Self::CommonName(_)
            | Self::EmailAddresses
            | Self::IpAddresses
            | Self::Uris => CsrErrorKind::Names,
            Self::Key(_) | Self::CompressedKey => CsrErrorKind::Key,
        }
    }
}

impl From<DerError> for CsrError {
    fn from(error: DerError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl CertificateRequest {
    /// Reads the request that `der` is (identity-injector.md 3.5, step 5).
    ///
    /// # Errors
    /// It is none, or something follows it. Always [`CsrErrorKind::Malformed`].
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.starts_with(b"-----BEGIN") {
            return Err(malformed("expected DER, found PEM"));
        }
        if der.len() > LARGEST {
            return Err(malformed("it has more than 64 KiB"));
        }
        let signed = Signed::parse(der)?;
        let mut info = Reader::sequence(signed.message)?;
        if info.expect(INTEGER)?.content != [0] {
            return Err(malformed("unknown version"));
        }
        let subject = info.expect(SEQUENCE)?.raw;
        check_name(subject)?;
        let public_key = PublicKey::from_der(info.expect(SEQUENCE)?.raw)?;
        let attributes = info.expect(context(0))?.content;
        info.end()?;
        Ok(Self {
            der: der.to_vec(),
            subject: subject.to_vec(),
            common_names: common_names(subject)?,
            names: Names::requested(attributes)?,
            public_key,
        })
    }

    /// Is it signed with the key that it is about? The reference never asks
    /// (identity-injector.md 12); genuine proxies always sign.
    ///
    /// # Errors
    /// It is not.
    pub fn verify_possession(&self) -> Result<(), CsrError> {
        let signed = Signed::parse(&self.der)?;
        self.public_key
            .verify(&signed)
            .map_err(CsrError::Possession)
    }

    /// Does it ask for a certificate that a workload called `identity` may have?
    /// Steps 7 to 12 in their order, then the key.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, identity: &str) -> Result<(), CsrError> {
        let name = self.dns_name()?;
        if name != identity {
            return Err(CsrError::NameMismatch {
                csr: shown(name),
                identity: shown(identity),
            });
        }
        for common_name in &self.common_names {
            match common_name.as_deref() {
                Some("") => {}
                Some(text) if text == identity => {}
                Some(text) => return Err(CsrError::CommonName(shown(text))),
                None => return Err(CsrError::CommonName("not a text".into())),
            }
        }
        if self.names.emails > 0 {
            return Err(CsrError::EmailAddresses);
        }
        if self.names.ip_addresses > 0 {
            return Err(CsrError::IpAddresses);
        }
        if self.names.uris > 0 {
            return Err(CsrError::Uris);
        }
        self.key().map(drop)
    }

    /// The one name it asks for.
    pub(crate) fn dns_name(&self) -> Result<&str, CsrError> {
        match &self.names.dns[..] {
            [name] => Ok(name),
            names => Err(CsrError::DnsNames(names.len())),
        }
    }

    /// The key, which is of the one kind that proxies have.
    pub(crate) fn key(&self) -> Result<&PublicKey, CsrError> {
        match self.public_key.algorithm() {
            KeyAlgorithm::EcdsaP256 => {}
            other => return Err(CsrError::Key(other.clone())),
        }
        let point = self.public_key.key();
        if (point.first().copied(), point.len()) != (Some(P256_POINT.0), P256_POINT.1) {
            return Err(CsrError::CompressedKey);
        }
        Ok(&self.public_key)
    }

    /// The DER of the name it asks for, beside the DNS name.
    pub(crate) fn subject(&self) -> &[u8] {
        &self.subject
    }
}

impl Names {
    /// From the content of the request's attributes.
    fn requested(attributes: &[u8]) -> Result<Self, CsrError> {
        let mut found = None;
        let mut attributes = Reader::new(attributes);
        while !attributes.is_empty() {
            let mut attribute = Reader::new(attributes.expect(SEQUENCE)?.content);
            let kind = attribute.expect(OBJECT_IDENTIFIER)?.content;
            let mut values = Reader::new(attribute.expect(SET)?.content);
            attribute.end()?;
            if kind != EXTENSION_REQUEST {
                continue;
            }
            let mut extensions = Reader::new(values.expect(SEQUENCE)?.content);
            values.end()?;
            while !extensions.is_empty() {
                let (id, value) = extension(extensions.expect(SEQUENCE)?.content)?;
                if id == SUBJECT_ALTERNATIVE_NAME && found.replace(Self::read(value)?).is_some() {
                    return Err(malformed("subject alternative names are there twice"));
                }
            }
        }
        Ok(found.unwrap_or_default())
    }

    /// From a GeneralNames (RFC 5280, 4.2.1.6). Kinds that no TLS library looks
    /// at, such as otherName, are passed over: they do not get into the leaf.
    fn read(general_names: &[u8]) -> Result<Self, CsrError> {
        const EMAIL: u8 = 0x81;
        const DNS: u8 = 0x82;
        const URI: u8 = 0x86;
        const IP_ADDRESS: u8 = 0x87;
        let mut found = Self::default();
        let mut names = Reader::sequence(general_names)?;
        while !names.is_empty() {
            let name = names.element()?;
            if matches!(name.tag, EMAIL | DNS | URI) && !name.content.is_ascii() {
                return Err(malformed("a name is not ASCII"));
            }
            match name.tag {
                EMAIL => found.emails += 1,
                DNS => found
                    .dns
                    .push(String::from_utf8_lossy(name.content).into_owned()),
                URI => found.uris += 1,
                IP_ADDRESS => found.ip_addresses += 1,
                // [0] to [8], primitive or constructed.
                tag if tag & 0xc0 == 0x80 && tag & 0x1f <= 8 => {}
                tag => return Err(DerError::UnknownTag(tag).into()),
            }
        }
        Ok(found)
    }
}

/// The identifier and the value in the content of an extension.
fn extension(content: &[u8]) -> Result<(&[u8], &[u8]), DerError> {
    let mut extension = Reader::new(content);
    let id = extension.expect(OBJECT_IDENTIFIER)?.content;
    let mut value = extension.element()?;
    if value.tag == BOOLEAN {
        value = extension.element()?;
    }
    if value.tag != OCTET_STRING {
        return Err(DerError::Tag {
            expected: OCTET_STRING,
            found: value.tag,
        });
    }
    extension.end()?;
    Ok((id, value.content))
}

fn common_names(subject: &[u8]) -> Result<Vec<Option<String>>, CsrError> {
    let (_, subject) = X509Name::from_der(subject).map_err(|_| malformed("invalid subject"))?;
    Ok(subject
        .iter_by_oid(&OID_X509_COMMON_NAME)
        .map(|name| name.as_str().ok().map(str::to_owned))
        .collect())
}

fn malformed(reason: &str) -> CsrError {
    CsrError::Malformed(reason.into())
}

fn shown(text: &str) -> String {
    text.chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect()
}
