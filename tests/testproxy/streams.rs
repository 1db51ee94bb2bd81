use crate::{
    control_plane::{Answer, ControlPlane, HOUR},
    policies,
};
use ferrule_proto::{
    destination::{
        AddrSet, DestinationProfile, Update, WeightedAddr, WeightedAddrSet, update::Update as Kind,
    },
    inbound::Server,
};
use ferrule_tests::{EndpointSet, Failure, Limits, StreamFailure, TestProxy};
use std::{net::SocketAddr, time::Duration};
use tonic::Code;

const WEB80: &str = "web.shop.svc.cluster.local:80";

async fn certified(mesh: &ControlPlane) -> anyhow::Result<TestProxy> {
    mesh.issues(HOUR);
    mesh.proxy().start().await
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 8080))
}

fn add(endpoints: &[u8]) -> Update {
    let endpoint = |n: &u8| WeightedAddr {
        addr: Some(addr(*n).into()),
        ..WeightedAddr::default()
    };
    let set = WeightedAddrSet {
        addrs: endpoints.iter().map(endpoint).collect(),
        ..WeightedAddrSet::default()
    };
    Update {
        update: Some(Kind::Add(set)),
    }
}

fn remove(endpoints: &[u8]) -> Update {
    let addrs = endpoints.iter().map(|n| addr(*n).into()).collect();
    Update {
        update: Some(Kind::Remove(AddrSet { addrs })),
    }
}

fn is(endpoints: &[u8]) -> impl Fn(&EndpointSet) -> bool {
    move |set| set.keys().copied().eq(endpoints.iter().map(|n| addr(*n)))
}

#[tokio::test]
async fn some_refusals_are_the_last_word_and_the_others_are_not() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    let proxy = certified(&mesh).await?;
    let target = addr(1);
    let (ports, profiles) = (8080, "10.0.0.1:80");
    for (code, last_word_for_all, last_word_for_targets) in [
        (Code::InvalidArgument, true, true),
        (Code::FailedPrecondition, true, true),
        (Code::NotFound, false, true),
        (Code::Unimplemented, false, true),
        (Code::Unavailable, false, false),
        (Code::PermissionDenied, false, false),
        (Code::Internal, false, false),
    ] {
        mesh.script.endpoints([Answer::Refuse(code)]);
        mesh.script.profiles([Answer::Refuse(code)]);
        mesh.script.ports([Answer::Refuse(code)]);
        mesh.script.targets([Answer::Refuse(code)]);
        assert_eq!(
            ended(&proxy.endpoints(WEB80)).await?,
            last_word_for_all,
            "{code:?}"
        );
        assert_eq!(
            ended(&proxy.profile(profiles)).await?,
            last_word_for_all,
            "{code:?}"
        );
        assert_eq!(
            ended(&proxy.inbound(ports)).await?,
            last_word_for_all,
            "{code:?}"
        );
        let outbound = proxy.outbound(target);
        assert_eq!(ended(&outbound).await?, last_word_for_targets, "{code:?}");
        assert_eq!(outbound.failure().await?.code(), Some(code));
    }
    Ok(())
}

/// Whether the first refusal is taken as the last word; if not, it is asked again.
async fn ended<T>(watched: &ferrule_tests::Watched<T, StreamFailure>) -> anyhow::Result<bool>
where
    T: ferrule_tests::Describe,
{
    watched.failure().await?;
    if watched.seen().ended {
        let silent = watched.is_silent_for(Duration::from_millis(150)).await;
        assert!(silent, "it is not asked again");
        return Ok(true);
    }
    watched
        .wait("a second failure", |seen| seen.failures > 1)
        .await?;
    Ok(false)
}

