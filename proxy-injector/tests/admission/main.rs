//! Patched pods, asked of a real API server, which a pure test cannot replace: it
//! knows every field, validates what they say together, and enforces Pod Security.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::{Context as _, Result};
use ferrule_proxy_injector::{Injector, Namespace, TrustAnchors, Values};
use ferrule_test_cluster::Cluster;
use kube::Client;
use serde_json::{Value, json};

/// A patched pod, after the API server's own defaults.
async fn create(client: &Client, namespace: &str, pod: &Value) -> Result<Value, kube::Error> {
    // Strict: an unknown or repeated field is an error. Not kept.
    let uri = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(uri).header("content-type", "application/json");
    client
        .request(request.body(serde_json::to_vec(pod).unwrap()).unwrap())
        .await
}

fn patched(values: &Value, pod: &Value) -> Value {
    let (values, problems) = Values::from_value(values);
    assert_eq!(problems, []);
    let injector = Injector {
        values,
        trust_anchors: TrustAnchors::new("anchors"),
        control_plane_namespace: "linkerd".into(),
        created_by: "ferrule/proxy-injector test".into(),
    };
    let namespace = Namespace {
        name: "shop".into(),
        annotations: [("linkerd.io/inject".into(), "enabled".into())].into(),
    };
    let decision = injector.review("Pod", pod, &namespace, None).unwrap();
    assert!(decision.is_injected(), "{decision:?}");
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &decision.patch.unwrap()).unwrap();
    pod
}

/// A pod that the `restricted` level admits.
fn pod(annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "annotations": annotations, "labels": {"app": "web"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [{"name": "migrate", "image": "m:1", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            }}],
            "containers": [{
                "name": "web", "image": "w:1",
                "ports": [{"containerPort": 3306, "name": "mysql"}],
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

fn tracing() -> Value {
    json!({"enabled": true, "collector": {
        "endpoint": "collector.obs:4317",
        "meshIdentity": {"serviceAccountName": "collector", "namespace": "obs"},
    }})
}

/// Every shape that a pod can come out in: values and annotations.
fn shapes() -> Vec<(&'static str, Value, Value)> {
    let key = |name: &str| format!("config.linkerd.io/{name}");
    vec![
        ("plain", json!({}), json!({})),
        ("plugin", json!({"cniEnabled": true}), json!({})),
        (
            "regular",
            json!({"proxy": {"nativeSidecar": false, "waitBeforeExitSeconds": 10}}),
            json!({}),
        ),
        (
            "regular, not waited for",
            json!({"proxy": {"nativeSidecar": false, "await": false}}),
            json!({}),
        ),
        (
            "debug",
            json!({}),
            json!({key("enable-debug-sidecar"): "true"}),
        ),
        (
            "tracing, IPv6",
            json!({"disableIPv6": false, "proxy": {"tracing": tracing()}}),
            json!({}),
        ),
        (
            "root, close-wait",
            json!({"proxyInit": {"runAsRoot": true}}),
            json!({key("close-wait-timeout"): "1m"}),
        ),
        (
            "resources, ids, ports",
            json!({}),
            json!({
                key("proxy-cpu-request"): "100m", key("proxy-cpu-limit"): "1",
                key("proxy-memory-request"): "20Mi", key("proxy-memory-limit"): "250Mi",
                key("proxy-ephemeral-storage-request"): "1Mi",
                key("proxy-ephemeral-storage-limit"): "1Gi",
                key("proxy-uid"): "1000700000", key("proxy-gid"): "1000700000",
                key("admin-port"): "5191", key("opaque-ports"): "mysql,9000-9100",
                key("proxy-additional-env"):
                    "[{\"name\": \"A\", \"valueFrom\": {\"fieldRef\": {\"fieldPath\": \"spec.nodeName\"}}}]",
            }),
        ),
    ]
}

#[tokio::test]
async fn the_api_server_takes_every_patched_pod_as_it_is() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("patched").await?;
    let client = cluster.client()?;
    for (shape, values, annotations) in shapes() {
        let pod = patched(&values, &pod(&annotations));
        let created = create(&client, namespace.name(), &pod)
            .await
            .context(shape)?;
        // Its defaults aside, what it has is what was asked for, in order.
        for list in ["initContainers", "containers"] {
            let names = |pod: &Value| -> Vec<Value> {
                let containers = pod["spec"][list].as_array().unwrap().iter();
                containers
                    .map(|container| container["name"].clone())
                    .collect()
            };
            assert_eq!(names(&created), names(&pod), "{shape}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn with_the_plugin_a_restricted_pod_stays_one_and_linkerd_init_is_beyond_baseline()
-> Result<()> {
    let cluster = Cluster::shared().await?;
    let client = cluster.client()?;
    for level in ["baseline", "restricted"] {
        let namespace = cluster.namespace(level).await?;
        enforce(&client, namespace.name(), level).await?;
        for native in [true, false] {
            let values = json!({"cniEnabled": true, "proxy": {"nativeSidecar": native}});
            let pod = patched(&values, &pod(&json!({})));
            create(&client, namespace.name(), &pod)
                .await
                .context(level)?;
        }
        let error = create(
            &client,
            namespace.name(),
            &patched(&json!({}), &pod(&json!({}))),
        )
        .await
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("PodSecurity") && error.contains("linkerd-init"),
            "{error}"
        );
        assert!(!error.contains("\"linkerd-proxy\""), "{error}");
    }
    Ok(())
}

/// Pod Security admits no more than this level in the namespace.
async fn enforce(client: &Client, namespace: &str, level: &str) -> Result<()> {
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
    let request = http::Request::patch(format!("/api/v1/namespaces/{namespace}"))
        .header("content-type", "application/merge-patch+json");
    let request = request.body(serde_json::to_vec(&labels)?)?;
    client.request::<Value>(request).await?;
    Ok(())
}
