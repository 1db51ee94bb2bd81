use crate::{
    der::{INTEGER, Reader, SEQUENCE, context, sequence},
    signature::{KeyAlgorithm, PublicKey},
};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, KeyPair,
    },
};
use rustls_pki_types::{
    AlgorithmIdentifier, alg_id,
    pem::{PemObject, SectionKind},
};
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// The object identifier id-ecPublicKey (RFC 5480), with tag and length.
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// The private key of an issuer: ECDSA P-256, which signs with SHA-256, or P-384,
/// which signs with SHA-384.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public_key: PublicKey,
    signature_algorithm: AlgorithmIdentifier,
}

/// Why there is no key. None of these tells anything of what is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Nothing that is a private key.
    #[error(
        "no private key found, expected a PEM block EC PRIVATE KEY or PRIVATE KEY with an ECDSA \
         P-256 or P-384 key"
    )]
    Missing,
    /// Needs a passphrase.
    #[error("the private key is encrypted, expected one without a passphrase")]
    Encrypted,
    /// Of a kind that signs nothing that proxies accept, or that we do not sign with.
    #[error("the private key is {0}, expected ECDSA P-256 or ECDSA P-384")]
    Unsupported(String),
    /// PEM or DER that can not be read.
    #[error("the private key is malformed")]
    Malformed,
}

impl SigningKey {
    /// Reads the first private key in `pem`; other blocks are skipped, the
    /// `EC PARAMETERS` that openssl writes first among them.
    ///
    /// # Errors
    /// There is none, or it is no key to sign with.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            return match section {
                Ok((SectionKind::RsaPrivateKey, _)) => Err(KeyError::Unsupported("RSA".into())),
                Ok((kind @ (SectionKind::EcPrivateKey | SectionKind::PrivateKey), der)) => {
                    Self::from_der(kind, &Zeroizing::new(der))
                }
                Ok(_) => continue,
                // What the parser says may quote a line of the key.
                Err(_) if is_encrypted(pem) => Err(KeyError::Encrypted),
                Err(_) => Err(KeyError::Malformed),
            };
        }
        Err(if is_encrypted(pem) {
            KeyError::Encrypted
        } else {
            KeyError::Missing
        })
    }

    fn from_der(kind: SectionKind, der: &[u8]) -> Result<Self, KeyError> {
        let read = |algorithm: &'static EcdsaSigningAlgorithm| match kind {
            SectionKind::PrivateKey => EcdsaKeyPair::from_pkcs8(algorithm, der),
            _ => EcdsaKeyPair::from_private_key_der(algorithm, der),
        };
        let (pair, curve, signature_algorithm) =
            if let Ok(pair) = read(&ECDSA_P256_SHA256_ASN1_SIGNING) {
                (pair, alg_id::ECDSA_P256, alg_id::ECDSA_SHA256)
            } else if let Ok(pair) = read(&ECDSA_P384_SHA384_ASN1_SIGNING) {
                (pair, alg_id::ECDSA_P384, alg_id::ECDSA_SHA384)
            } else {
                return Err(refusal(kind, der));
            };
        Ok(Self::new(pair, &curve, signature_algorithm))
    }

    /// A new P-256 key that is never written anywhere.
    pub(crate) fn throwaway() -> Option<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?;
        Some(Self::new(pair, &alg_id::ECDSA_P256, alg_id::ECDSA_SHA256))
    }

    fn new(
        pair: EcdsaKeyPair,
        curve: &AlgorithmIdentifier,
        signature_algorithm: AlgorithmIdentifier,
    ) -> Self {
        let point = pair.public_key().as_ref();
        let spki = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_tagged_der(&sequence(curve.as_ref()));
                writer.next().write_bitvec_bytes(point, point.len() * 8);
            });
        });
        let public_key = PublicKey::from_der(&spki).expect("written a line above");
        Self {
            pair,
            public_key,
            signature_algorithm,
        }
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The content of the AlgorithmIdentifier of its signatures.
    pub(crate) fn signature_algorithm(&self) -> &[u8] {
        self.signature_algorithm.as_ref()
    }

    /// The DER of an ECDSA signature over `message`. `None` if the system has no
    /// random numbers.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), message).ok()?;
        Some(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key.algorithm())
    }
}

/// Both ways to encrypt a key say so: `BEGIN ENCRYPTED PRIVATE KEY` and
/// `Proc-Type: 4,ENCRYPTED`.
fn is_encrypted(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("ENCRYPTED")
}

/// Why the key that `der` is can not be used, as far as can be told.
fn refusal(kind: SectionKind, der: &[u8]) -> KeyError {
    let Some(id) = algorithm_id(kind, der) else {
        return KeyError::Malformed;
    };
    if id == alg_id::RSA_ENCRYPTION.as_ref() {
        return KeyError::Unsupported("RSA".into());
    }
    match KeyAlgorithm::read(&id, &[]) {
        // The right kind, and still no key.
        Ok(KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384) | Err(_) => KeyError::Malformed,
        Ok(other) => KeyError::Unsupported(other.to_string()),
    }
}

/// The content of the AlgorithmIdentifier of a PKCS#8 or SEC1 key.
fn algorithm_id(kind: SectionKind, der: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::sequence(der).ok()?;
    reader.expect(INTEGER).ok()?;
    if kind == SectionKind::PrivateKey {
        return Some(reader.expect(SEQUENCE).ok()?.content.to_vec());
    }
    // SEC1 tells only the curve, behind the key.
    reader.element().ok()?;
    let curve = reader.expect(context(0)).ok()?.content;
    Some([EC_PUBLIC_KEY, curve].concat())
}
