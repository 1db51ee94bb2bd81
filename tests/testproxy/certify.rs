use crate::{
    control_plane::{Answer, ControlPlane, DESTINATION, HOUR, IDENTITY, WEB, issue},
    listener::Security,
};
use ferrule_proto::identity::CertifyResponse;
use ferrule_tests::{CertifyFailure, Rejection, TestAuthority, Validity};
use std::time::{Duration, SystemTime};
use tonic::Code;
use x509_parser::prelude::{
    FromDer as _, GeneralName, ParsedExtension, X509Certificate, X509CertificationRequest,
};

/// Between two attempts,
const PAUSE: Duration = Duration::from_millis(50);
/// and at most, where a certificate is renewed long before it ends: one that has ended is
/// shown all the same, and refused.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_proxy_asks_for_its_name_and_shows_the_certificate_it_gets() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.issues(HOUR);
    mesh.script
        .profiles([Answer::Tell(vec![Default::default()])]);
    let proxy = mesh.proxy().start().await?;
    let certificate = proxy.certificate().first().await?;
    let (_, leaf) = X509Certificate::from_der(&certificate.chain()[0])?;
    assert_eq!(leaf.raw_serial_as_string(), certificate.serial());
    assert_eq!(certificate.chain()[1], *mesh.authority.issuer_der());

    let asked = &mesh.script.calls("Certify")[0];
    assert_eq!(asked.what, format!("Certify {WEB}"));
    assert_eq!(asked.who, "first");
    assert_eq!(asked.peer, None, "there is no certificate yet");
    let (_, request) = X509CertificationRequest::from_der(&asked.signing_request)?;
    request.verify_signature()?;
    let subject = &request.certification_request_info.subject;
    assert_eq!(subject.to_string(), format!("CN={WEB}"));
    let extensions: Vec<_> = request
        .requested_extensions()
        .into_iter()
        .flatten()
        .collect();
    let [ParsedExtension::SubjectAlternativeName(names)] = &*extensions else {
        panic!("more or less than one name: {extensions:?}");
    };
    assert_eq!(names.general_names, [GeneralName::DNSName(WEB)]);

    proxy.profile("10.0.0.1:80").first().await?;
    let asked = &mesh.script.calls("GetProfile")[0];
    assert_eq!(asked.peer.as_deref(), Some(WEB));
    Ok(())
}

/// An answer that is right but for what a case makes wrong.
type Spoil = fn(&TestAuthority, &[u8]) -> CertifyResponse;

#[tokio::test]
async fn what_is_no_certificate_for_this_proxy_is_refused() -> anyhow::Result<()> {
    fn good(authority: &TestAuthority, request: &[u8]) -> CertifyResponse {
        issue(authority, request, HOUR)
    }
    fn with_leaf(authority: &TestAuthority, request: &[u8], leaf: &[u8]) -> CertifyResponse {
        CertifyResponse {
            leaf_certificate: leaf.to_vec(),
            ..good(authority, request)
        }
    }
    let cases: [(&str, Spoil); 9] = [
        ("valid_until is absent", |authority, request| {
            CertifyResponse {
                valid_until: None,
                ..good(authority, request)
            }
        }),
        ("valid_until was 1.", |authority, request| CertifyResponse {
            valid_until: Some((SystemTime::now() - Duration::from_secs(1)).into()),
            ..good(authority, request)
        }),
        // Same names all along, other keys.
        ("InvalidSignatureForPublicKey", |_, request| {
            good(&TestAuthority::new().unwrap(), request)
        }),
        ("UnknownIssuer", |authority, request| CertifyResponse {
            intermediate_certificates: Vec::new(),
            ..good(authority, request)
        }),
        ("CertExpired", |authority, request| {
            let ended = Validity::EndedAgo(Duration::from_secs(5));
            with_leaf(authority, request, &authority.sign(request, ended).unwrap())
        }),
        ("does not verify", |authority, request| {
            with_leaf(authority, request, &[0x30, 0])
        }),
        // The published API's comments promise this, and proxies do not read it.
        ("does not verify", |authority, request| {
            with_leaf(authority, request, authority.issuer_pem().as_bytes())
        }),
        (
            r#"the leaf is for ["other.shop"] and not"#,
            |authority, request| {
                let leaf = authority.leaf("other.shop", Validity::For(HOUR)).unwrap();
                with_leaf(authority, request, &leaf.chain()[0])
            },
        ),
        ("the leaf is for another key", |authority, request| {
            let leaf = authority.leaf(WEB, Validity::For(HOUR)).unwrap();
            with_leaf(authority, request, &leaf.chain()[0])
        }),
    ];
    let mesh = ControlPlane::start().await;
    for (reason, spoil) in cases {
        let authority = mesh.authority.clone();
        let answer = Answer::certify(move |request| spoil(&authority, request));
        mesh.script.certifies([answer]);
        let proxy = mesh.proxy().start().await?;
        let failure = proxy.certificate().failure().await?;
        assert!(matches!(failure, CertifyFailure::Rejected(_)), "{failure}");
        assert!(failure.to_string().contains(reason), "{reason}: {failure}");
        assert!(proxy.certificate().seen().value.is_none(), "{reason}");
    }
    Ok(())
}

