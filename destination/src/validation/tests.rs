//! Section 17 of destination.md, rule by rule, and scenario 134.

#![allow(
    clippy::needless_pass_by_value,
    reason = "values are written where they are used"
)]

use super::{Refusal, validate, validate_value};
use serde_json::{Value, json};

const NAME: &str = "web.ns.svc.cluster.local";

fn object(spec: Value) -> Value {
    json!({
        "apiVersion": "linkerd.io/v1alpha2",
        "kind": "ServiceProfile",
        "metadata": {"name": NAME, "namespace": "ns"},
        "spec": spec,
    })
}

/// One route with this beside its name.
fn route(fields: Value) -> Value {
    let mut route = json!({"name": "r", "condition": {"method": "GET"}});
    let fields = fields.as_object().expect("a literal").clone();
    route.as_object_mut().expect("a literal").extend(fields);
    object(json!({"routes": [route]}))
}

fn class(class: Value) -> Value {
    route(json!({"responseClasses": [class]}))
}

fn budget(budget: Value) -> Value {
    object(json!({"retryBudget": budget}))
}

/// What is said of an object; both ways in agree.
fn said(value: &Value) -> Option<String> {
    let said = |result: Result<(), Refusal>| result.err().map(|refusal| refusal.to_string());
    let of_text = said(validate(value.to_string().as_bytes()));
    assert_eq!(of_text, said(validate_value(value)), "{value}");
    of_text
}

#[test]
fn profiles_that_can_be_told_are_allowed() {
    for value in [
        object(json!({})),
        object(json!(null)),
        json!({"metadata": {"name": "x"}}),
        object(json!({"routes": null, "retryBudget": null, "dstOverrides": null})),
        route(json!({"timeout": "1ns", "isRetryable": true})),
        route(json!({"timeout": "", "responseClasses": null})),
        route(json!({"timeout": "-1.5h"})),
        route(json!({"condition": {"all": []}})),
        route(json!({"condition": {"any": [{"pathRegex": "("}, {"not": {"method": "X"}}]}})),
        class(json!({"condition": {"status": {}}, "isFailure": true})),
        class(json!({"condition": {"status": {"min": 500}}})),
        class(json!({"condition": {"all": [{"status": {"min": 100, "max": 599}}]}})),
        budget(json!({"retryRatio": 0, "minRetriesPerSecond": 0, "ttl": "0"})),
        budget(json!({"retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s"})),
        object(json!({"dstOverrides": [
            {"authority": "a", "weight": "500m"}, {"authority": "b", "weight": 1}, {"weight": 0.5},
        ]})),
        // The same name twice.
        object(json!({"routes": [
            {"name": "r", "condition": {"method": "GET"}},
            {"name": "r", "condition": {"method": "GET"}},
        ]})),
    ] {
        assert_eq!(said(&value), None, "{value}");
    }
}

