//! An API server that asks a webhook.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::certify::{Answer, report};
use super::dialer::Dialer;
use crate::protocol::{Certified, Reviews};

/// Sends all reviews, and returns when each is answered or has failed.
///
/// # Errors
///
/// When the review cannot be read, or a connection not be made.
pub(super) async fn review(order: Reviews) -> Result<Certified> {
    let file = &order.body;
    let body = std::fs::read(file)
        .with_context(|| format!("cannot read the review {}", file.display()))?;
    let body = Bytes::from(body);
    let dialer = Dialer::new(order.server, Some(&order.tls))?;
    let mut connections = Vec::new();
    for _ in 0..order.connections {
        let mut connection = dialer.connect().await.map_err(anyhow::Error::msg)?;
        connection.seen().await.map_err(anyhow::Error::msg)?;
        connections.push(connection);
    }

    let (next, calls) = (Arc::new(AtomicUsize::new(0)), order.calls);
    let began = Instant::now();
    let deadline = began + Duration::from_millis(order.timeout_ms);
    let mut workers = JoinSet::new();
    for number in 0..order.in_flight {
        let send = connections[number % connections.len()].send.clone();
        let (next, body, uri) = (next.clone(), body.clone(), uri(&order));
        workers.spawn(async move {
            let mut outcomes = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < calls {
                let asked = Instant::now();
                let outcome = async {
                    let bytes = ask(send.clone(), &uri, body.clone()).await?;
                    let after = asked.elapsed();
                    Ok(Answer { after, bytes })
                };
                let outcome = timeout_at(deadline, outcome).await;
                outcomes.push(outcome.unwrap_or_else(|_| Err("no answer in time".to_owned())));
            }
            outcomes
        });
    }
    let outcomes = workers.join_all().await.into_iter().flatten().collect();
    Ok(report(outcomes, began.elapsed()))
}

fn uri(order: &Reviews) -> String {
    format!(
        "https://{}{}?timeout=10s",
        order.tls.server_name, order.path
    )
}

/// One review; how many bytes its answer has. One without a patch is no answer here.
async fn ask(send: SendRequest<Bytes>, uri: &str, body: Bytes) -> Result<usize, String> {
    let failed = |error: h2::Error| error.to_string();
    let head = Request::post(uri)
        .header("content-type", "application/json")
        .body(())
        .map_err(|error| error.to_string())?;
    let mut send = send.ready().await.map_err(failed)?;
    let (response, mut sent) = send.send_request(head, false).map_err(failed)?;
    sent.send_data(body, true).map_err(failed)?;
    let response = response.await.map_err(failed)?;
    let status = response.status();
    let mut answer = response.into_body();
    let mut text = Vec::new();
    while let Some(chunk) = answer.data().await {
        let chunk = chunk.map_err(failed)?;
        text.extend_from_slice(&chunk);
        answer
            .flow_control()
            .release_capacity(chunk.len())
            .map_err(failed)?;
    }
    let has_patch = text.windows(PATCH.len()).any(|part| part == PATCH);
    if !status.is_success() || !has_patch {
        let text = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
        return Err(format!("HTTP {status}: {text}"));
    }
    Ok(text.len())
}

const PATCH: &[u8] = b"\"patchType\"";
