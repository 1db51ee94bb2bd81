//! What holds for any pod, namespace and annotation.

use crate::support::*;
use ferrule_proxy_injector::{Namespace, WorkloadKind, inherited_keys, uninject};
use proptest::{collection, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// Texts that mean something somewhere, and some that do not.
fn text() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "",
        "true",
        "false",
        "enabled",
        "disabled",
        "ingress",
        "0",
        "80",
        "5143",
        "99999",
        "-1",
        "1s",
        "1h30m",
        "100m",
        "250Mi",
        "0.5",
        "mysql,80,9-8",
        "10.0.0.0/8",
        "json",
        "off",
        "[{\"name\": \"A\", \"value\": \"\\\"\"}]",
        "[",
        "\"<&>\u{0}\u{fffd}",
        "deny",
    ];
    prop_oneof![4 => select(KNOWN).prop_map(str::to_owned), 1 => ".{0,20}"]
}

fn key() -> impl Strategy<Value = String> {
    let keys: Vec<_> = inherited_keys()
        .map(str::to_owned)
        .chain(
            [
                "config.linkerd.io/enable-gateway",
                "config.linkerd.io/close-wait-timeout",
                "config.linkerd.io/proxy-cpu-ratio-limit",
                "config.beta.linkerd.io/proxy-enable-native-sidecar",
                "config.linkerd.io/none",
                "example.com/a~b/c",
            ]
            .map(str::to_owned),
        )
        .collect();
    select(keys)
}

fn annotations() -> impl Strategy<Value = Map<String, Value>> {
    let entries = collection::hash_map(key(), text(), 0..6);
    entries.prop_map(|entries| {
        entries
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect()
    })
}

/// Anything JSON, small.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::hash_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn container()(
        name in select(&["web", "db", "linkerd-proxy", "istio-proxy", "linkerd-debug"][..]),
        ports in option::of(collection::vec((0_u16.., option::of(select(&["mysql", "web"][..]))), 0..3)),
        context in option::of(select(&["ALL", "NET_ADMIN"][..])),
        mounted in any::<bool>(),
        unknown in json_value(),
    ) -> Value {
        let mut container = json!({"name": name, "image": "x", "fieldOfTheFuture": unknown});
        if let Some(ports) = ports {
            container["ports"] = ports
                .into_iter()
                .map(|(port, name)| json!({"containerPort": port, "name": name}))
                .collect();
        }
        if let Some(capability) = context {
            container["securityContext"] = json!({"capabilities": {"drop": [capability]}});
        }
        if mounted {
            let path = "/var/run/secrets/kubernetes.io/serviceaccount";
            container["volumeMounts"] = json!([{"name": "t", "mountPath": path}]);
        }
        container
    }
}

prop_compose! {
    fn any_pod()(
        metadata in option::of((option::of(annotations()), option::of(annotations()))),
        containers in collection::vec(container(), 1..3),
        init in option::of(collection::vec(container(), 0..2)),
        volumes in option::of(collection::vec(Just(json!({"name": "v", "emptyDir": {}})), 0..2)),
        host in option::weighted(0.2, any::<bool>()),
        unknown in json_value(),
    ) -> Value {
        let mut pod = json!({"spec": {"containers": containers, "fieldOfTheFuture": unknown}});
        if let Some((annotations, labels)) = metadata {
            pod["metadata"] = json!({"annotations": annotations, "labels": labels});
        }
        for (key, value) in [
            ("initContainers", init.map(Value::from)),
            ("volumes", volumes.map(Value::from)),
            ("hostNetwork", host.map(Value::from)),
        ] {
            if let Some(value) = value {
                pod["spec"][key] = value;
            }
        }
        pod
    }
}

fn namespace() -> impl Strategy<Value = Namespace> {
    annotations().prop_map(|annotations| Namespace {
        name: "shop".into(),
        annotations: annotations
            .into_iter()
            .map(|(key, value)| (key, value.as_str().unwrap().to_owned()))
            .chain([("linkerd.io/inject".to_owned(), "enabled".to_owned())])
            .collect(),
    })
}

