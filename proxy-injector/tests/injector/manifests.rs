//! Section 9: workloads of manifests, and the way back.

use crate::support::*;
use ferrule_proxy_injector::{SkipReason, WorkloadKind, manifest_reasons, uninject};
use serde_json::{Value, json};

fn workload(kind: WorkloadKind) -> Value {
    let version = match kind {
        WorkloadKind::Pod | WorkloadKind::ReplicationController => "v1",
        WorkloadKind::Job | WorkloadKind::CronJob => "batch/v1",
        _ => "apps/v1",
    };
    let template = json!({"spec": {"containers": [{"name": "web", "image": "web:1"}]}});
    let mut object = template;
    for key in kind.template_path().iter().rev() {
        object = json!({*key: object});
    }
    object["apiVersion"] = version.into();
    object["kind"] = kind.as_str().into();
    object["metadata"] = json!({"name": "web", "namespace": "shop"});
    object
}

#[test]
fn s133_every_kind_of_workload_is_patched_where_its_template_is() {
    for kind in WorkloadKind::ALL {
        let object = workload(kind);
        let decision = injector(&Value::Null).workload(kind, &object).unwrap();
        let patched = patched(&object, &decision);
        let template = kind.template(&patched).unwrap();
        assert_eq!(
            template["spec"]["initContainers"][1]["name"], "linkerd-proxy",
            "{kind:?}"
        );
        let labels = &template["metadata"]["labels"];
        assert_eq!(labels["linkerd.io/workload-ns"], "shop");
        if kind != WorkloadKind::Pod {
            let label = format!("linkerd.io/proxy-{}", kind.as_str().to_lowercase());
            assert_eq!(labels[label], "web");
        }
        let annotations = &template["metadata"]["annotations"];
        assert_eq!(annotations.get("linkerd.io/inject"), None);
    }
}

#[test]
fn what_was_injected_can_be_taken_out_again() {
    for kind in WorkloadKind::ALL {
        for values in [
            json!({}),
            json!({"cniEnabled": true}),
            json!({"proxy": {"nativeSidecar": false}}),
        ] {
            let object = workload(kind);
            let decision = injector(&values).workload(kind, &object).unwrap();
            let mut patched = patched(&object, &decision);
            let way_back = uninject(&patched);
            json_patch::patch(&mut patched, &way_back).unwrap();
            assert_eq!(patched, object, "{kind:?} {values}");
        }
    }
}

#[test]
fn s138_what_is_not_of_injection_stays() {
    let mut object = workload(WorkloadKind::Deployment);
    object["metadata"]["labels"] = json!({"linkerd.io/foo": "x", "app": "web"});
    object["spec"]["template"]["metadata"] = json!({
        "annotations": {
            "linkerd.io/inject": "disabled", "linkerd.io/created-by": "x",
            "config.linkerd.io/proxy-version": "v1", "viz.linkerd.io/tap-enabled": "true",
        },
        "labels": {"linkerd.io/workload-ns": "shop"},
    });
    object["spec"]["template"]["spec"]["containers"] = json!([
        {"name": "linkerd-debug"}, {"name": "web"}, {"name": "linkerd-proxy"},
    ]);
    object["spec"]["template"]["spec"]["initContainers"] =
        json!([{"name": "linkerd-network-validator"}, {"name": "migrate"}]);
    object["spec"]["template"]["spec"]["volumes"] = json!([{"name": "linkerd-podinfo"}]);
    let patch = uninject(&object);
    json_patch::patch(&mut object, &patch).unwrap();
    assert_eq!(object["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!(
        object["spec"]["template"],
        json!({
            "metadata": {"annotations": {
                "linkerd.io/inject": "disabled",
                "config.linkerd.io/proxy-version": "v1",
                "viz.linkerd.io/tap-enabled": "true",
            }},
            "spec": {"containers": [{"name": "web"}], "initContainers": [{"name": "migrate"}]},
        })
    );
    assert_eq!(uninject(&object).0, []);
}

#[test]
fn the_control_plane_keeps_its_metadata() {
    let mut object = workload(WorkloadKind::Deployment);
    let labels = json!({"linkerd.io/control-plane-component": "identity"});
    object["spec"]["template"]["metadata"] = json!({"labels": labels});
    assert_eq!(uninject(&object).0, []);
}

#[test]
fn s131_s132_a_manifest_is_asked_less_than_a_pod() {
    let reasons = |change: &dyn Fn(&mut Value)| {
        let mut object = workload(WorkloadKind::Deployment);
        change(&mut object["spec"]["template"]);
        let (values, _) = ferrule_proxy_injector::Values::from_value(
            &json!({"identity": {"serviceAccountTokenProjection": false}}),
        );
        manifest_reasons(&values, WorkloadKind::Deployment, &object).unwrap()
    };
    let set_inject = |template: &mut Value, value: &str| {
        template["metadata"] = json!({"annotations": {"linkerd.io/inject": value}});
    };
    assert_eq!(reasons(&|_| {}), []);
    assert_eq!(reasons(&|template| set_inject(template, "nonsense")), []);
    assert_eq!(
        reasons(&|template| set_inject(template, "disabled")),
        [SkipReason::InjectDisabled]
    );
    assert_eq!(
        reasons(&|template| {
            template["spec"]["hostNetwork"] = true.into();
            template["spec"]["automountServiceAccountToken"] = false.into();
            template["spec"]["containers"][0]["ports"] =
                json!([{"containerPort": 53, "protocol": "UDP"}]);
        }),
        [
            SkipReason::HostNetwork,
            SkipReason::NoServiceAccountToken,
            SkipReason::UdpPorts
        ]
    );
}
