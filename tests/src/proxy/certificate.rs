//! What a proxy takes from the identity service, and what it refuses.

use super::{anchors::TrustAnchors, tls};
use ferrule_proto::identity::CertifyResponse;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// A certificate that a proxy accepted, and now shows to its peers.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    valid_until: SystemTime,
    serial: String,
}

/// Why a certificate is refused, by the checks of api.md section 2.10.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The answer does not say how long it holds.
    #[error("valid_until is absent or no time")]
    NoValidUntil,

    /// It does not hold any more.
    #[error("valid_until was {0:?} ago")]
    Expired(Duration),

    /// It is no X.509 certificate.
    #[error("the leaf is no certificate: {0}")]
    Malformed(String),

    /// It does not lead to a trust anchor, now and for a server.
    #[error("the chain does not verify: {0}")]
    Chain(webpki::Error),

    /// It is for somebody else.
    #[error("the leaf is for {found:?} and not for {expected}")]
    Name {
        /// Who it should be for.
        expected: String,
        /// Its DNS names.
        found: Vec<String>,
    },

    /// It is for another key than that of the request.
    #[error("the leaf is for another key")]
    Key,
}

/// Who a proxy is: its name and the key it keeps for life.
#[derive(Clone, Copy)]
pub(crate) struct Holder<'a> {
    pub(crate) name: &'a str,
    pub(crate) key: &'a rcgen::KeyPair,
}

impl Certificate {
    /// Checks an answer as a proxy does before it uses it.
    pub(crate) fn accept(
        response: CertifyResponse,
        holder: Holder<'_>,
        anchors: &TrustAnchors,
        now: SystemTime,
    ) -> Result<Self, Rejection> {
        let valid_until = response
            .valid_until
            .and_then(|time| SystemTime::try_from(time).ok())
            .ok_or(Rejection::NoValidUntil)?;
        if valid_until <= now {
            let ago = now.duration_since(valid_until).unwrap_or_default();
            return Err(Rejection::Expired(ago));
        }
        let leaf = CertificateDer::from(response.leaf_certificate);
        let intermediates = response.intermediate_certificates.into_iter();
        let intermediates: Vec<_> = intermediates.map(CertificateDer::from).collect();
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = UnixTime::since_unix_epoch(time);
        verify(&leaf, &intermediates, anchors, holder.name, time)?;

        let parsed = parse(&leaf)?;
        if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(holder.key) {
            return Err(Rejection::Key);
        }
        let serial = parsed.raw_serial_as_string();
        let chain = [leaf].into_iter().chain(intermediates).collect();
        Ok(Self {
            key: Arc::new(certified_key(chain, holder.key.serialize_der())),
            valid_until,
            serial,
        })
    }

    /// Leaf first, then what leads to a trust anchor.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// How long the identity service said that it holds; this decides when it is
    /// renewed.
    pub fn valid_until(&self) -> SystemTime {
        self.valid_until
    }

    /// The leaf's serial number: bytes in hexadecimal, separated by colons.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("serial", &self.serial)
            .field("valid_until", &self.valid_until)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert && self.valid_until == other.valid_until
    }
}

/// What holds for any certificate of the mesh, a peer's or one's own: it leads to
/// an anchor, it is good for a server, and one of its DNS names is `name` to the
/// letter. URI names are not looked at: services of a control plane have none.
pub(crate) fn verify(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &TrustAnchors,
    name: &str,
    now: UnixTime,
) -> Result<(), Rejection> {
    webpki::EndEntityCert::try_from(leaf)
        .and_then(|leaf| {
            leaf.verify_for_usage(
                tls::SIGNATURES.all,
                anchors.as_slice(),
                intermediates,
                now,
                webpki::KeyUsage::server_auth(),
                None,
                None,
            )
            .map(|_| ())
        })
        .map_err(Rejection::Chain)?;
    let found = dns_names(&parse(leaf)?)?;
    if found.iter().any(|found| found == name) {
        Ok(())
    } else {
        let expected = name.to_owned();
        Err(Rejection::Name { expected, found })
    }
}

/// A chain and its key, for one's own side of TLS.
///
/// # Panics
/// If the key is not ECDSA: all keys of this crate are.
pub(crate) fn certified_key(chain: Vec<CertificateDer<'static>>, pkcs8: Vec<u8>) -> CertifiedKey {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8));
    let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key).expect("an ECDSA key");
    CertifiedKey::new(chain, key)
}

fn parse<'a>(leaf: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Rejection> {
    match X509Certificate::from_der(leaf) {
        Ok((_, parsed)) => Ok(parsed),
        Err(error) => Err(Rejection::Malformed(error.to_string())),
    }
}

fn dns_names(leaf: &X509Certificate<'_>) -> Result<Vec<String>, Rejection> {
    let names = leaf
        .subject_alternative_name()
        .map_err(|error| Rejection::Malformed(error.to_string()))?;
    let names = names.iter().flat_map(|names| &names.value.general_names);
    Ok(names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TestAuthority, Validity};
    use rcgen::{ExtendedKeyUsagePurpose, SanType};

    #[test]
    fn one_dns_name_is_the_expected_one_to_the_letter_and_the_leaf_is_for_servers() {
        let authority = TestAuthority::new().unwrap();
        let anchors = TrustAnchors::from_pem(&authority.anchors_pem()).unwrap();
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let uri = |name: &str| SanType::URI(name.try_into().unwrap());
        let (server, client) = (
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        );
        for (names, usages, accepted) in [
            (vec![dns("web.shop")], vec![server.clone()], true),
            (vec![dns("web.shop")], vec![], true),
            (vec![dns("web.shop")], vec![client.clone()], false),
            (vec![dns("web.shop")], vec![client, server], true),
            (vec![uri("spiffe://a/b"), dns("web.shop")], vec![], true),
            (vec![dns("other.shop"), dns("web.shop")], vec![], true),
            (vec![dns("Web.shop")], vec![], false),
            (vec![dns("web.shop.")], vec![], false),
            (vec![dns("*.shop")], vec![], false),
            (vec![uri("web.shop")], vec![], false),
            (vec![], vec![], false),
        ] {
            let case = format!("{names:?} {usages:?}");
            let hour = Validity::For(Duration::from_secs(3600));
            let leaf = authority.leaf_with("web.shop", hour, |params| {
                params.subject_alt_names = names;
                params.extended_key_usages = usages;
            });
            let leaf = leaf.unwrap();
            let [leaf, rest @ ..] = leaf.chain() else {
                panic!("a chain has a leaf");
            };
            let verified = verify(leaf, rest, &anchors, "web.shop", UnixTime::now());
            assert_eq!(verified.is_ok(), accepted, "{case}: {verified:?}");
        }
    }
}
