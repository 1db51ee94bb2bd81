//! Section 11.3: who gets a proxy.

use crate::support::*;
use ferrule_proxy_injector::{AnnotationAt, Owner};
use serde_json::{Value, json};

const INJECT: &str = "linkerd.io/inject";
const ABSENT: &str = "injection_enable_annotation_absent";
const DISABLED: &str = "injection_disable_annotation_present";
const AT_NAMESPACE: &str = "invalid_inject_annotation_at_ns";
const AT_WORKLOAD: &str = "invalid_inject_annotation_at_workload";

#[test]
fn s63_to_s68_the_truth_table_of_the_inject_annotation() {
    use AnnotationAt::{Namespace, Workload};
    for (namespace, pod, reason, at) in [
        // 63, 64, 65
        ("enabled", "", None, Some(Namespace)),
        ("disabled", "enabled", None, Some(Workload)),
        ("enabled", "disabled", Some(DISABLED), Some(Workload)),
        // 66
        ("ingress", "", None, Some(Namespace)),
        ("ingress", "enabled", None, Some(Namespace)),
        ("enabled", "ingress", None, Some(Namespace)),
        ("", "ingress", None, Some(Workload)),
        // 67
        ("true", "enabled", Some(AT_NAMESPACE), None),
        ("true", "yes", Some(AT_NAMESPACE), None),
        ("enabled", "yes", Some(AT_WORKLOAD), None),
        ("", "Enabled", Some(AT_WORKLOAD), None),
        // 68: a Deployment's own annotation is not in the pod that comes of it
        ("", "", Some(ABSENT), None),
        ("disabled", "", Some(ABSENT), None),
        ("disabled", "disabled", Some(ABSENT), None),
        ("", "disabled", Some(ABSENT), None),
        ("ingress", "disabled", Some(DISABLED), Some(Workload)),
    ] {
        let annotation = |value| match value {
            "" => vec![],
            value => vec![(INJECT, value)],
        };
        let pod_object = annotated(&annotation(pod));
        let outcome = review(
            &injector(&Value::Null),
            &pod_object,
            &shop(&annotation(namespace)),
        );
        let expected: Vec<_> = reason.into_iter().collect();
        assert_eq!(outcome.reasons(), expected, "{namespace:?} {pod:?}");
        assert_eq!(outcome.decision.annotation_at, at, "{namespace:?} {pod:?}");
        if reason.is_some() {
            assert_eq!(outcome.object, pod_object, "{namespace:?} {pod:?}");
        }
    }
}

#[test]
fn s63_what_the_namespace_asks_is_on_the_pod_then() {
    let outcome = inject(&pod());
    assert_eq!(outcome.annotation(INJECT), Some("enabled"));
    assert_eq!(outcome.label("linkerd.io/workload-ns"), Some("shop"));
    assert_eq!(
        outcome.label("linkerd.io/control-plane-ns"),
        Some("linkerd")
    );
}

#[test]
fn s66_ingress_mode_reaches_pods_that_do_not_say_otherwise() {
    let ingress = shop(&[(INJECT, "ingress")]);
    let injector = injector(&Value::Null);
    let bare = review(&injector, &pod(), &ingress);
    assert_eq!(bare.annotation(INJECT), Some("ingress"));
    assert_eq!(bare.env("LINKERD2_PROXY_INGRESS_MODE"), Some("true"));
    let own = review(&injector, &annotated(&[(INJECT, "enabled")]), &ingress);
    assert_eq!(own.env("LINKERD2_PROXY_INGRESS_MODE"), None);
}

#[test]
fn s67_an_inject_annotation_that_means_nothing_is_told() {
    let injector = injector(&Value::Null);
    let outcome = review(&injector, &pod(), &shop(&[(INJECT, "true")]));
    assert_eq!(
        outcome.warnings(),
        [
            "linkerd.io/inject of namespace shop: \"true\" prevents injection; expected enabled, \
          disabled or ingress"
        ]
    );
    let outcome = review(&injector, &annotated(&[(INJECT, "yes")]), &enabled());
    assert_eq!(
        outcome.warnings(),
        ["linkerd.io/inject: \"yes\" prevents injection; expected enabled, disabled or ingress"]
    );
}

