use crate::shop::Shop;
use ferrule_proto::{destination::tls_identity::Strategy, meta::metadata};
use ferrule_test_cluster::Cluster;
use ferrule_tests::{Ferrule, Proxy};

#[tokio::test]
async fn a_deployments_pods_become_ready_and_go_and_an_open_stream_follows() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("follow").await?;
    cluster.node("follow-a", Some("zone-a")).await?;
    let _kubelet = cluster
        .kubelet(Some(namespace.name()), &["follow-a"])
        .await?;
    let shop = Shop::open(&cluster.client()?, namespace.name(), 2).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    let proxy = Proxy::connect(ferrule.destination()).await?;

    let mut web = proxy.get(&shop.authority(80)).await?;
    let mut metrics = proxy.get(&shop.authority(9090)).await?;
    web.until_count(2).await?;
    metrics.until_count(2).await?;
    for (addr, told) in web.told().iter() {
        assert_eq!(addr.port(), 8080, "the named port of the container");
        let labels = &told.metric_labels;
        assert_eq!(labels["deployment"], "web");
        assert_eq!(labels["zone"], "zone-a");
        assert_eq!(labels["serviceaccount"], "default");
        assert!(labels.contains_key("pod_template_hash"), "{labels:?}");
        let Some(Strategy::DnsLikeIdentity(identity)) = told
            .tls_identity
            .as_ref()
            .and_then(|tls| tls.strategy.as_ref())
        else {
            panic!("{told:?} has no identity");
        };
        let suffix = "serviceaccount.identity.linkerd.cluster.local";
        assert_eq!(identity.name, format!("default.{namespace}.{suffix}"));
    }
    assert!(
        metrics.told().keys().all(|addr| addr.port() == 9091),
        "the numeric target port"
    );

    shop.scale(5).await?;
    web.until_count(5).await?;
    metrics.until_count(5).await?;
    shop.scale(1).await?;
    web.until_count(1).await?;
    shop.close().await?;
    web.until_count(0).await?;
    metrics.until_count(0).await?;
    Ok(())
}

#[tokio::test]
async fn a_cluster_ip_and_a_pod_ip_have_profiles() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("profile").await?;
    cluster.node("profile-a", None).await?;
    let _kubelet = cluster
        .kubelet(Some(namespace.name()), &["profile-a"])
        .await?;
    let shop = Shop::open(&cluster.client()?, namespace.name(), 1).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    let proxy = Proxy::connect(ferrule.destination()).await?;
    let mut web = proxy.get(&shop.authority(80)).await?;
    web.until_count(1).await?;

    let profile = proxy
        .profile(&format!("{}:80", shop.cluster_ip().await?))
        .await?;
    assert_eq!(
        profile.fully_qualified_name,
        format!("web.{namespace}.svc.cluster.local")
    );
    let parent = profile.parent_ref.and_then(|parent| parent.kind);
    let Some(metadata::Kind::Resource(parent)) = parent else {
        panic!("no parent: {parent:?}");
    };
    assert_eq!(
        (&*parent.kind, &*parent.name, parent.port),
        ("Service", "web", 80)
    );

    let addr = *web.told().keys().next().expect("one endpoint");
    let profile = proxy.profile(&addr.to_string()).await?;
    let endpoint = profile.endpoint.expect("a pod");
    assert_eq!(endpoint.metric_labels["namespace"], namespace.name());
    assert!(endpoint.tls_identity.is_some());
    assert_eq!(profile.fully_qualified_name, "");
    Ok(())
}
