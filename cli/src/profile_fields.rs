//! A profile made readable.

use crate::endpoint::{Endpoint, resource};
use ferrule_proto::destination::{
    DestinationProfile, RequestMatch, RetryBudget, Route, request_match::Match,
};
use ferrule_proto::http_types::{HttpMethod, http_method};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// The value of a field that says nothing.
pub(crate) const NOTHING: &str = "-";

/// The fields of a profile for people: always the same ones.
pub(crate) fn fields(profile: &DestinationProfile) -> Vec<(&'static str, String)> {
    let endpoint = endpoint(profile);
    let of_endpoint =
        |read: fn(&Endpoint) -> String| endpoint.as_ref().map(read).unwrap_or_default();
    let overrides: Vec<_> = profile
        .dst_overrides
        .iter()
        .map(|dst| format!("{}={}", dst.authority, dst.weight))
        .collect();
    let fields = [
        ("name", profile.fully_qualified_name.clone()),
        (
            "opaque",
            if profile.opaque_protocol { "yes" } else { "no" }.to_owned(),
        ),
        (
            "retry budget",
            profile
                .retry_budget
                .as_ref()
                .map(budget)
                .unwrap_or_default(),
        ),
        (
            "parent",
            profile
                .parent_ref
                .as_ref()
                .map(resource)
                .unwrap_or_default(),
        ),
        (
            "profile",
            profile
                .profile_ref
                .as_ref()
                .map(resource)
                .unwrap_or_default(),
        ),
        (
            "routes",
            profile
                .routes
                .iter()
                .map(route)
                .collect::<Vec<_>>()
                .join("; "),
        ),
        ("split", overrides.join(", ")),
        (
            "endpoint",
            of_endpoint(|endpoint| endpoint.addr.to_string()),
        ),
        ("endpoint pod", of_endpoint(|endpoint| endpoint.pod.clone())),
        (
            "endpoint identity",
            of_endpoint(|endpoint| endpoint.identity.clone().unwrap_or_default()),
        ),
        ("endpoint hint", of_endpoint(Endpoint::hint_text)),
    ];
    let or_dash = |value: String| {
        if value.is_empty() {
            NOTHING.to_owned()
        } else {
            value
        }
    };
    fields
        .into_iter()
        .map(|(field, value)| (field, or_dash(value)))
        .collect()
}

/// A profile for programs.
pub(crate) fn object(authority: &str, profile: &DestinationProfile) -> Value {
    let routes: Vec<_> = profile
        .routes
        .iter()
        .map(|route| {
            json!({
                "condition": route.condition.as_ref().map(condition),
                "labels": route.metrics_labels,
                "retryable": route.is_retryable,
                "timeoutSeconds": route.timeout.map(seconds),
            })
        })
        .collect();
    let overrides: Vec<_> = profile
        .dst_overrides
        .iter()
        .map(|dst| json!({"authority": dst.authority, "weight": dst.weight}))
        .collect();
    json!({
        "authority": authority,
        "profile": {
            "fullyQualifiedName": profile.fully_qualified_name,
            "opaqueProtocol": profile.opaque_protocol,
            "retryBudget": profile.retry_budget.as_ref().map(|budget| json!({
                "retryRatio": ratio(budget),
                "minRetriesPerSecond": budget.min_retries_per_second,
                "ttlSeconds": budget.ttl.map(seconds),
            })),
            "parent": profile.parent_ref.as_ref().map(resource),
            "profile": profile.profile_ref.as_ref().map(resource),
            "routes": routes,
            "overrides": overrides,
            "endpoint": endpoint(profile),
        },
    })
}

fn endpoint(profile: &DestinationProfile) -> Option<Endpoint> {
    let wire = profile.endpoint.as_ref()?;
    Endpoint::read(wire, &BTreeMap::new())
}

fn budget(budget: &RetryBudget) -> String {
    let ttl = budget.ttl.map(seconds).unwrap_or_default();
    format!(
        "{} % of requests and {} a second, counted over {ttl} s",
        ratio(budget) * 100.0,
        budget.min_retries_per_second,
    )
}

