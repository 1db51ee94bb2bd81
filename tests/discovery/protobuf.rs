//! What an index is fed by in protobuf, against what the API server lists in JSON.

use anyhow::{Context as _, ensure};
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::Ferrule;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// The objects of the kind of a manifest.
fn objects(client: &Client, manifest: &Value) -> anyhow::Result<Api<DynamicObject>> {
    let text = |name: &str| manifest[name].as_str().context("a text");
    let (group, version) = text("apiVersion")?
        .split_once('/')
        .unwrap_or(("", text("apiVersion")?));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")?));
    Ok(match manifest["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}

/// Everything of every kind that the mesh reads, and the account of the pod, which comes
/// last.
fn manifests() -> Vec<Value> {
    let probe = |port: Value| json!({"httpGet": {"path": "/live", "port": port}});
    let owner =
        |kind: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "1"}]);
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "web", "image": "web"}],
        },
    });
    let mut always = template.clone();
    always["spec"]["restartPolicy"] = json!("Always");
    let marks = json!({
        "config.linkerd.io/opaque-ports": "3306,4000-4002,http",
        "config.linkerd.io/skip-inbound-ports": "22",
        "config.linkerd.io/default-inbound-policy": "all-authenticated",
        "config.linkerd.io/proxy-require-identity-inbound-ports": "8080",
        "example.com/quoted": "\"\\\n\t\u{e9}",
    });
    vec![
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "b", "labels": {"topology.kubernetes.io/zone": "zone-b"}},
        }),
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop", "annotations": {"config.linkerd.io/opaque-ports": "25"}},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": owner("Deployment")},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": always},
        }),
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "web-2", "namespace": "shop", "ownerReferences": owner("CronJob")},
            "spec": {"parallelism": 0, "template": template},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "web", "namespace": "shop", "annotations": marks, "labels": {"app": "web"},
            },
            "spec": {
                "selector": {"app": "none"},
                "internalTrafficPolicy": "Local",
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"},
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                ],
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "outside", "namespace": "shop"},
            "spec": {"type": "ExternalName", "externalName": "example.com"},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "headless", "namespace": "shop"},
            "spec": {"clusterIP": "None"},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "web-by-hand", "namespace": "shop",
                "labels": {"kubernetes.io/service-name": "web", "mirror.linkerd.io/cluster-name": "west"},
                "annotations": {
                    "mirror.linkerd.io/remote-gateway-identity": "gateway.west",
                    "mirror.linkerd.io/remote-svc-fq-name": "web.shop.svc.west",
                },
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["10.9.0.1"],
                    "conditions": {"ready": true, "serving": true, "terminating": false},
                    "hostname": "web-0", "nodeName": "b", "zone": "zone-b",
                    "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0"},
                    "hints": {"forZones": [{"name": "zone-a"}, {"name": "zone-b"}]},
                },
                {"addresses": ["10.9.0.2"], "conditions": {"ready": false}},
                {"addresses": ["10.9.0.3"]},
            ],
            "ports": [{"name": "http", "port": 8080}, {"name": "", "port": 8081}, {"name": "all"}],
        }),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "web", "namespace": "shop"},
        }),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "web-0", "namespace": "shop", "annotations": marks,
                "labels": {"app": "web", "linkerd.io/control-plane-ns": "linkerd", "pod-template-hash": "1"},
                "ownerReferences": owner("ReplicaSet"),
            },
            "spec": {
                "serviceAccountName": "web",
                "nodeName": "b",
                "hostNetwork": true,
                "initContainers": [{
                    "name": "linkerd-proxy", "image": "proxy", "restartPolicy": "Always",
                    "env": [
                        {"name": "LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "value": "0.0.0.0:4143"},
                        {"name": "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", "value": "[::]:4191"},
                        {"name": "LINKERD2_PROXY_CONTROL_LISTEN_ADDR", "value": "0.0.0.0:4190"},
                        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    ],
                }],
                "containers": [{
                    "name": "web", "image": "web",
                    "ports": [
                        {"name": "http", "containerPort": 8080, "hostPort": 8080},
                        {"containerPort": 53, "hostPort": 53, "protocol": "UDP"},
                    ],
                    "livenessProbe": probe(json!("http")),
                    "readinessProbe": probe(json!(8081)),
                    "startupProbe": {"tcpSocket": {"port": 8080}},
                }],
            },
        }),
    ]
}

#[tokio::test]
async fn what_is_told_in_protobuf_is_what_is_listed_in_json() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    for manifest in manifests() {
        let api = objects(&client, &manifest)?;
        let object = serde_json::from_value(manifest.clone())?;
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("{manifest}"))?;
    }
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    agrees(&cluster, &ferrule).await?;

    // By an event, after the list.
    let pods = objects(&client, manifests().last().context("the pod")?)?;
    let status = json!({"status": {
        "phase": "Running",
        "podIP": "10.9.0.1", "podIPs": [{"ip": "10.9.0.1"}, {"ip": "fd09::1"}],
        "hostIP": "192.0.2.7", "hostIPs": [{"ip": "192.0.2.7"}],
    }});
    pods.patch_status("web-0", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    // Told, terminating: no kubelet lets it go.
    pods.delete("web-0", &Default::default()).await?;
    agrees(&cluster, &ferrule).await?;

    let scrape = ferrule.scrape().await?;
    for kind in [
        "Service",
        "EndpointSlice",
        "Pod",
        "Node",
        "Namespace",
        "ReplicaSet",
        "Job",
    ] {
        let told = scrape.sum("watch_protobuf", &[("kind", kind)]);
        ensure!(told == Some(1.0), "{kind} in JSON");
    }
    Ok(())
}

/// Waits for nothing: the command tells what is on its way from what is stale.
async fn agrees(cluster: &Cluster, ferrule: &Ferrule) -> anyhow::Result<()> {
    let kubeconfig = cluster.kubeconfig().to_str().context("UTF-8")?;
    let args = ["staleness", "--kubeconfig", kubeconfig, "--grace", "5s"];
    let printed = ferrule.diagnostics(&args).await?;
    ensure!(printed.code == Some(0), "{printed:?}");
    Ok(())
}
