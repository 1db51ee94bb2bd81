//! What may be stored (policy.md section 8.2): every rule with what it refuses and
//! what it admits. The cases are files, since the tests across crates ask a real API
//! server the same.

use ferrule_policy::validation::{is_validated, validate};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const POLICY: &str = "policy.linkerd.io";
const NAMESPACE: &str = "shop";

const FILES: [&str; 5] = [
    include_str!("../cases/authentications.yaml"),
    include_str!("../cases/authorizations.yaml"),
    include_str!("../cases/http_routes.yaml"),
    include_str!("../cases/limits.yaml"),
    include_str!("../cases/other_routes.yaml"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows.
    claim: String,
    #[serde(default = "policy")]
    group: String,
    kind: String,
    #[serde(default)]
    annotations: Map<String, Value>,
    #[serde(default)]
    spec: Option<Value>,
    /// How the message begins, if it is refused.
    refused: Option<String>,
    /// How a warning begins; without this there is none.
    warned: Option<String>,
    /// A definition as installed lets nobody store it: it is refused before.
    #[serde(default)]
    #[allow(dead_code, reason = "the tests with an API server need to know")]
    impossible: bool,
}

fn policy() -> String {
    POLICY.to_owned()
}

fn cases() -> impl Iterator<Item = Case> {
    FILES.into_iter().flat_map(|file| {
        let file = file.replace("NAMESPACE", NAMESPACE);
        serde_yaml::from_str::<Vec<Case>>(&file).expect("a list of cases")
    })
}

fn object(annotations: &Map<String, Value>, spec: Option<&Value>) -> Value {
    let mut object = json!({
        "metadata": {"name": "web", "namespace": NAMESPACE, "annotations": annotations},
    });
    if let Some(spec) = spec {
        object["spec"] = spec.clone();
    }
    object
}

#[test]
fn every_rule_refuses_what_it_should_and_admits_the_rest() {
    for case in cases() {
        let claim = &case.claim;
        let object = object(&case.annotations, case.spec.as_ref());
        let said = validate(&case.group, &case.kind, Some(NAMESPACE), &object);
        match (said, &case.refused, &case.warned) {
            (Err(refusal), Some(told), _) => {
                let said = refusal.to_string();
                assert!(said.starts_with(told), "{claim}: {said}");
            }
            (Ok(warnings), None, Some(told)) => {
                let is_told = warnings.iter().any(|warning| warning.starts_with(told));
                assert!(is_told, "{claim}: {warnings:?}");
            }
            (Ok(warnings), None, None) => assert!(warnings.is_empty(), "{claim}: {warnings:?}"),
            (Ok(_), Some(_), _) => panic!("{claim}: it is admitted"),
            (Err(refusal), None, _) => panic!("{claim}: {refusal}"),
        }
    }
}

#[test]
fn there_is_a_refused_and_an_admitted_case_of_every_kind() {
    let kinds: BTreeSet<_> = cases().map(|case| (case.group, case.kind)).collect();
    assert_eq!(kinds.len(), 12);
    for (group, kind) in kinds {
        let of = |case: &Case| case.group == group && case.kind == kind;
        for refused in [true, false] {
            let found = cases().any(|case| of(&case) && case.refused.is_some() == refused);
            assert!(found, "{kind} refused: {refused}");
        }
    }
}

#[test]
fn letters_of_group_and_kind_do_not_count() {
    let spec = json!({"trafficPolicy": "Allow"});
    for (group, kind) in [
        ("policy.linkerd.io", "EgressNetwork"),
        ("POLICY.linkerd.io", "egressnetwork"),
    ] {
        assert!(is_validated(group, kind));
        let said = validate(group, kind, None, &object(&Map::new(), Some(&spec)));
        assert_eq!(said, Ok(Vec::new()));
    }
    for (group, kind) in [
        ("", "EgressNetwork"),
        (POLICY, "Service"),
        ("linkerd.io", "ServiceProfile"),
    ] {
        assert!(!is_validated(group, kind));
        let said = validate(group, kind, None, &object(&Map::new(), Some(&spec)));
        let said = said.expect_err("no rules").to_string();
        assert!(said.starts_with("unsupported resource type"), "{said}");
    }
}

#[test]
fn where_the_namespace_is_not_known_any_may_be_meant() {
    let spec = json!({
        "targetRef": {"kind": "Namespace", "name": "another"}, "requiredAuthenticationRefs": [],
    });
    let object = object(&Map::new(), Some(&spec));
    assert_eq!(
        validate(POLICY, "AuthorizationPolicy", None, &object),
        Ok(Vec::new())
    );
}

/// JSON in which the names of fields are ones that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "10.0.0.0/8",
            "*.a",
            "spiffe://a/b",
            "Server",
            "Service",
            "EgressNetwork",
            POLICY,
            "/",
            "[",
            "1m30s",
            "-1s",
            "RequestRedirect",
            "RegularExpression",
            "18446744073709551616h",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        let field = prop::sample::select(vec![
            "networks",
            "cidr",
            "except",
            "identities",
            "identityRefs",
            "targetRef",
            "group",
            "kind",
            "name",
            "namespace",
            "requiredAuthenticationRefs",
            "server",
            "client",
            "meshTLS",
            "total",
            "requestsPerSecond",
            "overrides",
            "clientRefs",
            "podSelector",
            "matchExpressions",
            "port",
            "parentRefs",
            "rules",
            "matches",
            "filters",
            "path",
            "type",
            "value",
            "headers",
            "method",
            "timeouts",
            "request",
            "backendRequest",
            "backendRefs",
            "requestRedirect",
            "statusCode",
            "hostnames",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((field, inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(object in any_json(), spec in any_json()) {
        let kinds: Vec<_> = cases().map(|case| (case.group, case.kind)).collect();
        for (group, kind) in kinds {
            let _ = validate(&group, &kind, Some(NAMESPACE), &object);
            let _ = validate(&group, &kind, None, &json!({"metadata": object, "spec": spec}));
        }
    }

    /// What is nearly right is looked at more closely than what is nothing.
    #[test]
    fn nothing_in_the_place_of_a_field_makes_it_panic(
        value in any_json(),
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let cases: Vec<_> = cases().collect();
        let case = which.get(&cases);
        let mut object = object(&case.annotations, case.spec.as_ref());
        let places = places(&object);
        let place = at.get(&places);
        *object.pointer_mut(place).expect("a place of it") = value;
        let _ = validate(&case.group, &case.kind, Some(NAMESPACE), &object);
    }
}

/// JSON pointers to everything in a value.
fn places(value: &Value) -> Vec<String> {
    let below = |name: String, value: &Value| -> Vec<String> {
        let name = name.replace('~', "~0").replace('/', "~1");
        places(value)
            .into_iter()
            .map(|place| format!("/{name}{place}"))
            .collect()
    };
    let mut found = vec![String::new()];
    match value {
        Value::Object(fields) => {
            found.extend(
                fields
                    .iter()
                    .flat_map(|(name, value)| below(name.clone(), value)),
            );
        }
        Value::Array(elements) => {
            found.extend(
                elements
                    .iter()
                    .enumerate()
                    .flat_map(|(at, value)| below(at.to_string(), value)),
            );
        }
        _ => {}
    }
    found
}