#[test]
fn s69_a_pod_on_the_hosts_network_is_told_its_opaque_ports_only() {
    let mut pod = with_ports(&[(INJECT, "enabled")], &json!([{"containerPort": 3306}]));
    pod["spec"]["hostNetwork"] = true.into();
    let outcome = review(&injector(&Value::Null), &pod, &shop(&[]));
    assert_eq!(outcome.reasons(), ["host_network_enabled"]);
    assert_eq!(outcome.decision.annotation_at, Some(AnnotationAt::Workload));
    let patch = serde_json::to_value(&outcome.decision.patch).unwrap();
    assert_eq!(
        patch,
        json!([{
            "op": "add",
            "path": "/metadata/annotations/config.linkerd.io~1opaque-ports",
            "value": "3306",
        }])
    );
}

#[test]
fn s70_every_reason_is_given_in_order() {
    let mut pod = pod();
    pod["spec"]["hostNetwork"] = true.into();
    pod["spec"]["containers"][0]["name"] = "istio-proxy".into();
    let outcome = review(&injector(&Value::Null), &pod, &shop(&[]));
    assert_eq!(
        outcome.reasons(),
        ["host_network_enabled", "sidecar_already_exists", ABSENT]
    );
}

#[test]
fn s71_s72_a_sidecar_is_known_by_its_name_or_its_usual_image() {
    for (list, name, image, exists) in [
        ("containers", "istio-proxy", "x", true),
        ("containers", "linkerd-proxy", "x", true),
        ("containers", "a", "cr.l5d.io/linkerd/proxy:x", true),
        ("containers", "a", "gcr.io/istio-release/proxyv2:x", true),
        ("initContainers", "istio-init", "x", true),
        ("initContainers", "linkerd-init", "x", true),
        (
            "initContainers",
            "a",
            "cr.l5d.io/linkerd/proxy-init:x",
            true,
        ),
        (
            "initContainers",
            "a",
            "gcr.io/istio-release/proxy_init:x",
            true,
        ),
        // 72: a native sidecar.
        ("initContainers", "linkerd-proxy", "x", true),
        ("initContainers", "a", "cr.l5d.io/linkerd/proxy:x", true),
        ("containers", "a", "my.reg/linkerd/proxy:x", false),
        ("containers", "linkerd-init", "x", false),
        ("containers", "a", "cr.l5d.io/linkerd/proxy-init:x", false),
        (
            "containers",
            "my-linkerd-proxy",
            "cr.l5d.io/linkerd/proxy2:x",
            false,
        ),
    ] {
        let mut pod = pod();
        pod["spec"]["initContainers"] = json!([]);
        let containers = pod["spec"][list].as_array_mut().unwrap();
        containers.push(json!({"name": name, "image": image}));
        let outcome = review(&injector(&Value::Null), &pod, &enabled());
        let expected: &[_] = if exists {
            &["sidecar_already_exists"]
        } else {
            &[]
        };
        assert_eq!(outcome.reasons(), expected, "{list} {name} {image}");
    }
}

#[test]
fn s73_without_projected_tokens_the_service_accounts_own_must_be_mounted() {
    const NO_TOKEN: &str = "disabled_automount_service_account_token_account";
    let projection =
        |on: bool| injector(&json!({"identity": {"serviceAccountTokenProjection": on}}));
    let mount = json!([{
        "name": "kube-api-access",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": true,
    }]);
    for (projected, automount, mounted, reasons) in [
        (true, Some(false), false, vec![]),
        (true, None, false, vec![]),
        (false, Some(false), false, vec![NO_TOKEN]),
        (false, Some(false), true, vec![NO_TOKEN]),
        (false, None, false, vec![NO_TOKEN]),
        (false, None, true, vec![]),
        (false, Some(true), true, vec![]),
    ] {
        let mut pod = pod();
        if let Some(automount) = automount {
            pod["spec"]["automountServiceAccountToken"] = automount.into();
        }
        if mounted {
            pod["spec"]["containers"][0]["volumeMounts"] = mount.clone();
        }
        let outcome = review(&projection(projected), &pod, &enabled());
        assert_eq!(
            outcome.reasons(),
            reasons,
            "{projected} {automount:?} {mounted}"
        );
    }
}

