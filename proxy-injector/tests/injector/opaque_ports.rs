//! Sections 6.9 and 11.4: `config.linkerd.io/opaque-ports` of pods and Services.

use crate::support::*;
use serde_json::{Value, json};

const KEY: &str = "config.linkerd.io/opaque-ports";
const ENV: &str = "LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION";
const DEFAULT: &str = "25,587,3306,4444,5432,6379,9300,11211";

fn ports(ports: &[u16]) -> Value {
    ports
        .iter()
        .map(|port| json!({"containerPort": port}))
        .collect()
}

#[test]
fn s99_a_pod_is_told_which_of_its_ports_are_opaque() {
    let database = inject(&with_ports(&[], &ports(&[3306])));
    assert_eq!(database.annotation(KEY), Some("3306"));
    assert_eq!(database.env(ENV), Some("3306"));
    let web = inject(&pod());
    assert_eq!(web.annotation(KEY), None);
    assert_eq!(web.env(ENV), Some(DEFAULT));
}

#[test]
fn s100_names_are_numbers_for_the_proxy_and_bad_items_are_told() {
    let named = json!([{"containerPort": 3306, "name": "mysql"}]);
    let list = "mysql, 4000-4005,bogus,70000,";
    let outcome = inject(&with_ports(&[(KEY, list)], &named));
    assert_eq!(outcome.env(ENV), Some("3306,4000-4005"));
    assert_eq!(outcome.annotation(KEY), Some(list));
    assert_eq!(
        outcome.warnings(),
        ["bogus", "70000"].map(|item| format!(
            "{KEY}: {item:?} is left out; expected ports, ranges and names of the pod's ports, \
             such as 25,9000-9100,mysql"
        ))
    );
    let none = inject(&with_ports(&[(KEY, "")], &named));
    assert_eq!(none.env(ENV), None);
    assert_eq!(none.annotation(KEY), Some(""));
    // The names of init containers count, too; and a list of the namespace.
    let mut pod = pod();
    pod["spec"]["initContainers"] = json!([{"name": "m", "ports": named}]);
    let namespace = shop(&[("linkerd.io/inject", "enabled"), (KEY, "mysql,x")]);
    let outcome = review(&injector(&Value::Null), &pod, &namespace);
    assert_eq!(outcome.env(ENV), Some("3306"));
    assert_eq!(outcome.annotation(KEY), Some("mysql,x"));
    assert!(outcome.warnings()[0].starts_with(&format!("{KEY} of namespace shop: \"x\"")));
}

#[test]
fn s101_a_port_of_two_protocols_is_told_once() {
    let both = json!([{"containerPort": 3306}, {"containerPort": 3306, "protocol": "UDP"}]);
    assert_eq!(
        inject(&with_ports(&[], &both)).annotation(KEY),
        Some("3306")
    );
}

#[test]
fn s102_a_range_of_the_default_list_says_nothing_of_a_pods_ports() {
    let values = json!({"proxy": {"opaquePorts": "25,3000-4000"}});
    let outcome = inject_with(&values, &with_ports(&[], &ports(&[3306])));
    assert_eq!(outcome.annotation(KEY), None);
    assert_eq!(outcome.env(ENV), Some("25,3000-4000"));
}

#[test]
fn s103_s104_a_service_is_told_by_the_ports_of_its_pods() {
    let service = |annotations: Value, ports: Value| {
        json!({"kind": "Service", "metadata": {"name": "db", "annotations": annotations},
               "spec": {"ports": ports}})
    };
    let four = json!([
        {"port": 9090, "targetPort": 3306}, {"port": 5432, "targetPort": 80},
        {"port": 3306}, {"port": 9093, "targetPort": "mysql"}, {"port": 4444, "targetPort": 0},
    ]);
    let key = "/metadata/annotations/config.linkerd.io~1opaque-ports";
    let root = json!({"op": "add", "path": "/metadata/annotations", "value": {}});
    let add = |value: &str| json!({"op": "add", "path": key, "value": value});
    let plain = shop(&[]);
    let listed = shop(&[(KEY, "1-3")]);
    for (object, namespace, expected) in [
        (
            service(Value::Null, four.clone()),
            &plain,
            json!([root, add("9090,3306,4444")]),
        ),
        (
            service(json!({"a": "b"}), four.clone()),
            &plain,
            json!([add("9090,3306,4444")]),
        ),
        (
            service(json!({KEY: "7"}), four.clone()),
            &plain,
            Value::Null,
        ),
        (service(json!({KEY: ""}), four), &listed, Value::Null),
        (
            service(json!({"a": "b"}), json!([{"port": 80}])),
            &plain,
            Value::Null,
        ),
        (
            service(json!({"a": "b"}), Value::Null),
            &listed,
            json!([add("1-3")]),
        ),
        // An ExternalName.
        (
            json!({"metadata": {"name": "x"}, "spec": {"externalName": "a.b"}}),
            &plain,
            Value::Null,
        ),
    ] {
        let injector = injector(&Value::Null);
        let decision = injector
            .review("Service", &object, namespace, None)
            .unwrap();
        let patch = serde_json::to_value(&decision.patch).unwrap();
        assert_eq!(patch, expected, "{object}");
        assert!(!decision.is_injected());
        let patched = patched(&object, &decision);
        if let Some(own) = object["metadata"]["annotations"].get("a") {
            assert_eq!(&patched["metadata"]["annotations"]["a"], own);
        }
    }
}

#[test]
fn what_gets_no_proxy_is_told_all_the_same() {
    // Disabled, on the host's network, or not asked for: clients must know.
    let pod = with_ports(&[("linkerd.io/inject", "disabled")], &ports(&[3306, 80]));
    for namespace in [enabled(), shop(&[])] {
        let outcome = review(&injector(&Value::Null), &pod, &namespace);
        assert!(!outcome.decision.is_injected());
        assert_eq!(outcome.annotation(KEY), Some("3306"));
    }
    let listed = shop(&[(KEY, "1-3")]);
    let outcome = review(&injector(&Value::Null), &pod, &listed);
    assert_eq!(outcome.annotation(KEY), Some("1-3"));
    let bare = json!({"spec": {"containers": [{"name": "a", "ports": ports(&[25])}]}});
    let outcome = review(&injector(&Value::Null), &bare, &shop(&[]));
    assert_eq!(
        outcome.object["metadata"]["annotations"],
        json!({KEY: "25"})
    );
}

#[test]
fn the_proxys_own_ports_are_none_of_the_pods() {
    // Seen again, as when another webhook has changed it, a pod is not told more.
    let injector = injector(&json!({"proxy": {"opaquePorts": "4143,4191"}}));
    let first = review(&injector, &pod(), &enabled());
    let second = review(&injector, &first.object, &enabled());
    assert_eq!(second.reasons(), ["sidecar_already_exists"]);
    assert_eq!(second.decision.patch, None);
}
