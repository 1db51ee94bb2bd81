//! identity-injector.md 3.7 and 3.8: what is signed.

use crate::support::{
    Authority, CN, DAY, DC, HOUR, ID, MINUTE, Mesh, O, Request, anchors, dns, extension,
    extension_request, general_names, load_at, name, name_of, noon, now, p256, p384,
    proxies_accept, public_key, rsa, valid,
};
use ferrule_identity::{CertificateRequest, Issuer, Leaf, SignError, Validity};
use rustls_pki_types::{CertificateDer, ServerName};
use std::{
    collections::HashSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use webpki::EndEntityCert;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

const SKEW: Duration = Duration::from_secs(20);

/// The DER of a leaf's extensions: identifier, critical, content.
fn extensions(leaf: &Leaf) -> Vec<(String, bool, Vec<u8>)> {
    let (rest, certificate) = X509Certificate::from_der(&leaf.der).unwrap();
    assert!(rest.is_empty());
    certificate
        .extensions()
        .iter()
        .map(|of| (of.oid.to_id_string(), of.critical, of.value.to_vec()))
        .collect()
}

fn sign_at(issuer: &Issuer, validity: &Validity, now: SystemTime) -> Result<Leaf, SignError> {
    let request = CertificateRequest::parse(&Request::bootstrap(ID).der()).unwrap();
    issuer.sign(&request, validity, now)
}

#[test]
fn s1_a_leaf_has_the_extensions_of_a_workload_and_no_others() {
    let mesh = Mesh::new();
    let request = Request::bootstrap(ID);
    let leaf = mesh.certify(&request, ID);
    let (_, certificate) = X509Certificate::from_der(&leaf.der).unwrap();

    let key_id = mesh.issuer.certificate().subject_key_id().unwrap();
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let authority = [&[0x30, length(key_id) + 2, 0x80, length(key_id)], key_id].concat();
    let id = ID.as_bytes();
    let names = [&[0x30, length(id) + 2, 0x82, length(id)], id].concat();
    let server_auth = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
    let client_auth = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
    let purposes = [&[0x30, 20][..], &server_auth, &client_auth].concat();
    assert_eq!(
        extensions(&leaf),
        [
            // digitalSignature and keyEncipherment.
            ("2.5.29.15".into(), true, vec![0x03, 0x02, 0x05, 0xa0]),
            ("2.5.29.37".into(), false, purposes),
            ("2.5.29.35".into(), false, authority),
            ("2.5.29.17".into(), false, names),
        ]
    );
    assert_eq!(certificate.version.0, 2);
    assert_eq!(
        certificate.issuer.as_raw(),
        mesh.issuer.certificate().subject_der()
    );
    assert_eq!(certificate.subject.as_raw(), request.subject);
    assert_eq!(certificate.public_key().raw, public_key(&request.key));
    assert_eq!(
        certificate.signature_algorithm.algorithm.to_id_string(),
        "1.2.840.10045.4.3.2"
    );
    assert_eq!(certificate.signature_algorithm, certificate.signature);

    assert_eq!(leaf.not_before, noon() - SKEW);
    assert_eq!(leaf.not_after, noon() + DAY + SKEW);
    let unix = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
            .cast_signed()
    };
    assert_eq!(
        certificate.validity.not_before.timestamp(),
        unix(leaf.not_before)
    );
    assert_eq!(
        certificate.validity.not_after.timestamp(),
        unix(leaf.not_after)
    );
    assert!(certificate.validity.not_after.is_utctime());
    proxies_accept(
        &leaf,
        ID,
        mesh.issuer.response_chain(),
        &mesh.anchors,
        now(),
    )
    .unwrap();
}

#[test]
fn a_leaf_says_its_serial_and_fingerprint() {
    let leaf = Mesh::new().certify(&Request::bootstrap(ID), ID);
    let (_, certificate) = X509Certificate::from_der(&leaf.der).unwrap();
    assert_eq!(leaf.serial, format!("{:x}", certificate.serial));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf.der);
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(leaf.fingerprint, hex);
}

#[test]
fn s2_s61_serials_are_random_and_positive() {
    let mesh = Mesh::new();
    let request = CertificateRequest::parse(&Request::bootstrap(ID).der()).unwrap();
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let leaf = mesh
            .issuer
            .sign(&request, &Validity::default(), now())
            .unwrap();
        let (_, certificate) = X509Certificate::from_der(&leaf.der).unwrap();
        let serial = certificate.raw_serial();
        assert!((8..=20).contains(&serial.len()), "{serial:x?}");
        assert!(serial[0] & 0x80 == 0, "positive: {serial:x?}");
        assert_ne!(serial[0], 0, "no leading zero: {serial:x?}");
        assert!(seen.insert(serial.to_vec()));
    }
}