#[tokio::test]
async fn a_leaf_for_another_key_is_what_anothers_request_gets() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.issues(HOUR);
    let first = mesh.proxy().start().await?;
    first.certificate().first().await?;
    let stolen = mesh.script.calls("Certify")[0].signing_request.clone();

    let thief = mesh.proxy().signing_request(stolen).start().await?;
    let failure = thief.certificate().failure().await?;
    assert!(matches!(failure, CertifyFailure::Rejected(Rejection::Key)));
    Ok(())
}

#[tokio::test]
async fn identity_itself_must_prove_who_it_is() -> anyhow::Result<()> {
    let hour = Validity::For(HOUR);
    let authority = TestAuthority::new()?;
    let foreign = TestAuthority::new()?.leaf(IDENTITY, hour)?;
    let ended = authority.leaf(IDENTITY, Validity::EndedAgo(HOUR))?;
    let other = authority.leaf(DESTINATION, hour)?;
    for (reason, leaf) in [
        ("InvalidSignatureForPublicKey", foreign),
        ("CertExpired", ended),
        ("the leaf is for [\"linkerd-destination.", other),
    ] {
        let anchors = authority.anchors_pem();
        let mesh = ControlPlane::with(
            TestAuthority::new()?,
            Security::Tls(leaf),
            Security::Plaintext,
        )
        .await;
        mesh.issues(HOUR);
        let proxy = mesh.proxy().trust_anchors(anchors).start().await?;
        let failure = proxy.certificate().failure().await?;
        assert!(
            matches!(failure, CertifyFailure::Connection(_)),
            "{failure}"
        );
        assert!(failure.to_string().contains(reason), "{reason}: {failure}");
        assert!(mesh.script.calls("Certify").is_empty(), "no token for it");
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_renewed_with_the_same_request_and_the_token_as_it_is_then()
-> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    let life = Duration::from_secs(12);
    mesh.issues(life);
    let proxy = mesh.proxy().start().await?;
    let first = proxy.certificate().first().await?;
    mesh.write_token("second\n");
    let second = proxy
        .certificate()
        .until("a renewed certificate", |now| *now != *first)
        .await?;
    assert!(second.valid_until() > first.valid_until());

    let [one, two] = &mesh.script.calls("Certify")[..] else {
        panic!("{:?}", mesh.script.calls("Certify"));
    };
    let pause = two.at - one.at;
    assert!(
        (life.mul_f64(0.65)..life).contains(&pause),
        "70 % of {life:?}: {pause:?}"
    );
    assert_eq!(one.signing_request, two.signing_request);
    assert_eq!((&*one.who, &*two.who), ("first", "second\n"));
    assert_eq!(
        mesh.identity.hellos().len(),
        2,
        "each on its own connection"
    );
    assert_eq!(
        two.peer.as_deref(),
        Some(WEB),
        "shown to whoever asks for one"
    );
    Ok(())
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_certificate_and_is_tried_again() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    let foreign = TestAuthority::new()?;
    mesh.script.certifies([
        mesh.issuing(HOUR),
        Answer::Refuse(Code::FailedPrecondition),
        Answer::certify(move |request| issue(&foreign, request, HOUR)),
        mesh.issuing(HOUR),
    ]);
    let proxy = mesh.proxy().refresh(PAUSE, SOON).start().await?;
    let certificate = proxy.certificate();
    let first = certificate.first().await?;
    let refused = certificate.failure().await?;
    assert_eq!(refused.code(), Some(Code::FailedPrecondition));
    let kept = certificate.seen().value;
    assert_eq!(kept, Some(first));
    let seen = certificate.messages(2).await?;
    assert_eq!((seen.failures, seen.calls), (2, 2));
    assert!(seen.failure.is_none());
    Ok(())
}

#[tokio::test]
async fn without_what_a_proxy_needs_it_does_not_start() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    for (reason, builder) in [
        ("no address", mesh.proxy().policy("nowhere", DESTINATION)),
        (
            "is no identity",
            mesh.proxy().identity(mesh.identity.addr, "a b"),
        ),
        ("token", mesh.proxy().token_file("/nonexistent/token")),
        ("no certificate", mesh.proxy().trust_anchors("")),
    ] {
        let error = builder
            .start()
            .await
            .err()
            .map(|error| format!("{error:#}"));
        let error = error.unwrap_or_else(|| panic!("{reason}: it starts"));
        assert!(error.contains(reason), "{error}");
    }
    mesh.write_token("");
    let error = mesh.proxy().start().await.unwrap_err();
    assert!(error.to_string().contains("empty"), "{error}");
    let named = ferrule_tests::TestProxy::builder("web.").identity(mesh.identity.addr, IDENTITY);
    let error = named
        .trust_anchors(mesh.authority.anchors_pem())
        .start()
        .await;
    assert!(error.unwrap_err().to_string().contains("without a dot"));
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_gone_later_is_a_failure_that_is_tried_again() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.issues(HOUR);
    let proxy = mesh.proxy().refresh(PAUSE, SOON).start().await?;
    proxy.certificate().first().await?;
    std::fs::remove_file(mesh.token_file())?;
    let failure = proxy.certificate().failure().await?;
    assert!(matches!(failure, CertifyFailure::Token { .. }), "{failure}");
    mesh.write_token("back");
    proxy
        .certificate()
        .wait("a new certificate", |now| now.failure.is_none())
        .await?;
    assert_eq!(mesh.script.calls("Certify").last().unwrap().who, "back");
    Ok(())
}
