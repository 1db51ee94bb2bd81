//! `ferrule diagnostics endpoints`.

use crate::{
    Error,
    api::Api,
    diagnostics::Ask,
    endpoint::Endpoint,
    endpoint_set::{Change, EndpointSet},
    error::Refusal,
    follow::{Event, follow},
    hint::Asked,
    output::{self, Format},
};
use ferrule_proto::destination::Update;
use serde_json::{Value, json};
use std::{io, time::Duration};
use tokio::time::Instant;

/// How long an accepted stream may be silent before its Service counts as empty:
/// nobody says "no endpoints" (ruling 4).
const FIRST_MESSAGE: Duration = Duration::from_secs(2);
/// How long after a message the set counts as told.
const QUIET: Duration = Duration::from_millis(500);
/// How long a set that does not come to rest is waited for.
const LONGEST: Duration = Duration::from_secs(5);

const HEADER: [&str; 8] = [
    "NAMESPACE",
    "IP",
    "PORT",
    "POD",
    "SERVICE",
    "ZONE",
    "IDENTITY",
    "HINT",
];

/// One authority's stream and what it has told.
struct Followed {
    authority: String,
    set: EndpointSet,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not answered yet.
    Opening,
    /// Its set is being told; when it counts as told, and at the latest.
    Settling {
        quiet_at: Instant,
        at_latest: Instant,
    },
    /// Told, or waited for without hope that it comes soon.
    Settled,
    /// Answered with an error, or gone.
    Refused(Refusal),
}

pub(crate) async fn run(ask: Ask) -> Result<(), Error> {
    let api = Api::connect(&ask.server.api_addr).await?;
    let mut events = follow(ask.questions(), ask.watch, move |question| {
        api.clone().get(question)
    });
    let mut followed: Vec<_> = ask.authorities.iter().map(|a| Followed::new(a)).collect();
    // The sets as they are.
    while followed.iter().any(Followed::is_unsettled) {
        match next(&mut events, &mut followed).await {
            Some((index, event)) => {
                followed[index].on(event, &ask)?;
            }
            None => break,
        }
    }
    print_sets(&ask, &followed)?;
    if ask.watch {
        // What changes from now on.
        while let Some((index, event)) = next(&mut events, &mut followed).await {
            let changes = followed[index].on(event, &ask)?;
            print_changes(&ask, &followed[index].authority, &changes)?;
        }
    }
    let refusals: Vec<_> = followed
        .into_iter()
        .filter_map(Followed::into_refusal)
        .collect();
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(Error::Refused(refusals))
    }
}

enum Step {
    Told(Event<Update>),
    Silent,
}

type Events = tokio::sync::mpsc::Receiver<(usize, Event<Update>)>;

/// The next thing that happens to one of the streams, silence included.
async fn next(events: &mut Events, followed: &mut [Followed]) -> Option<(usize, Step)> {
    let settles = followed
        .iter()
        .enumerate()
        .filter_map(|(index, followed)| Some((followed.settles_at()?, index)))
        .min();
    let Some((at, index)) = settles else {
        return events
            .recv()
            .await
            .map(|(index, event)| (index, Step::Told(event)));
    };
    match tokio::time::timeout_at(at, events.recv()).await {
        Ok(Some((index, event))) => Some((index, Step::Told(event))),
        Ok(None) => None,
        Err(_) => Some((index, Step::Silent)),
    }
}

impl Followed {
    fn new(authority: &str) -> Self {
        Self {
            authority: authority.to_owned(),
            set: EndpointSet::default(),
            state: State::Opening,
        }
    }

    fn is_unsettled(&self) -> bool {
        matches!(self.state, State::Opening | State::Settling { .. })
    }

    fn settles_at(&self) -> Option<Instant> {
        match self.state {
            State::Settling {
                quiet_at,
                at_latest,
            } => Some(quiet_at.min(at_latest)),
            _ => None,
        }
    }

