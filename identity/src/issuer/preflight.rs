//! What would proxies say of a leaf? An issuer can be all right and still sign
//! nothing that is: by name constraints, path lengths or key usages.

use super::{Issuer, IssuerError, SignError, Validity, leaf};
use crate::{anchors::TrustAnchors, key::SigningKey, name::IdentityScope, signature::SIGNATURES};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage};
use yasna::models::ObjectIdentifier;

/// The name that is tried: the one that all proxies have to accept.
const SERVICE_ACCOUNT: &str = "linkerd-identity";

const ID_AT_COMMON_NAME: &[u64] = &[2, 5, 4, 3];

/// What does not speak against an issuer by itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IssuerWarning {
    /// Servers accept its leaves from nobody. The reference loads such an issuer.
    #[error(
        "meshed servers refuse clients with certificates signed by this issuer: {0}; give it, and \
         those above it, the extended key usages serverAuth and clientAuth, or none at all"
    )]
    ClientsRefused(String),
    /// Strict verifiers refuse its leaves. Proxies do not look at it, and the
    /// reference loads such an issuer.
    #[error(
        "the issuer's key usage does not include keyCertSign; proxies do not mind, but openssl and \
         others refuse certificates signed by it"
    )]
    KeyUsage,
}

/// Signs a leaf and throws it away.
pub(crate) fn fly(
    issuer: &Issuer,
    anchors: &TrustAnchors,
    scope: &IdentityScope,
    now: SystemTime,
) -> Result<Vec<IssuerWarning>, IssuerError> {
    let refused = |reason: &dyn ToString| IssuerError::LeavesRefused(reason.to_string());
    let name = scope
        .service_account(scope.control_plane_namespace(), SERVICE_ACCOUNT)
        .map_err(|error| refused(&error))?;
    let key = SigningKey::throwaway().ok_or_else(|| refused(&SignError::Random))?;
    let subject = leaf::Subject {
        name: &common_name(name.as_str()),
        alternative_names: &[leaf::AlternativeName::Dns(name.as_str())],
        usage: leaf::Usage::Mesh,
        public_key: key.public_key(),
    };
    let leaf =
        leaf::sign(issuer, &subject, &Validity::default(), now).map_err(|error| refused(&error))?;
    let leaf = CertificateDer::from(leaf.der);
    let verify = |usage| verify(&leaf, name.as_str(), issuer, anchors, usage, now);
    verify(KeyUsage::server_auth()).map_err(|error| refused(&error))?;
    let mut warnings = Vec::new();
    if let Err(reason) = verify(KeyUsage::client_auth()) {
        warnings.push(IssuerWarning::ClientsRefused(reason));
    }
    if issuer.certificate().may_sign_certificates() == Some(false) {
        warnings.push(IssuerWarning::KeyUsage);
    }
    Ok(warnings)
}

/// As a proxy verifies its own certificate and its peers'.
fn verify(
    leaf: &CertificateDer<'_>,
    name: &str,
    issuer: &Issuer,
    anchors: &TrustAnchors,
    usage: KeyUsage,
    now: SystemTime,
) -> Result<(), String> {
    let intermediates: Vec<_> = issuer
        .response_chain()
        .iter()
        .map(|certificate| certificate.der().clone())
        .collect();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let server = ServerName::try_from(name).map_err(|error| format!("{name}: {error}"))?;
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| reason(&error, name))?;
    leaf.verify_for_usage(
        SIGNATURES,
        &anchors.roots().roots,
        &intermediates,
        UnixTime::since_unix_epoch(since),
        usage,
        None,
        None,
    )
    .map_err(|error| reason(&error, name))?;
    leaf.verify_is_valid_for_subject_name(&server)
        .map_err(|error| reason(&error, name))
}

fn reason(error: &webpki::Error, name: &str) -> String {
    match error {
        webpki::Error::NameConstraintViolation => {
            format!("a name constraint above it does not permit {name}")
        }
        webpki::Error::PathLenConstraintViolated => {
            "the path length of a certificate above it allows no CA there".into()
        }
        webpki::Error::RequiredEkuNotFoundContext(context) => {
            format!("an extended key usage does not include it: {context:?}")
        }
        other => other.to_string(),
    }
}

/// The name that the proxy's own requests have.
pub(super) fn common_name(text: &str) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|names| {
            names.next().write_set(|set| {
                set.next().write_sequence(|attribute| {
                    attribute
                        .next()
                        .write_oid(&ObjectIdentifier::from_slice(ID_AT_COMMON_NAME));
                    attribute.next().write_utf8_string(text);
                });
            });
        });
    })
}
