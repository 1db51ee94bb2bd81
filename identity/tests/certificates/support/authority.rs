use super::{DAY, armour, now};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SigningKey, date_time_ymd,
};
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};
use yasna::{ASN1Result, BERReader, Tag};

/// A certificate of a CA and its key.
pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

impl Authority {
    /// Self-signed, ECDSA P-256, a year.
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, p256(), |_| {})
    }

    pub(crate) fn root_with(
        name: &str,
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = params(name);
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self::new(params, key, &certificate)
    }

    /// Another CA, signed by this one.
    pub(crate) fn sign(&self, name: &str) -> Self {
        self.sign_with(name, p256(), |_| {})
    }

    pub(crate) fn sign_with(
        &self,
        name: &str,
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = params(name);
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self::new(params, key, &certificate)
    }

    fn new(params: CertificateParams, key: KeyPair, certificate: &Certificate) -> Self {
        Self {
            params,
            key,
            der: certificate.der().to_vec(),
        }
    }

    /// The same certificate for `subject`, signed by `parent` who is called
    /// `issuer`; both are DER.
    pub(crate) fn renamed(self, subject: &[u8], parent: Option<&Self>, issuer: &[u8]) -> Self {
        let parent = parent.unwrap_or(&self);
        let der = rewrite(&self.der, &parent.key, |fields| {
            fields.issuer = issuer.to_vec();
            fields.subject = subject.to_vec();
        });
        Self { der, ..self }
    }

    /// The same certificate, signed by `parent`, without a subject key identifier:
    /// rcgen always writes one.
    pub(crate) fn without_key_identifier(self, parent: &Self) -> Self {
        let der = rewrite(&self.der, &parent.key, |fields| {
            let before = fields.extensions.len();
            fields
                .extensions
                .retain(|extension| extension[2..7] != [0x06, 0x03, 0x55, 0x1d, 0x0e]);
            assert_eq!(fields.extensions.len() + 1, before);
        });
        Self { der, ..self }
    }

    /// The same root with other dates.
    pub(crate) fn dated(&self, from: SystemTime, to: SystemTime) -> Self {
        let mut params = self.params.clone();
        valid(&mut params, from, to);
        let key = KeyPair::from_pem(&self.key.serialize_pem()).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self::new(params, key, &certificate)
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn pem(&self) -> String {
        armour("CERTIFICATE", &self.der)
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

pub(crate) fn p256() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

pub(crate) fn p384() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()
}

pub(crate) fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap()
}

/// Valid in whole seconds from `from` to `to`.
pub(crate) fn valid(params: &mut CertificateParams, from: SystemTime, to: SystemTime) {
    let epoch = date_time_ymd(1970, 1, 1);
    let since = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap();
        std::time::Duration::from_secs(since.as_secs())
    };
    params.not_before = epoch + since(from);
    params.not_after = epoch + since(to);
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now() - DAY, now() + 365 * DAY);
    params
}

/// The DER of what tests change in a certificate.
struct Fields {
    issuer: Vec<u8>,
    subject: Vec<u8>,
    extensions: Vec<Vec<u8>>,
}

/// Writes a certificate anew.
fn rewrite(der: &[u8], key: &KeyPair, change: impl FnOnce(&mut Fields)) -> Vec<u8> {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let body = certificate.tbs_certificate.as_ref();
    let fields = yasna::parse_der(body, |reader| reader.collect_sequence_of(element)).unwrap();
    let [
        version,
        serial,
        algorithm,
        issuer,
        validity,
        subject,
        key_info,
        extensions,
    ] = &fields[..]
    else {
        panic!("a certificate of version 3 has eight fields");
    };
    let extensions = yasna::parse_der(extensions, |reader| {
        reader.read_tagged(Tag::context(3), |reader| {
            reader.collect_sequence_of(element)
        })
    })
    .unwrap();
    let mut fields = Fields {
        issuer: issuer.clone(),
        subject: subject.clone(),
        extensions,
    };
    change(&mut fields);
    let body = yasna::construct_der(|writer| {
        writer.write_sequence(|body| {
            for field in [
                version,
                serial,
                algorithm,
                &fields.issuer,
                validity,
                &fields.subject,
                key_info,
            ] {
                body.next().write_der(field);
            }
            body.next().write_tagged(Tag::context(3), |writer| {
                writer.write_sequence(|extensions| {
                    for extension in &fields.extensions {
                        extensions.next().write_der(extension);
                    }
                });
            });
        });
    });
    signed(&body, algorithm, key)
}

fn element(reader: BERReader<'_, '_>) -> ASN1Result<Vec<u8>> {
    reader.read_der()
}

/// `SEQUENCE { body, algorithm, signature }`.
pub(crate) fn signed(body: &[u8], algorithm: &[u8], key: &KeyPair) -> Vec<u8> {
    let signature = key.sign(body).unwrap();
    yasna::construct_der(|writer| {
        writer.write_sequence(|certificate| {
            certificate.next().write_der(body);
            certificate.next().write_der(algorithm);
            certificate
                .next()
                .write_bitvec_bytes(&signature, signature.len() * 8);
        });
    })
}

/// The SubjectPublicKeyInfo of a key.
pub(crate) fn public_key(key: &KeyPair) -> Vec<u8> {
    key.subject_public_key_info()
}

/// Of an extension: `[tag]` with content.
pub(crate) fn tagged(tag: u64, content: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_tagged_implicit(Tag::context(tag), |writer| writer.write_bytes(content));
    })
}
