use super::*;
use crate::object::route::{
    Backend, BackendTarget, Filter, HeaderChanges, HttpMatch, MatchValue, Method, NamedMatch,
    Parent, ParentKey, ParentKind, PathChange, PathMatch, Redirect, Route, RouteSpec, Rules,
    Scheme,
};
use std::time::Duration;

fn route<T: Watched>(fields: Value) -> (Route, Vec<String>) {
    let converted = convert::<T>(named(fields));
    let Object::Route(_, route) = converted.object else {
        unreachable!()
    };
    (route, converted.problems)
}

/// The spec of a policy HTTPRoute with this one rule, and what is wrong with it.
fn rule(rule: Value) -> (Option<RouteSpec>, Vec<String>) {
    let (route, problems) = route::<PolicyHttpRoute>(json!({"spec": {"rules": [rule]}}));
    let spec = route.spec.map(|spec| RouteSpec::clone(&spec));
    (spec, problems)
}

fn http(spec: Option<RouteSpec>) -> crate::object::route::Rule<HttpMatch> {
    match spec.expect("a route that can be told").rules {
        Rules::Http(requests) => requests.rules.into_iter().next().expect("a rule"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_of_a_rule_is_read() {
    let (spec, problems) = rule(json!({
        "matches": [{
            "path": {"type": "Exact", "value": "/a"}, "method": "GET",
            "headers": [{"name": "X-A", "value": "b"}],
            "queryParams": [{"name": "Q", "value": "c.*", "type": "RegularExpression"}],
        }],
        "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {
                "set": [{"name": "A", "value": "1"}], "add": [{"name": "B", "value": "2"}],
                "remove": ["C"]}},
            {"type": "RequestRedirect", "requestRedirect": {
                "scheme": "https", "hostname": "h", "port": 5555, "statusCode": 301,
                "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/p"}}},
        ],
        "backendRefs": [{"name": "b", "port": 80, "weight": 0}],
        "timeouts": {"request": "1m30s"},
    }));
    assert_eq!(problems, [""; 0]);
    let found = http(spec);
    assert_eq!(
        *found.matches,
        [HttpMatch {
            path: Some(PathMatch::Exact("/a".into())),
            headers: [NamedMatch {
                name: "x-a".into(),
                value: MatchValue::Exact("b".into()),
            }]
            .into(),
            query: [NamedMatch {
                name: "Q".into(),
                value: MatchValue::Regex("c.*".into()),
            }]
            .into(),
            method: Some(Method::Get),
        }]
    );
    assert_eq!(
        *found.filters,
        [
            Filter::RequestHeaders(HeaderChanges {
                add: [("b".into(), "2".into())].into(),
                set: [("a".into(), "1".into())].into(),
                remove: ["c".into()].into(),
            }),
            Filter::Redirect(Redirect {
                scheme: Some(Scheme::Https),
                host: "h".into(),
                path: Some(PathChange::Prefix("/p".into())),
                port: 5555,
                status: 301,
            }),
        ]
    );
    let backend = Backend {
        target: BackendTarget::Object {
            kind: ParentKind::Service,
            namespace: None,
            name: "b".into(),
            port: Some(80),
        },
        weight: 0,
        filters: Ok([].into()),
    };
    assert_eq!(*found.backends, [backend]);
    assert_eq!(found.timeout, Some(Duration::from_secs(90)));
}

#[test]
fn what_no_proxy_can_do_hides_the_whole_route_and_says_why() {
    for (part, told) in [
        (
            json!({"matches": [{"path": {"type": "RegularExpression", "value": "["}}]}),
            "spec.rules[0].matches[0].path: the regular expression \"[\" cannot be compiled",
        ),
        (
            json!({"matches": [{"path": {"value": "a"}}]}),
            "spec.rules[0].matches[0].path: the path \"a\" does not begin with /",
        ),
        (
            json!({"matches": [{"method": "FETCH"}]}),
            "spec.rules[0].matches[0].method: \"FETCH\" is no method",
        ),
        (
            json!({"matches": [{"headers": [{"name": "a b", "value": "c"}]}]}),
            "spec.rules[0].matches[0].headers[0]: \"a b\" is no header name",
        ),
        (
            json!({"matches": [{"headers": [{"name": "a"}]}]}),
            "spec.rules[0].matches[0].headers[0].value: expected a string, found nothing",
        ),
        (
            json!({"filters": [{"type": "URLRewrite", "urlRewrite": {}}]}),
            "spec.rules[0].filters: URLRewrite is not supported",
        ),
        (
            json!({"filters": [{"type": "CORS", "cors": {}}]}),
            "spec.rules[0].filters: CORS is not supported",
        ),
        (
            json!({"filters": [{"requestRedirect": {"path": {}}}]}),
            "spec.rules[0].filters[0].requestRedirect.path: expected replaceFullPath or",
        ),
        (
            json!({"filters": [{"requestRedirect": {"statusCode": 99}}]}),
            "spec.rules[0].filters[0].requestRedirect.statusCode: 99 is no status",
        ),
        (
            json!({"timeouts": {"request": "-1s"}}),
            "spec.rules[0].timeouts.request: -1s is less than no time",
        ),
        (
            json!({"timeouts": {"request": "1"}}),
            "spec.rules[0].timeouts.request: missing unit",
        ),
        (
            json!({"matches": 5}),
            "spec.rules[0].matches: expected a list, found 5",
        ),
    ] {
        let (spec, problems) = rule(part);
        assert_eq!(spec, None, "{told}");
        assert!(problems[0].starts_with(told), "{problems:?}");
    }
}

