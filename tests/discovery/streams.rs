//! How streams live and end, with real sockets.

use crate::shop::Shop;
use anyhow::{Context as _, ensure};
use ferrule_proto::destination::{GetDestination, destination_client::DestinationClient};
use ferrule_test_cluster::Cluster;
use ferrule_tests::{Ferrule, Proxy, Relay, TestProxy};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::{Code, transport::Endpoint};

#[tokio::test]
async fn s75_a_client_that_vanishes_without_a_word_is_given_up_and_an_idle_one_is_not()
-> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("vanish").await?;
    cluster.node("vanish-a", None).await?;
    let _kubelet = cluster
        .kubelet(Some(namespace.name()), &["vanish-a"])
        .await?;
    let shop = Shop::open(&cluster.client()?, namespace.name(), 1).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    let relay = Relay::to(ferrule.destination()).await?;
    let proxy = |addr| TestProxy::builder("vanish").destination(addr, "").start();
    let (vanishing, idle) = (
        proxy(relay.addr()).await?,
        proxy(ferrule.destination()).await?,
    );
    let lost = vanishing.endpoints(&shop.authority(80));
    let kept = idle.endpoints(&shop.authority(80));
    lost.first().await?;
    kept.first().await?;
    let streams = |count| {
        let service = [("namespace", namespace.name()), ("service", "web")];
        let ferrule = &ferrule;
        async move {
            let what = format!("{count} streams");
            ferrule
                .scraped(&what, |now| {
                    now.sum("endpoints_subscribers", &service) == Some(count)
                        && now.sum("stream_active", &[("method", "Get")]) == Some(count)
                })
                .await
        }
    };
    streams(2.0).await?;

    relay.freeze();
    let begin = Instant::now();
    streams(1.0).await?;
    // PINGs go out each 20 s, and are waited for 10 s.
    ensure!(
        begin.elapsed() < Duration::from_secs(60),
        "{:?}",
        begin.elapsed()
    );
    let seen = kept.seen();
    assert_eq!(
        (seen.calls, seen.failures),
        (1, 0),
        "the idle one answers PINGs"
    );
    Ok(())
}

#[tokio::test]
async fn a_client_that_pings_all_the_time_is_not_cut_off() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    let channel = Endpoint::from_shared(format!("http://{}", ferrule.destination()))?
        // gRPC servers that defend themselves send GOAWAY at the third within
        // five minutes.
        .http2_keep_alive_interval(Duration::from_millis(50))
        .keep_alive_while_idle(true)
        .connect()
        .await?;
    let mut client = DestinationClient::new(channel);
    let request = GetDestination {
        path: "kubernetes.default.svc.cluster.local:443".into(),
        ..GetDestination::default()
    };
    let mut stream = client.get(request.clone()).await?.into_inner();
    let told = async {
        while stream.message().await?.is_some() {}
        anyhow::Ok(())
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), told).await;
    assert!(ended.is_err(), "the stream goes on: {ended:?}");
    // Nor was the connection made anew behind our back, and the stream with it.
    drop(client.get(request).await?);
    let get = [("grpc_method", "Get")];
    ferrule
        .scraped("one stream goes on, another has ended", |now| {
            now.sum("grpc_server_started_total", &get) == Some(2.0)
                && now.sum("stream_active", &[("method", "Get")]) == Some(1.0)
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn s74_on_sigterm_another_replica_takes_over_and_nobody_misses_anything() -> anyhow::Result<()>
{
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("takeover").await?;
    cluster.node("takeover-a", None).await?;
    let _kubelet = cluster
        .kubelet(Some(namespace.name()), &["takeover-a"])
        .await?;
    let shop = Shop::open(&cluster.client()?, namespace.name(), 3).await?;
    let flags = [
        "--roles=destination",
        "--drain-delay=6s",
        "--drain-window=8s",
    ];
    let mut first = Ferrule::start_with(cluster.kubeconfig(), &flags).await?;
    let second = Ferrule::start(cluster.kubeconfig()).await?;
    first.ready().await?;
    second.ready().await?;
    // As a Service does, it leads to a replica that is ready.
    let service = Relay::to(first.destination()).await?;
    let mut proxies = Vec::new();
    for _ in 0..20 {
        let proxy = TestProxy::builder("takeover").destination(service.addr(), "");
        proxies.push(proxy.start().await?);
    }
    let follow = |proxy: &TestProxy| proxy.endpoints(&shop.authority(80));
    let webs: Vec<_> = proxies.iter().map(follow).collect();
    for web in &webs {
        web.until("three endpoints", |set| set.len() == 3).await?;
    }

    first.terminate()?;
    let begin = Instant::now();
    // Requests go on, each by a connection of its own, through all of it.
    let mut requests = 0;
    let mut shrunk = false;
    let drained = async {
        while first.is_ready().await? {
            sleep(Duration::from_millis(20)).await;
        }
        // Endpoints of Services follow readiness, a little later.
        sleep(Duration::from_millis(500)).await;
        service.point_to(second.destination());
        first.ended().await
    };
    tokio::pin!(drained);
    let code = loop {
        tokio::select! {
            code = &mut drained => break code?,
            () = sleep(Duration::from_millis(50)) => {
                let url = format!("http://{}", service.addr());
                let mut client = DestinationClient::connect(url).await?;
                let request = GetDestination { path: shop.authority(80), ..GetDestination::default() };
                let answer = client.get(request).await?.into_inner().message().await?;
                ensure!(answer.is_some(), "request {requests} is answered");
                requests += 1;
                if requests == 10 {
                    // In the middle of it the cluster changes.
                    shop.scale(4).await?;
                }
                shrunk |= webs.iter().any(|web| web.seen().value.is_none_or(|set| set.len() < 3));
            }
        }
    };
    assert_eq!(code, Some(0));
    assert!(requests > 20, "{requests} in {:?}", begin.elapsed());
    assert!(!shrunk, "nobody was told less than there is");
    for web in &webs {
        web.until("four endpoints", |set| set.len() == 4).await?;
        let seen = web.wait("another stream", |seen| seen.calls > 1).await?;
        assert_eq!(
            (seen.calls, seen.failures),
            (2, 1),
            "each moved once: {:?}",
            seen.failure
        );
    }
    second
        .scraped("all streams are there", |now| {
            now.sum("stream_active", &[("method", "Get")]) == Some(20.0)
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_replica_has_no_more_streams_than_it_may() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let flags = ["--roles=destination", "--max-streams=2"];
    let ferrule = Ferrule::start_with(cluster.kubeconfig(), &flags).await?;
    ferrule.ready().await?;
    let proxy = Proxy::connect(ferrule.destination()).await?;
    let authority = "kubernetes.default.svc.cluster.local:443";
    let first = proxy.get(authority).await?;
    let _second = proxy.profiles(authority).await?;
    let refused = proxy.get(authority).await.err().context("there are two")?;
    assert_eq!(refused.code(), Code::Unavailable);
    let get = [("method", "Get")];
    ferrule
        .scraped("the third is counted", |now| {
            now.sum("stream_refused_total", &get) == Some(1.0)
        })
        .await?;
    drop(first);
    ferrule
        .scraped("there is room", |now| {
            now.sum("stream_active", &get) == Some(0.0)
        })
        .await?;
    proxy.get(authority).await?;
    Ok(())
}
