//! identity-injector.md 3.5, steps 5 and 7 to 12, scenarios 7 to 18.

use crate::support::{
    CN, ID, Mesh, O, Request, armour, attribute, dns, email, extension, extension_request,
    general_names, ip, name, name_of, now, p384, public_key, rsa, signed, tagged, uri,
};
use ferrule_identity::{CertificateRequest, CsrError, CsrErrorKind, KeyAlgorithm, SignError};
use yasna::tags::{TAG_BMPSTRING, TAG_IA5STRING, TAG_PRINTABLESTRING};

/// What Certify does with a request.
fn check(der: &[u8], identity: &str) -> Result<(), CsrError> {
    let request = CertificateRequest::parse(der)?;
    request.verify_possession()?;
    request.check(identity)
}

fn check_names(sans: &[Vec<u8>]) -> Result<(), CsrError> {
    check(&Request::with_names(ID, sans).der(), ID)
}

fn kind(result: Result<(), CsrError>) -> Option<CsrErrorKind> {
    result.err().map(|error| error.kind())
}

/// What Go's crypto/x509 makes of the name, as the proxy's bootstrap does.
const GO: &str = "\
    MIIBXDCCAQECAQAwRjFEMEIGA1UEAxM7d2ViLmVtb2ppdm90by5zZXJ2aWNlYWNjb3VudC5pZGVudGl0eS5saW5r\
    ZXJkLmNsdXN0ZXIubG9jYWwwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR5acQUS5TzJmvs3aUWjk8CCDlZxk9/\
    Tm6ux2BCchQ76BIszzcmylqBWDOwQPk1SuZ+HZLvZwEi6+pJ4u9s+90yoFkwVwYJKoZIhvcNAQkOMUowSDBGBgNV\
    HREEPzA9gjt3ZWIuZW1vaml2b3RvLnNlcnZpY2VhY2NvdW50LmlkZW50aXR5LmxpbmtlcmQuY2x1c3Rlci5sb2Nh\
    bDAKBggqhkjOPQQDAgNJADBGAiEAsvppqf6p4SDjdYAb5vf+rxOvLqsGhMnfmZhajJyZuMYCIQCGKVnaqfruuKck\
    YbvELKgUKCylnS0DGxFXiaXFhC5lFQ==";

