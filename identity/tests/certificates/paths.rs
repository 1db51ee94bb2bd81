//! From the issuer to a trust anchor (identity-injector.md 3.3, step 3).

use crate::support::{
    Authority, DAY, HOUR, Mesh, anchors, load, load_at, noon, now, p256, p384, rsa, valid,
};
use ferrule_identity::{Certificate, Credentials, IssuerError, PathError, TrustAnchors};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use std::{sync::Arc, time::Duration};

fn refusal(file: &[&Authority], roots: &[&Authority]) -> PathError {
    match load(file, roots) {
        Err(IssuerError::Path(error)) => error,
        other => panic!("a refused path, not {other:?}"),
    }
}

fn root_with(change: impl FnOnce(&mut CertificateParams)) -> Authority {
    Authority::root_with("root", p256(), change)
}

#[test]
fn an_issuer_of_strangers_is_unknown() {
    let (root, stranger) = (Authority::root("root"), Authority::root("stranger"));
    let issuer = stranger.sign("issuer");
    let error = refusal(&[&issuer], &[&root]);
    assert_eq!(
        error,
        PathError::UnknownAuthority {
            subject: "CN=issuer".into(),
            issuer: "CN=stranger".into()
        }
    );
    assert!(error.to_string().contains("unknown authority"), "{error}");
    // Sending along who signed it does not make them trusted.
    let error = refusal(&[&issuer, &stranger], &[&root]);
    assert!(matches!(error, PathError::UnknownAuthority { .. }));
    // Nor does being self-signed.
    let error = refusal(&[&stranger], &[&root]);
    assert!(matches!(error, PathError::UnknownAuthority { .. }));
}

#[test]
fn a_root_of_the_same_name_is_another_root() {
    let (old, new) = (Authority::root("root"), Authority::root("root"));
    let issuer = new.sign("issuer");
    let error = refusal(&[&issuer], &[&old]);
    assert!(matches!(error, PathError::Signature { .. }), "{error}");
    assert!(error.to_string().contains("unknown authority"), "{error}");
    assert!(load(&[&issuer], &[&old, &new]).is_ok());
    // Of the two, the one that signed is worth telling of.
    let expired = Authority::root_with("root", p256(), |params| {
        valid(params, now() - 2 * DAY, now() - DAY);
    });
    let error = refusal(&[&expired.sign("issuer")], &[&old, &expired]);
    assert!(matches!(error, PathError::Validity { .. }), "{error}");
}

#[test]
fn intermediates_come_from_the_file_in_any_order() {
    let root = Authority::root("root");
    let upper = root.sign("upper");
    let lower = upper.sign("lower");
    let issuer = lower.sign("issuer");
    assert!(load(&[&issuer, &lower, &upper], &[&root]).is_ok());
    assert!(load(&[&issuer, &upper, &lower], &[&root]).is_ok());
    assert!(load(&[&issuer, &lower, &upper, &root], &[&root]).is_ok());
    // A trust anchor need not be self-signed.
    assert!(load(&[&issuer], &[&lower]).is_ok());
    assert!(
        load(&[&issuer], &[&issuer]).is_ok(),
        "and may be the issuer"
    );
    let error = refusal(&[&issuer, &upper], &[&root]);
    assert_eq!(
        error,
        PathError::UnknownAuthority {
            subject: "CN=issuer".into(),
            issuer: "CN=lower".into()
        }
    );
}

/// While a mesh moves from one root to another, an intermediate has a certificate
/// from each.
#[test]
fn a_way_that_leads_nowhere_is_gone_back() {
    let (root, stranger) = (Authority::root("root"), Authority::root("stranger"));
    let middle = root.sign("middle");
    let key = rcgen::KeyPair::from_pem(&middle.key_pem()).unwrap();
    let crossed = stranger.sign_with("middle", key, |_| {});
    let issuer = middle.sign("issuer");
    assert!(load(&[&issuer, &crossed, &middle], &[&root]).is_ok());
    assert!(load(&[&issuer, &middle, &crossed], &[&root]).is_ok());
    assert!(load(&[&issuer, &crossed], &[&root]).is_err());
}