    fn into_refusal(self) -> Option<Refusal> {
        match self.state {
            State::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    fn on(&mut self, step: Step, ask: &Ask) -> io::Result<Vec<Change>> {
        let changes = match step {
            Step::Silent => {
                self.state = State::Settled;
                self.set.settle()
            }
            Step::Told(Event::Opened) => {
                if matches!(self.state, State::Settled) {
                    ask.announcer().back(&self.authority)?;
                }
                self.set.restart();
                let now = Instant::now();
                self.state = State::Settling {
                    quiet_at: now + FIRST_MESSAGE,
                    at_latest: now + LONGEST,
                };
                Vec::new()
            }
            Step::Told(Event::Message(update)) => {
                if let State::Settling { quiet_at, .. } = &mut self.state {
                    *quiet_at = Instant::now() + QUIET;
                }
                self.set.apply(update)
            }
            Step::Told(Event::Lost { status, retried }) => {
                let refusal = Refusal::new(
                    &self.authority,
                    Asked::Destination,
                    &status,
                    &ask.server.api_addr,
                );
                if retried {
                    // Once for each time it is lost, not for each attempt.
                    if !matches!(self.state, State::Settled) || !self.set.is_fresh() {
                        ask.announcer().lost(&refusal)?;
                    }
                    self.set.restart();
                    self.state = State::Settled;
                } else {
                    ask.announce_refusal(&refusal);
                    self.state = State::Refused(refusal);
                }
                Vec::new()
            }
        };
        Ok(changes)
    }
}

fn print_sets(ask: &Ask, followed: &[Followed]) -> io::Result<()> {
    let endpoints = || {
        followed.iter().flat_map(|one| {
            one.set
                .iter()
                .map(|endpoint| (one.authority.as_str(), endpoint))
        })
    };
    for one in followed
        .iter()
        .filter(|one| matches!(one.state, State::Settled))
    {
        if one.set.iter().next().is_none() && !one.set.is_fresh() {
            output::note(&format!("{}: no endpoints found", one.authority));
        }
    }
    match (ask.output, ask.watch) {
        (Format::Table, _) if endpoints().next().is_none() => Ok(()),
        (Format::Table, _) => output::print(&output::table(
            Some(&HEADER),
            endpoints().map(|(_, endpoint)| row(endpoint)),
        )),
        (Format::Json, false) => {
            let all: Vec<_> = endpoints()
                .map(|(authority, endpoint)| object(authority, endpoint))
                .collect();
            output::print_json(&all)
        }
        (Format::Json, true) => {
            for (authority, endpoint) in endpoints() {
                let added = Change::Added(endpoint.clone());
                output::print_json_line(&event(authority, &added, &output::timestamp()))?;
            }
            Ok(())
        }
    }
}

fn print_changes(ask: &Ask, authority: &str, changes: &[Change]) -> io::Result<()> {
    for change in changes {
        match ask.output {
            Format::Json => {
                output::print_json_line(&event(authority, change, &output::timestamp()))?;
            }
            Format::Table => {
                let several = ask.authorities.len() > 1;
                let line = line(several.then_some(authority), change, &output::clock());
                output::print(&line)?;
            }
        }
    }
    Ok(())
}

fn row(endpoint: &Endpoint) -> [String; 8] {
    let or_dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    [
        or_dash(&endpoint.namespace),
        endpoint.addr.ip().to_string(),
        endpoint.addr.port().to_string(),
        or_dash(&endpoint.pod),
        or_dash(&endpoint.service),
        or_dash(&endpoint.zone),
        or_dash(endpoint.short_identity()),
        or_dash(&endpoint.hint_text()),
    ]
}

/// A change as a line: time, sign, endpoint, and what there is to say of it.
fn line(authority: Option<&str>, change: &Change, clock: &str) -> String {
    let endpoint = change.endpoint();
    let mut line = format!("{clock} {} {}", change.sign(), endpoint.addr);
    if let Some(authority) = authority {
        line.push_str(&format!("  {authority}"));
    }
    if !endpoint.pod.is_empty() {
        line.push_str(&format!("  pod {}", endpoint.pod));
    }
    let differences = change.differences();
    if let Change::Added(_) = change {
        for (name, value) in [
            ("zone", endpoint.zone.as_str()),
            ("identity", endpoint.short_identity()),
            ("hint", &endpoint.hint_text()),
        ] {
            if !value.is_empty() {
                line.push_str(&format!("  {name} {value}"));
            }
        }
    }
    for (field, before, after) in differences {
        let shown = |text: String| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text
            }
        };
        line.push_str(&format!("  {field}: {} -> {}", shown(before), shown(after)));
    }
    line
}

