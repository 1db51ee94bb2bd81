use super::*;
use crate::object::{
    Condition, LabelSelector, ProxyProtocol, Requirement, ServerPort, WorkloadSelector,
};

/// The Server of this spec, and its problems.
fn server(spec: Value) -> (object::Server, Vec<String>) {
    let converted = convert::<Server>(named(json!({"spec": spec})));
    let Object::Server(server) = converted.object else {
        unreachable!()
    };
    (server, converted.problems)
}

fn web() -> LabelSelector {
    LabelSelector::new([Requirement {
        key: "app".into(),
        condition: Condition::In(["web".into()].into()),
    }])
}

#[test]
fn a_server_is_read() {
    let (found, problems) = server(json!({
        "podSelector": {"matchLabels": {"app": "web"}},
        "port": 8080, "proxyProtocol": "gRPC", "accessPolicy": "deny",
    }));
    let expected = object::Server {
        workloads: Some(WorkloadSelector::Pods(web())),
        port: Some(ServerPort::Number(8080)),
        protocol: ProxyProtocol::Grpc,
        ..object::Server::default()
    };
    assert_eq!((found, problems), (expected, vec![]));
    let (found, problems) = server(json!({
        "externalWorkloadSelector": {"matchLabels": {"app": "web"}}, "port": "http",
    }));
    let expected = object::Server {
        workloads: Some(WorkloadSelector::ExternalWorkloads(web())),
        port: Some(ServerPort::Name("http".into())),
        protocol: ProxyProtocol::Unknown,
        ..object::Server::default()
    };
    assert_eq!((found, problems), (expected, vec![]));
}

#[test]
fn a_port_is_a_number_or_a_name_and_a_number_in_quotes_is_a_name() {
    const EXPECTED: &str = "spec.port: expected a port (1-65535) or the name of one, found";
    let name = |text: &str| Some(ServerPort::Name(text.into()));
    for (port, expected, problem) in [
        (json!(1), Some(ServerPort::Number(1)), None),
        (json!(65535), Some(ServerPort::Number(65535)), None),
        (json!("http"), name("http"), None),
        (json!("8080"), name("8080"), None),
        (json!(0), None, Some("0")),
        (json!(65536), None, Some("65536")),
        (json!(-1), None, Some("-1")),
        (json!(80.5), None, Some("the number 80.5")),
        (json!(""), None, Some("\"\"")),
        (json!(true), None, Some("true")),
        (json!([80]), None, Some("a list")),
        (json!(null), None, Some("nothing")),
    ] {
        let (found, problems) = server(json!({"podSelector": {}, "port": port}));
        assert_eq!(found.port, expected, "{port}");
        let problem = problem.map(|found| format!("{EXPECTED} {found}"));
        assert_eq!(problems, Vec::from_iter(problem), "{port}");
    }
}

#[test]
fn a_protocol_is_spelt_as_the_crd_spells_it() {
    for (protocol, spelling) in ProxyProtocol::ALL {
        let spec = json!({"podSelector": {}, "port": 1, "proxyProtocol": spelling});
        let (found, problems) = server(spec);
        assert_eq!((found.protocol, problems), (protocol, vec![]), "{spelling}");
    }
    let known = "unknown, HTTP/1, HTTP/2, gRPC, opaque, TLS";
    for (protocol, problem) in [
        (json!(null), None),
        (json!(""), None),
        (
            json!("Opaque"),
            Some(format!("spec.proxyProtocol: \"Opaque\" is none of {known}")),
        ),
        (
            json!(1),
            Some("spec.proxyProtocol: expected a string, found 1".to_owned()),
        ),
    ] {
        let spec = json!({"podSelector": {}, "port": 1, "proxyProtocol": protocol});
        let (found, problems) = server(spec);
        assert_eq!(found.protocol, ProxyProtocol::Unknown, "{protocol}");
        assert_eq!(problems, Vec::from_iter(problem), "{protocol}");
    }
}

#[test]
fn an_empty_selector_is_everything_and_one_with_a_mistake_nothing() {
    let labels = |pairs: &[(&str, &str)]| {
        object::Labels::new(pairs.iter().map(|&(key, value)| (key.into(), value.into())))
    };
    let (web, none) = (labels(&[("app", "web")]), labels(&[]));
    // Which of the two are selected, `None` where the selector cannot be read.
    for (selector, expected) in [
        (json!({}), Some((true, true))),
        (
            json!({"matchLabels": null, "matchExpressions": null}),
            Some((true, true)),
        ),
        (json!({"matchLabels": {"app": "web"}}), Some((true, false))),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}),
            Some((true, false)),
        ),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}),
            Some((false, true)),
        ),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
            Some((true, false)),
        ),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
            Some((false, true)),
        ),
        (json!({"matchLabels": {"app": 1}}), None),
        (json!({"matchLabels": ["app"]}), None),
        (json!("app=web"), None),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "in", "values": ["web"]}]}),
            None,
        ),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "In"}]}),
            None,
        ),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "Exists", "values": []}]}),
            None,
        ),
        (
            json!({"matchExpressions": [{"operator": "DoesNotExist"}]}),
            None,
        ),
        (
            json!({"matchLabels": {"app": "web"}, "matchExpressions": [7]}),
            None,
        ),
    ] {
        let (found, problems) = server(json!({"podSelector": selector, "port": 1}));
        let selected = found.workloads.map(|workloads| match workloads {
            WorkloadSelector::Pods(selector) => (selector.matches(&web), selector.matches(&none)),
            WorkloadSelector::ExternalWorkloads(_) => panic!("{selector}"),
        });
        assert_eq!(selected, expected, "{selector}");
        assert_eq!(problems.is_empty(), expected.is_some(), "{problems:?}");
    }
}

#[test]
fn problems_say_where_and_what_was_expected() {
    for (spec, expected) in [
        (
            json!({"port": 1}),
            "neither spec.podSelector nor spec.externalWorkloadSelector is there: nothing is \
             selected",
        ),
        (
            json!({"port": 1, "podSelector": {}, "externalWorkloadSelector": {}}),
            "spec.podSelector and spec.externalWorkloadSelector are both there: expected one, \
             spec.podSelector holds",
        ),
        (
            json!({"port": 1, "podSelector": 5}),
            "spec.podSelector: expected an object, found 5",
        ),
        (
            json!({"port": 1, "externalWorkloadSelector": {"matchLabels": {"a": {}}}}),
            "spec.externalWorkloadSelector.matchLabels.a: expected a string, found an object",
        ),
        (
            json!({"port": 1, "podSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}}),
            "spec.podSelector.matchExpressions: \"Gt\" without values for \"a\": expected In or \
             NotIn with values, or Exists or DoesNotExist without",
        ),
        (
            json!({"port": 1, "podSelector": {"matchExpressions": [{"operator": "Exists"}]}}),
            "spec.podSelector.matchExpressions[].key: expected the key of a label",
        ),
    ] {
        let (_, problems) = server(spec.clone());
        assert_eq!(problems, [expected], "{spec}");
    }
    // With one of two broken the broken one still holds: it selects nothing.
    let (found, _) = server(json!({"podSelector": 5, "externalWorkloadSelector": {}, "port": 1}));
    assert_eq!(found.workloads, None);
    // Without anything it is still a Server.
    let converted = convert::<Server>(named(json!({"spec": 5})));
    assert_eq!(converted.problems[0], "spec: expected an object, found 5");
    assert!(matches!(
        converted.object,
        Object::Server(object::Server {
            workloads: None,
            port: None,
            ..
        })
    ));
}
