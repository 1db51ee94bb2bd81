//! What a ServiceProfile says, as it is told (destination.md section 11.3).

use ferrule_cluster::object::{self, GoDuration, Match, RequestTest, StatusRange};
use ferrule_proto::{
    destination::{
        HttpStatusRange, PathMatch, RequestMatch, ResponseClass, ResponseMatch, RetryBudget, Route,
        WeightedDst, request_match, response_match,
    },
    http_types::{HttpMethod, http_method},
};

/// The label that names a route in metrics.
const ROUTE_LABEL: &str = "route";
/// Weights are told in ten-thousandths.
const PER_THOUSANDTH: u128 = 10;
/// One more trips an assertion in the proxy's retry budget (api.md section 2.6).
const MAX_MIN_RETRIES: u32 = 2_147_483_646;
const NANOS: i64 = 1_000_000_000;

pub(super) fn route(route: &object::ProfileRoute) -> Route {
    Route {
        condition: Some(request_match(&route.condition)),
        response_classes: route.response_classes.iter().map(response_class).collect(),
        metrics_labels: [(ROUTE_LABEL.to_owned(), route.name.to_string())].into(),
        is_retryable: route.retryable,
        timeout: route.timeout.map(duration),
    }
}

pub(super) fn retry_budget(budget: object::RetryBudget) -> RetryBudget {
    RetryBudget {
        retry_ratio: budget.ratio,
        min_retries_per_second: budget.min_per_second.min(MAX_MIN_RETRIES),
        ttl: Some(budget.ttl).filter(|ttl| !ttl.is_zero()).map(duration),
    }
}

/// Where a Service's requests go. A proxy panics where the sum of the weights is no
/// u32 (api.md section 2.9): then all are told smaller in proportion, but none that
/// is more than 0 as 0.
pub(super) fn dst_overrides(overrides: &[object::Override], port: u16) -> Vec<WeightedDst> {
    let weight = |to: &object::Override| u128::from(to.weight) * PER_THOUSANDTH;
    let sum: u128 = overrides.iter().map(weight).sum();
    let most = u128::from(u32::MAX);
    // Each may have to be one more than its share.
    let room = most.saturating_sub(overrides.len() as u128);
    let scaled = |weight: u128| match weight {
        0 => 0,
        weight if sum <= most => weight,
        weight => (weight * room / sum).max(1),
    };
    overrides
        .iter()
        .map(|to| dst_override(to, scaled(weight(to)), port))
        .collect()
}

/// An authority without a port means the one that was asked for.
fn dst_override(to: &object::Override, weight: u128, port: u16) -> WeightedDst {
    let authority = &to.authority;
    WeightedDst {
        authority: if has_port(authority) {
            authority.to_string()
        } else {
            format!("{authority}:{port}")
        },
        weight: u32::try_from(weight).unwrap_or(u32::MAX),
        backend_ref: None,
    }
}

/// Whether it is `host:port`, with an IPv6 host in brackets.
fn has_port(authority: &str) -> bool {
    match authority.strip_prefix('[') {
        Some(rest) => rest
            .split_once("]:")
            .is_some_and(|(_, port)| !port.contains(':')),
        None => authority.matches(':').count() == 1,
    }
}

fn request_match(condition: &Match<RequestTest>) -> RequestMatch {
    use request_match::{Match as Told, Seq};
    let seq = |children: &[Match<RequestTest>]| Seq {
        matches: children.iter().map(request_match).collect(),
    };
    let told = match condition {
        Match::All(children) => Told::All(seq(children)),
        Match::Any(children) => Told::Any(seq(children)),
        Match::Not(child) => Told::Not(Box::new(request_match(child))),
        Match::Is(RequestTest::Method(name)) => Told::Method(method(name)),
        Match::Is(RequestTest::Path(regex)) => Told::Path(PathMatch {
            regex: regex.to_string(),
        }),
    };
    RequestMatch {
        r#match: Some(told),
    }
}

fn response_class(class: &object::ResponseClass) -> ResponseClass {
    ResponseClass {
        condition: Some(response_match(&class.condition)),
        is_failure: class.failure,
    }
}

