//! Trust bundles (identity-injector.md 2.2, scenarios 58 to 60), and what a
//! certificate says of itself.

use crate::support::{
    Authority, DAY, HOUR, armour, load, noon, now, p256, p384, rsa, signed, valid,
};
use ferrule_identity::{Certificate, CertificateError, ChainError, TrustAnchors};
use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

fn subjects(bundle: &str) -> Result<Vec<String>, ChainError> {
    let anchors = TrustAnchors::from_pem(bundle.as_bytes())?;
    assert_eq!(anchors.root_store().len(), anchors.certificates().len());
    let subjects = anchors.certificates().iter().map(Certificate::subject);
    Ok(subjects.map(str::to_owned).collect())
}

#[test]
fn s58_an_issuer_may_be_under_any_root() {
    let (a, b) = (Authority::root("a"), Authority::root("b"));
    let issuer = b.sign("issuer");
    assert!(load(&[&issuer], &[&a, &b]).is_ok());
    assert!(load(&[&issuer], &[&b, &a]).is_ok());
    assert!(load(&[&issuer], &[&a]).is_err());
}

#[test]
fn s59_s60_text_and_foreign_blocks_are_skipped() {
    let (a, b) = (Authority::root("a"), Authority::root("b"));
    let (key, pem_a, pem_b) = (a.key_pem(), a.pem(), b.pem());
    let unknown = "-----BEGIN SOMETHING-----\nnot base64!\n-----END SOMETHING-----\n";
    for bundle in [
        format!("{pem_a}{pem_b}"),
        format!("{pem_a}{pem_b}\n"),
        format!("{pem_a}{pem_b}\n\n# the end\n"),
        format!("# old\n{pem_a}\n\n  # new\n{pem_b}trailing, without a line end"),
        format!("{pem_a}{key}{pem_b}"),
        format!("{unknown}{pem_a}{unknown}{pem_b}{unknown}"),
        format!("{pem_a}{pem_b}").replace('\n', "\r\n"),
        format!("{}{pem_b}", pem_a.replace('\n', " \n")),
    ] {
        let found = subjects(&bundle).unwrap_or_else(|e| panic!("{e}: {bundle}"));
        assert_eq!(found, ["CN=a", "CN=b"], "{bundle}");
    }
    assert_eq!(subjects(&format!("{pem_a}{pem_a}")).unwrap().len(), 2);
}

#[test]
fn a_bundle_without_certificates_is_none() {
    for bundle in ["", "\n", "# nothing", &Authority::root("a").key_pem()] {
        assert_eq!(subjects(bundle), Err(ChainError::Empty), "{bundle}");
    }
}

#[test]
fn a_malformed_certificate_is_named() {
    let (a, b) = (Authority::root("a").pem(), Authority::root("b"));
    let der = b.der();
    let block = |der: &[u8]| armour("CERTIFICATE", der);
    let error = subjects(&(a.clone() + &block(&der[..der.len() - 1]))).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("certificate number 2 is malformed: "),
        "{error}"
    );
    let followed = [der, &[0]].concat();
    let error = subjects(&(block(&followed) + &a)).unwrap_err();
    assert!(error.to_string().contains("number 1"), "{error}");
    assert!(error.to_string().contains("trailing data"), "{error}");
    // The end is missing, or what is between is no base64.
    for (from, to) in [("-----END CERTIFICATE-----\n", ""), ("MII", "!!!")] {
        let bundle = a.clone() + &b.pem().replace(from, to);
        let error = subjects(&bundle).unwrap_err();
        assert!(
            matches!(error, ChainError::Pem { before: 1, .. }),
            "{error}"
        );
    }
}

#[test]
fn a_bundle_is_known_by_its_text() {
    let root = Authority::root("a");
    let pem = root.pem() + "# once\n";
    let anchors = TrustAnchors::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(anchors.pem(), pem.as_bytes());
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pem.as_bytes());
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(anchors.sha256(), hex);
    assert!(anchors.contains(&Certificate::from_der(root.der()).unwrap()));
    let other = Authority::root("a");
    assert!(!anchors.contains(&Certificate::from_der(other.der()).unwrap()));
    assert_eq!(format!("{anchors:?}"), r#"["CN=a"]"#);
}

