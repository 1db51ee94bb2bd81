use crate::der::{DerError, INTEGER, OBJECT_IDENTIFIER, Reader, SEQUENCE};
use rustls_pki_types::{SignatureVerificationAlgorithm, alg_id};
use std::fmt;
use thiserror::Error;
use webpki::aws_lc_rs as algorithms;
use x509_parser::asn1_rs::Oid;

/// The signatures that proxies accept in a chain (api.md 2.2). RSA-PSS and SHA-1
/// are not among them, so a chain that has them is no use.
pub(crate) static SIGNATURES: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// The schemes above refuse shorter keys, but do not say that it is the key.
const SHORTEST_RSA: usize = 2048;

/// The kind of a public key, as it is shown: `ECDSA P-256`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// What proxies have, and what an issuer should have.
    EcdsaP256,
    /// Good for issuers and trust anchors.
    EcdsaP384,
    /// Good for trust anchors.
    EcdsaP521,
    /// Good for trust anchors; the length of the modulus in bits.
    Rsa(usize),
    /// Good for trust anchors.
    Ed25519,
    /// Nothing that we know; its object identifier.
    Other(String),
}

/// A public key as certificates and requests hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The whole SubjectPublicKeyInfo.
    der: Vec<u8>,
    /// The content of its AlgorithmIdentifier.
    algorithm_id: Vec<u8>,
    /// The bytes of its bit string.
    key: Vec<u8>,
    algorithm: KeyAlgorithm,
}

/// What certificates and requests are: something, and a signature over it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    /// With tag and length: what is signed.
    pub(crate) message: &'a [u8],
    /// The content of the AlgorithmIdentifier.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// No proxy accepts such a signature.
    #[error(
        "signature algorithm {algorithm} with a key of {key} is not accepted; proxies accept ECDSA, \
         Ed25519 and RSA PKCS#1 of 2048 bits or more, with SHA-2"
    )]
    Unsupported {
        /// The signature's object identifier.
        algorithm: String,
        /// The key that should have made it.
        key: KeyAlgorithm,
    },
    /// It was made with another key, or over something else.
    #[error("the signature is wrong")]
    Wrong,
}

impl<'a> Signed<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, DerError> {
        let mut signed = Reader::sequence(der)?;
        let message = signed.expect(SEQUENCE)?.raw;
        let algorithm = signed.expect(SEQUENCE)?.content;
        let signature = signed.bits()?;
        signed.end()?;
        Ok(Self {
            message,
            algorithm,
            signature,
        })
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::sequence(der)?;
        let algorithm_id = reader.expect(SEQUENCE)?.content;
        let key = reader.bits()?;
        reader.end()?;
        Ok(Self {
            algorithm: KeyAlgorithm::read(algorithm_id, key)?,
            algorithm_id: algorithm_id.to_vec(),
            key: key.to_vec(),
            der: der.to_vec(),
        })
    }

    /// Its kind.
    pub fn algorithm(&self) -> &KeyAlgorithm {
        &self.algorithm
    }

    /// The SubjectPublicKeyInfo.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What follows the algorithm; for an elliptic curve it is the point.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Was `signed` signed with the private key of this one?
    pub(crate) fn verify(&self, signed: &Signed<'_>) -> Result<(), SignatureError> {
        let short = matches!(self.algorithm, KeyAlgorithm::Rsa(bits) if bits < SHORTEST_RSA);
        let scheme = SIGNATURES.iter().find(|scheme| {
            !short
                && scheme.signature_alg_id().as_ref() == signed.algorithm
                && scheme.public_key_alg_id().as_ref() == self.algorithm_id
        });
        match scheme {
            None => Err(SignatureError::Unsupported {
                algorithm: object_identifier(signed.algorithm).unwrap_or_default(),
                key: self.algorithm.clone(),
            }),
            Some(scheme) => scheme
                .verify_signature(self.key(), signed.message, signed.signature)
                .map_err(|_| SignatureError::Wrong),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.algorithm)
    }
}

