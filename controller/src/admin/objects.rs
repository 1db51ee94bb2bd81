//! What the index holds of a kind, object by object, for `ferrule diagnostics
//! staleness`.
//!
//! A line of JSON about the kind, then one for each object: its key and a
//! fingerprint of its content. The index keeps none; it hands out copies of a few
//! objects at a time, and fingerprints are made here.

use crate::process::{Discovery, Process, age};
use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use ferrule_cluster::object::{Kind, ObjectKey};
use ferrule_destination::Request;
use futures::stream;
use serde_json::{Value, json};
use std::{io, sync::Arc};

/// Objects asked for at once. The index stops after a millisecond.
const PORTION: usize = 256;

/// All objects of a kind.
pub(super) async fn list(process: Arc<Process>, kind: Kind) -> Response {
    let Some(discovery) = &process.discovery else {
        let text = "this process runs neither destination nor policy: it holds no objects\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let Some(keys) = discovery.ask(|reply| Request::Keys(kind, reply)).await else {
        let text = "the index does not answer\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let head = line(&head(discovery, kind, keys.as_ref().map(Vec::len)));
    let rest = Rest {
        keys: keys.unwrap_or_default(),
        process: process.clone(),
        kind,
    };
    let lines = stream::unfold((Some(head), rest), async |(head, mut rest)| {
        let lines = match head {
            Some(head) => Ok(head),
            None => rest.next().await.transpose()?,
        };
        Some((lines, (None, rest)))
    });
    let content_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (content_type, Body::from_stream(lines)).into_response()
}

/// `count` is `None` while the kind has not been listed.
fn head(discovery: &Discovery, kind: Kind, count: Option<usize>) -> Value {
    let watch = discovery.watches.kind(kind);
    json!({
        "kind": kind.as_str(),
        // Fingerprints of another version are other ones.
        "version": env!("CARGO_PKG_VERSION"),
        "source": if discovery.has_cluster { "cluster" } else { "manifests" },
        "synced": count.is_some(),
        "connected": watch.is_connected(),
        "lastHeardSecondsAgo": age(watch.last_event_millis()).map(|age| age.as_secs_f64()),
    })
}

/// The objects that have not been told yet, from the end.
struct Rest {
    process: Arc<Process>,
    kind: Kind,
    keys: Vec<ObjectKey>,
}

impl Rest {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let portion = self.keys.len().saturating_sub(PORTION);
        let mut keys = self.keys.split_off(portion);
        let Some(discovery) = self.process.discovery.as_ref().filter(|_| !keys.is_empty()) else {
            return Ok(None);
        };
        let question = |reply| Request::Objects(self.kind, keys.clone(), reply);
        let Some(objects) = discovery.ask(question).await else {
            return Err(io::Error::other("the index does not answer"));
        };
        let later = keys.split_off(objects.len());
        let mut lines = Vec::new();
        for (key, object) in keys.iter().zip(&objects) {
            // Gone since its key was told.
            let Some(object) = object else {
                continue;
            };
            let fingerprint = format!("{:016x}", object.fingerprint());
            let object = json!({"key": key.to_string(), "fingerprint": fingerprint});
            lines.extend(line(&object));
        }
        self.keys.extend(later);
        Ok(Some(lines.into()))
    }
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}
