//! AdmissionReviews over HTTP.
//!
//! Of a review only what is used is read, and the object stays text until its
//! validator reads it: `kube`'s types want all of a request, and an object of one
//! type, in which a field given twice is no longer seen.

use super::{
    NoReview, Webhook,
    bodies::{BODY_TIMEOUT, Bodies, MAX_BODY},
};
use axum::{
    Router,
    extract::{self, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use ferrule_cluster::trace::{self, Fact, Span};
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Larger reviews are looked at beside the runtime, so that nothing waits for them.
pub(super) const LARGE: usize = 64 << 10;
/// How much of a message is told: it may quote what somebody sent.
const MAX_MESSAGE: usize = 4 << 10;
/// How much of a warning is told. API servers pass on 256 characters of each, and
/// 4,096 in all.
const MAX_WARNING: usize = 250;
/// How many warnings are told.
const MAX_WARNINGS: usize = 16;

const KIND: &str = "AdmissionReview";
const API_VERSION: &str = "admission.k8s.io/v1";

/// What is asked.
pub(super) struct Review<'a> {
    api_version: Option<Cow<'a, str>>,
    pub(super) request: Request<'a>,
}

/// The same, as it comes.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

/// What an API server is about to do.
#[derive(Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    /// What the object is, in the version that is asked about.
    #[serde(borrow, default)]
    pub(super) kind: Kind<'a>,
    /// CREATE, UPDATE, DELETE or CONNECT.
    #[serde(borrow, default)]
    pub(super) operation: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    /// The object as it is to be stored; none when one is deleted.
    #[serde(borrow)]
    pub(super) object: Option<&'a RawValue>,
    /// Nothing is stored in the end.
    #[serde(default, rename = "dryRun")]
    pub(super) dry_run: Option<bool>,
}

/// The kind of an object, whatever its version.
#[derive(Default, Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(borrow, default)]
    pub(super) group: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) kind: Cow<'a, str>,
}

/// Whether it may.
pub(super) enum Verdict {
    /// Yes, and this is what the user is told.
    Allowed(Vec<String>),
    /// No, and this is what the user is told.
    Denied(String),
    /// Yes, with these changes.
    Changed {
        /// What is to be changed, if anything is.
        patch: Option<json_patch::Patch>,
        /// What is told to whoever wrote the object.
        warnings: Vec<String>,
    },
}

/// Why there is no answer to a request.
pub(super) enum Unanswerable {
    TooLarge,
    TooSlow,
    /// Something that is needed for an answer could not be found out.
    Failed(String),
    /// What is wrong with it.
    NoReview(String),
}

impl IntoResponse for Unanswerable {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Unanswerable::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the review has more than {MAX_BODY} bytes"),
            ),
            Unanswerable::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                format!("the review did not arrive within {BODY_TIMEOUT:?}"),
            ),
            Unanswerable::Failed(text) => (StatusCode::INTERNAL_SERVER_ERROR, text),
            Unanswerable::NoReview(text) => (StatusCode::BAD_REQUEST, text),
        };
        (status, format!("{text}\n")).into_response()
    }
}

#[derive(Clone)]
struct Served {
    webhook: Arc<Webhook>,
    bodies: Bodies,
}

/// Each webhook at its path.
pub(super) fn router(webhooks: &[Arc<Webhook>], bodies: &Bodies) -> Router {
    webhooks.iter().fold(Router::new(), |router, webhook| {
        let served = Served {
            webhook: webhook.clone(),
            bodies: bodies.clone(),
        };
        // Another method is as unknown as another path.
        let answer = post(answer).fallback(|| async { StatusCode::NOT_FOUND });
        router.route(webhook.endpoint.path, answer.with_state(served))
    })
}

