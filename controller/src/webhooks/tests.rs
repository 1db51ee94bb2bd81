//! The webhooks as HTTP, without a connection.

use super::*;
use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const PATH: &str = "/validate/profile";

fn webhooks() -> (Vec<Arc<Webhook>>, Router) {
    let webhooks = all();
    let router = review::router(&webhooks);
    (webhooks, router)
}

async fn send(router: &Router, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::post(path).body(body.into()).expect("valid");
    let response: Response<Body> = router.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body");
    let body = String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8");
    (status, body)
}

async fn ask(router: &Router, review: &Value) -> Value {
    let (status, body) = send(router, PATH, review.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn profile(spec: &Value) -> Value {
    json!({"metadata": {"name": "web.ns.svc.cluster.local"}, "spec": spec})
}

fn review(version: &str, object: &Value) -> Value {
    json!({
        "apiVersion": format!("admission.k8s.io/{version}"),
        "kind": "AdmissionReview",
        "request": {"uid": "some-uid", "operation": "CREATE", "object": object, "dryRun": true},
    })
}

#[tokio::test]
async fn an_answer_is_a_review_of_the_same_version_with_the_same_uid() {
    let (_, router) = webhooks();
    for version in ["v1", "v1beta1"] {
        let answer = ask(&router, &review(version, &profile(&json!({})))).await;
        let expected = json!({
            "apiVersion": format!("admission.k8s.io/{version}"),
            "kind": "AdmissionReview",
            "response": {"uid": "some-uid", "allowed": true},
        });
        assert_eq!(answer, expected);
    }
    let denied = profile(&json!({"routes": [null]}));
    let answer = ask(&router, &review("v1", &denied)).await;
    let expected = json!({
        "uid": "some-uid",
        "allowed": false,
        "status": {
            "code": 400,
            "message": "ServiceProfile \"web.ns.svc.cluster.local\" has a null route",
        },
    });
    assert_eq!(answer["response"], expected);
}

#[tokio::test]
async fn what_is_deleted_is_not_looked_at_and_what_is_missing_is_denied() {
    let (_, router) = webhooks();
    let mut deletion = review("v1", &Value::Null);
    deletion["request"]["operation"] = json!("DELETE");
    let answer = ask(&router, &deletion).await;
    assert_eq!(answer["response"]["allowed"], true);
    let answer = ask(&router, &review("v1", &Value::Null)).await;
    assert_eq!(answer["response"]["allowed"], false);
}

#[tokio::test]
async fn what_is_no_review_is_an_error_of_http() {
    let (webhooks, router) = webhooks();
    assert_eq!(
        send(&router, PATH, "").await,
        (StatusCode::OK, String::new())
    );
    for body in [
        "nonsense".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        json!({"request": null}).to_string(),
        json!({"request": {"object": {}}}).to_string(),
        json!({"request": {"uid": "", "object": {}}}).to_string(),
    ] {
        let (status, said) = send(&router, PATH, body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {said}");
    }
    assert_eq!(webhooks[0].unreadable.load(Relaxed), 6);
    for path in ["/", "/validate/nothing"] {
        assert_eq!(send(&router, path, "{}").await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_body_is_bounded() {
    let (_, router) = webhooks();
    let of = |size: usize| vec![b' '; size];
    let (status, _) = send(&router, PATH, of((10 << 20) + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    // Read to the end, and then no review.
    let (status, _) = send(&router, PATH, of(10 << 20)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let (_, router) = webhooks();
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let (status, _) = send(&router, PATH, never).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn large_reviews_and_long_messages_are_answered() {
    let (webhooks, router) = webhooks();
    let large = profile(&json!({"routes": [
        {"name": "r".repeat(100_000), "condition": {"method": "GET"}},
    ]}));
    let answer = ask(&router, &review("v1", &large)).await;
    assert_eq!(answer["response"]["allowed"], true);
    let mut unknown = profile(&json!({}));
    unknown["spec"]["ß".repeat(50_000)] = json!(1);
    let answer = ask(&router, &review("v1", &unknown)).await;
    let message = answer["response"]["status"]["message"].as_str();
    assert!(message.is_some_and(|message| message.len() < 5_000));
    assert_eq!(webhooks[0].allowed.read().count, 1);
    assert_eq!(webhooks[0].denied.read().count, 1);
}
