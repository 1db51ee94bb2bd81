//! What a replica says of itself.

use super::{ago, lasted, page, table, yes};
use crate::output;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The answer of `/debug/state`. There may be more in it than this version knows, and less:
/// who serves neither destination nor policy has no index.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ProcessState {
    version: String,
    uptime_seconds: f64,
    ready: bool,
    not_ready_reason: Option<String>,
    notes: Vec<String>,
    calls: BTreeMap<String, Calls>,
    kinds: BTreeMap<String, Kind>,
    index: Option<Index>,
    views: BTreeMap<String, u64>,
    endpoints_published: Option<u64>,
    statuses: Option<Statuses>,
    problems: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Calls {
    active: u64,
    started: u64,
    messages_sent: u64,
    bytes_sent: u64,
    versions_skipped: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kind {
    synced: bool,
    count: u64,
    connected: bool,
    restarts: u64,
    errors: BTreeMap<String, u64>,
    last_heard_seconds_ago: Option<f64>,
    last_change_seconds_ago: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Index {
    synced: bool,
    events: u64,
    batches: u64,
    busy_seconds: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Statuses {
    pending: u64,
    first: Vec<String>,
}

impl ProcessState {
    /// Tables for people.
    pub(super) fn text(&self) -> String {
        let header = [
            "KIND",
            "OBJECTS",
            "LISTED",
            "WATCHED",
            "LAST HEARD",
            "LAST CHANGE",
            "RESTARTS",
            "ERRORS",
        ];
        let kinds = table(header, self.kinds.iter().map(kind).collect());
        let header = ["CALL", "ACTIVE", "STARTED", "MESSAGES", "BYTES", "SKIPPED"];
        let calls = table(header, self.calls.iter().map(call).collect());
        let problems = self.problems.iter().map(|problem| [problem.clone()]);
        let problems = table(["PROBLEMS"], problems.collect());
        page([self.facts(), kinds, calls, problems])
    }

    fn facts(&self) -> String {
        let ready = match &self.not_ready_reason {
            _ if self.ready => "yes".to_owned(),
            Some(reason) => format!("no: {reason}"),
            None => "no".to_owned(),
        };
        let mut facts = vec![
            ("version", self.version.clone()),
            ("up for", lasted(self.uptime_seconds)),
            ("ready", ready),
        ];
        facts.extend(self.notes.iter().map(|note| ("note", note.clone())));
        if let Some(index) = &self.index {
            let state = if index.synced { "" } else { "not synced yet, " };
            let (events, batches) = (index.events, index.batches);
            let busy = format!("{:.1}s busy", index.busy_seconds);
            let text = format!("{state}{events} events in {batches} batches, {busy}");
            facts.push(("index", text));
        }
        if !self.views.is_empty() {
            let views = self
                .views
                .iter()
                .map(|(name, count)| format!("{count} {name}"));
            facts.push(("views", views.collect::<Vec<_>>().join(", ")));
        }
        if let Some(count) = self.endpoints_published {
            facts.push(("endpoints told", count.to_string()));
        }
        if let Some(statuses) = &self.statuses {
            let first = statuses.first.join(", ");
            let text = match statuses.pending {
                0 => "none".to_owned(),
                pending => format!("{pending}: {first}"),
            };
            facts.push(("statuses to write", text));
        }
        let rows = facts
            .into_iter()
            .map(|(name, fact)| [name.to_owned(), fact]);
        output::table(None, rows)
    }
}

fn kind((name, kind): (&String, &Kind)) -> [String; 8] {
    let errors = kind
        .errors
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"));
    [
        name.clone(),
        kind.count.to_string(),
        yes(kind.synced),
        yes(kind.connected),
        ago(kind.last_heard_seconds_ago),
        ago(kind.last_change_seconds_ago),
        kind.restarts.to_string(),
        errors.collect::<Vec<_>>().join(", "),
    ]
}

fn call((name, calls): (&String, &Calls)) -> [String; 6] {
    [
        name.clone(),
        calls.active.to_string(),
        calls.started.to_string(),
        calls.messages_sent.to_string(),
        calls.bytes_sent.to_string(),
        calls.versions_skipped.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_replica_does_is_in_tables() {
        let state: ProcessState = serde_json::from_value(json!({
            "version": "0.1.0", "uptimeSeconds": 10_800.5, "ready": false,
            "notReadyReason": "Pod has not been listed", "notes": ["no HTTPRoute"],
            "calls": {"destination/Get": {
                "active": 2, "started": 5, "messagesSent": 9, "bytesSent": 1000,
                "versionsSkipped": 1,
            }},
            "kinds": {"Pod": {
                "synced": false, "count": 3, "connected": false, "restarts": 4,
                "errors": {"forbidden": 7}, "lastHeardSecondsAgo": null,
                "lastChangeSecondsAgo": 61.9,
            }},
            "index": {"synced": false, "events": 12, "batches": 3, "busySeconds": 0.5},
            "views": {"endpoints": 1, "profiles": 0},
            "statuses": {"pending": 1, "first": ["HTTPRoute shop/web"]},
            "endpointsPublished": 3,
            "problems": ["web.yaml:3: unknown kind"],
            "new": {"in": "a later version"},
        }))
        .unwrap();
        let expected = "\
version             0.1.0
up for              3h
ready               no: Pod has not been listed
note                no HTTPRoute
index               not synced yet, 12 events in 3 batches, 0.5s busy
views               1 endpoints, 0 profiles
endpoints told      3
statuses to write   1: HTTPRoute shop/web

KIND   OBJECTS   LISTED   WATCHED   LAST HEARD   LAST CHANGE   RESTARTS   ERRORS
Pod    3         no       no        never        61s ago       4          forbidden 7

CALL              ACTIVE   STARTED   MESSAGES   BYTES   SKIPPED
destination/Get   2        5         9          1000    1

PROBLEMS
web.yaml:3: unknown kind";
        assert_eq!(state.text(), expected);
    }

    #[test]
    fn who_has_no_index_says_what_it_has() {
        let state = json!({"version": "0.1.0", "uptimeSeconds": 5.0, "ready": true, "calls": {}});
        let state: ProcessState = serde_json::from_value(state).unwrap();
        assert_eq!(state.text(), "version   0.1.0\nup for    5s\nready     yes");
    }
}
