//! Authorities by rcgen, requests by hand, and one clock for all.

mod authority;
mod names;
mod request;

pub(crate) use self::{
    authority::{Authority, p256, p384, public_key, rsa, signed, tagged, valid},
    names::{CN, DC, O, name, name_of},
    request::{
        Request, attribute, dns, email, extension, extension_request, ip, names as general_names,
        uri,
    },
};

use ferrule_identity::{
    Certificate, CertificateRequest, IdentityScope, Issuer, Leaf, TrustAnchors, Validity,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webpki::{EndEntityCert, KeyUsage};

/// The identity of most tests.
pub(crate) const ID: &str = "web.emojivoto.serviceaccount.identity.linkerd.cluster.local";

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// 2026-06-01T12:00:00Z, and a bit: certificates have whole seconds.
pub(crate) fn now() -> SystemTime {
    noon() + Duration::from_millis(250)
}

/// 2026-06-01T12:00:00Z.
pub(crate) fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_780_315_200)
}

pub(crate) fn scope() -> IdentityScope {
    IdentityScope::new("linkerd", "cluster.local").unwrap()
}

pub(crate) fn anchors(roots: &[&Authority]) -> TrustAnchors {
    TrustAnchors::from_pem(bundle(roots).as_bytes()).unwrap()
}

/// A PEM block as openssl writes it.
pub(crate) fn armour(tag: &str, der: &[u8]) -> String {
    let unix = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), unix)
}

/// Their certificates, one after the other.
pub(crate) fn bundle(authorities: &[&Authority]) -> String {
    authorities
        .iter()
        .map(|authority| authority.pem())
        .collect()
}

/// The usual mesh: a root, and an issuer below it.
pub(crate) struct Mesh {
    pub(crate) root: Authority,
    pub(crate) anchors: TrustAnchors,
    pub(crate) issuer: Issuer,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let root = Authority::root("root.linkerd.cluster.local");
        let issuer = root.sign("identity.linkerd.cluster.local");
        Self::of(root, &[&issuer])
    }

    /// The first of `file` signs, or else the root itself.
    pub(crate) fn of(root: Authority, file: &[&Authority]) -> Self {
        let anchors = anchors(&[&root]);
        let file = if file.is_empty() { &[&root] } else { file };
        let issuer = load(file, &[&root]).unwrap();
        Self {
            root,
            anchors,
            issuer,
        }
    }

    /// As Certify does, without the token.
    pub(crate) fn certify(&self, request: &Request, identity: &str) -> Leaf {
        let request = CertificateRequest::parse(&request.der()).unwrap();
        request.verify_possession().unwrap();
        request.check(identity).unwrap();
        self.issuer
            .sign(&request, &Validity::default(), now())
            .unwrap()
    }
}

/// Loads an issuer from a file with the certificates of `file` and the key of the
/// first.
pub(crate) fn load(
    file: &[&Authority],
    roots: &[&Authority],
) -> Result<Issuer, ferrule_identity::IssuerError> {
    load_at(file, roots, now())
}

pub(crate) fn load_at(
    file: &[&Authority],
    roots: &[&Authority],
    now: SystemTime,
) -> Result<Issuer, ferrule_identity::IssuerError> {
    let key = file[0].key_pem();
    Issuer::load(
        bundle(file).as_bytes(),
        key.as_bytes(),
        &anchors(roots),
        &scope(),
        now,
    )
}

/// Do proxies accept `leaf`, as server and as client, from somebody who sends
/// `chain` with it? They use this library.
pub(crate) fn proxies_accept(
    leaf: &Leaf,
    identity: &str,
    chain: &[Certificate],
    anchors: &TrustAnchors,
    now: SystemTime,
) -> Result<(), webpki::Error> {
    let der = CertificateDer::from(leaf.der.as_slice());
    let certificate = EndEntityCert::try_from(&der)?;
    let chain: Vec<_> = chain.iter().map(|parent| parent.der().clone()).collect();
    let time = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap());
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors.root_store().roots,
            &chain,
            time,
            usage,
            None,
            None,
        )?;
    }
    certificate.verify_is_valid_for_subject_name(&ServerName::try_from(identity).unwrap())
}
