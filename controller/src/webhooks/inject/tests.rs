//! The injector's webhook as HTTP, without a connection, in a cluster of one namespace.

use super::*;
use axum::{body::Body, http::Request};
use ferrule_proxy_injector::{Injector, TrustAnchors, Values};
use http_body_util::BodyExt as _;
use json_patch::Patch;
use k8s_openapi::ByteString;
use kube::Client;
use proptest::{collection, prelude::*, sample::Index};
use serde_json::json;
use std::sync::atomic::AtomicUsize;
use tower::ServiceExt as _;

const OPAQUE_PORTS: &str = "config.linkerd.io/opaque-ports";

/// Whether the API server answers the injector's questions.
#[derive(Clone, Copy)]
enum Server {
    /// It knows namespace `shop`, which is enabled, and nothing else.
    Answers,
    Refuses,
    IsSilent,
}

/// The webhook, and how often it asked the API server.
fn webhook(server: Server) -> (Router, Arc<Webhook>, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let counted = asked.clone();
    let client = Client::new(
        tower::service_fn(move |request: http::Request<kube::client::Body>| {
            counted.fetch_add(1, Relaxed);
            async move {
                let (status, answer) = match (server, request.uri().path()) {
                    (Server::Answers, "/api/v1/namespaces/shop") => (200, shop()),
                    (Server::Answers, _) => (404, failure(404, "NotFound")),
                    (Server::Refuses, _) => (403, failure(403, "Forbidden")),
                    (Server::IsSilent, _) => std::future::pending().await,
                };
                let body = kube::client::Body::from(answer.to_string().into_bytes());
                let response = http::Response::builder().status(status).body(body);
                Ok::<_, tower::BoxError>(response.expect("valid"))
            }
        }),
        "default",
    );
    let injector = Injector {
        values: Values::default(),
        trust_anchors: TrustAnchors::new("anchors"),
        control_plane_namespace: "linkerd".into(),
        created_by: "test".into(),
    };
    let webhook = Arc::new(Webhook::new(super::super::INJECTOR));
    let endpoint = Endpoint {
        injection: Injection::fixed(injector, &client),
        webhook: webhook.clone(),
        bodies: Bodies::new(),
    };
    (router(endpoint), webhook, asked)
}

fn shop() -> Value {
    let annotations = json!({"linkerd.io/inject": "enabled"});
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": "shop", "annotations": annotations},
    })
}

fn failure(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason,
        "reason": reason, "code": code,
    })
}

async fn send(router: &Router, uri: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::post(uri).body(body.into()).expect("valid");
    let response = router.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body");
    let body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    (status, body)
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-", "annotations": {"a": "b"}, "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u",
        }]},
        "spec": {
            "hostNetwork": false,
            "initContainers": [{"name": "migrate", "image": "m"}],
            "containers": [{
                "name": "web", "image": "w", "ports": [{"containerPort": 3306, "name": "db"}],
                "volumeMounts": [{
                    "name": "token", "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                }],
            }],
        },
    })
}

fn review_of(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "some-uid", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop", "operation": "CREATE", "object": object, "oldObject": null,
            "dryRun": false, "userInfo": {"username": "somebody"},
        },
    })
}

fn patch_of(answer: &Value) -> Option<Patch> {
    let patch = answer["response"].get("patch")?;
    let ByteString(patch) = serde_json::from_value(patch.clone()).expect("base64");
    Some(serde_json::from_slice(&patch).expect("a JSON patch"))
}

/// Where Linkerd's chart registers it, while it takes over again.
#[tokio::test]
async fn it_is_also_at_the_path_of_linkerds() {
    let (router, _, _) = webhook(Server::Answers);
    let review = review_of(&pod()).to_string();
    let (_, ours) = send(&router, "/inject?timeout=10s", review.clone()).await;
    let (status, theirs) = send(&router, "/?timeout=10s", review).await;
    assert_eq!(status, StatusCode::OK);
    assert!(patch_of(&theirs).is_some());
    assert_eq!(theirs, ours);
}