#[test]
fn whatever_an_api_server_adds_is_allowed() {
    let value = json!({
        "apiVersion": "linkerd.io/v1alpha2",
        "kind": "ServiceProfile",
        "metadata": {
            "name": NAME, "namespace": "ns", "generateName": "web", "uid": "u",
            "resourceVersion": "5", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z",
            "deletionTimestamp": null, "labels": {"a": "b"}, "annotations": {"a": "b"},
            "finalizers": ["f"], "ownerReferences": [{"kind": "Service"}],
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {},
    });
    assert_eq!(said(&value), None);
}

#[test]
fn s134_each_rule_has_its_message() {
    let minimum = "Range minimum must be between 100 and 599, inclusive";
    let maximum = "Range maximum must be between 100 and 599, inclusive";
    for (value, told) in [
        (object(json!({"routes": [null]})), "has a null route"),
        (route(json!({"name": ""})), "has a route with no name"),
        (route(json!({"name": null})), "has a route with no name"),
        (
            route(json!({"timeout": "soon"})),
            "has a route with an invalid timeout: invalid duration \"soon\"",
        ),
        (
            route(json!({"timeout": "5"})),
            "has a route with an invalid timeout: missing unit in duration \"5\"",
        ),
        (
            route(json!({"condition": null})),
            "has a route with no condition",
        ),
        (
            route(json!({"condition": {}})),
            "has a route with an invalid condition: A request match must have a field set",
        ),
        (
            route(json!({"condition": {"not": {"all": [{}]}}})),
            "has a route with an invalid condition: A request match must have a field set",
        ),
        (
            route(json!({"condition": {"all": [null]}})),
            "has a route with an invalid condition: null condition \"all\"",
        ),
        (
            route(json!({"condition": {"any": [null]}})),
            "has a route with an invalid condition: null condition \"any\"",
        ),
        (class(json!(null)), "has a null response class"),
        (class(json!({})), "has a response class with no condition"),
        (
            class(json!({"condition": {}})),
            "has a response class with an invalid condition: A response match must have a field \
             set",
        ),
        (
            class(json!({"condition": {"status": {"min": 1}}})),
            &format!("has a response class with an invalid condition: {minimum}"),
        ),
        (
            class(json!({"condition": {"any": [{"status": {"max": 600}}]}})),
            &format!("has a response class with an invalid condition: {maximum}"),
        ),
        (
            class(json!({"condition": {"status": {"min": 201, "max": 200}}})),
            "has a response class with an invalid condition: Range maximum cannot be smaller than \
             minimum",
        ),
        (
            budget(json!({"retryRatio": -0.2, "ttl": "10s"})),
            "RetryBudget RetryRatio must be non-negative: -0.200000",
        ),
        (
            budget(json!({"retryRatio": 0.2})),
            "RetryBudget missing TTL field",
        ),
        (
            budget(json!({"ttl": "foo"})),
            "RetryBudget: invalid duration \"foo\"",
        ),
    ] {
        let said = said(&value).unwrap_or_else(|| panic!("{value} is allowed"));
        let told = format!("ServiceProfile {NAME:?} {told}");
        assert!(said.starts_with(&told), "{value}: {said}");
    }
}

#[test]
fn s134_a_name_is_an_rfc_1123_subdomain() {
    let named = |name: &str| json!({"metadata": {"name": name}, "spec": {"routes": [null]}});
    let long = ["a".repeat(200), "b".repeat(53)].join(".");
    for name in [
        "^.^", "", ".", "a..b", "-a", "a-", "a.-b", "Web", "a_b", &long,
    ] {
        let said = said(&named(name)).expect(name);
        let told = format!("ServiceProfile {name:?} has invalid name: ");
        assert!(said.starts_with(&told), "{said}");
    }
    for name in ["a", "0.a-b.c9", &long[1..]] {
        let said = said(&named(name)).expect("a null route");
        assert!(said.ends_with("has a null route"), "{said}");
    }
}

#[test]
fn what_does_not_fit_the_shape_is_refused_by_its_path_before_all_rules() {
    let mut status = object(json!({"routes": [null]}));
    status["status"] = json!({});
    let mut metadata = object(json!({}));
    metadata["metadata"]["nmae"] = json!("x");
    for (value, told) in [
        (status, "status: unknown field `status`"),
        (metadata, "metadata.nmae: unknown field `nmae`"),
        (object(json!({"foo": 1})), "spec.foo: unknown field `foo`"),
        (
            object(json!({"routes": [null, {"foo": 1}]})),
            "spec.routes[1].foo: unknown field `foo`",
        ),
        (
            route(json!({"condition": {"all": [{"foo": 1}]}})),
            "spec.routes[0].condition.all[0].foo: unknown field `foo`",
        ),
        (
            route(json!({"condition": {"method": 1}})),
            "spec.routes[0].condition.method: invalid type: integer `1`, expected a string",
        ),
        (
            route(json!({"condition": {"not": []}})),
            "spec.routes[0].condition.not: invalid type: sequence, expected an object",
        ),
        (
            route(json!({"isRetryable": "yes"})),
            "spec.routes[0].isRetryable: invalid type: string \"yes\", expected a boolean",
        ),
        (
            class(json!({"condition": {"status": {"min": -1}}})),
            "spec.routes[0].responseClasses[0].condition.status.min: invalid value: integer `-1`, \
             expected u32",
        ),
        (
            budget(json!({"minRetriesPerSecond": -1})),
            "spec.retryBudget.minRetriesPerSecond: invalid value: integer `-1`, expected u32",
        ),
        (
            object(json!({"dstOverrides": [{"weight": "much"}]})),
            "spec.dstOverrides[0].weight: not a quantity such as 1 or 500m",
        ),
        (
            object(json!({"opaquePorts": ["80"]})),
            "spec.opaquePorts: invalid type: sequence, expected nothing, since it has no effect",
        ),
        (object(json!("x")), "spec: invalid type: string \"x\""),
        (
            budget(json!([0.2, 10, "10s"])),
            "spec.retryBudget: invalid type: sequence, expected an object",
        ),
        (
            class(json!({"condition": {"status": [200, 299]}})),
            "spec.routes[0].responseClasses[0].condition.status: invalid type: sequence",
        ),
        (json!([]), "invalid type: sequence, expected an object"),
    ] {
        let said = said(&value).unwrap_or_else(|| panic!("{value} is allowed"));
        let told = format!("failed to validate ServiceProfile: {told}");
        assert!(said.starts_with(&told), "{value}: {said}");
    }
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    for (text, told) in [
        (r#"{"spec": {}, "spec": {}}"#, "duplicate field `spec`"),
        (
            r#"{"spec": {"routes": [{"condition": {"not": {"method": "A", "method": "B"}}}]}}"#,
            "spec.routes[0].condition.not: duplicate field `method`",
        ),
        (
            r#"{"metadata": {"labels": {"a": "1", "a": "2"}}}"#,
            "metadata.labels: duplicate field `a`",
        ),
    ] {
        let said = validate(text.as_bytes()).expect_err(text).to_string();
        let told = format!("failed to validate ServiceProfile: {told}");
        assert!(said.starts_with(&told), "{said}");
    }
}

#[test]
fn what_is_no_json_is_refused_without_panicking() {
    let deep = format!(
        r#"{{"metadata": {{"name": "x"}}, "spec": {{"routes": [{{"name": "r", "condition": {}1{}}}]}}}}"#,
        r#"{"not":"#.repeat(10_000),
        "}".repeat(10_000)
    );
    for text in ["", "{", "nonsense", r#"{"spec": {}} {}"#, "\u{0}", &deep] {
        let said = validate(text.as_bytes()).expect_err(text).to_string();
        assert!(
            said.starts_with("failed to validate ServiceProfile: "),
            "{said}"
        );
        assert!(!said.contains(" at line "), "{said}");
    }
}

/// What is allowed can be told: nested just as deep as the index reads it.
#[test]
fn conditions_nested_deeper_than_can_be_told_are_refused() {
    let nested = |depth: usize| {
        let inner = json!({"method": "GET"});
        route(json!({"condition": (1..depth).fold(inner, |inner, _| json!({"all": [inner]}))}))
    };
    assert_eq!(said(&nested(32)), None);
    let said = said(&nested(33)).expect("too deep");
    assert!(said.ends_with("conditions may be nested 32 deep"), "{said}");
}