#[test]
fn s12_without_a_subject_the_name_is_critical() {
    let mesh = Mesh::new();
    let request = Request {
        subject: name(&[]),
        ..Request::bootstrap(ID)
    };
    let leaf = mesh.certify(&request, ID);
    let (_, certificate) = X509Certificate::from_der(&leaf.der).unwrap();
    assert_eq!(certificate.subject.as_raw(), [0x30, 0x00]);
    let names = &extensions(&leaf)[3];
    assert_eq!((names.0.as_str(), names.1), ("2.5.29.17", true));
    let chain = mesh.issuer.response_chain();
    proxies_accept(&leaf, ID, chain, &mesh.anchors, now()).unwrap();
}

#[test]
fn s13_the_subject_is_copied_byte_for_byte() {
    let mesh = Mesh::new();
    for subject in [
        name(&[(CN, ID), (O, "x")]),
        name(&[(O, "x"), (CN, ID)]),
        name(&[(O, "x"), (O, "y"), (CN, ID), (O, "x")]),
        name_of(&[(CN, yasna::tags::TAG_PRINTABLESTRING, ID.as_bytes())]),
    ] {
        let request = Request {
            subject: subject.clone(),
            ..Request::bootstrap(ID)
        };
        let leaf = mesh.certify(&request, ID);
        let (_, certificate) = X509Certificate::from_der(&leaf.der).unwrap();
        assert_eq!(certificate.subject.as_raw(), subject);
        assert!(!extensions(&leaf)[3].1, "the name is not critical");
    }
}

#[test]
fn s15_who_asks_to_be_an_authority_gets_a_plain_leaf() {
    let mesh = Mesh::new();
    let request = Request {
        attributes: vec![extension_request(&[
            extension(&[2, 5, 29, 19], true, |writer| {
                writer.write_sequence(|constraints| constraints.next().write_bool(true));
            }),
            extension(&[2, 5, 29, 15], true, |writer| {
                writer.write_bitvec_bytes(&[0b0000_0100], 6);
            }),
            general_names(&[dns(ID)]),
        ])],
        ..Request::bootstrap(ID)
    };
    let plain = mesh.certify(&Request::bootstrap(ID), ID);
    let leaf = mesh.certify(&request, ID);
    assert_eq!(extensions(&leaf), extensions(&plain));
}

#[test]
fn s32_identities_may_be_long() {
    let suffix = ".serviceaccount.identity.linkerd.cluster.local";
    let sa = "w".repeat(120 - suffix.len() - ".emojivoto-and-more".len());
    let id = format!("{sa}.emojivoto-and-more{suffix}");
    assert_eq!(id.len(), 120);
    let longest = format!("{}.{}{suffix}", "w".repeat(63), "n".repeat(63));
    let mesh = Mesh::new();
    for id in [id, longest] {
        let leaf = mesh.certify(&Request::bootstrap(&id), &id);
        let chain = mesh.issuer.response_chain();
        proxies_accept(&leaf, &id, chain, &mesh.anchors, now()).unwrap();
    }
}