#[test]
fn the_api_server_says_how_long_it_waits() {
    for (uri, seconds) in [
        ("/inject?timeout=10s", 10.0),
        ("/inject?timeout=1s", 1.0),
        ("/inject?a=b&timeout=500ms", 0.5),
        ("/inject?timeout=1m0s", 10.0),
        ("/inject?timeout=-1s", 10.0),
        ("/inject?timeout=0s", 10.0),
        ("/inject?timeout=soon", 10.0),
        ("/inject", 10.0),
    ] {
        let uri: Uri = uri.parse().expect("valid");
        assert_eq!(patience(&uri).as_secs_f64(), seconds, "{uri}");
    }
}

#[tokio::test]
async fn s80_what_is_no_review_is_an_error_of_http_and_nothing_is_nothing() {
    let (router, webhook, _) = webhook(Server::Answers);
    assert_eq!(
        send(&router, "/inject", "").await,
        (StatusCode::OK, Value::Null)
    );
    let without_object = {
        let mut review = review_of(&pod());
        review["request"]["object"] = Value::Null;
        review.to_string()
    };
    for body in ["garbage", "{}", r#"{"request": null}"#, &without_object] {
        let (status, _) = send(&router, "/inject", body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(webhook.unreadable.load(Relaxed), 4);
}

#[tokio::test]
async fn a_patch_is_a_json_patch_and_an_update_changes_nothing() {
    let (router, _, asked) = webhook(Server::Answers);
    let mut review = review_of(&pod());
    let (status, answer) = send(&router, "/inject", review.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let response = &answer["response"];
    assert_eq!(
        (&response["uid"], &response["allowed"]),
        (&json!("some-uid"), &json!(true))
    );
    assert_eq!(response["patchType"], "JSONPatch");
    let mut pod = pod();
    json_patch::patch(&mut pod, &patch_of(&answer).expect("injected")).expect("it applies");
    assert_eq!(pod["spec"]["initContainers"][1]["name"], "linkerd-proxy");
    // Its namespace, and the ReplicaSet that is not there; each once.
    assert_eq!(asked.load(Relaxed), 2);

    review["request"]["operation"] = json!("UPDATE");
    let (_, answer) = send(&router, "/inject", review.to_string()).await;
    assert_eq!(
        answer["response"],
        json!({"uid": "some-uid", "allowed": true})
    );
}

#[tokio::test]
async fn what_cannot_be_found_out_is_for_the_failure_policy() {
    let (router, webhook, asked) = webhook(Server::Refuses);
    let (status, _) = send(&router, "/inject", review_of(&pod()).to_string()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(webhook.failed.load(Relaxed), 1);
    assert_eq!(asked.load(Relaxed), 1);
    // Nothing has to be found out about these.
    for (path, value) in [
        ("/request/namespace", json!("kube-system")),
        (
            "/request/object/metadata/labels",
            json!({"linkerd.io/control-plane-component": "identity"}),
        ),
    ] {
        let mut review = review_of(&pod());
        review["request"]["object"]["metadata"]["labels"] = json!({});
        *review.pointer_mut(path).expect("it is there") = value;
        let (status, answer) = send(&router, "/inject", review.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(
            answer["response"],
            json!({"uid": "some-uid", "allowed": true})
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_comes_before_the_api_server_gives_up() {
    let (router, ..) = webhook(Server::IsSilent);
    for (seconds, uri) in [(3, "/inject?timeout=3s"), (10, "/inject")] {
        let asked = Instant::now();
        let (status, _) = send(&router, uri, review_of(&pod()).to_string()).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(asked.elapsed() < Duration::from_secs(seconds), "{uri}");
    }
}

/// Anything JSON, small, with some words that mean something.
fn anything() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &[
        "",
        "disabled",
        "ingress",
        "yes",
        "\u{0}\"<",
        "linkerd-proxy",
        "Service",
        "3306,x",
        "DELETE",
        "kube-system",
        "shop",
        "ReplicaSet",
    ];
    let word = prop::sample::select(WORDS).prop_map(Value::from).boxed();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        word,
    ];
    let keys = prop::sample::select(
        &[
            "name",
            "ports",
            "linkerd.io/inject",
            "metadata",
            "env",
            OPAQUE_PORTS,
        ][..],
    );
    leaf.prop_recursive(3, 16, 3, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            collection::hash_map(keys.clone(), inner, 0..3).prop_map(|map| {
                Value::Object(
                    map.into_iter()
                        .map(|(key, value)| (key.into(), value))
                        .collect(),
                )
            }),
        ]
    })
}

/// Replaces the node that is `number`th in some order, or takes it away.
fn mutate(value: &mut Value, number: &mut usize, by: &mut Option<Value>) {
    if *number == 0 {
        if let Some(by) = by.take() {
            *value = by;
        }
        return;
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| {
            if by.is_some() {
                mutate(item, number, by);
            }
        }),
        Value::Object(entries) => entries.values_mut().for_each(|entry| {
            if by.is_some() {
                mutate(entry, number, by);
            }
        }),
        _ => {}
    }
}

fn is_to_be_skipped(pod: &Value) -> bool {
    let containers = ["initContainers", "containers"];
    let mut containers = containers
        .iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    pod["metadata"]["annotations"]["linkerd.io/inject"] == "disabled"
        || pod["spec"]["hostNetwork"] == true
        || containers.any(|container| container["name"] == "linkerd-proxy")
}

/// Asks, and checks what is so of every answer.
fn check(body: Vec<u8>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let sent: Option<Value> = serde_json::from_slice(&body).ok();
    let (status, answer) = runtime.block_on(async {
        let (router, ..) = webhook(Server::Answers);
        send(&router, "/inject?timeout=10s", body).await
    });
    if status != StatusCode::OK {
        let expected = [StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR];
        prop_assert!(expected.contains(&status), "{}", status);
        return Ok(());
    }
    let (Some(sent), false) = (sent, answer.is_null()) else {
        return Ok(());
    };
    prop_assert_eq!(&answer["response"]["uid"], &sent["request"]["uid"]);
    prop_assert!(answer["response"]["allowed"].is_boolean());
    let Some(patch) = patch_of(&answer) else {
        return Ok(());
    };
    prop_assert_eq!(&answer["response"]["allowed"], &json!(true));
    let before = &sent["request"]["object"];
    let mut after = before.clone();
    json_patch::patch(&mut after, &patch)
        .map_err(|error| TestCaseError::fail(format!("{error}: {patch} on {before}")))?;
    if is_to_be_skipped(before) {
        prop_assert_eq!(&after["spec"], &before["spec"]);
        prop_assert_eq!(&after["metadata"]["labels"], &before["metadata"]["labels"]);
    }
    Ok(())
}

// By hand, ten thousand: PROPTEST_CASES=5000 cargo test -p ferrule-controller reviews_
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reviews_with_anything_in_them_are_answered(
        changes in collection::vec((any::<Index>(), anything()), 1..4),
        skipped in prop::sample::select(&[0_u8, 1, 2, 3][..]),
    ) {
        let mut pod = pod();
        match skipped {
            1 => pod["spec"]["hostNetwork"] = json!(true),
            2 => pod["metadata"]["annotations"]["linkerd.io/inject"] = json!("disabled"),
            3 => pod["spec"]["containers"][0]["name"] = json!("linkerd-proxy"),
            _ => {}
        }
        let mut review = review_of(&pod);
        for (index, by) in changes {
            mutate(&mut review, &mut index.index(60), &mut Some(by));
        }
        check(serde_json::to_vec(&review).expect("JSON"))?;
    }

    #[test]
    fn reviews_that_are_spoilt_are_answered(
        edits in collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        let mut body = review_of(&pod()).to_string().into_bytes();
        for (at, to, byte, edit) in edits {
            if body.is_empty() {
                break;
            }
            let (at, to) = (at.index(body.len()), to.index(body.len()));
            let (start, end) = (at.min(to), at.max(to));
            match edit {
                0 => body[at] = byte,
                1 => body.truncate(at),
                2 => drop(body.drain(start..end)),
                _ => {
                    let copy = body[start..end].to_vec();
                    body.splice(at..at, copy);
                }
            }
        }
        check(body)?;
    }
}