/// The ratio as it was meant: 0.2, not the nearest `f32` to it.
fn ratio(budget: &RetryBudget) -> f64 {
    budget.retry_ratio.to_string().parse().unwrap_or_default()
}

/// A duration in seconds.
pub(crate) fn seconds(duration: prost_types::Duration) -> f64 {
    Duration::try_from(duration)
        .unwrap_or_default()
        .as_secs_f64()
}

fn route(route: &Route) -> String {
    let mut text = route.condition.as_ref().map(condition).unwrap_or_default();
    if route.is_retryable {
        text.push_str(" retryable");
    }
    if let Some(timeout) = route.timeout {
        text.push_str(&format!(" timeout {} s", seconds(timeout)));
    }
    text
}

fn condition(condition: &RequestMatch) -> String {
    let all = |seq: &[RequestMatch]| {
        seq.iter()
            .map(self::condition)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match &condition.r#match {
        None => "-".to_owned(),
        Some(Match::All(seq)) => format!("all({})", all(&seq.matches)),
        Some(Match::Any(seq)) => format!("any({})", all(&seq.matches)),
        Some(Match::Not(not)) => format!("not({})", self::condition(not)),
        Some(Match::Path(path)) => format!("path {}", path.regex),
        Some(Match::Method(method)) => self::method(method),
    }
}

/// `method GET`.
pub(crate) fn method(method: &HttpMethod) -> String {
    match &method.r#type {
        Some(http_method::Type::Registered(number)) => {
            match http_method::Registered::try_from(*number) {
                Ok(registered) => format!("method {}", registered.as_str_name()),
                Err(_) => format!("method {number}"),
            }
        }
        Some(http_method::Type::Unregistered(name)) => format!("method {name}"),
        None => "any method".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::destination::{PathMatch, WeightedDst, request_match::Seq};

    fn value(profile: &DestinationProfile, field: &str) -> String {
        let fields = fields(profile);
        let found = fields.iter().find(|(name, _)| *name == field);
        found.map(|(_, value)| value.clone()).expect("a field")
    }

    #[test]
    fn an_empty_profile_has_every_field_and_says_nothing() {
        let fields = fields(&DestinationProfile::default());
        assert!(fields.iter().all(|(name, value)| match *name {
            "opaque" => value == "no",
            _ => value == NOTHING,
        }));
    }

    #[test]
    fn a_budget_reads_as_it_was_written() {
        let profile = DestinationProfile {
            retry_budget: Some(RetryBudget {
                retry_ratio: 0.2,
                min_retries_per_second: 10,
                ttl: Some(prost_types::Duration {
                    seconds: 10,
                    nanos: 0,
                }),
            }),
            ..DestinationProfile::default()
        };
        assert_eq!(
            value(&profile, "retry budget"),
            "20 % of requests and 10 a second, counted over 10 s"
        );
        let object = object("web:80", &profile);
        assert_eq!(object["profile"]["retryBudget"]["retryRatio"], 0.2);
    }

    #[test]
    fn routes_and_splits_are_one_line_each() {
        let path = RequestMatch {
            r#match: Some(Match::Path(PathMatch {
                regex: "/carts/.*".into(),
            })),
        };
        let method = RequestMatch {
            r#match: Some(Match::Method(HttpMethod {
                r#type: Some(http_method::Type::Registered(1)),
            })),
        };
        let profile = DestinationProfile {
            routes: vec![Route {
                condition: Some(RequestMatch {
                    r#match: Some(Match::All(Seq {
                        matches: vec![path, method],
                    })),
                }),
                is_retryable: true,
                timeout: Some(prost_types::Duration {
                    seconds: 1,
                    nanos: 500_000_000,
                }),
                ..Route::default()
            }],
            dst_overrides: vec![WeightedDst {
                authority: "web-v2:80".into(),
                weight: 10,
                backend_ref: None,
            }],
            ..DestinationProfile::default()
        };
        assert_eq!(
            value(&profile, "routes"),
            "all(path /carts/.*, method POST) retryable timeout 1.5 s"
        );
        assert_eq!(value(&profile, "split"), "web-v2:80=10");
    }
}
