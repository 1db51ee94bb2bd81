use super::*;
use crate::object::{GoDuration, MAX_MATCH_DEPTH, Match, ProfileRoute, RequestTest, RetryBudget};

fn profile(spec: Value) -> (Option<object::ServiceProfile>, Vec<String>) {
    let converted = convert::<ServiceProfile>(named(json!({"spec": spec})));
    let Object::ServiceProfile(profile) = converted.object else {
        unreachable!()
    };
    (profile, converted.problems)
}

fn get() -> Value {
    json!({"method": "GET"})
}

#[test]
fn every_part_of_a_profile_is_read() {
    let (profile, problems) = profile(json!({
        "opaquePorts": ["80"],
        "routes": [
            {
                "name": "GET /p", "condition": {"method": "GET", "pathRegex": "/p"},
                "isRetryable": true, "timeout": "200ms",
                "responseClasses": [{"condition": {"status": {"min": 500, "max": 599}}, "isFailure": true}],
            },
            {"name": "zero", "condition": get(), "timeout": "0s"},
            null,
        ],
        "retryBudget": {"retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s"},
        "dstOverrides": [
            {"authority": "a.ns.svc.cluster.local", "weight": "500m"},
            {"authority": "b.ns.svc.cluster.local:9000", "weight": 1},
            {"authority": "c", "weight": 0.25},
            {"authority": "d", "weight": "-1"},
        ],
    }));
    assert_eq!(problems, [""; 0]);
    let profile = profile.unwrap();
    let [first, zero] = &*profile.routes else {
        panic!("{:?}", profile.routes)
    };
    assert_eq!(&*first.name, "GET /p");
    assert!(first.retryable);
    assert_eq!(first.timeout, Some(GoDuration::from_nanos(200_000_000)));
    let Match::All(tests) = &first.condition else {
        panic!("{:?}", first.condition)
    };
    assert_eq!(tests[1], Match::Is(RequestTest::Path("/p".into())));
    let Match::Is(range) = first.response_classes[0].condition else {
        panic!("{:?}", first.response_classes)
    };
    assert_eq!((range.min(), range.max()), (500, 599));
    assert!(first.response_classes[0].failure);
    assert_eq!(zero.timeout, None);
    let budget = RetryBudget {
        ratio: 0.2,
        min_per_second: 10,
        ttl: GoDuration::from_nanos(10_000_000_000),
    };
    assert_eq!(profile.retry_budget, Some(budget));
    let weights: Vec<_> = profile.overrides.iter().map(|to| to.weight).collect();
    assert_eq!(weights, [500, 1_000, 250, 0]);
    assert_eq!(
        &*profile.overrides[1].authority,
        "b.ns.svc.cluster.local:9000"
    );
}

#[test]
fn s98_opaque_ports_are_not_read() {
    let with = json!({"opaquePorts": ["80"], "dstOverrides": [{"authority": "a", "weight": 1}]});
    let without = json!({"dstOverrides": [{"authority": "a", "weight": 1}]});
    assert_eq!(profile(with), profile(without));
}

#[test]
fn an_empty_profile_is_one() {
    for spec in [
        json!({}),
        json!(null),
        json!({"routes": null, "retryBudget": null}),
    ] {
        assert_eq!(
            profile(spec),
            (Some(object::ServiceProfile::default()), vec![])
        );
    }
}

#[test]
fn what_can_be_done_without_is_reported_and_the_rest_counts() {
    let (profile, problems) = profile(json!({"routes": [{
        "name": 5, "condition": get(), "timeout": "5 s", "isRetryable": "yes",
    }]}));
    let expected = ProfileRoute {
        name: "".into(),
        condition: Match::Is(RequestTest::Method("GET".into())),
        response_classes: Box::default(),
        retryable: false,
        timeout: None,
    };
    assert_eq!(*profile.unwrap().routes, [expected]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("spec.routes[0].timeout: unknown unit"));
}

