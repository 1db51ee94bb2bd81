//! Kinds of CRDs: not there at first, then installed, and written through
//! whichever version.

use crate::shop::Shop;
use anyhow::Context as _;
use ferrule_proto::destination::{WeightedAddr, protocol_hint::Protocol, tls_identity::Strategy};
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, Proxy, TestProxy, crds::install};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "default";

/// The objects of a kind in one of its versions, `GROUP/VERSION`.
pub(crate) fn custom(client: &Client, api_version: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').expect("a literal");
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk(&gvk);
    Api::namespaced_with(client.clone(), NAMESPACE, &resource)
}

pub(crate) async fn create(api: &Api<DynamicObject>, object: Value) -> anyhow::Result<()> {
    let object = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object)
        .await
        .context("creating")?;
    Ok(())
}

pub(crate) async fn patch(
    api: &Api<DynamicObject>,
    name: &str,
    patch: Value,
) -> anyhow::Result<()> {
    let patch = Patch::Merge(patch);
    api.patch(name, &PatchParams::default(), &patch)
        .await
        .with_context(|| format!("patching {name}"))?;
    Ok(())
}

fn is_opaque(told: &WeightedAddr) -> bool {
    let hint = told.protocol_hint.as_ref();
    matches!(
        hint.and_then(|hint| hint.protocol.as_ref()),
        Some(Protocol::Opaque(_))
    )
}

#[tokio::test]
async fn servers_make_ports_opaque_from_the_moment_their_crd_is_installed() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    cluster.node("a", None).await?;
    let _kubelet = cluster.kubelet(None, &["a"]).await?;
    let shop = Shop::open(&client, NAMESPACE, 2).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    ferrule.logged("does not serve servers").await?;
    let proxy = Proxy::connect(ferrule.destination()).await?;
    let mut web = proxy.get(&shop.authority(80)).await?;
    web.until_count(2).await?;
    assert!(!web.told().values().any(is_opaque));
    let addr = *web.told().keys().next().context("an endpoint")?;
    let follower = TestProxy::builder("follower")
        .destination(ferrule.destination(), "linkerd-destination")
        .start()
        .await?;
    let profile = follower.profile(&addr.to_string());
    assert!(!profile.first().await?.opaque_protocol);

    install(&client).await?;
    // Through an older version; all are one object.
    let old = custom(&client, "policy.linkerd.io/v1beta1", "Server");
    let server = json!({
        "apiVersion": "policy.linkerd.io/v1beta1", "kind": "Server", "metadata": {"name": "web"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}}, "port": "http",
            "proxyProtocol": "opaque",
        },
    });
    create(&old, server).await?;
    let all = |opaque: bool| {
        move |told: &std::collections::BTreeMap<_, WeightedAddr>| {
            told.len() == 2 && told.values().all(|told| is_opaque(told) == opaque)
        }
    };
    web.until("opaque endpoints", all(true)).await?;
    profile
        .until("opaque", |profile| profile.opaque_protocol)
        .await?;
    let new = custom(&client, "policy.linkerd.io/v1beta3", "Server");
    let protocol = |protocol: &str| json!({"spec": {"proxyProtocol": protocol}});
    patch(&new, "web", protocol("HTTP/1")).await?;
    web.until("endpoints as before", all(false)).await?;
    profile
        .until("not opaque", |profile| !profile.opaque_protocol)
        .await?;
    patch(&new, "web", protocol("opaque")).await?;
    web.until("opaque endpoints", all(true)).await?;

    // A pod that leaves the selector is no longer opaque, the other is.
    let pod = shop.pod().await?;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let tier = json!({"metadata": {"labels": {"tier": "back"}}});
    pods.patch(&pod, &PatchParams::default(), &Patch::Merge(tier))
        .await?;
    let selector = json!({"spec": {"podSelector": {"matchLabels": {"tier": "back"}}}});
    patch(&new, "web", selector).await?;
    web.until("one opaque endpoint", |told| {
        told.values().filter(|told| is_opaque(told)).count() == 1
    })
    .await?;
    let opaque = web.told().values().find(|told| is_opaque(told));
    assert_eq!(opaque.context("one")?.metric_labels["pod"], pod);
    new.delete("web", &DeleteParams::default()).await?;
    web.until("endpoints as before", all(false)).await?;
    Ok(())
}

