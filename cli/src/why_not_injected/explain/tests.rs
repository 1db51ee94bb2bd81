use super::*;
use crate::why_not_injected::registration::CONFIGURATION;
use ferrule_proxy_injector::{TrustAnchors, Values};
use serde_json::json;

fn injector() -> Injector {
    Injector {
        values: Values::default(),
        trust_anchors: TrustAnchors::new("-----BEGIN CERTIFICATE-----"),
        control_plane_namespace: "linkerd".into(),
        created_by: "ferrule/test".into(),
    }
}

fn registration(failure_policy: &str) -> Registration {
    let configuration = json!({
        "metadata": {"name": CONFIGURATION, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "webhooks": [{
            "name": "linkerd-proxy-injector.linkerd.io", "failurePolicy": failure_policy,
            "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"caBundle": "YQ==", "url": "https://here/inject"},
        }],
    });
    Registration {
        configuration: serde_json::from_value(configuration).unwrap(),
        ..Registration::default()
    }
}

fn pod(metadata: &Value, spec: &Value) -> Value {
    let mut pod = json!({
        "kind": "Pod",
        "metadata": {"name": "web-1", "creationTimestamp": "2026-02-01T00:00:00Z"},
        "spec": {"containers": [{"name": "web"}]},
    });
    json_patch::merge(&mut pod["metadata"], metadata);
    json_patch::merge(&mut pod["spec"], spec);
    pod
}

/// What is told of an object in a namespace with this metadata.
fn of(name: &str, object: Value, namespace: &Value) -> Explanation {
    let mut metadata = json!({"name": "shop"});
    json_patch::merge(&mut metadata, namespace);
    explain(&Facts {
        subject: Subject::for_test(name, "shop", object),
        namespace: Some(json!({"metadata": metadata})),
        registration: registration("Ignore"),
        injector: Ok(injector()),
        trust_roots: "linkerd-identity-trust-roots".to_owned(),
        refusals: Vec::new(),
    })
}

fn codes(explanation: &Explanation) -> Vec<&str> {
    explanation
        .reasons
        .iter()
        .map(|reason| reason.code)
        .collect()
}

fn enabled() -> Value {
    json!({"annotations": {INJECT: "enabled"}})
}

#[test]
fn each_reason_is_told_with_what_to_do() {
    let none = json!({});
    for (metadata, spec, namespace, code, remedy) in [
        (
            &none,
            &none,
            &none,
            "injection_enable_annotation_absent",
            "kubectl annotate namespace shop linkerd.io/inject=enabled",
        ),
        (
            &none,
            &json!({"hostNetwork": true}),
            &enabled(),
            "host_network_enabled",
            "hostNetwork",
        ),
        (
            &none,
            &json!({"containers": [{"name": "istio-proxy", "image": "istio/proxyv2:1"}]}),
            &enabled(),
            "sidecar_already_exists",
            "uninject",
        ),
        (
            &json!({"annotations": {INJECT: "disabled"}}),
            &none,
            &enabled(),
            "injection_disable_annotation_present",
            "take the annotation out",
        ),
        (
            &none,
            &none,
            &json!({"annotations": {INJECT: "enable"}}),
            "invalid_inject_annotation_at_ns",
            "--overwrite namespace shop linkerd.io/inject=enabled",
        ),
        (
            &json!({"annotations": {INJECT: "yes"}}),
            &none,
            &none,
            "invalid_inject_annotation_at_workload",
            "enabled, disabled or ingress",
        ),
        (
            &none,
            &none,
            &json!({"annotations": {"linkerd.io/injected": "enabled"}}),
            "misspelt-annotation",
            "did you mean linkerd.io/inject?",
        ),
        (
            &json!({"labels": {INJECT: "enabled"}}),
            &none,
            &none,
            "label-not-annotation",
            "kubectl annotate",
        ),
        (
            &none,
            &none,
            &json!({"annotations": {INJECT: "disabled"}}),
            "injection_enable_annotation_absent",
            "--overwrite namespace shop",
        ),
    ] {
        let told = of("web-1", pod(metadata, spec), namespace);
        assert_eq!((told.state, codes(&told)), (State::NotInjected, vec![code]));
        let reason = &told.reasons[0];
        assert!(reason.remedy.contains(remedy), "{code}: {}", reason.remedy);
    }
}

#[test]
fn a_pod_that_the_injector_would_refuse_is_told_so() {
    let headers = json!({"annotations": {"config.linkerd.io/proxy-log-http-headers": "on"}});
    let told = of("web-1", pod(&headers, &json!({})), &enabled());
    assert_eq!(told.state, State::Refused);
    assert!(
        told.reasons[0].cause.contains("proxy-log-http-headers"),
        "{told:?}"
    );
}

#[test]
fn an_annotation_beside_the_template_is_told() {
    let template = json!({"spec": {"containers": [{"name": "web"}]}});
    let deploy = json!({
        "kind": "Deployment", "metadata": enabled(), "spec": {"template": template},
    });
    let told = of("deploy/web", deploy, &json!({}));
    assert_eq!(codes(&told), ["annotation-not-on-template"]);
    assert!(
        told.reasons[0]
            .remedy
            .contains("spec.template.metadata.annotations")
    );
}

#[test]
fn of_a_pod_that_would_get_one_now_it_is_told_why_it_has_none() {
    let annotated = |time: &str| {
        let fields = json!({"f:metadata": {"f:annotations": {"f:linkerd.io/inject": {}}}});
        let mut metadata = enabled();
        metadata["managedFields"] =
            json!([{"manager": "kubectl", "time": time, "fieldsV1": fields}]);
        metadata
    };
    let late = json!({"creationTimestamp": "2025-12-31T23:59:59Z"});
    for (metadata, namespace, cause) in [
        (
            json!({}),
            annotated("2026-02-01T00:00:01Z"),
            "before its namespace was annotated",
        ),
        (
            late,
            annotated("2025-12-01T00:00:00Z"),
            "before the injector was registered",
        ),
        (
            json!({}),
            annotated("2026-01-31T00:00:00Z"),
            "the injector was away",
        ),
    ] {
        let told = of("web-1", pod(&metadata, &json!({})), &namespace);
        assert_eq!(told.state, State::WouldBeInjected);
        assert!(told.reasons[0].cause.contains(cause), "{cause}: {told:?}");
    }
    let template = json!({"template": {"spec": {"containers": [{"name": "web"}]}}});
    let deploy = json!({"kind": "Deployment", "spec": template});
    let told = of("deploy/web", deploy, &enabled());
    assert_eq!(
        (told.state, told.reasons),
        (State::WouldBeInjected, Vec::new())
    );
}

#[test]
fn a_proxy_that_is_not_as_it_would_be_today_is_told() {
    let mut pod = pod(&enabled(), &json!({}));
    let namespace = Namespace {
        name: "shop".into(),
        ..Namespace::default()
    };
    let decision = injector().review("Pod", &pod, &namespace, None).unwrap();
    json_patch::patch(&mut pod, &decision.patch.unwrap()).unwrap();
    let told = of("web-1", pod.clone(), &json!({}));
    assert_eq!((told.state, codes(&told)), (State::Injected, vec![]));
    pod["metadata"]["annotations"][PROXY_VERSION] = "edge-1".into();
    pod["metadata"]["annotations"][BUNDLE] = "0".into();
    let told = of("web-1", pod.clone(), &json!({}));
    assert_eq!(codes(&told), ["older-proxy", "older-anchors"]);
    pod["metadata"]["labels"][CONTROL_PLANE] = "other".into();
    let told = of("web-1", pod, &json!({}));
    assert_eq!(codes(&told), ["another-control-plane"]);
}

#[test]
fn what_people_read_says_first_what_is_so_and_then_why() {
    let typo = json!({"annotations": {"config.linkerd.io/proxy-log-levle": "debug"}});
    let mut told = of("web-1", pod(&typo, &json!({})), &json!({}));
    told.notes
        .push("config.linkerd.io/proxy-log-levle is not known and has no effect".into());
    let expected = "\
pod shop/web-1 gets no proxy:

1. neither namespace shop nor the pod asks for one (linkerd.io/inject: enabled)
   to do: kubectl annotate namespace shop linkerd.io/inject=enabled (or annotate the pod \
                    template), then delete pod shop/web-1 and create it again

note: config.linkerd.io/proxy-log-levle is not known and has no effect
";
    assert_eq!(told.text(false), expected);
    let coloured = told.text(true);
    assert!(
        coloured.starts_with("\x1b[31mpod shop/web-1 gets no proxy:\x1b[0m\n"),
        "{coloured}"
    );
}
