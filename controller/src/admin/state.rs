//! The inside of the process as JSON, for people who look for a reason.

use crate::{
    process::{Process, age},
    readiness,
};
use ferrule_cluster::{
    object::{Kind, ObjectKey},
    source::ErrorReason,
};
use ferrule_destination::Request;
use serde_json::{Map, Value, json};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};

/// Everything that is known without asking the index.
pub(super) fn process(process: &Process) -> Value {
    let (endpoints, profiles) = process.registry.views();
    let (names, templates) = process.interner.len();
    let problems = process.watches.problems();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": process.started.elapsed().as_secs_f64(),
        "ready": readiness::check(process).is_ok(),
        "notReadyReason": readiness::check(process).err().map(|reason| reason.to_string()),
        "kinds": Kind::ALL
            .map(|kind| (kind.as_str().to_owned(), watch(process, kind)))
            .into_iter()
            .collect::<Map<_, _>>(),
        "index": {
            "synced": process.index.is_synced(),
            "events": process.index.events.load(Relaxed),
            "batches": process.index.batches.load(Relaxed),
            "busySeconds": Duration::from_nanos(process.index.busy_nanos.load(Relaxed)).as_secs_f64(),
        },
        "streams": process
            .streams()
            .map(|(method, streams)| {
                let state = json!({
                    "active": streams.active(),
                    "opened": streams.opened.load(Relaxed),
                    "messagesSent": streams.messages.load(Relaxed),
                    "bytesSent": streams.bytes.load(Relaxed),
                });
                (method.to_owned(), state)
            })
            .into_iter()
            .collect::<Map<_, _>>(),
        "views": {"endpoints": endpoints, "profiles": profiles},
        "endpointsPublished": process.registry.published(),
        "interner": {"names": names, "podTemplates": templates},
        "problems": problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn watch(process: &Process, kind: Kind) -> Value {
    let stats = process.watches.kind(kind);
    let errors: Map<_, _> = ErrorReason::ALL
        .into_iter()
        .map(|reason| (reason.as_str().to_owned(), stats.errors(reason)))
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason, count.into()))
        .collect();
    json!({
        "synced": process.index.is_kind_synced(kind),
        "count": process.index.count(kind),
        "connected": stats.is_connected(),
        "restarts": stats.restarts(),
        "errors": errors,
        "lastHeardSecondsAgo": age(stats.last_event_millis()).map(|age| age.as_secs_f64()),
    })
}

/// `NAMESPACE/NAME`.
pub(super) fn service_key(text: &str) -> Option<ObjectKey> {
    let (namespace, name) = text.split_once('/')?;
    let is_name = |text: &str| !text.is_empty() && !text.contains('/');
    (is_name(namespace) && is_name(name)).then(|| ObjectKey::new(namespace, name))
}

/// What the index holds of a Service.
pub(super) async fn service(process: &Process, key: ObjectKey) -> Option<Value> {
    process.ask(|reply| Request::Describe(key, reply)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_namespace_and_name() {
        let web = Some(ObjectKey::new("shop", "web"));
        for (text, key) in [
            ("shop/web", web),
            ("web", None),
            ("shop/", None),
            ("/web", None),
            ("shop/web/80", None),
        ] {
            assert_eq!(service_key(text), key, "{text}");
        }
    }
}