#[test]
fn a_proxys_own_request_is_accepted() {
    let armour = format!("-----BEGIN X-----\n{GO}\n-----END X-----\n");
    let go = pem::parse(armour).unwrap();
    assert_eq!(check(go.contents(), ID), Ok(()));

    let mut params = rcgen::CertificateParams::new([ID.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, ID);
    let key = rcgen::KeyPair::generate().unwrap();
    let rcgen = params.serialize_request(&key).unwrap();
    assert_eq!(check(rcgen.der(), ID), Ok(()));

    assert_eq!(check(&Request::bootstrap(ID).der(), ID), Ok(()));
}

#[test]
fn s7_s8_only_one_der_request_is_a_request() {
    let der = Request::bootstrap(ID).der();
    let pem = armour("CERTIFICATE REQUEST", &der);
    let followed = [&der[..], &[0]].concat();
    let twice = [&der[..], &der[..]].concat();
    let cut = &der[..der.len() - 1];
    let huge = Request::bootstrap(&"a".repeat(64 * 1024)).der();
    let mesh = Mesh::new();
    let certificate = mesh.issuer.certificate().der().as_ref();
    for (bytes, says) in [
        (&b"fake-data"[..], "DER"),
        (b"", "DER"),
        (pem.as_bytes(), "found PEM"),
        (&followed, "trailing data"),
        (&twice, "trailing data"),
        (cut, "ends early"),
        (&huge, "64 KiB"),
        (certificate, "DER tag"),
    ] {
        let error = CertificateRequest::parse(bytes).unwrap_err();
        assert_eq!(error.kind(), CsrErrorKind::Malformed, "{error}");
        assert!(error.to_string().contains(says), "{error}, not {says}");
    }
}

/// A sequence, as long as it says.
fn sequence(content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = content.len();
    let length = match u8::try_from(length) {
        Ok(short @ 0..0x80) => vec![short],
        Ok(long) => vec![0x81, long],
        Err(_) => [&[0x82], &u16::try_from(length).unwrap().to_be_bytes()[..]].concat(),
    };
    [&[0x30], &length[..], &content].concat()
}

/// What is in a sequence.
fn content(sequence: &[u8]) -> &[u8] {
    match sequence[1] {
        0x81 => &sequence[3..],
        0x82 => &sequence[4..],
        _ => &sequence[2..],
    }
}

#[test]
fn nothing_hides_in_a_request() {
    const NULL: &[u8] = &[0x05, 0x00];
    let wrap = |inner: &[u8]| sequence(&[content(inner), NULL]);
    let plain = || Request::bootstrap(ID);
    let with = |attribute: Vec<u8>| Request {
        attributes: vec![attribute],
        ..plain()
    };
    let signed_info = |info: &[u8]| {
        let request = plain();
        signed(info, &request.algorithm(), &request.key)
    };
    let attribute_of_names = || plain().attributes.remove(0);
    let subject = plain().subject;
    let attribute_of_subject = content(content(content(&subject)));
    let hidden_in_subject = sequence(&[&[0x31, 0x00], content(&subject)]);

    let der = plain().der();
    assert_eq!(
        sequence(&[content(&der)]),
        der,
        "the test wraps as DER does"
    );
    for (case, der) in [
        // After the signature, which does not cover it.
        ("the request", wrap(&plain().der())),
        ("what is signed", signed_info(&wrap(&plain().info()))),
        ("an attribute", with(wrap(&attribute_of_names())).der()),
        (
            "an extension",
            with(extension_request(&[wrap(&general_names(&[dns(ID)]))])).der(),
        ),
        (
            "the subject",
            Request {
                subject: hidden_in_subject,
                ..plain()
            }
            .der(),
        ),
        (
            "an attribute of the subject",
            Request {
                subject: sequence(&[&[
                    &[0x31, u8::try_from(attribute_of_subject.len() + 4).unwrap()][..],
                    &sequence(&[attribute_of_subject, NULL]),
                ]
                .concat()]),
                ..plain()
            }
            .der(),
        ),
        (
            "the key",
            Request {
                key_info: Some(wrap(&public_key(&plain().key))),
                ..plain()
            }
            .der(),
        ),
        (
            "a version that is none",
            Request {
                version: 1,
                ..plain()
            }
            .der(),
        ),
    ] {
        let parsed = CertificateRequest::parse(&der);
        let kind = parsed.as_ref().err().map(CsrError::kind);
        assert_eq!(kind, Some(CsrErrorKind::Malformed), "{case}: {parsed:?}");
    }
}

#[test]
fn names_are_asked_for_once() {
    let names = || general_names(&[dns(ID)]);
    for attributes in [
        vec![extension_request(&[names(), names()])],
        vec![extension_request(&[names()]), extension_request(&[names()])],
        vec![attribute(
            &[1, 2, 840, 113_549, 1, 9, 14],
            &[vec![0x30, 0x00], vec![0x30, 0x00]],
        )],
    ] {
        let request = Request {
            attributes,
            ..Request::bootstrap(ID)
        };
        assert_eq!(
            kind(check(&request.der(), ID)),
            Some(CsrErrorKind::Malformed)
        );
    }
}

#[test]
fn s9_there_is_exactly_one_dns_name() {
    let other = dns("other.emojivoto.serviceaccount.identity.linkerd.cluster.local");
    assert_eq!(check_names(&[]), Err(CsrError::DnsNames(0)));
    assert_eq!(check_names(&[dns(ID), other]), Err(CsrError::DnsNames(2)));
    assert_eq!(check_names(&[dns(ID), dns(ID)]), Err(CsrError::DnsNames(2)));
    let nothing = Request {
        attributes: Vec::new(),
        ..Request::bootstrap(ID)
    };
    assert_eq!(check(&nothing.der(), ID), Err(CsrError::DnsNames(0)));
    let error = check_names(&[]).unwrap_err();
    assert!(error.to_string().contains("exactly one DNSName"), "{error}");
}

#[test]
fn s10_s29_s30_the_name_is_the_identity_byte_for_byte() {
    for san in [
        "b",
        "",
        "web.emojivoto.serviceaccount.identity.linkerd.example.org",
        "WEB.emojivoto.serviceaccount.identity.linkerd.cluster.local",
        "web.emojivoto.serviceaccount.identity.linkerd.cluster.local.",
        " web.emojivoto.serviceaccount.identity.linkerd.cluster.local",
        "web.emojivoto.serviceaccount.identity.linkerd.cluster.local\0",
        "*.emojivoto.serviceaccount.identity.linkerd.cluster.local",
    ] {
        let error = check_names(&[dns(san)]).unwrap_err();
        assert_eq!(error.kind(), CsrErrorKind::Names);
        let text = error.to_string();
        assert!(text.contains("csr="), "{text}");
        assert!(text.contains(&format!("req={ID}")), "{text}");
    }
    assert_eq!(
        kind(check_names(&[dns("wéb")])),
        Some(CsrErrorKind::Malformed),
        "a DNS name is ASCII"
    );
}

#[test]
fn a_message_never_carries_a_whole_request_back() {
    let long = "a".repeat(30_000);
    let error = check_names(&[dns(&long)]).unwrap_err();
    assert!(error.to_string().len() < 1000);
    let error = check(&Request::with_names(&long, &[dns(ID)]).der(), ID).unwrap_err();
    assert!(error.to_string().len() < 1000);
    let error = check_names(&[dns("a\r\nb")]).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn s11_a_common_name_is_the_identity_or_nothing() {
    for (subject, accepted) in [
        (name(&[]), true),
        (name(&[(CN, "")]), true),
        (name(&[(CN, ID)]), true),
        (name(&[(CN, ID), (O, "x")]), true),
        (name(&[(CN, ID), (CN, ID)]), true),
        (name_of(&[(CN, TAG_PRINTABLESTRING, ID.as_bytes())]), true),
        (name_of(&[(CN, TAG_IA5STRING, ID.as_bytes())]), true),
        (name(&[(CN, "foo")]), false),
        // The last one counts in Go, the first one elsewhere.
        (name(&[(CN, "foo"), (CN, ID)]), false),
        (name(&[(CN, ID), (CN, "foo")]), false),
        (name_of(&[(CN, TAG_BMPSTRING, b"\0f\0o")]), false),
    ] {
        let request = Request {
            subject: subject.clone(),
            ..Request::bootstrap(ID)
        };
        let result = check(&request.der(), ID);
        assert_eq!(result.is_ok(), accepted, "{subject:x?}: {result:?}");
        if let Err(error) = result {
            assert_eq!(error.kind(), CsrErrorKind::Names);
            assert!(error.to_string().starts_with("invalid CommonName: "));
        }
    }
}

#[test]
fn s14_other_kinds_of_names_are_refused_in_order() {
    let email = || email("web@example.com");
    let ip = || ip(&[10, 0, 0, 1]);
    let uri = || uri("spiffe://cluster.local/web");
    for (sans, expected) in [
        (vec![email()], CsrError::EmailAddresses),
        (vec![ip()], CsrError::IpAddresses),
        (vec![uri()], CsrError::Uris),
        (vec![uri(), ip(), email()], CsrError::EmailAddresses),
        (vec![uri(), ip()], CsrError::IpAddresses),
    ] {
        let sans = [sans, vec![dns(ID)]].concat();
        assert_eq!(check_names(&sans), Err(expected));
    }
    // Nobody authenticates by these, and the leaf does not get them.
    let registered_id = tagged(8, &[0x2a, 0x03]);
    assert_eq!(check_names(&[dns(ID), registered_id]), Ok(()));
    assert_eq!(
        kind(check_names(&[dns(ID), tagged(9, b"x")])),
        Some(CsrErrorKind::Malformed)
    );
}

#[test]
fn the_first_fault_in_the_order_of_the_steps_is_told() {
    // Two DNS names, both wrong, a wrong common name and an email address.
    let all = [dns("b"), dns("c"), email("a@b")];
    let faults = |sans: &[Vec<u8>], common_name: &str| {
        check(&Request::with_names(common_name, sans).der(), ID).unwrap_err()
    };
    assert_eq!(faults(&all, "foo"), CsrError::DnsNames(2));
    assert!(matches!(
        faults(&all[1..], "foo"),
        CsrError::NameMismatch { .. }
    ));
    let right = [dns(ID), email("a@b")];
    assert_eq!(faults(&right, "foo"), CsrError::CommonName("foo".into()));
    let request = Request {
        key: p384(),
        ..Request::with_names(ID, &right)
    };
    assert_eq!(check(&request.der(), ID), Err(CsrError::EmailAddresses));
}

#[test]
fn s15_other_extensions_are_let_through() {
    let request = Request {
        attributes: vec![
            attribute(&[1, 2, 840, 113_549, 1, 9, 7], &[vec![0x0c, 1, b'p']]),
            extension_request(&[
                extension(&[2, 5, 29, 19], true, |writer| {
                    writer.write_sequence(|constraints| constraints.next().write_bool(true));
                }),
                general_names(&[dns(ID)]),
                extension(&[1, 2, 3, 4], true, |writer| writer.write_u8(5)),
            ]),
        ],
        ..Request::bootstrap(ID)
    };
    assert_eq!(check(&request.der(), ID), Ok(()));
}

#[test]
fn s16_s17_a_key_is_p256() {
    for (key, algorithm) in [
        (rsa(), KeyAlgorithm::Rsa(2048)),
        (p384(), KeyAlgorithm::EcdsaP384),
    ] {
        let request = Request {
            key,
            ..Request::bootstrap(ID)
        };
        let error = check(&request.der(), ID).unwrap_err();
        assert_eq!(error, CsrError::Key(algorithm));
        assert_eq!(error.kind(), CsrErrorKind::Key);
    }
}

/// A point without its y, which OpenSSL and Go do not agree about.
#[test]
fn a_key_is_not_compressed() {
    let request = Request::bootstrap(ID);
    let key_info = public_key(&request.key);
    let (algorithm, point) = key_info.split_at(key_info.len() - 65);
    let parity = 0x02 | (point[64] & 1);
    let compressed = [
        &[0x30, 0x39][..],
        &algorithm[2..algorithm.len() - 3],
        &[0x03, 34, 0, parity],
        &point[1..33],
    ]
    .concat();
    let request = Request {
        key_info: Some(compressed),
        ..request
    };
    let parsed = CertificateRequest::parse(&request.der()).unwrap();
    let error = parsed.check(ID).unwrap_err();
    assert_eq!(error, CsrError::CompressedKey);
    assert_eq!(error.kind(), CsrErrorKind::Key);
}

#[test]
fn s18_who_asks_has_the_key() {
    let request = Request::bootstrap(ID);
    let mut corrupted = request.der();
    *corrupted.last_mut().unwrap() ^= 1;
    // Somebody else's key, as if its certificate had been seen on the wire.
    let stolen = signed(
        &request.info(),
        &request.algorithm(),
        &Request::bootstrap(ID).key,
    );
    for der in [corrupted, stolen] {
        let request = CertificateRequest::parse(&der).unwrap();
        let error = request.verify_possession().unwrap_err();
        assert_eq!(error.kind(), CsrErrorKind::Possession);
    }
}

#[test]
fn what_was_not_checked_is_not_signed() {
    let mesh = Mesh::new();
    let sign = |request: &Request| {
        let request = CertificateRequest::parse(&request.der()).unwrap();
        let validity = ferrule_identity::Validity::default();
        mesh.issuer.sign(&request, &validity, now()).unwrap_err()
    };
    assert_eq!(
        sign(&Request::with_names(ID, &[])),
        SignError::Request(CsrError::DnsNames(0))
    );
    let request = Request {
        key: p384(),
        ..Request::bootstrap(ID)
    };
    assert_eq!(
        sign(&request),
        SignError::Request(CsrError::Key(KeyAlgorithm::EcdsaP384))
    );
}
