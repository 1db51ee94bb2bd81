use crate::{
    collector::{Collector, Seen, named},
    mesh::Mesh,
};
use anyhow::Result;
use ferrule_tests::{Proxy, WebhookRegistration, crds::install_kind};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::json;
use std::{collections::BTreeSet, net::TcpListener, time::Duration};
use tokio::time::{Instant, sleep};

const ALL: &str = "--trace-sample-ratio=1";
const NONE: &str = "--trace-sample-ratio=0";

#[tokio::test]
async fn a_patch_of_an_endpoint_slice_is_one_trace_up_to_the_stream() -> Result<()> {
    let collector = Collector::start().await?;
    let mesh = Mesh::new("traces", &[ALL, &collector.flag()]).await?;
    mesh.open().await?;
    let context = r#"{"ns":"shop","nodeName":"n","pod":"client"}"#;
    let proxy = Proxy::connect(mesh.ferrule.destination())
        .await?
        .with_context(context);
    let mut endpoints = proxy.get(&mesh.authority()).await?;
    endpoints.until_count(1).await?;
    mesh.scale(2).await?;
    endpoints.until_count(2).await?;

    let names = ["watch event", "index batch", "view update", "stream write"];
    let slice = [
        ("k8s.kind", "EndpointSlice"),
        ("k8s.namespace.name", mesh.namespace.name()),
        ("k8s.name", "web-1"),
        ("ferrule.change", "applied"),
    ];
    let path = collector.path(&names, &slice).await?;
    let write = named(&path, "stream write")?;
    let facts = write.facts();
    assert_eq!(facts["rpc.method"], "Get");
    assert_eq!(facts["ferrule.client"], context);
    assert!(path.iter().all(|seen| seen.seconds() < 10.0), "{path:?}");
    assert_eq!(named(&path, "view update")?.facts()["ferrule.streams"], "1");
    let resource = &write.resource;
    assert_eq!(resource["service.name"], "linkerd-destination");
    assert_eq!(resource["k8s.namespace.name"], "linkerd");

    // The call itself, and what it was told first.
    let opened = collector
        .path(&["Get", "stream first update"], &[("rpc.system", "grpc")])
        .await?;
    assert_ne!(opened[0].trace_id(), write.trace_id());
    drop((endpoints, proxy));
    let ended = collector.path(&["Get", "stream end"], &[]).await?;
    // Cancelled.
    assert_eq!(ended[1].facts()["rpc.grpc.status_code"], "1");
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_a_trace_with_its_token_review() -> Result<()> {
    let collector = Collector::start().await?;
    let mesh = Mesh::new("certify", &[ALL, &collector.flag()]).await?;
    mesh.certify(None).await?;
    let of = [("rpc.service", "io.linkerd.proxy.identity.Identity")];
    let path = collector
        .path(&["Certify", "token", "token review"], &of)
        .await?;
    let identity = &path[0].facts()["ferrule.identity"];
    assert!(identity.starts_with("default."), "{identity}");
    let signed = collector.path(&["Certify", "sign"], &of).await?;
    assert_eq!(signed[0].trace_id(), path[0].trace_id());
    // Nothing that is secret.
    let all = format!("{:?}", collector.spans());
    assert!(!all.contains("eyJ"), "a token");
    Ok(())
}

#[tokio::test]
async fn what_a_caller_traces_is_part_of_the_callers_trace_and_nothing_else_is_recorded()
-> Result<()> {
    let collector = Collector::start().await?;
    let mesh = Mesh::new("caller", &[NONE, &collector.flag()]).await?;
    mesh.open().await?;
    let proxy = Proxy::connect(mesh.ferrule.destination()).await?;
    let mut endpoints = proxy.get(&mesh.authority()).await?;
    endpoints.until_count(1).await?;
    mesh.scale(2).await?;
    endpoints.until_count(2).await?;
    mesh.certify(None).await?;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    mesh.certify(Some(&format!("00-{trace}-{span}-00"))).await?;
    mesh.certify(Some(&format!("00-{trace}-{span}-01"))).await?;
    let path = collector
        .path(&["Certify", "token", "token review"], &[])
        .await?;
    assert_eq!(
        path[0].span.parent_span_id,
        0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()
    );
    collector.path(&["Certify", "sign"], &[]).await?;
    let traces: BTreeSet<_> = collector.spans().iter().map(Seen::trace_id).collect();
    assert_eq!(traces, BTreeSet::from([trace.to_owned()]));
    let calls = collector.spans();
    let calls = calls.iter().filter(|seen| seen.span.name == "Certify");
    assert_eq!(calls.count(), 1, "the caller did not record the other");
    Ok(())
}

#[tokio::test]
async fn an_admission_is_a_trace_that_says_what_was_decided() -> Result<()> {
    let collector = Collector::start().await?;
    let mesh = Mesh::new("review", &[ALL, &collector.flag()]).await?;
    install_kind(&mesh.client, "ServiceProfile").await?;
    let addr = mesh.ferrule.address_of("webhooks").await?;
    let registration = WebhookRegistration::new(
        &mesh.client,
        mesh.namespace.name(),
        (addr, "/validate/profile"),
        "linkerd-sp-validator.linkerd.io",
        &json!([{
            "operations": ["CREATE"], "apiGroups": ["linkerd.io"],
            "apiVersions": ["v1alpha2"], "resources": ["serviceprofiles"],
        }]),
    );
    registration.trust(mesh.webhook_authority.clone()).await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    // API servers learn of a registration after a while.
    while create_profile(&mesh.client, mesh.namespace.name())
        .await
        .is_ok()
    {
        assert!(Instant::now() < deadline, "it is never denied");
        sleep(Duration::from_millis(50)).await;
    }
    let denied = [
        ("url.path", "/validate/profile"),
        ("k8s.kind", "ServiceProfile"),
        ("k8s.namespace.name", mesh.namespace.name()),
        ("ferrule.allowed", "false"),
    ];
    collector.path(&["review"], &denied).await?;
    Ok(())
}

/// Tries to; one whose timeout is none.
async fn create_profile(client: &Client, namespace: &str) -> Result<(), kube::Error> {
    let kind = GroupVersionKind::gvk("linkerd.io", "v1alpha2", "ServiceProfile");
    let resource = ApiResource::from_gvk(&kind);
    let profiles: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let route = json!({"name": "r", "condition": {"method": "GET"}, "timeout": "5"});
    let profile = DynamicObject::new("web", &resource).data(json!({"spec": {"routes": [route]}}));
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    profiles.create(&dry_run, &profile).await.map(drop)
}

#[tokio::test]
async fn without_its_collector_a_process_works_and_counts_what_it_drops() -> Result<()> {
    let free = TcpListener::bind("127.0.0.1:0")?;
    let addr = free.local_addr()?;
    drop(free);
    let mesh = Mesh::new("away", &[ALL, &format!("--trace-collector={addr}")]).await?;
    mesh.open().await?;
    let proxy = Proxy::connect(mesh.ferrule.destination()).await?;
    let mut endpoints = proxy.get(&mesh.authority()).await?;
    for count in 2..20 {
        mesh.scale(count).await?;
        endpoints.until_count(count.into()).await?;
    }
    let dropped = [("reason", "export")];
    let dropped = |scrape: &ferrule_tests::Scrape| {
        scrape
            .sum("trace_spans_dropped_total", &dropped)
            .unwrap_or_default()
    };
    mesh.ferrule
        .scraped("spans are dropped", |now| dropped(now) > 0.0)
        .await?;
    mesh.ferrule
        .logged("the collector does not take traces")
        .await?;

    // It comes, and gets what is recorded from then on.
    let collector = Collector::start_at(addr).await?;
    mesh.ferrule.logged("traces are taken again").await?;
    mesh.scale(1).await?;
    endpoints.until_count(1).await?;
    let names = ["watch event", "index batch", "view update", "stream write"];
    collector.path(&names, &[]).await?;
    mesh.ferrule
        .scraped("spans are exported", |now| {
            now.sum("trace_spans_exported_total", &[])
                .is_some_and(|count| count > 0.0)
        })
        .await?;
    Ok(())
}
