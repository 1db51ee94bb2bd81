//! `/inject`, and `/` as Linkerd registers it: Pods and Services that are being created
//! (identity-injector.md 6.4).

use super::{
    Webhook,
    bodies::Bodies,
    handover,
    review::{LARGE, Review, Unanswerable, Verdict},
};
use crate::injection::{Injection, Outcome, Subject};
use axum::{
    Router,
    extract::{self, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::post,
};
use ferrule_cluster::trace::Span;
use jiff::SignedDuration;
use serde_json::Value;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

/// How long an API server waits that does not say so.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of that, the part in which an answer still gets there.
const ON_TIME: f64 = 0.9;
/// The webhook of the injector.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) injection: Arc<Injection>,
    pub(super) webhook: Arc<Webhook>,
    pub(super) bodies: Bodies,
}

/// It, at its path, and at Linkerd's.
pub(super) fn router(endpoint: Endpoint) -> Router {
    let path = endpoint.webhook.endpoint.path;
    let answer = post(answer).with_state(endpoint);
    Router::new()
        .route(path, answer.clone())
        .route(handover::PATH, answer)
}

async fn answer(State(endpoint): State<Endpoint>, request: extract::Request) -> Response {
    let deadline = Instant::now() + patience(request.uri()).mul_f64(ON_TIME);
    let webhook = endpoint.webhook.clone();
    let answered = async {
        let read = endpoint.bodies.read(request.into_body());
        let read = timeout_at(deadline, read).await;
        let (body, _room) = read.unwrap_or(Err(Unanswerable::TooSlow))?;
        if body.is_empty() {
            tracing::warn!(webhook = webhook.endpoint.name, "asked without a review");
            return Ok(StatusCode::OK.into_response());
        }
        if body.len() < LARGE {
            return endpoint.review(&body, deadline).await;
        }
        // Reading and rendering it would hold up what else this thread does.
        let runtime = Handle::current();
        let span = Span::current();
        let reviewed = tokio::task::spawn_blocking(move || {
            runtime.block_on(span.during(endpoint.review(&body, deadline)))
        });
        match reviewed.await {
            Ok(answer) => answer,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    };
    match answered.await {
        Ok(response) => response,
        Err(unanswerable) => {
            let count = match &unanswerable {
                Unanswerable::Failed(reason) => {
                    tracing::warn!(webhook = webhook.endpoint.name, "cannot answer: {reason}");
                    &webhook.failed
                }
                _ => &webhook.unreadable,
            };
            count.fetch_add(1, Relaxed);
            unanswerable.into_response()
        }
    }
}

impl Endpoint {
    async fn review(&self, body: &[u8], deadline: Instant) -> Result<Response, Unanswerable> {
        let start = Instant::now();
        let review = Review::parse(body)?;
        let verdict = self.verdict(&review, deadline).await?;
        Ok(review.answer(&self.webhook, verdict, start.elapsed()))
    }

    async fn verdict(
        &self,
        review: &Review<'_>,
        deadline: Instant,
    ) -> Result<Verdict, Unanswerable> {
        let request = &review.request;
        // What exists keeps what it has: most of a pod cannot be changed.
        if request.operation != "CREATE" {
            return Ok(Verdict::Allowed(Vec::new()));
        }
        let no_object = || Unanswerable::NoReview("the review has no object".to_owned());
        let object = request.object.ok_or_else(no_object)?;
        let object: Value = serde_json::from_str(object.get())
            .map_err(|error| Unanswerable::NoReview(format!("the object is no JSON: {error}")))?;
        let subject = Subject {
            group: &request.kind.group,
            kind: &request.kind.kind,
            namespace: request.namespace.as_deref().unwrap_or_default(),
            object: &object,
            dry_run: request.dry_run == Some(true),
        };
        let outcome = self.injection.review(&subject, deadline).await;
        let outcome = outcome.map_err(|unknown| Unanswerable::Failed(unknown.to_string()))?;
        Ok(match outcome {
            Outcome::Exempt => Verdict::Allowed(Vec::new()),
            Outcome::Denied(message) => Verdict::Denied(message),
            Outcome::Allowed(decision) => Verdict::Changed {
                warnings: decision.warnings.iter().map(ToString::to_string).collect(),
                patch: decision.patch,
            },
        })
    }
}

/// How long the API server waits: it says so as `?timeout=10s`.
fn patience(uri: &Uri) -> Duration {
    let query = uri.query().unwrap_or_default();
    let mut parameters = query.split('&');
    let timeout = parameters.find_map(|parameter| parameter.strip_prefix("timeout="));
    let timeout = timeout.and_then(|text| text.parse::<SignedDuration>().ok());
    let timeout = timeout.and_then(|timeout| Duration::try_from(timeout).ok());
    timeout
        .filter(|timeout| !timeout.is_zero())
        .unwrap_or(PATIENCE)
        .min(PATIENCE)
}

#[cfg(test)]
mod tests;
