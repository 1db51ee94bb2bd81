use super::{
    CN,
    authority::{p256, public_key, signed, tagged},
    name,
};
use rcgen::KeyPair;
use yasna::{DERWriter, Tag, models::ObjectIdentifier};

const EXTENSION_REQUEST: &[u64] = &[1, 2, 840, 113_549, 1, 9, 14];
const SUBJECT_ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];

const ECDSA_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const ECDSA_SHA384: &[u64] = &[1, 2, 840, 10045, 4, 3, 3];
const RSA_SHA256: &[u64] = &[1, 2, 840, 113_549, 1, 1, 11];

/// A request of any shape, right ones too.
pub(crate) struct Request {
    pub(crate) version: u8,
    pub(crate) subject: Vec<u8>,
    pub(crate) key: KeyPair,
    /// Another SubjectPublicKeyInfo than that of `key`.
    pub(crate) key_info: Option<Vec<u8>>,
    /// DER of each attribute.
    pub(crate) attributes: Vec<Vec<u8>>,
}

impl Request {
    /// As the proxy's own: a common name and one DNS name.
    pub(crate) fn bootstrap(identity: &str) -> Self {
        Self::with_names(identity, &[dns(identity)])
    }

    /// With these subject alternative names, each as of [`dns`].
    pub(crate) fn with_names(common_name: &str, sans: &[Vec<u8>]) -> Self {
        Self {
            version: 0,
            subject: name(&[(CN, common_name)]),
            key: p256(),
            key_info: None,
            attributes: vec![extension_request(&[names(sans)])],
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        signed(&self.info(), &self.algorithm(), &self.key)
    }

    /// What is signed.
    pub(crate) fn info(&self) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|info| {
                info.next().write_u8(self.version);
                info.next().write_der(&self.subject);
                let key_info = self.key_info.clone();
                info.next()
                    .write_der(&key_info.unwrap_or_else(|| public_key(&self.key)));
                info.next()
                    .write_tagged_implicit(Tag::context(0), |writer| {
                        writer.write_set(|set| {
                            for attribute in &self.attributes {
                                set.next().write_der(attribute);
                            }
                        });
                    });
            });
        })
    }

    /// The AlgorithmIdentifier of the signature.
    pub(crate) fn algorithm(&self) -> Vec<u8> {
        let (id, null) = match self.key.algorithm() {
            of if *of == rcgen::PKCS_RSA_SHA256 => (RSA_SHA256, true),
            of if *of == rcgen::PKCS_ECDSA_P384_SHA384 => (ECDSA_SHA384, false),
            _ => (ECDSA_SHA256, false),
        };
        yasna::construct_der(|writer| {
            writer.write_sequence(|algorithm| {
                algorithm
                    .next()
                    .write_oid(&ObjectIdentifier::from_slice(id));
                if null {
                    algorithm.next().write_null();
                }
            });
        })
    }
}

/// The attribute that asks for extensions.
pub(crate) fn extension_request(extensions: &[Vec<u8>]) -> Vec<u8> {
    let value = yasna::construct_der(|writer| {
        writer.write_sequence(|list| {
            for extension in extensions {
                list.next().write_der(extension);
            }
        });
    });
    attribute(EXTENSION_REQUEST, &[value])
}

pub(crate) fn attribute(id: &[u64], values: &[Vec<u8>]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|attribute| {
            attribute
                .next()
                .write_oid(&ObjectIdentifier::from_slice(id));
            attribute.next().write_set(|set| {
                for value in values {
                    set.next().write_der(value);
                }
            });
        });
    })
}

/// The extension of subject alternative names.
pub(crate) fn names(sans: &[Vec<u8>]) -> Vec<u8> {
    extension(SUBJECT_ALTERNATIVE_NAME, false, |writer| {
        writer.write_sequence(|names| {
            for san in sans {
                names.next().write_der(san);
            }
        });
    })
}

pub(crate) fn extension(id: &[u64], critical: bool, value: impl FnOnce(DERWriter<'_>)) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|extension| {
            extension
                .next()
                .write_oid(&ObjectIdentifier::from_slice(id));
            if critical {
                extension.next().write_bool(true);
            }
            extension.next().write_bytes(&yasna::construct_der(value));
        });
    })
}

pub(crate) fn dns(text: &str) -> Vec<u8> {
    tagged(2, text.as_bytes())
}

pub(crate) fn email(text: &str) -> Vec<u8> {
    tagged(1, text.as_bytes())
}

pub(crate) fn uri(text: &str) -> Vec<u8> {
    tagged(6, text.as_bytes())
}

pub(crate) fn ip(address: &[u8]) -> Vec<u8> {
    tagged(7, address)
}
