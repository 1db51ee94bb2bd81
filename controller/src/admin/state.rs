//! The inside of the process as JSON, for people who look for a reason.

use crate::{
    process::{Discovery, Process, age},
    readiness,
};
use ferrule_cluster::{
    object::{Kind, ObjectKey},
    source::ErrorReason,
};
use ferrule_destination::Request;
use ferrule_policy::Outbox;
use serde_json::{Map, Value, json};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};

/// How many objects whose status is to be written are named.
const MAX_STATUSES: usize = 20;

/// Everything that is known without asking the index.
pub(super) fn process(process: &Process) -> Value {
    let ready = readiness::check(process);
    let mut state = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": process.started.elapsed().as_secs_f64(),
        "ready": ready.is_ok(),
        "notes": readiness::notes(process),
        "notReadyReason": ready.err().map(|reason| reason.to_string()),
        "calls": process
            .calls()
            .iter()
            .map(|(_, calls)| {
                let state = json!({
                    "active": calls.active(),
                    "started": calls.started(),
                    "messagesSent": calls.sent(),
                    "bytesSent": calls.sent_bytes(),
                    "versionsSkipped": calls.skipped(),
                });
                (format!("{}/{}", calls.service(), calls.method().name), state)
            })
            .collect::<Map<_, _>>(),
    });
    if let (Some(discovery), Value::Object(state)) = (&process.discovery, &mut state) {
        state.extend(self::discovery(discovery));
    }
    state
}

fn discovery(discovery: &Discovery) -> Map<String, Value> {
    let (endpoints, profiles) = discovery.destinations.views();
    let (inbound, outbound) = discovery.policies.views();
    let (names, templates) = discovery.interner.len();
    let problems = discovery.watches.problems();
    let index = &discovery.index;
    let state = json!({
        "kinds": Kind::ALL
            .map(|kind| (kind.as_str().to_owned(), watch(discovery, kind)))
            .into_iter()
            .collect::<Map<_, _>>(),
        "index": {
            "synced": index.is_synced(),
            "events": index.events.load(Relaxed),
            "batches": index.batches.load(Relaxed),
            "busySeconds": Duration::from_nanos(index.busy_nanos.load(Relaxed)).as_secs_f64(),
        },
        "views": {
            "endpoints": endpoints,
            "profiles": profiles,
            "inbound": inbound,
            "outbound": outbound,
        },
        "statuses": discovery.outbox.as_deref().map(statuses),
        "endpointsPublished": discovery.destinations.published(),
        "interner": {"names": names, "podTemplates": templates},
        "problems": problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    match state {
        Value::Object(state) => state,
        _ => Map::new(),
    }
}

/// What is to be written, for the replica that writes and for the others.
fn statuses(outbox: &Outbox) -> Value {
    let mut keys = outbox.keys();
    keys.sort();
    let first = keys.iter().take(MAX_STATUSES).map(ToString::to_string);
    json!({
        "pending": keys.len(),
        "first": first.collect::<Vec<_>>(),
    })
}

fn watch(discovery: &Discovery, kind: Kind) -> Value {
    let stats = discovery.watches.kind(kind);
    let errors: Map<_, _> = ErrorReason::ALL
        .into_iter()
        .map(|reason| (reason.as_str().to_owned(), stats.errors(reason)))
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason, count.into()))
        .collect();
    json!({
        "synced": discovery.index.is_kind_synced(kind),
        "count": discovery.index.count(kind),
        "connected": stats.is_connected(),
        "restarts": stats.restarts(),
        "errors": errors,
        "lastHeardSecondsAgo": age(stats.last_event_millis()).map(|age| age.as_secs_f64()),
        "lastChangeSecondsAgo": age(discovery.index.applied_millis(kind))
            .map(|age| age.as_secs_f64()),
    })
}

/// `NAMESPACE/NAME`.
pub(super) fn service_key(text: &str) -> Option<ObjectKey> {
    let (namespace, name) = text.split_once('/')?;
    let is_name = |text: &str| !text.is_empty() && !text.contains('/');
    (is_name(namespace) && is_name(name)).then(|| ObjectKey::new(namespace, name))
}

/// What the index holds of a Service, what is told of it, and what each stream
/// was last told.
pub(super) async fn service(process: &Process, key: ObjectKey) -> Option<Value> {
    let discovery = process.discovery.as_ref()?;
    let question = |reply| Request::Describe(key.clone(), reply);
    let held = discovery.ask(question).await?;
    let (destinations, policies) = (&discovery.destinations, &discovery.policies);
    Some(json!({
        "service": key.to_string(),
        "exists": held.exists,
        "clusterIps": held.cluster_ips,
        "slices": held.slices,
        "endpoints": destinations.describe_endpoints(&key),
        "profiles": destinations.describe_profiles(&key, &held.cluster_ips),
        "outboundPolicies": policies.describe_outbound(&key, &held.cluster_ips),
    }))
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