fn response_match(condition: &Match<StatusRange>) -> ResponseMatch {
    use response_match::{Match as Told, Seq};
    let seq = |children: &[Match<StatusRange>]| Seq {
        matches: children.iter().map(response_match).collect(),
    };
    let told = match condition {
        Match::All(children) => Told::All(seq(children)),
        Match::Any(children) => Told::Any(seq(children)),
        Match::Not(child) => Told::Not(Box::new(response_match(child))),
        Match::Is(range) => Told::Status(HttpStatusRange {
            min: range.min(),
            max: range.max(),
        }),
    };
    ResponseMatch {
        r#match: Some(told),
    }
}

fn method(name: &str) -> HttpMethod {
    use http_method::{Registered, Type};
    let name = name.to_uppercase();
    let told = match Registered::from_str_name(&name) {
        Some(registered) => Type::Registered(registered.into()),
        None => Type::Unregistered(name),
    };
    HttpMethod { r#type: Some(told) }
}

/// Seconds and nanoseconds have one sign.
fn duration(duration: GoDuration) -> prost_types::Duration {
    let nanos = duration.nanos();
    prost_types::Duration {
        seconds: nanos / NANOS,
        nanos: i32::try_from(nanos % NANOS).expect("less than a second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_proportion_and_their_sum_is_a_u32() {
        for (weights, told) in [
            (&[500, 1_000, 0][..], &[5_000, 10_000, 0][..]),
            (&[429_496_729], &[4_294_967_290]),
            (&[300_000_000; 2], &[2_147_483_646; 2]),
            (&[1, u64::MAX], &[1, u32::MAX - 3]),
            (&[2 << 60, 1 << 60, 0], &[2_863_311_528, 1_431_655_764, 0]),
        ] {
            let overrides: Vec<_> = weights
                .iter()
                .map(|&weight| object::Override {
                    authority: "a".into(),
                    weight,
                })
                .collect();
            let told_of = dst_overrides(&overrides, 80);
            let told_of: Vec<_> = told_of.iter().map(|to| to.weight).collect();
            assert_eq!(told_of, told);
            assert!(
                told_of
                    .iter()
                    .try_fold(0_u32, |sum, &weight| sum.checked_add(weight))
                    .is_some()
            );
        }
    }

    #[test]
    fn a_retry_budget_is_one_that_the_proxys_library_takes() {
        for (written, told) in [
            (10, 10),
            (2_147_483_647, 2_147_483_646),
            (u32::MAX, 2_147_483_646),
        ] {
            let budget = retry_budget(object::RetryBudget {
                ratio: 0.2,
                min_per_second: written,
                ttl: GoDuration::default(),
            });
            assert_eq!(budget.min_retries_per_second, told);
        }
    }

    #[test]
    fn an_authority_without_a_port_gets_the_one_that_was_asked_for() {
        for (authority, told) in [
            ("a.ns.svc.cluster.local", "a.ns.svc.cluster.local:80"),
            ("a.ns.svc.cluster.local:9000", "a.ns.svc.cluster.local:9000"),
            ("[2001:db8::1]", "[2001:db8::1]:80"),
            ("[2001:db8::1]:9000", "[2001:db8::1]:9000"),
            ("2001:db8::1", "2001:db8::1:80"),
            ("a:http", "a:http"),
        ] {
            let to = object::Override {
                authority: authority.into(),
                weight: 500,
            };
            let told_of = &dst_overrides(&[to], 80)[0];
            assert_eq!((&*told_of.authority, told_of.weight), (told, 5_000));
        }
    }

    #[test]
    fn methods_are_upper_case_and_known_by_number() {
        use http_method::Type;
        for (name, expected) in [
            ("get", Type::Registered(0)),
            ("TRACE", Type::Registered(8)),
            ("Purge", Type::Unregistered("PURGE".into())),
        ] {
            assert_eq!(method(name).r#type, Some(expected), "{name}");
        }
    }

    #[test]
    fn a_negative_duration_has_one_sign() {
        let told = duration(GoDuration::from_nanos(-1_500_000_000));
        assert_eq!((told.seconds, told.nanos), (-1, -500_000_000));
    }
}