async fn answer(State(served): State<Served>, request: extract::Request) -> Response {
    let webhook = served.webhook;
    let answered = async {
        let (body, _room) = served.bodies.read(request.into_body()).await?;
        if body.is_empty() && matches!(webhook.endpoint.no_review, NoReview::BadRequest) {
            tracing::warn!(webhook = webhook.endpoint.name, "asked without a review");
            return Ok(StatusCode::OK.into_response());
        }
        if body.len() < LARGE {
            return review(&webhook, &body);
        }
        let webhook = webhook.clone();
        let span = Span::current();
        let reviewed = tokio::task::spawn_blocking(move || {
            let _part = span.enter();
            review(&webhook, &body)
        });
        match reviewed.await {
            Ok(answer) => answer,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    };
    match answered.await {
        Ok(response) => response,
        Err(unanswerable) => {
            webhook.unreadable.fetch_add(1, Relaxed);
            match (unanswerable, webhook.endpoint.no_review) {
                (Unanswerable::NoReview(text), NoReview::Denial) => no_review(&webhook, text),
                (unanswerable, _) => unanswerable.into_response(),
            }
        }
    }
}

fn review(webhook: &Webhook, body: &[u8]) -> Result<Response, Unanswerable> {
    let start = Instant::now();
    let review = Review::parse(body)?;
    let verdict = (webhook.endpoint.admit)(&review.request);
    Ok(review.answer(webhook, verdict, start.elapsed()))
}

impl<'a> Review<'a> {
    /// Reads a body.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Unanswerable> {
        let asked: Asked<'a> = serde_json::from_slice(body).map_err(|error| {
            Unanswerable::NoReview(format!("this is no AdmissionReview: {error}"))
        })?;
        let request = asked.request.filter(|request| !request.uid.is_empty());
        let request = request.ok_or_else(|| {
            Unanswerable::NoReview("the review has no request with a uid".to_owned())
        })?;
        Ok(Self {
            api_version: asked.api_version,
            request,
        })
    }

    /// The answer, which took so long.
    pub(super) fn answer(&self, webhook: &Webhook, verdict: Verdict, took: Duration) -> Response {
        let request = &self.request;
        webhook.decided(&verdict, took);
        self.note(&verdict);
        let mut response = json!({"uid": request.uid, "allowed": true});
        let warnings = match verdict {
            Verdict::Allowed(warnings) => warnings,
            Verdict::Changed { patch, warnings } => {
                if let Some(patch) = patch {
                    let patch = serde_json::to_vec(&patch).expect("a patch is JSON");
                    response["patchType"] = "JSONPatch".into();
                    response["patch"] = json!(ByteString(patch));
                }
                warnings
            }
            Verdict::Denied(message) => {
                let message = shortened(message, MAX_MESSAGE);
                tracing::info!(
                    webhook = webhook.endpoint.name,
                    namespace = request.namespace.as_deref(),
                    name = request.name.as_deref(),
                    "denied: {message}"
                );
                response["allowed"] = false.into();
                response["status"] = denial(&message);
                Vec::new()
            }
        };
        if !warnings.is_empty() {
            let warnings = warnings.into_iter().take(MAX_WARNINGS);
            let warnings = warnings.map(|warning| shortened(warning, MAX_WARNING));
            response["warnings"] = warnings.collect();
        }
        reply(
            self.api_version.as_deref().unwrap_or(API_VERSION),
            &response,
        )
    }
}

impl Review<'_> {
    /// Says in the review's trace what it is about.
    fn note(&self, verdict: &Verdict) {
        let request = &self.request;
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let name = request.name.as_deref().unwrap_or_default();
        trace::note(|| Fact::new("k8s.kind", request.kind.kind.to_string()));
        trace::note(|| Fact::new("k8s.namespace.name", namespace.to_owned()));
        trace::note(|| Fact::new("k8s.name", name.to_owned()));
        let allowed = !matches!(verdict, Verdict::Denied(_));
        trace::note(|| Fact::new("ferrule.allowed", allowed));
    }
}

/// A denial of nothing in particular.
fn no_review(webhook: &Webhook, text: String) -> Response {
    let message = shortened(text, MAX_MESSAGE);
    tracing::warn!(webhook = webhook.endpoint.name, "denied: {message}");
    let response = json!({"uid": "", "allowed": false, "status": denial(&message)});
    reply(API_VERSION, &response)
}

fn denial(message: &str) -> Value {
    json!({"code": StatusCode::BAD_REQUEST.as_u16(), "message": message})
}

fn reply(version: &str, response: &Value) -> Response {
    let review = json!({"apiVersion": version, "kind": KIND, "response": response});
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (content_type, review.to_string()).into_response()
}

fn shortened(mut message: String, longest: usize) -> String {
    if message.len() > longest {
        message.truncate(message.floor_char_boundary(longest));
        message.push_str("...");
    }
    message
}