#[tokio::test]
async fn an_external_workload_is_told_by_its_service_and_by_its_address() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    install(&client).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    let proxy = Proxy::connect(ferrule.destination()).await?;

    // Nobody writes slices for it yet: this is what that controller would write.
    let service = json!({
        "metadata": {"name": "vm"}, "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    Api::<Service>::namespaced(client.clone(), NAMESPACE)
        .create(&PostParams::default(), &serde_json::from_value(service)?)
        .await?;
    let slice = json!({
        "metadata": {
            "name": "linkerd-external-vm-1", "labels": {"kubernetes.io/service-name": "vm"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": ["192.0.2.1"], "conditions": {"ready": true}, "zone": "west",
            "targetRef": {"kind": "ExternalWorkload", "namespace": NAMESPACE, "name": "vm"},
        }],
    });
    Api::<EndpointSlice>::namespaced(client.clone(), NAMESPACE)
        .create(&PostParams::default(), &serde_json::from_value(slice)?)
        .await?;
    let mut vm = proxy
        .get(&format!("vm.{NAMESPACE}.svc.cluster.local:80"))
        .await?;
    let workloads = custom(&client, "workload.linkerd.io/v1beta1", "ExternalWorkload");
    let workload = json!({
        "apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload",
        "metadata": {"name": "vm", "labels": {"app": "vm", "topology.kubernetes.io/zone": "west"}},
        "spec": {
            "meshTLS": {"identity": "spiffe://root/vm", "serverName": "vm.cluster.local"},
            "ports": [{"name": "http", "port": 8080}],
            "workloadIPs": [{"ip": "192.0.2.1"}],
        },
    });
    create(&workloads, workload).await?;
    vm.until_count(1).await?;
    let told = vm.told().values().next().context("one")?;
    assert_eq!(told.metric_labels["external_workload"], "vm");
    assert_eq!(told.metric_labels["zone"], "west");
    let tls = told.tls_identity.clone().context("an identity")?;
    let Some(Strategy::UriLikeIdentity(uri)) = tls.strategy else {
        panic!("{tls:?}");
    };
    assert_eq!(uri.uri, "spiffe://root/vm");
    assert_eq!(
        tls.server_name.map(|name| name.name).as_deref(),
        Some("vm.cluster.local")
    );

    let follower = TestProxy::builder("follower")
        .destination(ferrule.destination(), "linkerd-destination")
        .start()
        .await?;
    let profile = follower.profile("192.0.2.1:8080");
    let first = profile.first().await?;
    let endpoint = first.endpoint.as_ref().context("a machine")?;
    assert_eq!(endpoint.metric_labels["external_workload"], "vm");
    let opaque = json!({"metadata": {"annotations": {"config.linkerd.io/opaque-ports": "http"}}});
    patch(&workloads, "vm", opaque).await?;
    profile
        .until("opaque", |profile| profile.opaque_protocol)
        .await?;
    vm.until("an opaque endpoint", |told| told.values().all(is_opaque))
        .await?;
    let other = json!({"spec": {"meshTLS": {"identity": "spiffe://root/other"}}});
    patch(&workloads, "vm", other).await?;
    vm.until("another identity", |told| {
        told.values().all(|told| {
            let strategy = told
                .tls_identity
                .as_ref()
                .and_then(|tls| tls.strategy.as_ref());
            matches!(strategy, Some(Strategy::UriLikeIdentity(uri)) if uri.uri.ends_with("other"))
        })
    })
    .await?;
    workloads.delete("vm", &DeleteParams::default()).await?;
    vm.until_count(0).await?;
    profile
        .until("nobody's", |profile| {
            let endpoint = profile.endpoint.as_ref();
            endpoint.is_some_and(|endpoint| endpoint.metric_labels.is_empty())
        })
        .await?;
    Ok(())
}