#[test]
fn the_first_anchor_to_expire_is_told() {
    let ends = |days| {
        Authority::root_with("a", p256(), |params| {
            valid(params, now() - DAY, now() + days * DAY);
        })
    };
    let anchors = crate::support::anchors(&[&ends(20), &ends(10), &ends(30)]);
    assert_eq!(anchors.not_after(), noon() + 10 * DAY);
}

#[test]
fn a_certificate_says_what_it_is() {
    let root = Authority::root_with("root", rsa(), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x0a, 0xbc]));
    });
    let issuer = root.sign_with("issuer", p384(), |params| {
        params.key_usages.clear();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(params, noon() - HOUR, noon() + HOUR);
    });
    let root = Certificate::from_der(root.der()).unwrap();
    let issuer = Certificate::from_der(issuer.der()).unwrap();

    assert_eq!(root.subject(), "CN=root");
    assert_eq!(issuer.issuer(), "CN=root");
    assert_eq!(root.serial(), "0abc");
    assert_eq!(issuer.not_before(), noon() - HOUR);
    assert_eq!(issuer.not_after(), noon() + HOUR);
    assert!(root.is_ca() && issuer.is_ca());
    assert_eq!((root.path_length(), issuer.path_length()), (Some(1), None));
    assert_eq!(root.may_sign_certificates(), Some(true));
    assert_eq!(issuer.may_sign_certificates(), None);
    assert_eq!(root.extended_key_usage(), None);
    let usage = issuer.extended_key_usage().unwrap();
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    assert_eq!(root.public_key().algorithm().to_string(), "RSA 2048");
    assert_eq!(issuer.public_key().algorithm().to_string(), "ECDSA P-384");
    assert!(root.is_self_signed() && !issuer.is_self_signed());
    assert_eq!(root.subject_key_id().unwrap().len(), 20);
    assert_eq!(root.fingerprint().len(), 64);
}

#[test]
fn a_certificate_does_not_contradict_itself() {
    let with = |id: &[u64], content: &[u8]| {
        let root = Authority::root_with("root", p256(), |params| {
            let extension = CustomExtension::from_oid_content(id, content.to_vec());
            params.custom_extensions = vec![extension];
        });
        Certificate::from_der(root.der())
    };
    let (basic_constraints, purposes) = ([2, 5, 29, 19], [2, 5, 29, 37]);
    assert!(with(&basic_constraints, &[0x30, 0x00]).is_err(), "twice");
    assert!(with(&purposes, b"garbage").is_err());
    // What is not needed may be anything.
    assert!(with(&[2, 5, 29, 32], b"garbage").is_ok());

    let root = Authority::root("root");
    let (_, parsed) = X509Certificate::from_der(root.der()).unwrap();
    let body = parsed.tbs_certificate.as_ref();
    let sha384 = [0x30, 0x0a, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
    let der = signed(body, &sha384, &p256());
    let error = Certificate::from_der(&der).unwrap_err();
    assert_eq!(error, CertificateError::SignatureAlgorithm);

    let empty_set = [0x30, 0x02, 0x31, 0x00];
    let nameless = Authority::root("root").renamed(&empty_set, None, &empty_set);
    assert!(Certificate::from_der(nameless.der()).is_err());
}

#[test]
fn people_are_warned_in_the_last_third_or_60_days() {
    let warned = |days: u32| {
        let authority = Authority::root_with("a", p256(), |params| {
            valid(params, noon(), noon() + days * DAY);
        });
        let certificate = Certificate::from_der(authority.der()).unwrap();
        let before = certificate
            .not_after()
            .duration_since(certificate.warn_from());
        before.unwrap()
    };
    assert_eq!(warned(3650), 60 * DAY);
    assert_eq!(warned(180), 60 * DAY);
    assert_eq!(warned(90), 30 * DAY);
    assert_eq!(warned(2), 16 * HOUR);
}
