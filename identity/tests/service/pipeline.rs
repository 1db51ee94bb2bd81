//! Section 3.5 of identity-injector.md, and the scenarios of 11.1 that tokens of
//! our own show; numbers are theirs.

use crate::support::{HOUR, Log, Mesh, Proxy, Root, YEAR, scope, token_issuer, verify};
use ferrule_identity::{
    Authenticator, CertificateAuthority, Reason, ServiceAccount, TokenReview, Validity,
};
use ferrule_proto::identity::CertifyRequest;
use rcgen::{DnType, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use std::{
    net::TcpListener,
    time::{Duration, SystemTime},
};
use tonic::Code;

#[tokio::test]
async fn s1_s2_a_valid_request_is_certified_again_and_again() {
    let mesh = Mesh::new();
    let proxy = Proxy::new("web");
    let request = proxy.request(&mesh.token("web"));
    let now = SystemTime::now();
    let first = mesh.authority.certify(request.clone()).await.unwrap();
    let first = verify(&first, &mesh.root, &proxy.name);
    assert!(first.not_before() < now, "clocks differ");
    assert!(first.not_after() > now + 24 * HOUR);
    let second = mesh.authority.certify(request).await.unwrap();
    assert_eq!(second.intermediate_certificates.len(), 1);
    let second = verify(&second, &mesh.root, &proxy.name);
    assert_ne!(first.serial(), second.serial());
    assert_eq!(mesh.authority.stats().issued(), 2);
    assert!(mesh.authority.stats().last_issued_millis() > 0);
}

#[tokio::test]
async fn s3_without_an_issuer_nothing_else_is_looked_at() {
    let authenticator = Authenticator::Local(token_issuer().verifier());
    let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
    let refusal = authority.certify(CertifyRequest::default()).await;
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable);
    assert_eq!(refusal.to_string(), "cert issuer not ready yet");
    assert_eq!(authority.stats().refused(Reason::NotReady), 1);
}

