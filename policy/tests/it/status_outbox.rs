//! policy.md section 7: what waits to be written, and for how long.

use crate::{judged::*, support::*};
use ferrule_cluster::{
    object::{
        Kind, StatusCondition,
        route::{Parent, ParentKind, ParentStatus, Route, RouteKind},
    },
    source::Event,
};
use ferrule_policy::{Fresh, Unmet, explain};

const ALL: [&str; 1] = ["web Accepted, ResolvedRefs"];

#[test]
fn nothing_is_to_be_written_in_a_quiet_cluster_nor_for_what_says_nothing() {
    let mut judged = Judged::unsynced();
    // Before all has been listed nothing is judged, however long that takes.
    judged.route(RouteKind::Http, "r", on_web());
    for kind in Kind::ALL {
        judged.apply("web", web());
        assert!(judged.outbox.is_empty(), "{kind}");
        judged.feed(Event::Synced(kind));
    }
    assert_eq!(judged.settle(), 1);
    let put = judged.outbox.put_count();
    judged.route(RouteKind::Http, "gateways", route(&[], &[]));
    judged.apply("other", service(&["10.0.0.9"]));
    judged.apply("web", service(&["10.0.0.1", "10.0.0.2"]));
    judged.apply("pod", pod(template()));
    judged.feed(Event::Relisting(Kind::HttpRoute));
    for (key, object) in judged.objects.clone() {
        if key.kind == Kind::HttpRoute {
            judged.feed(applied(key.key, object));
        }
    }
    judged.feed(Event::Synced(Kind::HttpRoute));
    assert_eq!(judged.outbox.put_count(), put);
    assert!(judged.outbox.take_fresh().is_empty());
}

#[test]
fn an_object_waits_once_with_what_is_to_be_said_of_it_now() {
    let mut judged = Judged::new();
    let key = route_key(RouteKind::Http, "r");
    let fresh = |is_edited| {
        let key = key.clone();
        [Fresh { key, is_edited }]
    };
    judged.route(RouteKind::Http, "r", on_web());
    assert_eq!(judged.outbox.take_fresh(), fresh(false));
    assert_eq!(judged.outbox.take_fresh(), []);
    judged.apply("web", web());
    assert_eq!(judged.outbox.len(), 1);
    let status = judged.outbox.get(&key).expect("it waits");
    assert!(
        status
            .conditions()
            .all(|(_, condition)| *condition.status == *"True")
    );
    assert_eq!(judged.outbox.take_fresh(), fresh(false));
    // Somebody has written something else: the writer is told again.
    let other = ParentStatus {
        parent: on_service("other").key,
        port: None,
        conditions: Box::default(),
    };
    let overwritten = Route {
        status: [other].into(),
        ..on_web()
    };
    judged.route(RouteKind::Http, "r", overwritten);
    assert_eq!(judged.outbox.take_fresh(), fresh(true));
    // What becomes of its parent is no edit of it.
    judged.delete(Kind::Service, "web");
    assert_eq!(judged.outbox.take_fresh(), fresh(false));
    judged.apply("web", web());
    // What came to nothing is not told.
    judged.delete(Kind::Service, "web");
    judged.delete(Kind::HttpRoute, "r");
    assert!(judged.outbox.is_empty() && judged.outbox.take_fresh().is_empty());
}

#[test]
fn of_a_kind_that_nobody_may_read_it_is_not_said_that_there_are_none() {
    let mut judged = Judged::without(&[Kind::Server]);
    judged.apply("web", web());
    let accepted = StatusCondition {
        kind: "Accepted".into(),
        status: "True".into(),
        reason: "Accepted".into(),
        message: "".into(),
    };
    let on_server = on(ParentKind::Server, "http", None);
    let written = ParentStatus {
        parent: on_server.key.clone(),
        port: None,
        conditions: [accepted.clone()].into(),
    };
    let parents: [Parent; 2] = [on_server, on_service("web")];
    let known = Route {
        status: [written].into(),
        ..route(&parents, &[])
    };
    judged.route(RouteKind::Http, "old", known);
    judged.route(RouteKind::Http, "new", route(&parents, &[]));
    judged.apply("limit", limit(Some("http"), None));
    assert_eq!(
        judged.said(RouteKind::Http, "old"),
        ["http Accepted", "web Accepted, ResolvedRefs"]
    );
    assert_eq!(judged.said(RouteKind::Http, "new"), ALL);
    assert_eq!(judged.conditions(Kind::RateLimit, "limit"), [""; 0]);
    // It may be read, and there are none.
    judged.list(Kind::Server);
    let gone = [
        "http !Accepted NoMatchingParent",
        "web Accepted, ResolvedRefs",
    ];
    assert_eq!(judged.said(RouteKind::Http, "old"), gone);
    assert_eq!(judged.said(RouteKind::Http, "new"), gone);
    let lost = judged.conditions(Kind::RateLimit, "limit");
    assert_eq!(lost, ["!Accepted NoMatchingTarget"]);
}

#[test]
fn what_does_not_hold_is_counted_by_reason_and_explained() {
    let mut judged = Judged::new();
    judged.apply("web", web());
    judged.route(RouteKind::Grpc, "g", on_web());
    judged.route(RouteKind::Http, "h", on_web());
    let nope = to(ParentKind::Service, "nope");
    judged.route(
        RouteKind::Http,
        "lost",
        route(&[on_service("lost")], &[nope]),
    );
    judged.apply("limit", limit(Some("http"), None));
    judged.settle();
    let unmet = |kind, condition: &str, reason: &str| Unmet {
        kind,
        condition: condition.into(),
        reason: reason.into(),
    };
    let counts: Vec<_> = judged.outbox.unmet().into_iter().collect();
    assert_eq!(
        counts,
        [
            (unmet(Kind::RateLimit, "Accepted", "NoMatchingTarget"), 1),
            (unmet(Kind::HttpRoute, "Accepted", "NoMatchingParent"), 1),
            (
                unmet(Kind::HttpRoute, "Accepted", "RouteReasonConflicted"),
                1
            ),
            (unmet(Kind::HttpRoute, "ResolvedRefs", "BackendNotFound"), 1),
        ]
    );
    for (unmet, _) in counts {
        let condition = StatusCondition {
            kind: unmet.condition,
            status: "False".into(),
            reason: unmet.reason,
            message: "".into(),
        };
        assert!(!explain(&condition).is_empty(), "{condition:?}");
    }
    for (kind, name) in [(Kind::HttpRoute, "lost"), (Kind::RateLimit, "limit")] {
        judged.delete(kind, name);
    }
    judged.delete(Kind::GrpcRoute, "g");
    assert!(
        judged.outbox.unmet().is_empty(),
        "{:?}",
        judged.outbox.unmet()
    );
}