impl KeyAlgorithm {
    /// From the content of an AlgorithmIdentifier; `key` tells an RSA key's length.
    pub(crate) fn read(algorithm_id: &[u8], key: &[u8]) -> Result<Self, DerError> {
        for (id, algorithm) in [
            (alg_id::ECDSA_P256, Self::EcdsaP256),
            (alg_id::ECDSA_P384, Self::EcdsaP384),
            (alg_id::ECDSA_P521, Self::EcdsaP521),
            (alg_id::ED25519, Self::Ed25519),
        ] {
            if algorithm_id == id.as_ref() {
                return Ok(algorithm);
            }
        }
        if algorithm_id == alg_id::RSA_ENCRYPTION.as_ref() {
            let modulus = Reader::sequence(key)?.expect(INTEGER)?.content;
            let zeros: usize = modulus
                .iter()
                .position(|byte| *byte != 0)
                .map_or(0, |byte| byte * 8 + modulus[byte].leading_zeros() as usize);
            return Ok(Self::Rsa(modulus.len() * 8 - zeros));
        }
        object_identifier(algorithm_id).map(Self::Other)
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA P-521"),
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other(oid) => write!(f, "unknown algorithm {oid}"),
        }
    }
}

/// The text of the first object identifier in `algorithm_id`, with the second
/// behind it where there is one: the curve of an elliptic key.
fn object_identifier(algorithm_id: &[u8]) -> Result<String, DerError> {
    let mut reader = Reader::new(algorithm_id);
    let text = |content: &[u8]| Oid::new(content.into()).to_string();
    let first = text(reader.expect(OBJECT_IDENTIFIER)?.content);
    Ok(match reader.expect(OBJECT_IDENTIFIER) {
        Ok(second) => format!("{first} with {}", text(second.content)),
        Err(_) => first,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::sequence;

    /// An RSA key of which all `bytes` but the first are ones.
    fn rsa(first: u8, bytes: usize) -> PublicKey {
        let mut modulus = vec![0xff; bytes];
        modulus[0] = first;
        let key = yasna::construct_der(|writer| {
            writer.write_sequence(|key| {
                key.next().write_bigint_bytes(&modulus, true);
                key.next().write_u32(65_537);
            });
        });
        let der = yasna::construct_der(|writer| {
            writer.write_sequence(|info| {
                let algorithm = sequence(alg_id::RSA_ENCRYPTION.as_ref());
                info.next().write_tagged_der(&algorithm);
                info.next().write_bitvec_bytes(&key, key.len() * 8);
            });
        });
        PublicKey::from_der(&der).expect("well-formed")
    }

    #[test]
    fn an_rsa_key_has_the_length_of_its_modulus() {
        for (first, bytes, bits) in [(0x80, 256, 2048), (0xff, 512, 4096), (0x01, 128, 1017)] {
            assert_eq!(rsa(first, bytes).algorithm(), &KeyAlgorithm::Rsa(bits));
        }
    }

    #[test]
    fn a_short_rsa_key_is_named_as_such() {
        let signed = Signed {
            message: b"",
            algorithm: alg_id::RSA_PKCS1_SHA256.as_ref(),
            signature: &[1; 128],
        };
        let verify = |bytes| rsa(0xff, bytes).verify(&signed);
        let refused = verify(128).expect_err("short");
        assert!(
            refused.to_string().contains("a key of RSA 1024"),
            "{refused}"
        );
        assert_eq!(verify(256), Err(SignatureError::Wrong));
    }

    #[test]
    fn unknown_keys_are_shown_by_their_identifiers() {
        // id-ecPublicKey with secp256k1.
        let id = [
            0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
            0x00, 0x0a,
        ];
        let read = KeyAlgorithm::read(&id, &[]).map(|algorithm| algorithm.to_string());
        let expected = "unknown algorithm 1.2.840.10045.2.1 with 1.3.132.0.10";
        assert_eq!(read.as_deref(), Ok(expected));
    }
}