/// Every way to be refused that needs no API server, in the order of the checks.
#[tokio::test]
async fn the_first_check_that_fails_answers() {
    let mesh = Mesh::new();
    let proxy = Proxy::new("web");
    let token = mesh.token("web");
    let good = proxy.request(&token);
    let refused = async |what: &str, code, reason, text: &str, request: CertifyRequest| {
        let counted = mesh.authority.stats().refused(reason);
        let refusal = mesh.authority.certify(request).await;
        let refusal = refusal
            .err()
            .unwrap_or_else(|| panic!("{what} is certified"));
        assert_eq!(refusal.code(), code, "{what}: {refusal}");
        assert_eq!(refusal.reason(), reason, "{what}: {refusal}");
        assert!(refusal.to_string().contains(text), "{what}: {refusal}");
        assert_eq!(
            mesh.authority.stats().refused(reason),
            counted + 1,
            "{what}"
        );
    };
    let with_token = |token: &str| CertifyRequest {
        token: token.as_bytes().to_vec(),
        ..good.clone()
    };
    let with_csr = |csr: Vec<u8>| CertifyRequest {
        certificate_signing_request: csr,
        ..good.clone()
    };

    let (code, reason) = (Code::InvalidArgument, Reason::MissingField);
    let request = CertifyRequest::default();
    refused("4: no identity", code, reason, "missing identity", request).await;
    let request = with_token("");
    refused("5: no token", code, reason, "missing token", request).await;
    let request = with_token("\n");
    refused(
        "an empty token file",
        code,
        reason,
        "missing token",
        request,
    )
    .await;
    let (text, request) = ("missing certificate signing request", with_csr(Vec::new()));
    refused("6: no CSR", code, reason, text, request).await;

    let reason = Reason::MalformedCsr;
    let request = with_csr(b"fake-data".to_vec());
    refused("7: garbage", code, reason, "malformed", request).await;
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", proxy.csr()));
    refused(
        "8: PEM",
        code,
        reason,
        "malformed",
        with_csr(pem.into_bytes()),
    )
    .await;
    let longer = [proxy.csr(), vec![0]].concat();
    refused(
        "8: one byte more",
        code,
        reason,
        "malformed",
        with_csr(longer),
    )
    .await;

    let (code, reason) = (Code::FailedPrecondition, Reason::CsrPossession);
    let mut corrupt = proxy.csr();
    *corrupt.last_mut().unwrap() ^= 1;
    refused("18: signature", code, reason, "prove", with_csr(corrupt)).await;

    let reason = Reason::CsrNames;
    let two = proxy.csr_with(|params| {
        let name = SanType::DnsName("other".try_into().unwrap());
        params.subject_alt_names.push(name);
    });
    refused("9: two names", code, reason, "exactly one", with_csr(two)).await;
    let none = proxy.csr_with(|params| params.subject_alt_names.clear());
    refused("9: no name", code, reason, "exactly one", with_csr(none)).await;
    let other = Proxy::new("other");
    let text = format!("csr={}; req={}", other.name, proxy.name);
    refused(
        "10: another name",
        code,
        reason,
        &text,
        with_csr(other.csr()),
    )
    .await;
    let common_name = proxy.csr_with(|params| {
        params.distinguished_name.push(DnType::CommonName, "foo");
    });
    let request = with_csr(common_name);
    refused("11: CN", code, reason, "invalid CommonName: foo", request).await;
    let with_ip = proxy.csr_with(|params| {
        let ip = SanType::IpAddress([10, 0, 0, 1].into());
        params.subject_alt_names.push(ip);
    });
    refused("14: IP", code, reason, "IP addresses", with_csr(with_ip)).await;

    let reason = Reason::CsrKey;
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = rcgen::CertificateParams::new([proxy.name.to_string()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let p384 = params.serialize_request(&p384).unwrap().der().to_vec();
    refused("17: P-384", code, reason, "P-256", with_csr(p384)).await;

    let reason = Reason::TokenUnauthenticated;
    let text = "could not be authenticated";
    refused("21: garbage", code, reason, text, with_token("x.y.z")).await;
    let foreign = Mesh::new().token("web");
    refused("foreign", code, reason, text, with_token(&foreign)).await;
    let account = ServiceAccount::new("emojivoto", "web").unwrap();
    let expired = mesh
        .tokens
        .issue(&account, HOUR, SystemTime::now() - 2 * HOUR)
        .unwrap();
    let (code, reason) = (Code::InvalidArgument, Reason::TokenInvalid);
    refused("22: expired", code, reason, "expired", with_token(&expired)).await;
    let not_text = CertifyRequest {
        token: vec![0xff, 0xfe],
        ..good.clone()
    };
    refused("no text", code, reason, "not text", not_text).await;

    let (code, reason) = (Code::FailedPrecondition, Reason::IdentityMismatch);
    let text = format!("requested={}; found={}", proxy.name, other.name);
    let request = with_token(&mesh.token("other"));
    refused("28: somebody else's token", code, reason, &text, request).await;
    assert_eq!(mesh.authority.stats().issued(), 0);

    let newline = with_token(&format!("{token}\n"));
    mesh.authority.certify(newline).await.unwrap();
}

#[tokio::test]
async fn s29_s30_names_of_another_mesh_or_in_other_letters_are_somebody_elses() {
    let mesh = Mesh::new();
    for name in [
        "web.emojivoto.serviceaccount.identity.linkerd.example.org",
        "Web.emojivoto.serviceaccount.identity.linkerd.cluster.local",
        "web.emojivoto.serviceaccount.identity.linkerd.cluster.local.",
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let request = CertifyRequest {
            identity: name.to_owned(),
            token: mesh.token("web").into_bytes(),
            certificate_signing_request: params.serialize_request(&key).unwrap().der().to_vec(),
        };
        let refusal = mesh.authority.certify(request).await.unwrap_err();
        assert_eq!(refusal.code(), Code::FailedPrecondition, "{refusal}");
        assert_eq!(refusal.reason(), Reason::IdentityMismatch, "{refusal}");
    }
}

#[tokio::test]
async fn s35_a_leaf_ends_with_its_issuer() {
    let mesh = Mesh::new();
    let end = SystemTime::now() + HOUR;
    let short = mesh.root.issuer_valid(SystemTime::now() - HOUR, end);
    mesh.authority.install(mesh.root.credentials(&short));
    let proxy = Proxy::new("web");
    let request = proxy.request(&mesh.token("web"));
    let answer = mesh.authority.certify(request).await.unwrap();
    let leaf = verify(&answer, &mesh.root, &proxy.name);
    let left = leaf.not_after().duration_since(SystemTime::now()).unwrap();
    assert!(
        left <= HOUR && left > HOUR - Duration::from_secs(60),
        "{left:?}"
    );
}

#[tokio::test]
async fn s37_an_issuer_that_has_expired_since_is_said_with_its_times() {
    let (log, _guard) = Log::begin();
    let mesh = Mesh::new();
    let soon = SystemTime::now() + Duration::from_secs(6);
    let short = mesh.root.issuer_valid(SystemTime::now() - HOUR, soon);
    mesh.authority.install(mesh.root.credentials(&short));
    let request = Proxy::new("web").request(&mesh.token("web"));
    mesh.authority.certify(request.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    for _ in 0..3 {
        let refusal = mesh.authority.certify(request.clone()).await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unknown, "{refusal}");
        assert!(refusal.to_string().contains("valid from"), "{refusal}");
    }
    assert_eq!(mesh.authority.stats().refused(Reason::IssuerInvalid), 3);
    let said = log.lines_with("cannot certify");
    assert_eq!(said.len(), 1, "once in ten seconds: {said:#?}");
    assert!(
        said[0].contains("ERROR") && said[0].contains("web.emojivoto"),
        "{said:?}"
    );
    // With another, it goes on.
    mesh.authority
        .install(mesh.root.credentials(&mesh.root.issuer()));
    mesh.authority.certify(request).await.unwrap();
}

#[tokio::test]
async fn s16_s19_a_bad_request_costs_no_review() {
    let review = TokenReview::new(client_of("http://127.0.0.1:1"));
    let authority = authority_with(review);
    let proxy = Proxy::new("web");
    let bad = CertifyRequest {
        certificate_signing_request: Proxy::new("other").csr(),
        ..proxy.request("bad token")
    };
    let refusal = authority.certify(bad).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::CsrNames, "{refusal}");
    // Scenario 16.
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let mut params = rcgen::CertificateParams::new([proxy.name.to_string()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let rsa = params.serialize_request(&rsa.unwrap()).unwrap();
    let rsa = CertifyRequest {
        certificate_signing_request: rsa.der().to_vec(),
        ..proxy.request("bad token")
    };
    let refusal = authority.certify(rsa).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition, "{refusal}");
    assert_eq!(refusal.reason(), Reason::CsrKey, "{refusal}");
    let not_text = CertifyRequest {
        token: vec![0xff],
        ..proxy.request("")
    };
    let refusal = authority.certify(not_text).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
    let Authenticator::TokenReview(review) = authority.authenticator() else {
        panic!("tokens are reviewed");
    };
    assert_eq!(review.stats().durations().count, 0);
    assert_eq!(review.stats().failures(), 0);
}

#[tokio::test]
async fn s20_an_api_server_that_is_not_there_is_named_in_the_answer() {
    let (log, _guard) = Log::begin();
    let review = TokenReview::new(client_of("http://127.0.0.1:1"));
    let authority = authority_with(review);
    let proxy = Proxy::new("web");
    let refusal = authority.certify(proxy.request("secret-token")).await;
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.code(), Code::Internal);
    assert_eq!(refusal.reason(), Reason::TokenReviewFailed);
    let text = format!(
        "error validating token for {}: the API server has not reviewed the token",
        proxy.name
    );
    assert!(refusal.to_string().starts_with(&text), "{refusal}");
    assert!(!refusal.to_string().contains("secret-token"), "{refusal}");
    let said = log.lines_with("cannot certify");
    assert_eq!(said.len(), 1, "{}", log.text());
    assert!(said[0].contains("ERROR"), "{said:?}");
    assert!(!log.text().contains("secret-token"), "{}", log.text());
}

/// A proxy waits for an answer for ever (api.md 2.10).
#[tokio::test]
async fn an_api_server_that_hangs_is_given_up_after_ten_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let authority = authority_with(TokenReview::new(client_of(&url)));
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    let request = Proxy::new("web").request("token");
    let refusal = authority.certify(request).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Internal);
    let text = "the API server has not reviewed the token in 10 s";
    assert!(refusal.to_string().ends_with(text), "{refusal}");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn the_process_certifies_itself_without_a_token() {
    let mesh = Mesh::new();
    let identity = Proxy::in_namespace("linkerd", "linkerd-identity");
    let answer = mesh.authority.certify_self(&identity.name, &identity.csr());
    verify(&answer.unwrap(), &mesh.root, &identity.name);
    let other = Proxy::in_namespace("linkerd", "linkerd-destination");
    let refusal = mesh.authority.certify_self(&identity.name, &other.csr());
    assert_eq!(refusal.unwrap_err().reason(), Reason::CsrNames);
}

