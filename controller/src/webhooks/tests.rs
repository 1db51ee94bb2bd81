//! The webhooks as HTTP, without a connection.

use super::{bodies::Bodies, *};
use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const PROFILE: &str = "/validate/profile";
const POLICY: &str = "/validate/policy";

fn webhooks() -> (Vec<Arc<Webhook>>, Router) {
    let webhooks = of(&[Role::Destination, Role::Policy]);
    let router = review::router(&webhooks, &Bodies::new());
    (webhooks, router)
}

fn outcomes(webhooks: &[Arc<Webhook>], path: &str) -> [u64; 3] {
    let webhook = webhooks
        .iter()
        .find(|webhook| webhook.endpoint.path == path);
    let webhook = webhook.expect("a webhook");
    let decided = [&webhook.allowed, &webhook.denied].map(|outcome| outcome.read().count);
    [decided[0], decided[1], webhook.unreadable.load(Relaxed)]
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
    ask_at(router, PROFILE, review).await
}

async fn ask_at(router: &Router, path: &str, review: &Value) -> Value {
    let (status, body) = send(router, path, review.to_string()).await;
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
        send(&router, PROFILE, "").await,
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
        let (status, said) = send(&router, PROFILE, body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {said}");
    }
    assert_eq!(outcomes(&webhooks, PROFILE), [0, 0, 6]);
    for path in ["/", "/validate", "/validate/nothing"] {
        assert_eq!(send(&router, path, "{}").await.0, StatusCode::NOT_FOUND);
    }
}

/// Scenario 160, but for the certificate.
#[tokio::test]
async fn s160_what_is_no_review_is_a_denial_of_policy() {
    let (webhooks, router) = webhooks();
    for body in ["", "nonsense", "{}", r#"{"request": {"object": {}}}"#] {
        let (status, said) = send(&router, POLICY, body).await;
        assert_eq!(status, StatusCode::OK, "{body}: {said}");
        let review: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(review["response"]["allowed"], false, "{body}");
        let message = review["response"]["status"]["message"].as_str();
        assert!(message.is_some_and(|message| !message.is_empty()), "{body}");
    }
    assert_eq!(outcomes(&webhooks, POLICY), [0, 0, 4]);
    for (method, path) in [
        ("GET", "/"),
        ("POST", "/validate"),
        ("GET", POLICY),
        ("PUT", POLICY),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).expect("valid");
        let response = router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{method} {path}");
    }
}

fn policy_review(version: &str, kind: &str, object: &Value) -> Value {
    let mut review = review(version, object);
    review["request"]["kind"] =
        json!({"group": "policy.linkerd.io", "version": "v9", "kind": kind});
    review["request"]["namespace"] = json!("shop");
    review
}

#[tokio::test]
async fn objects_of_policy_are_looked_at_by_their_kind_in_both_versions_of_reviews() {
    let (webhooks, router) = webhooks();
    let namespace = |name: &str| {
        json!({"metadata": {"name": "p"}, "spec": {
            "targetRef": {"kind": "Namespace", "name": name}, "requiredAuthenticationRefs": [],
        }})
    };
    for version in ["v1", "v1beta1"] {
        let allowed = policy_review(version, "authorizationPOLICY", &namespace("shop"));
        let answer = ask_at(&router, POLICY, &allowed).await;
        let expected = json!({
            "apiVersion": format!("admission.k8s.io/{version}"),
            "kind": "AdmissionReview",
            "response": {"uid": "some-uid", "allowed": true},
        });
        assert_eq!(answer, expected);
        let denied = policy_review(version, "AuthorizationPolicy", &namespace("other"));
        let answer = ask_at(&router, POLICY, &denied).await;
        let expected = json!({
            "uid": "some-uid",
            "allowed": false,
            "status": {
                "code": 400,
                "message": "spec.targetRef.name: a policy cannot be for another namespace, \
                            \"other\": name \"shop\", or create the policy there",
            },
        });
        assert_eq!(answer["response"], expected);
    }
    let unknown = policy_review("v1", "Deployment", &namespace("shop"));
    let answer = ask_at(&router, POLICY, &unknown).await;
    let message = answer["response"]["status"]["message"].as_str();
    assert!(message.is_some_and(|message| message.starts_with("unsupported resource type")));
    let mut deletion = policy_review("v1", "Server", &Value::Null);
    let answer = ask_at(&router, POLICY, &deletion).await;
    assert_eq!(answer["response"]["allowed"], false);
    deletion["request"]["operation"] = json!("DELETE");
    let answer = ask_at(&router, POLICY, &deletion).await;
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(outcomes(&webhooks, POLICY), [3, 4, 0]);
    assert_eq!(outcomes(&webhooks, PROFILE), [0, 0, 0]);
}

#[tokio::test]
async fn what_is_odd_about_an_allowed_object_is_a_warning() {
    let (_, router) = webhooks();
    let expression = json!({"key": "k".repeat(500), "operator": "Exists", "values": []});
    let expressions = vec![expression; 30];
    let server = json!({"metadata": {"name": "s"}, "spec": {
        "port": 80, "podSelector": {"matchExpressions": expressions},
    }});
    let answer = ask_at(&router, POLICY, &policy_review("v1", "Server", &server)).await;
    assert_eq!(answer["response"]["allowed"], true);
    let warnings = answer["response"]["warnings"].as_array().expect("warnings");
    assert_eq!(warnings.len(), 16);
    for warning in warnings {
        let warning = warning.as_str().expect("a text");
        assert!(
            warning.starts_with("spec.podSelector.matchExpressions: "),
            "{warning}"
        );
        assert!(warning.len() < 256);
    }
}

#[tokio::test]
async fn an_object_that_is_nested_too_deep_is_denied() {
    let (_, router) = webhooks();
    let mut deep = policy_review("v1", "Server", &json!("here")).to_string();
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    deep = deep.replace("\"here\"", &nested);
    let (status, body) = send(&router, POLICY, deep).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(answer["response"]["allowed"], false);
}

#[tokio::test]
async fn each_webhook_comes_with_its_role() {
    let router = review::router(&of(&[Role::Policy]), &Bodies::new());
    assert_eq!(send(&router, PROFILE, "{}").await.0, StatusCode::NOT_FOUND);
    assert_eq!(send(&router, POLICY, "{}").await.0, StatusCode::OK);
    assert!(!are_of(&[Role::Identity]));
}

#[tokio::test]
async fn a_body_is_bounded() {
    let (_, router) = webhooks();
    let of = |size: usize| vec![b' '; size];
    let (status, _) = send(&router, PROFILE, of((10 << 20) + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    // Read to the end, and then no review.
    let (status, _) = send(&router, PROFILE, of(10 << 20)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let (_, router) = webhooks();
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let (status, _) = send(&router, PROFILE, never).await;
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
    assert_eq!(outcomes(&webhooks, PROFILE), [1, 1, 0]);
}