#[test]
fn s34_roots_are_not_sent() {
    let root = Authority::root("root");
    let middle = root.sign("middle");
    let issuer = middle.sign("issuer");
    let mesh = Mesh::of(root, &[&issuer, &middle]);
    let subjects = |issuer: &Issuer| {
        let chain = issuer.response_chain().iter();
        chain.map(|of| of.subject().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(subjects(&mesh.issuer), ["CN=issuer", "CN=middle"]);
    let with_root = load_at(&[&issuer, &middle, &mesh.root], &[&mesh.root], now()).unwrap();
    assert_eq!(subjects(&with_root), ["CN=issuer", "CN=middle"]);
    assert_eq!(with_root.chain().len(), 3);
    // The issuer is sent, whatever it is.
    let alone = Mesh::of(Authority::root("root"), &[]);
    assert_eq!(subjects(&alone.issuer), ["CN=root"]);
}

#[test]
fn s35_a_leaf_ends_with_its_issuer() {
    let root = Authority::root("root");
    let end = noon() + HOUR;
    let issuer = root.sign_with("issuer", p256(), |params| {
        valid(params, now() - DAY, end);
    });
    let mesh = Mesh::of(root, &[&issuer]);
    let leaf = mesh.certify(&Request::bootstrap(ID), ID);
    assert_eq!(leaf.not_after, end);
    let shorter = Validity::new(59 * MINUTE, SKEW).unwrap();
    let leaf = sign_at(&mesh.issuer, &shorter, now()).unwrap();
    assert_eq!(leaf.not_after, noon() + 59 * MINUTE + SKEW);
    let longest = Validity::new(Duration::MAX, Duration::MAX).unwrap();
    assert_eq!(
        sign_at(&mesh.issuer, &longest, now()).unwrap().not_after,
        end
    );
}

#[test]
fn s36_only_certificates_of_the_file_end_a_leaf() {
    let end = noon() + HOUR;
    let root = Authority::root_with("root", p256(), |params| {
        valid(params, now() - DAY, end);
    });
    let issuer = root.sign("issuer");
    let without = load_at(&[&issuer], &[&root], now()).unwrap();
    let with = load_at(&[&issuer, &root], &[&root], now()).unwrap();
    let not_after = |issuer| {
        sign_at(issuer, &Validity::default(), now())
            .unwrap()
            .not_after
    };
    assert_eq!(not_after(&without), noon() + DAY + SKEW);
    assert_eq!(not_after(&with), end);
}

#[test]
fn s37_an_expired_issuer_signs_nothing() {
    let mesh = Mesh::new();
    let end = mesh.issuer.certificate().not_after();
    let validity = Validity::default();
    assert!(sign_at(&mesh.issuer, &validity, end - HOUR).is_ok());
    assert!(mesh.issuer.verify(&mesh.anchors, end).is_ok());
    for late in [end, end + HOUR] {
        let expired = SignError::IssuerExpired {
            subject: "CN=identity.linkerd.cluster.local".into(),
            not_after: "2027-06-01T12:00:00Z".into(),
        };
        assert_eq!(sign_at(&mesh.issuer, &validity, late), Err(expired));
    }
    let error = mesh.issuer.verify(&mesh.anchors, end + HOUR).unwrap_err();
    let text = error.to_string();
    for time in [
        "2027-06-01T13:00:00Z",
        "2026-05-31T12:00:00Z",
        "2027-06-01T12:00:00Z",
    ] {
        assert!(text.contains(time), "{text} should have {time}");
    }
}

#[test]
fn s38_a_clock_that_is_slow_by_less_than_the_skew_does_not_matter() {
    let mesh = Mesh::new();
    let leaf = mesh.certify(&Request::bootstrap(ID), ID);
    let accept = |at| proxies_accept(&leaf, ID, mesh.issuer.response_chain(), &mesh.anchors, at);
    assert!(accept(now() - Duration::from_secs(15)).is_ok());
    assert!(accept(now() - Duration::from_secs(25)).is_err());
    assert!(accept(noon() + DAY + SKEW).is_ok());
    assert!(accept(noon() + DAY + SKEW + Duration::from_secs(1)).is_err());
}

#[test]
fn dates_from_2050_on_have_four_digits_of_year() {
    // 2049-12-31T12:00:00Z.
    let eve = UNIX_EPOCH + Duration::from_secs(2_524_608_000 - 43_200);
    let forever = |params: &mut rcgen::CertificateParams| valid(params, noon(), eve + 3650 * DAY);
    let root = Authority::root_with("root", p256(), forever);
    let issuer = root.sign_with("issuer", p256(), forever);
    let issuer = load_at(&[&issuer], &[&root], eve).unwrap();
    let anchors = anchors(&[&root]);
    for (hours, utc) in [(1, true), (24, false)] {
        let validity = Validity::new(hours * HOUR, Duration::ZERO).unwrap();
        let leaf = sign_at(&issuer, &validity, eve).unwrap();
        let (_, certificate) = X509Certificate::from_der(&leaf.der).unwrap();
        let dates = &certificate.validity;
        assert!(dates.not_before.is_utctime());
        assert_eq!(dates.not_after.is_utctime(), utc);
        assert_eq!(leaf.not_after, eve + hours * HOUR);
        proxies_accept(&leaf, ID, issuer.response_chain(), &anchors, eve).unwrap();
    }
}

#[test]
fn leaves_of_all_kinds_of_chains_are_accepted() {
    for (case, root, middle, issuer, algorithm) in [
        ("P-256", p256(), None, p256(), "1.2.840.10045.4.3.2"),
        ("P-384 issuer", p256(), None, p384(), "1.2.840.10045.4.3.3"),
        ("P-384 root", p384(), None, p256(), "1.2.840.10045.4.3.2"),
        (
            "all P-384",
            p384(),
            Some(p384()),
            p384(),
            "1.2.840.10045.4.3.3",
        ),
        ("RSA root", rsa(), None, p256(), "1.2.840.10045.4.3.2"),
        (
            "intermediate",
            p256(),
            Some(p256()),
            p256(),
            "1.2.840.10045.4.3.2",
        ),
        (
            "RSA intermediate",
            rsa(),
            Some(rsa()),
            p256(),
            "1.2.840.10045.4.3.2",
        ),
    ] {
        let root = Authority::root_with("root", root, |_| {});
        let middle = middle.map(|key| root.sign_with("middle", key, |_| {}));
        let parent = middle.as_ref().unwrap_or(&root);
        let issuer = parent.sign_with("issuer", issuer, |_| {});
        let file: Vec<_> = [Some(&issuer), middle.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        let mesh = Mesh::of(root, &file);
        let leaf = mesh.certify(&Request::bootstrap(ID), ID);
        let (_, certificate) = X509Certificate::from_der(&leaf.der).unwrap();
        let signature = &certificate.signature_algorithm;
        assert_eq!(signature.algorithm.to_id_string(), algorithm, "{case}");
        assert!(signature.parameters.is_none(), "{case}");
        let accepted = proxies_accept(
            &leaf,
            ID,
            mesh.issuer.response_chain(),
            &mesh.anchors,
            now(),
        );
        assert_eq!(accepted, Ok(()), "{case}");
    }
}

/// Names as directories have them: an issuer's name written anew from a map of
/// attributes is another name, and nothing chains to it.
#[test]
fn an_issuer_may_have_several_attributes_of_a_kind() {
    let root_name = name(&[(DC, "com"), (DC, "corp"), (CN, "root")]);
    let issuer_name = name(&[
        (DC, "com"),
        (O, "x"),
        (DC, "corp"),
        (O, "y"),
        (CN, "issuer"),
    ]);
    let root = Authority::root("root").renamed(&root_name, None, &root_name);
    let issuer = root
        .sign("issuer")
        .renamed(&issuer_name, Some(&root), &root_name);
    let mesh = Mesh::of(root, &[&issuer]);
    let leaf = mesh.certify(&Request::bootstrap(ID), ID);
    let (_, certificate) = X509Certificate::from_der(&leaf.der).unwrap();
    assert_eq!(certificate.issuer.as_raw(), issuer_name);
    let chain = mesh.issuer.response_chain();
    proxies_accept(&leaf, ID, chain, &mesh.anchors, now()).unwrap();
    assert_eq!(
        mesh.issuer.certificate().subject(),
        "DC=com, O=x, DC=corp, O=y, CN=issuer"
    );
}

#[test]
fn an_issuer_without_a_key_identifier_gives_none() {
    // rcgen always writes one; another extension in its place.
    let root = Authority::root("root");
    let issuer = root.sign("issuer").without_key_identifier(&root);
    let mesh = Mesh::of(root, &[&issuer]);
    assert_eq!(mesh.issuer.certificate().subject_key_id(), None);
    let leaf = mesh.certify(&Request::bootstrap(ID), ID);
    let ids: Vec<_> = extensions(&leaf).into_iter().map(|of| of.0).collect();
    assert_eq!(ids, ["2.5.29.15", "2.5.29.37", "2.5.29.17"]);
    let chain = mesh.issuer.response_chain();
    proxies_accept(&leaf, ID, chain, &mesh.anchors, now()).unwrap();
}

#[test]
fn a_servers_certificate_has_all_its_names_and_is_for_servers_only() {
    let mesh = Mesh::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    let names = ["web.linkerd.svc", "127.0.0.1", "::1"];
    let server_names = names.map(|name| ServerName::try_from(name).unwrap());
    let sign = |names: &[ServerName<'_>], key: &[u8]| {
        let validity = Validity::new(HOUR, SKEW).unwrap();
        mesh.issuer.sign_server(names, key, &validity, noon())
    };
    let leaf = sign(&server_names, &spki).unwrap();
    assert_eq!(leaf.not_after, noon() + HOUR + SKEW);
    let der = CertificateDer::from(leaf.der.clone());
    let certificate = EndEntityCert::try_from(&der).unwrap();
    for name in &server_names {
        certificate.verify_is_valid_for_subject_name(name).unwrap();
    }
    let other = ServerName::try_from("other.linkerd.svc").unwrap();
    assert!(
        certificate
            .verify_is_valid_for_subject_name(&other)
            .is_err()
    );
    let server_auth = [0x30, 10, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1].to_vec();
    assert!(extensions(&leaf).contains(&("2.5.29.37".into(), false, server_auth)));

    for (names, key) in [(&[][..], &spki[..]), (&server_names, &spki[1..])] {
        assert!(matches!(sign(names, key), Err(SignError::Subject(_))));
    }
}