#[tokio::test]
async fn every_certificate_is_logged_with_its_fingerprint_and_no_token_is() {
    let (log, _guard) = Log::begin();
    let mesh = Mesh::new();
    let proxy = Proxy::new("web");
    let token = mesh.token("web");
    let answer = mesh.authority.certify(proxy.request(&token)).await.unwrap();
    let leaf = verify(&answer, &mesh.root, &proxy.name);
    let until = jiff::Timestamp::try_from(leaf.not_after()).unwrap();
    let expected = format!(
        "issued certificate for {} until {until}: {}",
        proxy.name,
        leaf.fingerprint()
    );
    let lines = log.lines_with(&expected);
    assert_eq!(lines.len(), 1, "{}", log.text());
    assert!(lines[0].contains("INFO"), "{lines:?}");
    let serial = format!("serial=\"{}\"", leaf.serial());
    assert!(lines[0].contains(&serial), "{lines:?}");
    for part in token.split('.') {
        assert!(!log.text().contains(part), "{}", log.text());
    }
}

#[tokio::test]
async fn whoever_subscribes_learns_of_each_issuer() {
    let authenticator = Authenticator::Local(token_issuer().verifier());
    let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
    let mut generation = authority.subscribe();
    assert_eq!(*generation.borrow_and_update(), 0);
    assert!(authority.credentials().is_none());
    let root = Root::new("root");
    for number in 1..3 {
        let issuer = root.issuer_valid(SystemTime::now() - HOUR, SystemTime::now() + YEAR);
        authority.install(root.credentials(&issuer));
        assert!(generation.has_changed().unwrap());
        assert_eq!(*generation.borrow_and_update(), number);
        assert!(authority.credentials().is_some());
    }
}

fn client_of(url: &str) -> kube::Client {
    let mut config = kube::Config::new(url.parse().unwrap());
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

fn authority_with(review: TokenReview) -> CertificateAuthority {
    let authenticator = Authenticator::TokenReview(review);
    let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
    let root = Root::new("root");
    authority.install(root.credentials(&root.issuer()));
    authority
}