#[test]
fn scenario_105_an_unsupported_filter_of_a_backend_breaks_that_backend_alone() {
    let (spec, problems) = rule(json!({"backendRefs": [
        {"name": "a", "port": 80, "filters": [{"type": "URLRewrite", "urlRewrite": {}}]},
        {"name": "b", "port": 80},
    ]}));
    let filters = http(spec)
        .backends
        .iter()
        .map(|backend| backend.filters.is_ok())
        .collect::<Vec<_>>();
    assert_eq!(filters, [false, true]);
    assert!(
        problems[0].contains("URLRewrite is not supported"),
        "{problems:?}"
    );
}

#[test]
fn scenario_121_each_group_has_its_own_grammar_of_timeouts() {
    let timeouts = json!({"spec": {"rules": [{"timeouts": {"request": "1m30s"}}]}});
    let (found, problems) = route::<HttpRoute>(timeouts);
    let spec = found.spec.map(|spec| RouteSpec::clone(&spec));
    assert_eq!(http(spec).timeout, None);
    assert!(problems[0].ends_with("no timeout is set"), "{problems:?}");
    let (spec, _) = rule(json!({"timeouts": {"request": "0s"}}));
    assert_eq!(http(spec).timeout, None);
}

#[test]
fn backends_that_are_no_services_are_told_apart() {
    for (reference, expected) in [
        (
            json!({"kind": "ConfigMap", "name": "x", "group": ""}),
            BackendTarget::Unsupported {
                group: "".into(),
                kind: "ConfigMap".into(),
            },
        ),
        (
            json!({"kind": "Gateway", "name": "x"}),
            BackendTarget::Unsupported {
                group: "core".into(),
                kind: "Gateway".into(),
            },
        ),
        (
            json!({"kind": "egressnetwork", "group": "Policy.linkerd.io", "name": "x"}),
            BackendTarget::Object {
                kind: ParentKind::EgressNetwork,
                namespace: None,
                name: "x".into(),
                port: None,
            },
        ),
        (
            json!({"kind": "service", "group": "Core", "name": "x", "namespace": "n", "port": 0}),
            BackendTarget::Object {
                kind: ParentKind::Service,
                namespace: Some("n".into()),
                name: "x".into(),
                port: None,
            },
        ),
    ] {
        let (spec, problems) = rule(json!({"backendRefs": [reference]}));
        assert_eq!(problems, [""; 0]);
        assert_eq!(http(spec).backends[0].target, expected);
    }
}

#[test]
fn scenario_114_a_parent_needs_its_group() {
    let (found, problems) = route::<PolicyHttpRoute>(json!({"spec": {"parentRefs": [
        {"kind": "Service", "name": "a"},
        {"kind": "Service", "group": "core", "name": "b", "port": 80},
        {"kind": "Service", "group": "", "name": "c", "namespace": "other"},
        {"kind": "Gateway", "name": "d"},
        {"name": "e"},
        {"kind": "Server", "group": "policy.linkerd.io", "name": "f", "port": 80},
        {"kind": "EgressNetwork", "name": "g", "port": 443},
        {"kind": "Service", "group": "", "name": "h", "port": 70000},
    ]}}));
    let parents = found.parents.iter().map(|parent| {
        let Parent {
            key: ParentKey { kind, key },
            port,
            is_part,
        } = parent;
        format!("{} {key} {port:?} {is_part}", kind.name())
    });
    assert_eq!(
        parents.collect::<Vec<_>>(),
        [
            "Service ns/b Some(80) false",
            "Service other/c None false",
            "Server ns/f None true",
            "EgressNetwork ns/g Some(443) false",
        ]
    );
    assert_eq!(
        problems,
        [
            "spec.parentRefs[0]: Service of group \"policy.linkerd.io\" is no parent that the \
             mesh knows; expected group: core",
            "spec.parentRefs[7].port: expected a port (0-65535), found 70000",
        ]
    );
}