#[test]
fn s45_every_certificate_of_the_path_is_valid_now() {
    let end = noon() + HOUR;
    let ends = |params: &mut CertificateParams| valid(params, noon() - DAY, end);
    let begins = |params: &mut CertificateParams| valid(params, end, end + DAY);
    for which in 0..3 {
        let of = |index: usize| {
            move |params: &mut CertificateParams| {
                if index == which {
                    ends(params);
                }
            }
        };
        let root = root_with(of(0));
        let middle = root.sign_with("middle", p256(), of(1));
        let issuer = middle.sign_with("issuer", p256(), of(2));
        let (file, roots) = ([&issuer, &middle], [&root]);
        assert!(
            load_at(&file, &roots, end - Duration::from_secs(1)).is_ok(),
            "{which}: the last second"
        );
        let late = end + Duration::from_secs(1);
        let error = load_at(&file, &roots, late).unwrap_err();
        let text = error.to_string();
        let subject = ["CN=root", "CN=middle", "CN=issuer"][which];
        for part in [
            subject,
            "not valid now",
            "the time is 2026-06-01T13:00:01Z",
            "from 2026-05-31T12:00:00Z to 2026-06-01T13:00:00Z",
        ] {
            assert!(text.contains(part), "{text} should have {part}");
        }
    }
    let root = root_with(begins);
    let issuer = root.sign("issuer");
    let error = refusal(&[&issuer], &[&root]);
    assert!(matches!(error, PathError::Validity { .. }), "{error}");
    assert!(load_at(&[&issuer], &[&root], end).is_ok());
}

#[test]
fn s45_an_expired_anchor_is_no_issuer() {
    let root = root_with(|params| valid(params, now() - 2 * DAY, now() - DAY));
    let error = refusal(&[&root], &[&root]);
    assert!(matches!(error, PathError::Validity { .. }), "{error}");
}

#[test]
fn s47_who_signs_may_sign() {
    let root = root_with(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let error = refusal(&[&root.sign("issuer")], &[&root]);
    assert_eq!(error, PathError::KeyUsage("CN=root".into()));
    // Said of nobody who says nothing of it.
    let root = root_with(|params| params.key_usages.clear());
    assert!(load(&[&root.sign("issuer")], &[&root]).is_ok());

    let root = Authority::root("root");
    let leaf = root.sign_with("leaf", p256(), |params| params.is_ca = IsCa::ExplicitNoCa);
    let error = refusal(&[&leaf.sign("issuer"), &leaf], &[&root]);
    assert_eq!(error, PathError::NotAnAuthority("CN=leaf".into()));
    let root = root_with(|params| params.is_ca = IsCa::NoCa);
    let error = refusal(&[&root.sign("issuer")], &[&root]);
    assert_eq!(error, PathError::NotAnAuthority("CN=root".into()));
}

#[test]
fn path_lengths_count_the_authorities_between() {
    for (most, loads) in [(0, false), (1, true), (2, true)] {
        let root = root_with(|params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
        });
        let middle = root.sign("middle");
        let issuer = middle.sign("issuer");
        let loaded = load(&[&issuer, &middle], &[&root]);
        assert_eq!(loaded.is_ok(), loads, "{most}: {loaded:?}");
        if !loads {
            assert_eq!(
                loaded.unwrap_err(),
                IssuerError::Path(PathError::PathLength("CN=root".into()))
            );
        }
    }
}

#[test]
fn s46_extended_key_usages_of_parents() {
    let client = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let root = root_with(client);
    let error = refusal(&[&root.sign("issuer")], &[&root]);
    assert_eq!(error, PathError::ExtendedKeyUsage("CN=root".into()));
    // No proxy looks at a trust anchor's.
    let root = root_with(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    });
    assert!(load(&[&root.sign("issuer")], &[&root]).is_ok());
    let root = Authority::root("root");
    let middle = root.sign_with("middle", p256(), client);
    let error = refusal(&[&middle.sign("issuer"), &middle], &[&root]);
    assert_eq!(error, PathError::ExtendedKeyUsage("CN=middle".into()));
}

