//! Every certificate that matters here as JSON, for `ferrule identity show`.

use crate::process::Process;
use ferrule_identity::{Certificate, IdentityScope, date};
use serde_json::{Value, json};

/// Trust anchors, issuer, and what the listeners serve.
pub(super) fn all(process: &Process, scope: &IdentityScope) -> Value {
    let credentials = process
        .identity
        .as_ref()
        .and_then(|identity| identity.authority.credentials());
    let files = process
        .identity
        .as_ref()
        .and_then(|identity| identity.followed.as_ref());
    let held = process
        .identity
        .as_ref()
        .and_then(|identity| identity.guarded.as_ref()?.held());
    let managed = process
        .identity
        .as_ref()
        .and_then(|identity| identity.managed.as_ref());
    let own = process
        .certificates
        .iter()
        .find_map(|certificate| certificate.current());
    let anchors = match (&credentials, &own) {
        (Some(credentials), _) => list(credentials.anchors.certificates()),
        (None, Some(served)) => list(served.anchors().certificates()),
        (None, None) => Vec::new(),
    };
    let issuer = credentials.map(|credentials| {
        json!({
            "chain": list(credentials.issuer.chain()),
            "lastError": files.and_then(|files| files.last_error()).as_deref(),
            "heldBack": held.map(|held| json!({
                "sha256": held.sha256,
                "until": date(held.until).to_string(),
                "laggards": held.laggards,
                "waitsFor": held.waits_for,
            })),
            "keptHere": managed.is_some_and(|managed| managed.is_kept()),
            "notKeptBecause": managed.and_then(|managed| managed.stuck()).as_deref(),
        })
    });
    let served = process.certificates.iter().map(|own| {
        json!({
            "identity": own.name().as_str(),
            "certificate": own.current().map(|served| one(&served.certificate)),
            "error": own.last_error(),
        })
    });
    json!({
        "trustDomain": scope.trust_domain(),
        "controlPlaneNamespace": scope.control_plane_namespace(),
        "trustAnchors": anchors,
        "issuer": issuer,
        "served": served.collect::<Vec<_>>(),
    })
}

fn list(certificates: &[Certificate]) -> Vec<Value> {
    certificates.iter().map(one).collect()
}

fn one(certificate: &Certificate) -> Value {
    json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "serial": certificate.serial(),
        "notBefore": date(certificate.not_before()).to_string(),
        "notAfter": date(certificate.not_after()).to_string(),
        "warnFrom": date(certificate.warn_from()).to_string(),
        "algorithm": certificate.public_key().algorithm().to_string(),
        "isCa": certificate.is_ca(),
        "sha256": certificate.fingerprint(),
    })
}
