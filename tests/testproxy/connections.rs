use crate::{
    control_plane::{Answer, CONTEXT, ControlPlane, DESTINATION, HOUR, IDENTITY, WEB, WORKLOAD},
    listener::Security,
};
use ferrule_proto::inbound::Server;
use ferrule_tests::{
    Api, ClientCertificate, StreamFailure, TestAuthority, TestProxy, Transport, Validity,
};
use rustls::SignatureScheme;
use std::time::Duration;
use tonic::Code;

#[tokio::test]
async fn connections_are_made_as_a_proxy_makes_them() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.issues(HOUR);
    mesh.script
        .profiles([Answer::Tell(vec![Default::default()])]);
    let proxy = mesh.proxy().start().await?;
    proxy.profile("10.0.0.1:80").first().await?;
    for (hellos, name) in [
        (mesh.identity.hellos(), IDENTITY),
        (mesh.control.hellos(), DESTINATION),
    ] {
        let [hello] = &*hellos else {
            panic!("{hellos:?}");
        };
        assert_eq!(hello.server_name.as_deref(), Some(name));
        assert!(!hello.offers_alpn);
        assert!(
            hello
                .schemes
                .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
        );
        for scheme in &hello.schemes {
            assert!(!format!("{scheme:?}").starts_with("RSA_PSS"), "{scheme:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn ports_are_asked_for_before_there_is_a_certificate_and_traffic_waits_for_it()
-> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.script
        .ports([Answer::Tell(vec![crate::policies::inbound()])]);
    mesh.script.endpoints([Answer::Tell(vec![])]);
    let proxy = mesh.proxy().inbound_ports([8080, 4191]).start().await?;
    let endpoints = proxy.endpoints("web.shop.svc.cluster.local:80");
    for port in [8080, 4191] {
        proxy.inbound(port).first().await?;
    }
    assert!(proxy.certificate().failure().await?.code() == Some(Code::Unavailable));
    assert!(endpoints.is_silent_for(Duration::from_millis(200)).await);
    assert!(mesh.script.calls("Get").is_empty());
    mesh.issues(HOUR);
    endpoints.wait("a call", |seen| seen.calls == 1).await?;

    let calls = mesh.script.until_calls("", 4).await;
    let shown = |what: &str| {
        let call = calls.iter().find(|call| call.what == what).unwrap();
        (&*call.who, call.peer.as_deref())
    };
    assert_eq!(shown("WatchPort 8080"), (WORKLOAD, None));
    assert_eq!(shown("WatchPort 4191"), (WORKLOAD, None));
    let get = shown("Get web.shop.svc.cluster.local:80");
    assert_eq!(get, (CONTEXT, Some(WEB)), "the context to the last byte");
    assert_eq!(
        mesh.script.calls("WatchPort").len(),
        2,
        "each is asked for once"
    );
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_not_the_one_is_told_nothing() -> anyhow::Result<()> {
    let authority = TestAuthority::new()?;
    let foreign = TestAuthority::new()?;
    let old = authority.leaf(DESTINATION, Validity::For(HOUR))?;
    for (reason, control) in [
        ("the leaf is for", Security::optional(&authority, IDENTITY)),
        (
            "InvalidSignature",
            Security::optional(&foreign, DESTINATION),
        ),
        ("ProtocolVersion", Security::Tls12(old)),
        ("127.0.0.1", Security::Plaintext),
    ] {
        let identity = Security::optional(&authority, IDENTITY);
        let anchors = authority.anchors_pem();
        let mesh = ControlPlane::with(TestAuthority::new()?, identity, control).await;
        let builder = mesh.proxy().trust_anchors(anchors);
        let proxy = builder.inbound_ports([80]).start().await?;
        let failure = proxy.inbound(80).failure().await?;
        assert!(failure.to_string().contains(reason), "{failure}");
        assert!(matches!(failure, StreamFailure::Refused(_)), "{failure}");
        let seen = proxy.inbound(80).seen();
        assert!(!seen.ended && seen.calls == 0, "it is tried again");
        assert!(mesh.script.calls("").is_empty());
        proxy.connect(Api::Policy).await.unwrap_err();
    }
    Ok(())
}

#[tokio::test]
async fn a_test_chooses_what_a_server_is_shown() -> anyhow::Result<()> {
    let authority = TestAuthority::new()?;
    let foreign = TestAuthority::new()?.leaf(WEB, Validity::For(HOUR))?;
    let ended = authority.leaf(WEB, Validity::EndedAgo(HOUR))?;
    let other = authority.leaf("api.shop", Validity::For(HOUR))?;
    let identity = Security::optional(&authority, IDENTITY);
    let control = Security::required(&authority, DESTINATION);
    let mesh = ControlPlane::with(authority, identity, control).await;
    mesh.issues(HOUR);
    mesh.script
        .profiles([Answer::Tell(vec![Default::default()])]);
    for (shown, seen) in [
        (ClientCertificate::Own, Some(WEB)),
        (other.client_certificate(), Some("api.shop")),
        (ClientCertificate::None, None),
        (foreign.client_certificate(), None),
        (ended.client_certificate(), None),
    ] {
        let proxy = mesh
            .proxy()
            .client_certificate(shown.clone())
            .start()
            .await?;
        let profile = proxy.profile("10.0.0.1:80");
        if seen.is_some() {
            profile.first().await?;
            let calls = mesh.script.calls("GetProfile");
            assert_eq!(calls.last().unwrap().peer.as_deref(), seen);
        } else {
            let before = mesh.script.calls("GetProfile").len();
            let failure = profile.failure().await?;
            assert!(matches!(failure, StreamFailure::Refused(_)), "{failure}");
            assert_eq!(mesh.script.calls("GetProfile").len(), before, "{shown:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn loopback_is_plaintext_unless_a_test_says_otherwise() -> anyhow::Result<()> {
    let authority = TestAuthority::new()?;
    let mesh = ControlPlane::with(authority, Security::Plaintext, Security::Plaintext).await;
    mesh.issues(HOUR);
    mesh.script
        .ports([Answer::Tell(vec![crate::policies::inbound()])]);
    let proxy = mesh.proxy().transport(Transport::AsProxy).start().await?;
    proxy.certificate().first().await?;
    proxy.inbound(8080).first().await?;

    // Nothing but an address, like `localhost.` in the control plane's own pods.
    let addr = format!("localhost.:{}", mesh.control.addr.port());
    let bare = TestProxy::builder(WEB).policy(&addr, "").start().await?;
    bare.inbound(8080).first().await?;
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_is_made_again_with_the_certificate_there_is_then() -> anyhow::Result<()>
{
    let mesh = ControlPlane::start().await;
    mesh.script.ports([
        Answer::TellAndClose(vec![crate::policies::inbound()]),
        Answer::Tell(vec![Server::clone(&crate::policies::inbound())]),
    ]);
    let proxy = mesh.proxy().inbound_ports([80]).start().await?;
    let calls = mesh.script.until_calls("WatchPort", 2).await;
    assert!(calls.iter().all(|call| call.peer.is_none()));
    assert_eq!(
        mesh.control.hellos().len(),
        1,
        "a connection outlives its streams"
    );

    mesh.issues(HOUR);
    proxy.certificate().first().await?;
    mesh.control.break_connections();
    let calls = mesh.script.until_calls("WatchPort", 3).await;
    assert_eq!(calls[2].peer.as_deref(), Some(WEB));
    assert_eq!(mesh.control.hellos().len(), 2);
    Ok(())
}
