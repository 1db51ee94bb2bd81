//! What an issuer must be (identity-injector.md 3.3, scenarios 44 to 53): the
//! file, and what leaves would be under it. Paths have their own file.

use crate::support::{
    Authority, DAY, ID, Mesh, Request, anchors, bundle, load, now, p256, p384, proxies_accept, rsa,
    scope,
};
use ferrule_identity::{
    CertificateRequest, ChainError, Issuer, IssuerError, IssuerWarning, KeyError, Validity,
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyUsagePurpose, NameConstraints,
};

fn under_root(change: impl FnOnce(&mut CertificateParams)) -> Result<Issuer, IssuerError> {
    let root = Authority::root("root");
    let issuer = root.sign_with("issuer", p256(), change);
    load(&[&issuer], &[&root])
}

#[test]
fn a_file_that_can_not_be_read_is_named_before_anything_else() {
    let root = Authority::root("root");
    let anchors = anchors(&[&root]);
    let load = |certificate: &str, key: &str| {
        let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
        Issuer::load(certificate, key, &anchors, &scope(), now()).unwrap_err()
    };
    assert_eq!(load("", ""), IssuerError::Certificate(ChainError::Empty));
    assert_eq!(load(&root.pem(), ""), IssuerError::Key(KeyError::Missing));
    let texts = [load("", "").to_string(), load(&root.pem(), "").to_string()];
    assert!(texts[0].starts_with("issuer certificate: "), "{texts:?}");
    assert!(texts[1].starts_with("issuer key: "), "{texts:?}");
}

#[test]
fn s51_certificate_and_key_are_a_pair() {
    let root = Authority::root("root");
    let stranger = Authority::root("stranger");
    for other in [stranger.key_pem(), p384().serialize_pem()] {
        let error = Issuer::load(
            bundle(&[&root]).as_bytes(),
            other.as_bytes(),
            &anchors(&[&stranger]),
            &scope(),
            now(),
        )
        .unwrap_err();
        assert_eq!(error, IssuerError::KeyMismatch, "told before the path");
    }
}

#[test]
fn s44_an_issuer_is_an_authority() {
    for no in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let error = under_root(|params| params.is_ca = no).unwrap_err();
        assert_eq!(error, IssuerError::NotAnAuthority("CN=issuer".into()));
        assert!(error.to_string().contains("must be an intermediate CA"));
    }
}

#[test]
fn s50_an_rsa_issuer_is_refused_when_it_is_loaded() {
    let root = Authority::root_with("root", rsa(), |_| {});
    let issuer = root.sign_with("issuer", rsa(), |_| {});
    assert_eq!(
        load(&[&issuer], &[&root]).unwrap_err(),
        IssuerError::Key(KeyError::Unsupported("RSA".into()))
    );
    assert!(load(&[&root.sign("issuer")], &[&root]).is_ok());
}

#[test]
fn s52_a_self_signed_anchor_may_be_the_issuer() {
    let mesh = Mesh::of(Authority::root("identity.linkerd.cluster.local"), &[]);
    let leaf = mesh.certify(&Request::bootstrap(ID), ID);
    proxies_accept(
        &leaf,
        ID,
        mesh.issuer.response_chain(),
        &mesh.anchors,
        now(),
    )
    .unwrap();
    assert_eq!(mesh.issuer.response_chain().len(), 1);
}

#[test]
fn s46_extended_key_usages_of_the_issuer() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    for (usages, loads) in [
        (vec![], true),
        (vec![ServerAuth], true),
        (vec![ServerAuth, ClientAuth], true),
        (vec![CodeSigning, ServerAuth], true),
        (vec![ClientAuth], false),
        (vec![CodeSigning], false),
        // The reference loads it, but no proxy takes `any` for serverAuth.
        (vec![Any], false),
        (vec![Any, ServerAuth], true),
    ] {
        let loaded = under_root(|params| params.extended_key_usages = usages.clone());
        assert_eq!(loaded.is_ok(), loads, "{usages:?}: {loaded:?}");
        if usages == [Any] {
            assert!(matches!(loaded, Err(IssuerError::LeavesRefused(_))));
        }
        if let Ok(issuer) = loaded {
            let complete = usages.is_empty() || usages.contains(&ClientAuth);
            let warned = matches!(issuer.warnings(), [IssuerWarning::ClientsRefused(_)]);
            assert_eq!(warned, !complete, "{usages:?}: {:?}", issuer.warnings());
        }
    }
    let error = under_root(|params| params.extended_key_usages = vec![ClientAuth]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("incompatible key usage"), "{text}");
}