#[test]
fn roots_of_all_kinds_that_proxies_know_sign_issuers() {
    for (case, key) in [
        ("P-384", p384()),
        ("RSA", rsa()),
        (
            "P-521",
            rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap(),
        ),
        (
            "Ed25519",
            rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        ),
    ] {
        let root = Authority::root_with("root", key, |_| {});
        let loaded = load(&[&root.sign("issuer")], &[&root]);
        assert!(loaded.is_ok(), "{case}: {loaded:?}");
    }
}

#[test]
fn many_certificates_of_one_name_do_not_stop_us() {
    let root = Authority::root("root");
    let issuer = root.sign("same");
    let others: Vec<_> = (0..120).map(|_| Authority::root("root")).collect();
    let mut file = vec![&issuer];
    file.extend(&others);
    let stranger = Authority::root("stranger");
    assert_eq!(refusal(&file, &[&stranger]), PathError::TooComplex);
    // Two that signed each other are no way out.
    let a = Authority::root("a");
    let b = a.sign("b");
    let error = refusal(&[&b, &a], &[&stranger]);
    assert!(
        matches!(error, PathError::UnknownAuthority { .. }),
        "{error}"
    );
}

/// Anchors change while an issuer is in use, and so does the time.
#[test]
fn step_6_asks_again() {
    let mesh = Mesh::new();
    let stranger = Authority::root("stranger");
    assert!(mesh.issuer.verify(&mesh.anchors, now()).is_ok());
    assert!(
        mesh.issuer
            .verify(&anchors(&[&stranger, &mesh.root]), now())
            .is_ok()
    );
    assert!(mesh.issuer.verify(&anchors(&[&stranger]), now()).is_err());
    assert!(
        mesh.issuer
            .verify(&mesh.anchors, now() + 400 * DAY)
            .is_err()
    );
    assert!(mesh.issuer.verify(&mesh.anchors, now() - 2 * DAY).is_err());
}

/// An issuer is trusted for as long as some path to an anchor is valid, and says for
/// how long that is the one that was found.
#[test]
fn step_6_goes_by_the_time_of_the_path() {
    let long = Authority::root("root");
    let short = long.dated(now() - DAY, noon() + HOUR);
    let issuer = long.sign_with("issuer", p256(), |params| {
        valid(params, noon() - HOUR, noon() + 3 * DAY);
    });
    let issuer = load(&[&issuer], &[&short, &long]).unwrap();
    let found = |anchors: &TrustAnchors, now| issuer.verify(anchors, now).unwrap();
    let both = anchors(&[&short, &long]);
    assert_eq!(found(&both, now()), noon() - HOUR..=noon() + HOUR);
    let later = now() + 2 * HOUR;
    assert_eq!(found(&both, later), noon() - HOUR..=noon() + 3 * DAY);

    let credentials = Credentials::new(Arc::new(issuer), both);
    for (time, is_trusted) in [
        (noon() - HOUR, true),
        (noon() + HOUR, true),
        (later, true),
        (noon() + 3 * DAY, true),
        (noon() + 3 * DAY + HOUR, false),
        (now(), true),
        (noon() - 2 * HOUR, false),
    ] {
        let verified = credentials.verify(time);
        assert_eq!(verified.is_ok(), is_trusted, "{time:?}: {verified:?}");
    }
    let alone = Credentials::new(credentials.issuer, anchors(&[&short]));
    assert!(alone.verify(now()).is_ok());
    assert!(alone.verify(later).is_err(), "there is no other path");
}

/// A root that was dated anew, key and name unchanged: whoever trusts the old one
/// trusts what it signed.
#[test]
fn an_anchor_dated_anew_is_the_same_authority() {
    let old = Authority::root("root");
    let new = old.dated(now() - DAY, now() + 3650 * DAY);
    let issuer = old.sign("issuer");
    assert!(load(&[&issuer], &[&new]).is_ok());
    assert!(load(&[&old], &[&new]).is_ok(), "also as the issuer");
    let certificate = Certificate::from_der(new.der()).unwrap();
    assert_eq!(certificate.not_after(), noon() + 3650 * DAY);
}
