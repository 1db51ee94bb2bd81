//! Bytes from anybody: nothing panics, and nothing that was touched gets through.

use crate::support::{Authority, ID, Mesh, Request, armour, now, proxies_accept, signed};
use ferrule_identity::{Certificate, CertificateRequest, SigningKey, TrustAnchors, Validity};

/// Every prefix, and every byte changed in some ways that matter in DER.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let changed = (0..bytes.len()).flat_map(move |at| {
        let was = bytes[at];
        [
            0x00,
            0x7f,
            0x80,
            0x84,
            0xff,
            was ^ 0x01,
            was ^ 0x20,
            was.wrapping_add(1),
        ]
        .into_iter()
        .filter(move |byte| *byte != was)
        .map(move |byte| {
            let mut bytes = bytes.to_vec();
            bytes[at] = byte;
            bytes
        })
    });
    // Lengths that say more than there is, up to what overflows a sum.
    let longer = (1..bytes.len()).flat_map(move |at| {
        [4, 8].map(|octets| {
            let length = [&[0x80 | octets][..], &vec![0xff; usize::from(octets)]].concat();
            [&bytes[..at], &length, &bytes[at + 1..]].concat()
        })
    });
    cut.chain(changed).chain(longer)
}

#[test]
fn a_damaged_request_is_no_request() {
    let der = Request::bootstrap(ID).der();
    let mut parsed = 0;
    for bytes in damaged(&der) {
        let Ok(request) = CertificateRequest::parse(&bytes) else {
            continue;
        };
        parsed += 1;
        let _ = request.check(ID);
        assert!(request.verify_possession().is_err(), "{bytes:x?}");
    }
    assert!(parsed > 100, "{parsed} is too few to show anything");
}

/// Whoever has the key may sign what they like; what comes of it is one leaf of
/// the one kind, or nothing.
#[test]
fn a_strange_request_that_is_signed_gets_a_sound_leaf_or_none() {
    let mesh = Mesh::new();
    let request = Request::bootstrap(ID);
    let mut issued = 0;
    for info in damaged(&request.info()) {
        let der = signed(&info, &request.algorithm(), &request.key);
        let Ok(parsed) = CertificateRequest::parse(&der) else {
            continue;
        };
        if parsed.verify_possession().is_err() || parsed.check(ID).is_err() {
            continue;
        }
        let leaf = mesh
            .issuer
            .sign(&parsed, &Validity::default(), now())
            .unwrap();
        let chain = mesh.issuer.response_chain();
        proxies_accept(&leaf, ID, chain, &mesh.anchors, now())
            .unwrap_or_else(|error| panic!("{error}: {info:x?}"));
        issued += 1;
    }
    assert!(issued > 10, "{issued} is too few to show anything");
}

#[test]
fn damaged_files_are_refused_or_read() {
    let root = Authority::root("root");
    for bytes in damaged(root.der()) {
        if let Ok(certificate) = Certificate::from_der(&bytes) {
            assert!(!certificate.is_self_signed(), "{bytes:x?}");
        }
        let pem = armour("CERTIFICATE", &bytes);
        let _ = TrustAnchors::from_pem(pem.as_bytes());
    }
    let key = root.key_pem();
    for bytes in damaged(key.as_bytes()) {
        let _ = SigningKey::from_pem(&bytes);
        let _ = TrustAnchors::from_pem(&[root.pem().as_bytes(), &bytes].concat());
    }
}
