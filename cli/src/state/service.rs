//! What a replica says of a Service, and of who asks for it.

use super::{ago, page, table, yes};
use crate::output;
use serde::Deserialize;
use serde_json::Value;

/// How many streams the table names.
const NAMED: usize = 20;

/// The answer of `/debug/state?service=`. There may be more in it than this version knows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceState {
    service: String,
    exists: bool,
    cluster_ips: Vec<String>,
    slices: Vec<Slice>,
    endpoints: Vec<View>,
    profiles: Vec<View>,
    outbound_policies: Vec<View>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Slice {
    name: String,
    resource_version: u64,
    endpoints: u64,
    ready: u64,
}

/// What one class of clients is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct View {
    // Of endpoints.
    port: Option<u16>,
    hostname: Option<String>,
    zone: Option<String>,
    node: Option<String>,
    endpoints: Option<Vec<Value>>,
    // Of a profile or a policy.
    asked: Option<Asked>,
    from: Option<Value>,
    // Of all.
    version: u64,
    streams: Streams,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    service: Option<String>,
    hostname: Option<String>,
    port: Option<u16>,
    address: Option<String>,
    client_namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Streams {
    count: u64,
    behind: u64,
    streams: Vec<Stream>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stream {
    peer: Option<String>,
    client: Value,
    opened_seconds_ago: Option<f64>,
    last_sent_seconds_ago: Option<f64>,
    version: u64,
    behind_by: u64,
    skipped: u64,
}

impl ServiceState {
    /// Tables for people.
    pub(super) fn text(&self) -> String {
        let facts = [
            ["service".to_owned(), self.service.clone()],
            ["exists".to_owned(), yes(self.exists)],
            [
                "cluster IPs".to_owned(),
                or_none(&self.cluster_ips.join(", ")),
            ],
        ];
        let slices = self.slices.iter().map(Slice::row).collect();
        let slices = table(["SLICE", "RESOURCE VERSION", "ENDPOINTS", "READY"], slices);
        let header = ["TOLD", "ASKED", "VERSION", "ENDPOINTS", "STREAMS", "BEHIND"];
        let views = self.views().map(|(what, view)| view.row(what)).collect();
        page([
            output::table(None, facts),
            slices,
            table(header, views),
            self.streams(),
        ])
    }

    fn views(&self) -> impl Iterator<Item = (&'static str, &View)> {
        let all = [
            ("endpoints", &self.endpoints),
            ("profile", &self.profiles),
            ("policy", &self.outbound_policies),
        ];
        let all = all.into_iter();
        all.flat_map(|(what, views)| views.iter().map(move |view| (what, view)))
    }

    fn streams(&self) -> String {
        let mut all: Vec<_> = self
            .views()
            .flat_map(|(what, view)| view.streams.streams.iter().map(move |one| (what, one)))
            .collect();
        all.sort_by_key(|(_, stream)| std::cmp::Reverse(stream.behind_by));
        let count: u64 = self.views().map(|(_, view)| view.streams.count).sum();
        let mut rows: Vec<_> = all
            .iter()
            .take(NAMED)
            .map(|(what, one)| one.row(what))
            .collect();
        let more = count.saturating_sub(rows.len() as u64);
        if more > 0 {
            let mut row = [const { String::new() }; 8];
            row[0] = format!("and {more} more (with -o json)");
            rows.push(row);
        }
        let header = [
            "STREAM",
            "PEER",
            "CLIENT",
            "OPENED",
            "LAST SENT",
            "VERSION",
            "BEHIND BY",
            "SKIPPED",
        ];
        table(header, rows)
    }
}

impl Slice {
    fn row(&self) -> [String; 4] {
        [
            self.name.clone(),
            self.resource_version.to_string(),
            self.endpoints.to_string(),
            self.ready.to_string(),
        ]
    }
}

impl View {
    fn row(&self, what: &str) -> [String; 6] {
        let endpoints = self.endpoints.as_ref();
        [
            what.to_owned(),
            self.asked(),
            self.version.to_string(),
            endpoints.map_or_else(none, |all| all.len().to_string()),
            self.streams.count.to_string(),
            self.streams.behind.to_string(),
        ]
    }

    /// By whom it is asked for, and how.
    fn asked(&self) -> String {
        let Some(asked) = &self.asked else {
            let parts = [
                ("port", self.port.map(|port| port.to_string())),
                ("hostname", self.hostname.clone()),
                ("zone", self.zone.clone()),
                ("node", self.node.clone()),
            ];
            let parts = parts.iter().filter_map(|(name, part)| {
                let part = part.as_ref()?;
                Some(format!("{name} {part}"))
            });
            return parts.collect::<Vec<_>>().join(", ");
        };
        let of = asked.address.as_ref().or(asked.service.as_ref());
        let mut text = of.cloned().unwrap_or_else(none);
        if let Some(hostname) = &asked.hostname {
            text = format!("{hostname}.{text}");
        }
        if let Some(port) = asked.port {
            text += &format!(":{port}");
        }
        let from = self.from.as_ref().and_then(Value::as_str);
        if let Some(namespace) = asked.client_namespace.as_deref().or(from) {
            text += &format!(" from {namespace}");
        }
        text
    }
}

impl Stream {
    fn row(&self, what: &str) -> [String; 8] {
        [
            what.to_owned(),
            self.peer.clone().unwrap_or_else(none),
            client(&self.client),
            ago(self.opened_seconds_ago),
            ago(self.last_sent_seconds_ago),
            self.version.to_string(),
            self.behind_by.to_string(),
            self.skipped.to_string(),
        ]
    }
}

/// What a proxy says of itself: its pod where it names it.
fn client(token: &Value) -> String {
    let part = |key: &str| token[key].as_str();
    match (part("ns"), part("pod"), part("nodeName")) {
        (Some(namespace), Some(pod), _) => format!("{namespace}/{pod}"),
        (Some(namespace), None, Some(node)) => format!("{namespace} on {node}"),
        (Some(namespace), None, None) => namespace.to_owned(),
        _ => or_none(token.as_str().unwrap_or_default()),
    }
}

fn none() -> String {
    "-".to_owned()
}

fn or_none(text: &str) -> String {
    match text {
        "" => none(),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stream(pod: &str, behind: u64) -> Value {
        json!({
            "peer": "10.0.0.9:5000", "client": {"ns": "shop", "nodeName": "n", "pod": pod},
            "openedSecondsAgo": 130.2, "lastSentSecondsAgo": 3.0, "version": 7 - behind,
            "behindBy": behind, "skipped": 0,
        })
    }

    #[test]
    fn who_is_furthest_behind_comes_first() {
        let state: ServiceState = serde_json::from_value(json!({
            "service": "shop/web", "exists": true, "clusterIps": ["10.96.0.1"],
            "slices": [
                {"name": "web-1", "resourceVersion": 12, "endpoints": 3, "ready": 2},
            ],
            "endpoints": [{
                "port": 80, "hostname": null, "zone": "a", "node": null, "version": 7,
                "endpoints": [{"address": "10.0.0.1:80", "sinceVersion": 7}],
                "streams": {"count": 1, "behind": 0, "omitted": 0, "streams": [stream("a", 0)]},
            }],
            "profiles": [{
                "asked": {"service": "shop/web", "port": 80, "clientNamespace": "shop"},
                "version": 7,
                "streams": {"count": 1, "behind": 1, "omitted": 0, "streams": [stream("b", 2)]},
            }],
            "outboundPolicies": [{
                "asked": {"address": "10.96.0.1:80"}, "from": "office", "version": 1,
                "streams": {"count": 0, "behind": 0, "omitted": 0, "streams": []},
            }],
        }))
        .unwrap();
        let expected = "\
service       shop/web
exists        yes
cluster IPs   10.96.0.1

SLICE   RESOURCE VERSION   ENDPOINTS   READY
web-1   12                 3           2

TOLD        ASKED                      VERSION   ENDPOINTS   STREAMS   BEHIND
endpoints   port 80, zone a            7         1           1         0
profile     shop/web:80 from shop      7         -           1         1
policy      10.96.0.1:80 from office   1         -           0         0

STREAM      PEER            CLIENT   OPENED   LAST SENT   VERSION   BEHIND BY   SKIPPED
profile     10.0.0.9:5000   shop/b   2m ago   3s ago      5         2           0
endpoints   10.0.0.9:5000   shop/a   2m ago   3s ago      7         0           0";
        assert_eq!(state.text(), expected);
    }

    #[test]
    fn streams_that_are_not_named_are_counted() {
        let streams: Vec<_> = (0..NAMED + 3).map(|_| stream("a", 0)).collect();
        let state: ServiceState = serde_json::from_value(json!({
            "service": "shop/web",
            "endpoints": [{"port": 80, "streams": {"count": 1_500, "streams": streams}}],
        }))
        .unwrap();
        let text = state.text();
        assert!(text.ends_with("\nand 1480 more (with -o json)"), "{text}");
        assert_eq!(text.matches("10.0.0.9:5000").count(), NAMED);
    }

    #[test]
    fn a_client_is_named_as_far_as_it_says_who_it_is() {
        for (token, expected) in [
            (json!({"ns": "shop", "nodeName": "n", "pod": "a"}), "shop/a"),
            (json!({"ns": "shop", "nodeName": "n"}), "shop on n"),
            (json!({"ns": "shop"}), "shop"),
            (json!("ns:shop"), "ns:shop"),
            (json!(""), "-"),
            (Value::Null, "-"),
        ] {
            assert_eq!(client(&token), expected, "{token}");
        }
    }
}