#[test]
fn only_what_this_controller_wrote_is_read_of_the_status() {
    let (found, problems) = route::<HttpRoute>(json!({"status": {"parents": [
        {"controllerName": "linkerd.io/policy-controller",
         "parentRef": {"group": "core", "kind": "Service", "name": "a", "port": 80},
         "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted",
                         "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        {"controllerName": "example.com/gateway",
         "parentRef": {"group": "core", "kind": "Service", "name": "b"},
         "conditions": []},
    ]}}));
    assert_eq!(problems, [""; 0]);
    assert_eq!(found.status.len(), 1);
    let service = |name, port| Parent {
        key: ParentKey::new(ParentKind::Service, ObjectKey::new("ns", name)),
        port,
        is_part: false,
    };
    assert!(found.is_accepted(&service("a", Some(80))));
    assert!(!found.is_accepted(&service("a", Some(81))));
    assert!(!found.is_accepted(&service("b", None)));
}

#[test]
fn calls_are_told_apart_by_service_and_method() {
    let grpc = |method: Value| {
        let rules = json!({"spec": {"rules": [{"matches": [{"method": method}]}]}});
        let (found, problems) = route::<GrpcRoute>(rules);
        let rpc = found.spec.map(|spec| match &spec.rules {
            Rules::Grpc(requests) => requests.rules[0].matches[0].rpc.clone(),
            other => panic!("{other:?}"),
        });
        (rpc, problems.len())
    };
    let rpc = |service: &str, method: &str| Some(Some((service.into(), method.into())));
    assert_eq!(grpc(json!({"service": "a.B"})), (rpc("a.B", ""), 0));
    assert_eq!(
        grpc(json!({"type": "Exact", "method": "M"})),
        (rpc("", "M"), 0)
    );
    assert_eq!(grpc(json!({})), (rpc("", ""), 0));
    assert_eq!(grpc(json!({"type": "RegularExpression"})), (None, 1));
    assert_eq!(grpc(json!("GET")), (None, 1));
    assert_eq!(grpc(json!(null)), (Some(None), 0));
}

#[test]
fn annotations_that_cannot_be_read_hide_a_route_from_clients_alone() {
    let (found, problems) = route::<HttpRoute>(json!({
        "metadata": {"name": "x", "annotations": {"retry.linkerd.io/http": "6xx"}},
        "spec": {"rules": []},
    }));
    let spec = found.spec.expect("told to servers");
    let Rules::Http(requests) = &spec.rules else {
        unreachable!()
    };
    assert_eq!((&requests.settings, requests.rules.len()), (&None, 0));
    assert!(
        problems[0].ends_with("no client is told of the route"),
        "{problems:?}"
    );
}

#[test]
fn a_route_of_connections_has_one_rule() {
    let (found, _) = route::<TlsRoute>(json!({"spec": {
        "hostnames": ["*.example.com"], "rules": [{"backendRefs": [{"name": "a", "port": 1}]}],
    }}));
    let spec = found.spec.expect("told");
    assert_eq!(*spec.hosts, ["*.example.com".into()]);
    assert_eq!(spec.backends().count(), 1);
    for rules in [json!([]), json!([{}, {}]), json!(null)] {
        let (found, problems) = route::<TcpRoute>(json!({"spec": {"rules": rules}}));
        assert_eq!(found.spec, None);
        assert!(
            problems[0].starts_with("spec.rules: expected one rule"),
            "{problems:?}"
        );
    }
}

#[test]
fn scenario_94_a_tls_route_without_hostnames_is_on_nothing() {
    let parents = json!([{"group": "core", "kind": "Service", "name": "a"}]);
    let (found, problems) = route::<TlsRoute>(json!({"spec": {
        "parentRefs": parents, "rules": [{"backendRefs": [{"name": "a", "port": 1}]}],
    }}));
    assert_eq!((found.spec, found.parents.len()), (None, 0));
    assert_eq!(problems.len(), 1);
}

#[test]
fn rules_that_are_not_written_are_one_for_every_request() {
    let (found, _) = route::<PolicyHttpRoute>(json!({"spec": {}}));
    let spec = found.spec.map(|spec| RouteSpec::clone(&spec));
    assert_eq!(
        http(spec).matches[0].path,
        Some(PathMatch::Prefix("/".into()))
    );
}