fn values() -> impl Strategy<Value = Value> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(cni, native, projection, root)| {
            json!({
                "cniEnabled": cni,
                "identity": {"serviceAccountTokenProjection": projection},
                "proxy": {"nativeSidecar": native},
                "proxyInit": {"runAsRoot": root},
            })
        },
    )
}

/// Everything of `before` is in `after`, in its order; a null may have become
/// something.
fn survives(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(key, value)| {
            let after = after.get(key);
            after.is_some_and(|after| survives(value, after))
        }),
        (Value::Array(before), Value::Array(after)) => {
            let mut after = after.iter();
            before
                .iter()
                .all(|one| after.any(|other| survives(one, other)))
        }
        (before, after) => before == after,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_patch_applies_and_loses_nothing(pod in any_pod(), namespace in namespace(), values in values()) {
        // The patch is applied in there, or it panics.
        if let Ok(outcome) = try_review(&injector(&values), &pod, &namespace) {
            prop_assert!(survives(&pod, &outcome.object), "{:#}\n{:#}", pod, outcome.object);
            let again = try_review(&injector(&values), &pod, &namespace).unwrap();
            prop_assert_eq!(outcome.decision, again.decision, "equal inputs, equal answers");
        }
    }

    #[test]
    fn injecting_twice_changes_nothing_and_says_why(
        pod in any_pod(), namespace in namespace(), values in values(),
    ) {
        let injector = injector(&values);
        if let Ok(first) = try_review(&injector, &pod, &namespace) {
            let second = review(&injector, &first.object, &namespace);
            prop_assert!(!second.decision.is_injected());
            prop_assert_eq!(&second.decision.patch, &None);
            if first.decision.is_injected() {
                prop_assert!(second.reasons().contains(&"sidecar_already_exists"));
            }
        }
    }

    #[test]
    fn a_pod_that_is_skipped_is_told_its_opaque_ports_at_most(
        pod in any_pod(), namespace in namespace(), values in values(),
    ) {
        if let Ok(outcome) = try_review(&injector(&values), &pod, &namespace)
            && !outcome.decision.is_injected()
        {
            let mut object = outcome.object;
            if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
                annotations.remove("config.linkerd.io/opaque-ports");
            }
            prop_assert_eq!(&object["spec"], &pod["spec"]);
            prop_assert_eq!(&object["metadata"]["labels"], &pod["metadata"]["labels"]);
        }
    }

    #[test]
    fn whatever_is_called_a_pod_does_no_harm(pod in json_value(), spec in json_value(), namespace in namespace()) {
        for object in [pod.clone(), json!({"metadata": pod, "spec": {"containers": [spec]}})] {
            for kind in ["Pod", "Service"] {
                if let Ok(decision) = injector(&Value::Null).review(kind, &object, &namespace, None) {
                    patched(&object, &decision);
                }
            }
            let Value::Object(mut object) = object else {
                continue;
            };
            object.insert("kind".into(), "Pod".into());
            object.insert("apiVersion".into(), "v1".into());
            let object = Value::Object(object);
            json_patch::patch(&mut object.clone(), &uninject(&object)).unwrap();
        }
    }

    #[test]
    fn what_a_manifest_got_can_be_taken_out(pod in any_pod(), values in values()) {
        let mut object = pod;
        object["apiVersion"] = "v1".into();
        object["kind"] = "Pod".into();
        json_patch::patch(&mut object.clone(), &uninject(&object)).unwrap();
        let clean = uninject(&object);
        json_patch::patch(&mut object, &clean).unwrap();
        if let Ok(decision) = injector(&values).workload(WorkloadKind::Pod, &object)
            && decision.is_injected()
        {
            let mut injected = patched(&object, &decision);
            let patch = uninject(&injected);
            json_patch::patch(&mut injected, &patch).unwrap();
            prop_assert_eq!(uninject(&injected).0, vec![]);
            for list in ["containers", "initContainers", "volumes"] {
                let of = |object: &Value| object["spec"][list].as_array().cloned().unwrap_or_default();
                prop_assert_eq!(of(&injected), of(&object));
            }
        }
    }
}