#[tokio::test]
async fn a_new_stream_replaces_what_the_old_one_told_and_what_it_does_not_tell_stays()
-> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.script.endpoints([
        Answer::TellAndClose(vec![add(&[1, 2]), remove(&[1]), add(&[3])]),
        // Neither of these says anything yet.
        Answer::TellAndClose(vec![remove(&[2]), add(&[])]),
        Answer::Tell(vec![add(&[2, 4])]),
    ]);
    let proxy = certified(&mesh).await?;
    let endpoints = proxy.endpoints(WEB80);
    let seen = endpoints
        .wait("the second stream", |seen| seen.calls >= 2)
        .await?;
    assert!(seen.value.is_some_and(|set| is(&[2, 3])(&set)));
    endpoints
        .until("the third stream's set", is(&[2, 4]))
        .await?;
    let seen = endpoints.seen();
    assert_eq!((seen.messages, seen.calls, seen.failures), (6, 3, 2));
    assert!(endpoints.is_silent_for(Duration::from_millis(100)).await);
    let calls = mesh.script.calls("Get ");
    for (before, after) in calls.iter().zip(&calls[1..]) {
        assert!(after.at - before.at >= Duration::from_millis(50), "a pause");
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_that_ended_is_asked_for_at_once_and_holds_meanwhile() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.script.ports([
        Answer::TellAndClose(vec![policies::inbound()]),
        Answer::TellAndClose(vec![policies::inbound(), policies::inbound()]),
        Answer::Refuse(Code::Unavailable),
        Answer::Tell(vec![Server {
            authorizations: vec![],
            ..policies::inbound()
        }]),
    ]);
    let proxy = mesh.proxy().inbound_ports([80]).start().await?;
    let port = proxy.inbound(80);
    let refused = port.wait("the refusal", |seen| seen.failures == 3).await?;
    assert!(refused.value.is_some(), "the policy stays in force");
    port.until("the new policy", |server| server.authorizations.is_empty())
        .await?;
    let seen = port.seen();
    assert_eq!((seen.messages, seen.calls), (4, 3));
    assert_eq!(seen.redundant, 1, "twice the same on one stream");
    let calls = mesh.script.calls("WatchPort");
    let pauses: Vec<_> = calls
        .windows(2)
        .map(|pair| pair[1].at - pair[0].at)
        .collect();
    assert!(
        pauses[2] >= Duration::from_millis(50),
        "after a refusal: {pauses:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_policy_that_a_proxy_cannot_use_fails_whoever_waits_for_it() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.script.ports([Answer::Tell(vec![Server {
        labels: Default::default(),
        ..policies::inbound()
    }])]);
    mesh.script
        .targets([Answer::Tell(vec![policies::outbound("10.0.0.1:80")])]);
    let proxy = certified(&mesh).await?;
    let port = proxy.inbound(8080);
    let error = port.first().await.unwrap_err().to_string();
    assert!(error.contains("policy of port 8080"), "{error}");
    assert!(error.contains("labels: no name"), "{error}");
    assert!(port.failure().await?.is_invalid());
    let error = proxy
        .outbound(addr(1))
        .first()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(r#"dst.path: "10.0.0.1:80" is not NAME:PORT"#),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn who_waits_in_vain_is_told_what_was_seen_last() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.script.endpoints([Answer::Tell(vec![add(&[1])])]);
    mesh.script.profiles([Answer::Refuse(Code::Unavailable)]);
    let proxy = certified(&mesh).await?;
    let short = Duration::from_millis(300);
    let endpoints = proxy.endpoints(WEB80);
    endpoints.first().await?;
    let endpoints = endpoints.patient_for(short);
    let error = endpoints
        .until("two endpoints", is(&[1, 2]))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "endpoints of {WEB80}: still waiting for two endpoints after 300ms: \
             10.0.0.1:8080 (messages: 1, calls: 1, failures: 0)"
        )
    );
    let profile = proxy.profile("10.0.0.1:80").patient_for(short);
    let error = profile.first().await.unwrap_err().to_string();
    assert!(error.contains("nothing was told"), "{error}");
    assert!(error.contains("Unavailable: as scripted"), "{error}");
    let watched = proxy.profile("10.0.0.2:80");
    drop(proxy);
    let error = watched.first().await.unwrap_err().to_string();
    assert!(error.contains("the proxy is gone"), "{error}");
    Ok(())
}

#[tokio::test]
async fn streams_end_at_the_proxys_limits_but_not_on_loopback() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.issues(HOUR);
    mesh.script.profiles([Answer::Tell(vec![])]);
    let limits = Limits {
        initial: Some(Duration::from_millis(100)),
        ..Limits::default()
    };
    let proxy = mesh.proxy().limits(limits).start().await?;
    let profile = proxy.profile("10.0.0.1:80");
    profile.wait("a call", |seen| seen.calls == 1).await?;
    assert!(profile.is_silent_for(Duration::from_millis(300)).await);

    // A name that resolves to loopback is not loopback.
    let local = format!("localhost:{}", mesh.control.addr.port());
    let name = crate::control_plane::DESTINATION;
    let proxy = mesh
        .proxy()
        .destination(&local, name)
        .limits(limits)
        .start()
        .await?;
    let profile = proxy.profile("10.0.0.1:80");
    let failure = profile.failure().await?;
    assert!(matches!(failure, StreamFailure::Limit), "{failure}");

    // Without an idle limit the first one stays in force.
    mesh.script
        .profiles([Answer::Tell(vec![DestinationProfile::default()])]);
    let profile = proxy.profile("10.0.0.1:80");
    profile.first().await?;
    profile.wait("the end", |seen| seen.failures > 0).await?;

    let idle = Limits {
        idle: Some(Duration::from_secs(60)),
        ..limits
    };
    let proxy = mesh
        .proxy()
        .destination(&local, name)
        .limits(idle)
        .start()
        .await?;
    let profile = proxy.profile("10.0.0.1:80");
    profile.first().await?;
    assert!(profile.is_silent_for(Duration::from_millis(300)).await);
    Ok(())
}

#[tokio::test]
async fn a_stream_nobody_is_interested_in_is_not_asked_for_again() -> anyhow::Result<()> {
    let mesh = ControlPlane::start().await;
    mesh.script
        .endpoints([Answer::TellAndClose(vec![add(&[1])])]);
    let proxy = certified(&mesh).await?;
    let endpoints = proxy.endpoints(WEB80);
    endpoints.first().await?;
    drop(endpoints);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let calls = mesh.script.calls("Get ").len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(mesh.script.calls("Get ").len(), calls);
    Ok(())
}