/// An endpoint with the authority it was found under.
fn object(authority: &str, endpoint: &Endpoint) -> Value {
    let mut object = json!({"authority": authority});
    if let (Some(object), Ok(Value::Object(fields))) =
        (object.as_object_mut(), serde_json::to_value(endpoint))
    {
        object.extend(fields);
    }
    object
}

/// A change for programs.
fn event(authority: &str, change: &Change, timestamp: &str) -> Value {
    let mut event = json!({
        "time": timestamp,
        "event": change.name(),
        "authority": authority,
        "endpoint": change.endpoint(),
    });
    if let Change::Changed { before, .. } = change {
        event["before"] = json!(before);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn endpoint(zone: &str) -> Endpoint {
        Endpoint {
            namespace: "shop".into(),
            addr: "10.1.0.1:8080".parse().unwrap(),
            pod: "web-0".into(),
            service: "web.shop".into(),
            zone: zone.into(),
            zone_locality: "unknown".into(),
            identity: Some("web.shop.serviceaccount.identity.linkerd.cluster.local".into()),
            hint: None,
            authority_override: None,
            weight: 10_000,
            http2_params: true,
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn the_table_has_upstreams_columns_first() {
        let bare = Endpoint {
            pod: String::new(),
            identity: None,
            ..endpoint("")
        };
        let table = output::table(Some(&HEADER), [row(&endpoint("a")), row(&bare)]);
        let lines: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0][..5], ["NAMESPACE", "IP", "PORT", "POD", "SERVICE"]);
        assert_eq!(
            lines[1],
            [
                "shop", "10.1.0.1", "8080", "web-0", "web.shop", "a", "web.shop", "-"
            ]
        );
        assert_eq!(
            lines[2],
            ["shop", "10.1.0.1", "8080", "-", "web.shop", "-", "-", "-"]
        );
        assert!(table.lines().all(|line| line.trim() == line), "{table:?}");
    }

    #[test]
    fn a_change_is_one_line() {
        let added = Change::Added(endpoint("a"));
        assert_eq!(
            line(None, &added, "10:00:00.000"),
            "10:00:00.000 + 10.1.0.1:8080  pod web-0  zone a  identity web.shop"
        );
        let changed = Change::Changed {
            before: endpoint("a").into(),
            after: endpoint(""),
        };
        assert_eq!(
            line(
                Some("web.shop.svc.cluster.local:80"),
                &changed,
                "10:00:00.000"
            ),
            "10:00:00.000 ~ 10.1.0.1:8080  web.shop.svc.cluster.local:80  pod web-0  zone: a -> none"
        );
    }

    #[test]
    fn an_event_is_one_object() {
        let changed = Change::Changed {
            before: endpoint("a").into(),
            after: endpoint("b"),
        };
        let event = event("web:80", &changed, "2026-01-01T00:00:00.000Z");
        assert_eq!(event["event"], "changed");
        assert_eq!(event["endpoint"]["zone"], "b");
        assert_eq!(event["before"]["zone"], "a");
        let object = object("web:80", &endpoint("a"));
        assert_eq!(object["authority"], "web:80");
        assert_eq!(object["ip"], "10.1.0.1");
    }
}
