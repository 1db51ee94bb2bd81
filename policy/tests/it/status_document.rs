//! policy.md section 7.7: what is written, beside what others wrote.

use crate::judged::{on, on_service};
use ferrule_cluster::object::{
    StatusCondition,
    route::{Parent, ParentKind, ParentStatus},
};
use ferrule_policy::Status;
use serde_json::{Value, json};

const NOW: &str = "2026-01-02T03:04:05Z";
const BEFORE: &str = "2025-01-01T00:00:00Z";

fn condition(kind: &str, holds: bool, reason: &str) -> StatusCondition {
    let status = if holds { "True" } else { "False" };
    StatusCondition {
        kind: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: "".into(),
    }
}

fn status(parent: Parent, conditions: &[StatusCondition]) -> ParentStatus {
    ParentStatus {
        parent: parent.key,
        port: parent.port,
        conditions: conditions.into(),
    }
}

fn written(kind: &str, status: &str, reason: &str, since: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": "",
        "lastTransitionTime": since,
    })
}

fn entry(controller: &str, reference: &Value, conditions: &[Value]) -> Value {
    json!({"parentRef": reference, "controllerName": controller, "conditions": conditions})
}

fn web() -> Value {
    json!({"group": "core", "kind": "Service", "namespace": "ns", "name": "web"})
}

fn foreign() -> Value {
    let reference = json!({"name": "web", "sectionName": "x", "unknown": [1]});
    entry(
        "example.com/gateway",
        &reference,
        &[json!({"type": "Odd", "observedGeneration": 7})],
    )
}

fn on_web() -> Status {
    let conditions = [
        condition("Accepted", true, "Accepted"),
        condition("ResolvedRefs", false, "BackendNotFound"),
    ];
    Status::Route(vec![status(on_service("web"), &conditions)])
}

const OURS: &str = "linkerd.io/policy-controller";

#[test]
fn a_first_status_names_each_parent_as_linkerd_does() {
    let accepted = [condition("Accepted", true, "Accepted")];
    let parents = vec![
        status(on(ParentKind::Server, "http", None), &accepted),
        status(on(ParentKind::Service, "web", Some(80)), &accepted),
        status(on(ParentKind::EgressNetwork, "all", None), &accepted),
    ];
    let found = Status::Route(parents).document(&Value::Null, NOW);
    let accepted = [written("Accepted", "True", "Accepted", NOW)];
    let reference =
        |group, kind, name| json!({"group": group, "kind": kind, "namespace": "ns", "name": name});
    let mut service = reference("core", "Service", "web");
    service["port"] = 80.into();
    let policy = "policy.linkerd.io";
    let expected = json!({"parents": [
        entry(OURS, &reference(policy, "Server", "http"), &accepted),
        entry(OURS, &service, &accepted),
        entry(OURS, &reference(policy, "EgressNetwork", "all"), &accepted),
    ]});
    assert_eq!(found, Some(expected));
}

#[test]
fn s144_what_others_wrote_comes_first_and_is_not_touched() {
    let ours = entry(
        OURS,
        &web(),
        &[written("Accepted", "True", "Accepted", BEFORE)],
    );
    let current = json!({"parents": [ours, foreign()], "other": 1});
    let expected = json!({"parents": [
        foreign(),
        entry(OURS, &web(), &[
            written("Accepted", "True", "Accepted", BEFORE),
            written("ResolvedRefs", "False", "BackendNotFound", NOW),
        ]),
    ]});
    let new = on_web().document(&current, NOW);
    assert_eq!(new, Some(expected.clone()));
    assert_eq!(on_web().document(&expected, "later"), None, "in this order");
    let mut turned = expected;
    turned["parents"].as_array_mut().expect("a list").reverse();
    assert_eq!(on_web().document(&turned, "later"), None, "in any order");
}

#[test]
fn a_condition_that_changes_has_a_new_time() {
    let ours = entry(
        OURS,
        &web(),
        &[
            written("Accepted", "False", "NoMatchingParent", BEFORE),
            written("ResolvedRefs", "False", "InvalidKind", BEFORE),
        ],
    );
    let found = on_web().document(&json!({"parents": [ours]}), NOW);
    let expected = entry(
        OURS,
        &web(),
        &[
            written("Accepted", "True", "Accepted", NOW),
            // It did not hold before, for another reason.
            written("ResolvedRefs", "False", "BackendNotFound", BEFORE),
        ],
    );
    assert_eq!(found, Some(json!({"parents": [expected]})));
}

#[test]
fn our_entries_go_with_their_parents_and_nothing_is_written_for_nothing() {
    let none = Status::Route(Vec::new());
    for current in [
        Value::Null,
        json!({}),
        json!({"parents": []}),
        json!({"parents": [foreign()]}),
    ] {
        assert_eq!(none.document(&current, NOW), None, "{current}");
    }
    let ours = entry(OURS, &web(), &[]);
    let found = none.document(&json!({"parents": [ours, foreign()]}), NOW);
    assert_eq!(found, Some(json!({"parents": [foreign()]})));
    let found = none.document(&json!({"parents": [ours]}), NOW);
    assert_eq!(found, Some(json!({"parents": []})));
}

#[test]
fn a_stored_status_that_makes_no_sense_is_replaced_as_far_as_it_is_ours() {
    for current in [
        json!({"parents": "x"}),
        json!({"parents": [{"controllerName": OURS}]}),
        json!({"parents": [{"controllerName": OURS, "parentRef": web(), "conditions": 5}]}),
        json!([]),
    ] {
        let found = on_web().document(&current, NOW).expect("a change");
        assert_eq!(
            found["parents"].as_array().map(Vec::len),
            Some(1),
            "{current}"
        );
    }
    let odd = json!({"parents": [17, {"controllerName": ["x"]}]});
    let found = on_web().document(&odd, NOW).expect("a change");
    assert_eq!(found["parents"][0], 17);
    assert_eq!(found["parents"].as_array().map(Vec::len), Some(3));
}

#[test]
fn other_conditions_of_an_egress_network_are_kept_in_front() {
    let status = Status::EgressNetwork(condition("Accepted", true, "Accepted"));
    let other = json!({"type": "Known", "status": "Maybe"});
    let old = written("Accepted", "False", "EgressReasonNetworkOverlap", BEFORE);
    let found = status.document(&json!({"conditions": [old, other]}), NOW);
    let new = written("Accepted", "True", "Accepted", NOW);
    let expected = json!({"conditions": [other, new]});
    assert_eq!(found.as_ref(), Some(&expected));
    assert_eq!(status.document(&expected, "later"), None);
    // Twice the same type is once too often.
    let twice = json!({"conditions": [new, new]});
    assert_eq!(
        status.document(&twice, NOW),
        Some(json!({"conditions": [new]}))
    );
}

#[test]
fn a_rate_limit_says_which_server_it_is_for() {
    let status = Status::RateLimit {
        server: "http".into(),
        condition: condition("Accepted", false, "NoMatchingTarget"),
    };
    let target = json!({"group": "policy.linkerd.io", "kind": "Server", "name": "http"});
    let new = written("Accepted", "False", "NoMatchingTarget", NOW);
    let expected = json!({"conditions": [new], "targetRef": target});
    assert_eq!(status.document(&Value::Null, NOW), Some(expected.clone()));
    assert_eq!(status.document(&expected, "later"), None);
}