#[test]
fn s74_a_port_that_speaks_udp_is_no_reason() {
    let ports = json!([{"containerPort": 53, "protocol": "UDP"}]);
    let outcome = inject(&with_ports(&[], &ports));
    assert_eq!(outcome.warnings(), [""; 0]);
}

#[test]
fn s78_a_pod_has_the_label_of_its_owner() {
    for (kind, name, label) in [
        ("deployment", "web", Some("linkerd.io/proxy-deployment")),
        ("replicaset", "web-x", Some("linkerd.io/proxy-replicaset")),
        ("statefulset", "db", Some("linkerd.io/proxy-statefulset")),
        ("daemonset", "log", Some("linkerd.io/proxy-daemonset")),
        ("job", "once", Some("linkerd.io/proxy-job")),
        (
            "replicationcontroller",
            "old",
            Some("linkerd.io/proxy-replicationcontroller"),
        ),
        ("cronjob", "nightly", None),
        ("pod", "web-1", None),
        ("rollout", "web", None),
    ] {
        let owner = Owner {
            kind: kind.into(),
            name: name.into(),
            reference: None,
        };
        let injector = injector(&Value::Null);
        let decision = injector
            .review("Pod", &pod(), &enabled(), Some(&owner))
            .unwrap();
        let object = patched(&pod(), &decision);
        let labels = object["metadata"]["labels"].as_object().unwrap();
        let owner_labels = labels
            .iter()
            .filter(|(key, _)| key.starts_with("linkerd.io/proxy-"));
        let owner_labels: Vec<_> = owner_labels
            .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
            .collect();
        let expected: Vec<_> = label.map(|label| (label, name)).into_iter().collect();
        assert_eq!(owner_labels, expected, "{kind}");
    }
}

#[test]
fn an_owner_whose_name_is_too_long_for_a_label_does_not_block_its_pods() {
    let owner = Owner {
        kind: "deployment".into(),
        name: "a".repeat(64),
        reference: None,
    };
    let injector = injector(&Value::Null);
    let decision = injector
        .review("Pod", &pod(), &enabled(), Some(&owner))
        .unwrap();
    let object = patched(&pod(), &decision);
    assert_eq!(
        object["metadata"]["labels"].get("linkerd.io/proxy-deployment"),
        None
    );
    assert_eq!(decision.warnings.len(), 1);
    assert!(decision.warnings[0].to_string().contains("63 characters"));
}

#[test]
fn a_service_account_whose_name_no_proxy_can_have_is_told() {
    for (name, is_told) in [
        ("a".repeat(63), false),
        (format!("{}.b", "a".repeat(63)), false),
        ("a".repeat(64), true),
        (format!("b.{}", "a".repeat(64)), true),
    ] {
        let mut pod = pod();
        pod["spec"]["serviceAccountName"] = name.into();
        let warnings = inject(&pod).warnings();
        let told = warnings
            .iter()
            .any(|one| one.contains("will not start as service account"));
        assert_eq!(told, is_told, "{warnings:?}");
    }
}

#[test]
fn s81_values_without_tracing_will_do() {
    let outcome = inject_with(&json!({"proxy": {"logLevel": "debug"}}), &pod());
    assert_eq!(outcome.env("LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR"), None);
}

#[test]
fn what_has_no_pods_gets_nothing() {
    for kind in ["Namespace", "ConfigMap", "Deployment", ""] {
        let injector = injector(&Value::Null);
        let decision = injector.review(kind, &json!({}), &enabled(), None).unwrap();
        assert_eq!(decision.skipped[0].code(), "unsupported_resource");
        assert_eq!(decision.patch, None);
    }
}

#[test]
fn what_is_no_pod_is_told_as_such() {
    for (pod, text) in [
        (json!(5), "this is no Pod: it is not an object"),
        (
            json!({"spec": {}}),
            "this is no Pod: spec.containers is not a list",
        ),
        (json!({"spec": {"containers": {}}}), "this is no Pod: "),
        (
            json!({"metadata": {"annotations": {"a": 5}}, "spec": {"containers": []}}),
            "this is no Pod: ",
        ),
    ] {
        let error = try_review(&injector(&Value::Null), &pod, &enabled()).unwrap_err();
        assert!(error.to_string().starts_with(text), "{pod}: {error}");
    }
}