#[test]
fn s47_an_issuer_without_key_cert_sign_is_loaded_with_a_warning() {
    let issuer = under_root(|params| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    })
    .unwrap();
    assert_eq!(issuer.warnings(), [IssuerWarning::KeyUsage]);
    let issuer = under_root(|params| params.key_usages.clear()).unwrap();
    assert_eq!(issuer.warnings(), []);
}

#[test]
fn s48_path_lengths_are_those_of_the_leaves() {
    let at_most = |most| {
        move |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
        }
    };
    assert!(under_root(at_most(0)).is_ok());
    // Nobody looks at the path length of a trust anchor but openssl.
    let root = Authority::root_with("root", p256(), at_most(0));
    assert!(load(&[&root.sign("issuer")], &[&root]).is_ok());
    // Between them it forbids the issuer to sign leaves.
    let root = Authority::root("root");
    let middle = root.sign_with("middle", p256(), at_most(0));
    let issuer = middle.sign("issuer");
    let error = load(&[&issuer, &middle], &[&root]).unwrap_err();
    assert!(matches!(error, IssuerError::LeavesRefused(_)), "{error}");
    assert!(error.to_string().contains("path length"), "{error}");
}

#[test]
fn s49_name_constraints_are_tried_on_a_leaf() {
    let permit = |domain: &str| {
        let permitted = vec![GeneralSubtree::DnsName(domain.to_owned())];
        move |params: &mut CertificateParams| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: permitted,
                excluded_subtrees: Vec::new(),
            });
        }
    };
    for (domain, loads) in [
        ("example.com", false),
        ("cluster.local", true),
        ("serviceaccount.identity.linkerd.cluster.local", true),
        (
            "linkerd.serviceaccount.identity.linkerd.cluster.local",
            true,
        ),
        (
            "emojivoto.serviceaccount.identity.linkerd.cluster.local",
            false,
        ),
    ] {
        let on_issuer = under_root(permit(domain));
        let root = Authority::root_with("root", p256(), permit(domain));
        let on_root = load(&[&root.sign("issuer")], &[&root]);
        for loaded in [on_issuer, on_root] {
            assert_eq!(loaded.is_ok(), loads, "{domain}: {loaded:?}");
            if let Err(error) = loaded {
                let text = error.to_string();
                assert!(text.contains("name constraint"), "{text}");
            }
        }
    }
}

#[test]
fn an_extension_that_proxies_must_understand_and_do_not_is_refused() {
    let error = under_root(|params| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x05, 0x00]);
        unknown.set_criticality(true);
        params.custom_extensions = vec![unknown];
    })
    .unwrap_err();
    assert!(matches!(error, IssuerError::LeavesRefused(_)), "{error}");
}

/// A certificate that is no longer needed, and that no leaf could outlive.
#[test]
fn a_certificate_in_the_file_that_expired_is_named() {
    let root = Authority::root("root");
    let old = Authority::root("old").dated(now() - 2 * DAY, now() - DAY);
    let error = load(&[&root.sign("issuer"), &old], &[&root]).unwrap_err();
    assert!(matches!(error, IssuerError::LeavesRefused(_)), "{error}");
    assert!(error.to_string().contains("CN=old"), "{error}");
}

#[test]
fn what_is_loaded_signs_for_the_scope() {
    let root = Authority::root("root");
    let issuer = load(&[&root.sign("issuer")], &[&root]).unwrap();
    let identity = scope().service_account("emojivoto", "web").unwrap();
    let request = Request::bootstrap(identity.as_str());
    let request = CertificateRequest::parse(&request.der()).unwrap();
    request.check(identity.as_str()).unwrap();
    let leaf = issuer.sign(&request, &Validity::default(), now()).unwrap();
    let anchors = anchors(&[&root]);
    proxies_accept(
        &leaf,
        identity.as_str(),
        issuer.response_chain(),
        &anchors,
        now(),
    )
    .unwrap();
}

#[test]
fn an_issuer_is_shown_without_its_key() {
    let mesh = Mesh::new();
    let shown = format!("{:?}", mesh.issuer);
    assert!(shown.starts_with("Issuer { subject: \"CN=identity.linkerd.cluster.local\""));
    assert!(!shown.contains("key"), "{shown}");
}