#[test]
fn a_mistake_that_would_change_what_the_rest_means_makes_the_object_untellable() {
    let deep = (0..MAX_MATCH_DEPTH).fold(get(), |inner, _| json!({"all": [inner]}));
    let nested = (0..MAX_MATCH_DEPTH).fold(get(), |inner, _| json!({"not": inner}));
    for (spec, told) in [
        (
            json!({"routes": [{"name": "x"}]}),
            "spec.routes[0].condition: missing",
        ),
        (
            json!({"routes": [{"condition": {}}]}),
            "spec.routes[0].condition: A request match must have a field set",
        ),
        (
            json!({"routes": [{"condition": {"any": [null]}}]}),
            "spec.routes[0].condition: null condition",
        ),
        (
            json!({"routes": [{"condition": "GET"}]}),
            "spec.routes[0].condition: expected an object",
        ),
        (
            json!({"routes": [{"condition": deep}]}),
            "spec.routes[0].condition: expected an object nested at most 64 levels deep",
        ),
        (
            json!({"routes": [{"condition": nested}]}),
            "spec.routes[0].condition: conditions may be nested 32 deep",
        ),
        (
            json!({"routes": [5]}),
            "spec.routes[0]: expected an object, found 5",
        ),
        (
            json!({"routes": [{"condition": get(), "responseClasses": [
                {"condition": {"status": {"min": 201, "max": 200}}},
            ]}]}),
            "spec.routes[0].responseClasses[0].condition: Range maximum cannot be smaller",
        ),
        (
            json!({"retryBudget": {"retryRatio": 0.2, "minRetriesPerSecond": 1, "ttl": "foo"}}),
            "spec.retryBudget.ttl: invalid duration \"foo\"",
        ),
        (
            json!({"retryBudget": {"retryRatio": 0.2}}),
            "spec.retryBudget.ttl: invalid duration \"\"",
        ),
        (
            json!({"retryBudget": {"minRetriesPerSecond": -1, "ttl": "1s"}}),
            "spec.retryBudget.minRetriesPerSecond: expected a number that is not negative",
        ),
        (
            json!({"dstOverrides": [{"authority": "a", "weight": "much"}]}),
            "spec.dstOverrides[0].weight: expected a weight such as 1 or 500m, found \"much\"",
        ),
        (json!([]), "spec: expected an object, found a list"),
    ] {
        let (profile, problems) = profile(spec.clone());
        assert_eq!(profile, None, "{spec}");
        assert!(problems[0].starts_with(told), "{spec}: {problems:?}");
        assert!(problems[0].ends_with("stays in force"), "{problems:?}");
    }
}

/// A stranger's object must not end the watch of its kind, which parses a page of
/// many at once.
#[test]
fn a_condition_nested_too_deep_for_a_parser_leaves_other_objects_readable() {
    let nested = format!("{}{}", r#"{"all":["#.repeat(5_000), "]}".repeat(5_000));
    let text = format!(
        r#"{{"kind": "ServiceProfileList", "apiVersion": "linkerd.io/v1alpha2", "metadata": {{}},
            "items": [
                {{"metadata": {{"name": "deep"}}, "spec": {{"routes": [{{"condition": {nested}}}]}}}},
                {{"metadata": {{"name": "flat"}}, "spec": {{}}}}
            ]}}"#
    );
    let list: kube::core::ObjectList<Wire<ServiceProfile>> = serde_json::from_str(&text).unwrap();
    let profiles: Vec<_> = list
        .items
        .into_iter()
        .map(|wire| wire.convert(&Interner::new(), "").unwrap())
        .map(|converted| (converted.key.name, converted.object))
        .collect();
    assert_eq!(
        profiles,
        [
            ("deep".into(), Object::ServiceProfile(None)),
            ("flat".into(), object::ServiceProfile::default().into()),
        ]
    );
}
