//! Whole patched pods. When one changes on purpose: `INSTA_UPDATE=always cargo test
//! --package ferrule-proxy-injector`, and read the difference.

use crate::support::*;
use serde_json::{Value, json};

/// As `kubectl` would show it, by key.
fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap()
}

fn mysql(annotations: &[(&str, &str)]) -> Value {
    let mut pod = with_ports(
        annotations,
        &json!([{"containerPort": 3306, "name": "mysql"}]),
    );
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{
        "name": "kube-api-access-x",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": true,
    }]);
    pod["spec"]["volumes"] = json!([{"name": "kube-api-access-x", "emptyDir": {}}]);
    pod
}

#[test]
fn a_plain_pod() {
    insta::assert_snapshot!(yaml(&inject(&mysql(&[])).object));
}

#[test]
fn a_pod_with_a_regular_proxy() {
    let pod = mysql(&[("config.linkerd.io/proxy-enable-native-sidecar", "false")]);
    let mut object = inject(&pod).object;
    // The same as above.
    object["spec"]["containers"][0]["env"] = Value::Null;
    insta::assert_snapshot!(yaml(&object["spec"]));
}

#[test]
fn a_pod_with_the_plugin() {
    let mut object = inject_with(&json!({"cniEnabled": true}), &mysql(&[])).object;
    object["spec"]["initContainers"][1]["env"] = Value::Null;
    insta::assert_snapshot!(yaml(&object["spec"]));
}

#[test]
fn a_pod_with_a_debug_container() {
    let pod = mysql(&[("config.linkerd.io/enable-debug-sidecar", "true")]);
    let object = inject(&pod).object;
    insta::assert_snapshot!(yaml(&object["spec"]["containers"]));
}

/// A pod that says something by every annotation, and values by which all of it counts.
pub(crate) fn every_annotation() -> (Value, Value) {
    let annotations: Vec<(String, &str)> = [
        ("access-log", "json"),
        ("admin-port", "5191"),
        ("close-wait-timeout", "30s"),
        ("control-port", "5190"),
        ("debug-image", "my.reg/debug"),
        ("debug-image-pull-policy", "Never"),
        ("debug-image-version", "d1"),
        ("default-inbound-policy", "cluster-authenticated"),
        ("enable-debug-sidecar", "true"),
        ("enable-external-profiles", "true"),
        ("enable-gateway", "true"),
        ("image-pull-policy", "Always"),
        ("inbound-port", "5143"),
        ("opaque-ports", "mysql,9000-9100"),
        ("outbound-port", "5140"),
        ("pod-inbound-ports", "3306,8080"),
        (
            "proxy-additional-env",
            "[{\"name\": \"A\", \"value\": \"b\"}]",
        ),
        ("proxy-admin-shutdown", "enabled"),
        ("proxy-await", "enabled"),
        ("proxy-cpu-limit", "2"),
        ("proxy-cpu-ratio-limit", "0.25"),
        ("proxy-cpu-request", "100m"),
        ("proxy-disable-inbound-protocol-detect-timeout", "true"),
        ("proxy-disable-outbound-protocol-detect-timeout", "true"),
        ("proxy-enable-native-sidecar", "false"),
        ("proxy-ephemeral-storage-limit", "1Gi"),
        ("proxy-ephemeral-storage-request", "500Mi"),
        ("proxy-gid", "3001"),
        ("proxy-image", "my.reg/proxy"),
        ("proxy-inbound-connect-timeout", "200ms"),
        ("proxy-inbound-discovery-cache-unused-timeout", "30s"),
        ("proxy-log-format", "json"),
        ("proxy-log-http-headers", "insecure"),
        ("proxy-log-level", "linkerd[name=\"outbound\"]=debug"),
        ("proxy-memory-limit", "250Mi"),
        ("proxy-memory-request", "20Mi"),
        ("proxy-metrics-hostname-labels", "true"),
        ("proxy-outbound-connect-timeout", "2s"),
        ("proxy-outbound-discovery-cache-unused-timeout", "10s"),
        ("proxy-require-identity-inbound-ports", "3306"),
        ("proxy-uid", "3000"),
        ("proxy-version", "p1"),
        ("shutdown-grace-period", "90s"),
        ("skip-inbound-ports", "1234"),
        ("skip-outbound-ports", "443"),
        ("skip-subnets", "10.1.0.0/16"),
    ]
    .into_iter()
    .map(|(key, value)| (format!("config.linkerd.io/{key}"), value))
    .chain([
        (
            "config.alpha.linkerd.io/proxy-wait-before-exit-seconds".to_owned(),
            "15",
        ),
        ("linkerd.io/inject".to_owned(), "ingress"),
        ("resource.opentelemetry.io/team".to_owned(), "shop"),
    ])
    .collect();
    let annotations: Vec<_> = annotations
        .iter()
        .map(|(key, value)| (&**key, *value))
        .collect();
    let values = json!({
        "disableIPv6": false,
        "proxyInit": {"runAsRoot": true},
        "proxy": {"tracing": {"enabled": true, "collector": {
            "endpoint": "collector.obs:4317",
            "meshIdentity": {"serviceAccountName": "collector", "namespace": "obs"},
        }}},
    });
    (values, mysql(&annotations))
}

#[test]
fn a_pod_with_every_annotation() {
    let (values, pod) = every_annotation();
    let outcome = inject_with(&values, &pod);
    assert_eq!(outcome.warnings(), [""; 0]);
    insta::assert_snapshot!(yaml(&outcome.object));
}
