//! Each metric that operators alert on is seen to move, on the built binary.

use crate::shop::Shop;
use anyhow::Context as _;
use ferrule_proto::inbound::{
    PortSpec, inbound_server_policies_client::InboundServerPoliciesClient,
};
use ferrule_test_cluster::Cluster;
use ferrule_tests::{Ferrule, Proxy, Scrape, TestProxy};
use tonic::Code;

type Labels<'a> = &'a [(&'a str, &'a str)];

const DESTINATION: &str = "io.linkerd.proxy.destination.Destination";
const INBOUND: &str = "io.linkerd.proxy.inbound.InboundServerPolicies";

#[tokio::test]
async fn what_clients_do_and_what_the_cluster_does_moves_each_metric() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("metrics").await?;
    cluster.node("metrics-a", None).await?;
    let _kubelet = cluster
        .kubelet(Some(namespace.name()), &["metrics-a"])
        .await?;
    let shop = Shop::open(&cluster.client()?, namespace.name(), 2).await?;
    let flags = ["--roles=destination,policy", "--policy-addr=127.0.0.1:0"];
    let ferrule = Ferrule::start_with(cluster.kubeconfig(), &flags).await?;
    ferrule.ready().await?;
    let ns = namespace.name();

    // Three streams of one proxy: endpoints, and the profile by both names.
    let proxy = TestProxy::builder("metrics")
        .destination(ferrule.destination(), "")
        .context(format!(r#"{{"ns":"{ns}","nodeName":"metrics-a"}}"#))
        .start()
        .await?;
    let web = proxy.endpoints(&shop.authority(80));
    web.until("two endpoints", |set| set.len() == 2).await?;
    let by_name = proxy.profile(&shop.authority(80));
    by_name.first().await?;
    let by_ip = proxy.profile(&format!("{}:80", shop.cluster_ip().await?));
    by_ip.first().await?;
    let addr = *web.first().await?.keys().next().context("an endpoint")?;
    let of_pod = proxy.profile(&addr.to_string());
    of_pod.first().await?;
    // Calls that end: one refused, one unary, one of nothing.
    let client = Proxy::connect(ferrule.destination()).await?;
    let refused = client.get("nope.nowhere.svc.cluster.local:80").await;
    assert_eq!(
        refused.err().map(|status| status.code()),
        Some(Code::NotFound)
    );
    let policy = format!("http://{}", ferrule.address_of("policy").await?);
    let mut policy = InboundServerPoliciesClient::connect(policy).await?;
    let workload = format!("{ns}:{}", shop.pod().await?);
    policy
        .get_port(PortSpec {
            workload,
            port: 8080,
        })
        .await?;

    let service = [("namespace", ns), ("service", "web"), ("port", "80")];
    let profile = format!("web.{ns}.svc.cluster.local");
    let profile = [("namespace", ns), ("profile", &*profile)];
    // What is counted as a call ends may be a moment late.
    let expected: &[(&str, Labels<'_>, f64)] = &[
        ("endpoints_subscribers", &service, 1.0),
        ("endpoints_pods", &service, 2.0),
        ("endpoints_exists", &service, 1.0),
        ("profile_subscribers", &profile, 2.0),
        (
            "service_subscribers",
            &[("namespace", ns), ("name", "web")],
            2.0,
        ),
        ("workload_subscribers", &[], 1.0),
        ("cluster_store_size", &[], 0.0),
        ("endpoint_updates_queue_overflow", &[], 0.0),
        ("stream_active", &[("method", "Get")], 1.0),
        ("stream_active", &[("method", "GetProfile")], 3.0),
        (
            "grpc_server_started_total",
            &[("grpc_service", DESTINATION), ("grpc_method", "Get")],
            2.0,
        ),
        (
            "grpc_server_handled_total",
            &[
                ("grpc_service", DESTINATION),
                ("grpc_method", "Get"),
                ("grpc_code", "NotFound"),
            ],
            1.0,
        ),
        (
            "grpc_server_handled_total",
            &[
                ("grpc_service", INBOUND),
                ("grpc_type", "unary"),
                ("grpc_code", "OK"),
            ],
            1.0,
        ),
        (
            "grpc_server_msg_received_total",
            &[("grpc_method", "GetPort")],
            1.0,
        ),
        (
            "grpc_server_msg_sent_total",
            &[("grpc_method", "GetPort")],
            1.0,
        ),
        (
            "grpc_server_handling_seconds_count",
            &[("grpc_method", "GetPort")],
            1.0,
        ),
        (
            "grpc_server_msg_sent_total",
            &[("grpc_method", "GetProfile")],
            3.0,
        ),
        ("views", &[("kind", "endpoints")], 1.0),
        ("views", &[("kind", "profiles")], 3.0),
    ];
    for (name, labels, expected) in expected {
        let what = format!("{name} {labels:?} is {expected}");
        let is_so = |now: &Scrape| now.sum(name, labels) == Some(*expected);
        ferrule.scraped(&what, is_so).await?;
    }
    let before = ferrule.scrape().await?;
    // Kinds that are not served are asked for again now and then.
    ferrule
        .scraped("no request is under way", |now| {
            now.sum("http_client_in_flight_requests", &[("client", "k8s")]) == Some(0.0)
        })
        .await?;
    let labels = [
        "cluster",
        "hostname",
        "namespace",
        "nodename",
        "port",
        "service",
    ];
    for name in ["subscribers", "pods", "exists", "updates"] {
        assert_eq!(
            before.label_names(&format!("endpoints_{name}")),
            labels,
            "{name}"
        );
    }
    assert_eq!(before.kind("endpoints_updates"), Some("counter"));

    // The cluster changes: what follows from that grows.
    shop.scale(3).await?;
    web.until("three endpoints", |set| set.len() == 3).await?;
    let grows = [
        ("endpoints_updates", &service[..]),
        ("endpoints_pods", &service),
        ("index_events_total", &[]),
        ("grpc_server_msg_sent_total", &[("grpc_method", "Get")]),
        ("stream_bytes_sent_total", &[("method", "Get")]),
        ("stream_messages_encoded_total", &[("method", "Get")]),
        ("pods_informer_lag_seconds_count", &[]),
        ("endpointslices_informer_lag_seconds_count", &[]),
    ];
    ferrule
        .scraped("all of these grow", |now| {
            grows
                .iter()
                .all(|(name, labels)| now.sum(name, labels) > before.sum(name, labels))
        })
        .await?;
    let now = ferrule.scrape().await?;
    // Other tests' pods come and go in the same cluster.
    let pods = [("cluster", "local")];
    assert!(now.sum("pod_cache_size", &pods) >= Some(3.0), "{now}");
    // A second of rounding, and what a busy machine needs.
    let lag = "pods_informer_lag_seconds";
    let seconds = now.sum(&format!("{lag}_sum"), &[]);
    let events = now.sum(&format!("{lag}_count"), &[]);
    let in_time = seconds.zip(events).is_some_and(|(s, n)| s <= 10.0 * n);
    assert!(in_time, "{now}");
    let lists = [("client", "k8s"), ("code", "200"), ("method", "get")];
    assert!(
        now.sum("http_client_requests_total", &lists) >= Some(10.0),
        "{now}"
    );
    assert!(now.sum("http_client_request_latency_seconds_count", &lists) >= Some(10.0));
    let age = now.sum("index_event_age_seconds", &[("kind", "Pod")]);
    assert!(age.is_some_and(|age| age < 60.0), "{now}");

    // Clients go.
    drop((web, by_name, by_ip, of_pod, proxy));
    ferrule
        .scraped("nobody is left, and streams have ended", |now| {
            let canceled = [("grpc_method", "GetProfile"), ("grpc_code", "Canceled")];
            now.sum("endpoints_subscribers", &service) == Some(0.0)
                && now.sum("profile_subscribers", &profile) == Some(0.0)
                && now.sum("workload_subscribers", &[]) == Some(0.0)
                && now.sum("grpc_server_handled_total", &canceled) == Some(3.0)
        })
        .await?;
    Ok(())
}
