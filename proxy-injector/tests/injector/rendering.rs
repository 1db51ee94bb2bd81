//! Section 11.4: the containers, where they go, and what they may do.

use crate::support::*;
use serde_json::{Value, json};

const NATIVE: &str = "config.linkerd.io/proxy-enable-native-sidecar";
const BETA: &str = "config.beta.linkerd.io/proxy-enable-native-sidecar";
const ALPHA: &str = "config.alpha.linkerd.io/proxy-enable-native-sidecar";
const AWAIT: &str = "config.linkerd.io/proxy-await";
const WAIT: &str = "config.alpha.linkerd.io/proxy-wait-before-exit-seconds";

fn with_init(annotations: &[(&str, &str)]) -> Value {
    let mut pod = annotated(annotations);
    pod["spec"]["initContainers"] = json!([{"name": "migrate", "image": "m:1"}]);
    pod
}

#[test]
fn s82_roots_are_made_where_there_are_none_and_the_order_is_fixed() {
    let pod = json!({"spec": {"containers": [{"name": "web"}]}});
    let outcome = inject(&pod);
    let patch = serde_json::to_value(&outcome.decision.patch).unwrap();
    let operations = patch.as_array().unwrap();
    assert!(operations.iter().all(|operation| operation["op"] == "add"));
    let paths: Vec<_> = operations
        .iter()
        .map(|operation| operation["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "/metadata",
            "/metadata/annotations",
            "/metadata/annotations/linkerd.io~1created-by",
            "/metadata/annotations/linkerd.io~1inject",
            "/metadata/annotations/linkerd.io~1proxy-version",
            "/metadata/annotations/linkerd.io~1trust-root-sha256",
            "/metadata/labels",
            "/metadata/labels/linkerd.io~1control-plane-ns",
            "/metadata/labels/linkerd.io~1proxy-deployment",
            "/metadata/labels/linkerd.io~1workload-ns",
            "/spec/volumes",
            "/spec/initContainers",
            "/spec/volumes/-",
            "/spec/initContainers/0",
            "/spec/volumes/-",
            "/spec/volumes/-",
            "/spec/initContainers/1",
        ]
    );
}

#[test]
fn s83_by_default_the_proxy_is_a_native_sidecar_behind_linkerd_init() {
    let outcome = inject(&pod());
    assert_eq!(
        outcome.names("initContainers"),
        ["linkerd-init", "linkerd-proxy"]
    );
    assert_eq!(outcome.names("containers"), ["web"]);
    let proxy = outcome.proxy();
    assert_eq!(proxy["restartPolicy"], "Always");
    assert_eq!(
        proxy["startupProbe"],
        json!({
            "httpGet": {"path": "/ready", "port": 4191},
            "initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 120,
        })
    );
    assert_eq!(proxy.get("lifecycle"), None);
}

#[test]
fn s84_the_pods_own_init_containers_come_after_the_proxy() {
    let outcome = inject(&with_init(&[]));
    assert_eq!(
        outcome.names("initContainers"),
        ["linkerd-init", "linkerd-proxy", "migrate"]
    );
}

#[test]
fn s85_a_regular_proxy_comes_first_and_holds_up_the_others() {
    let outcome = inject(&with_init(&[(NATIVE, "false")]));
    assert_eq!(outcome.names("initContainers"), ["migrate", "linkerd-init"]);
    assert_eq!(outcome.names("containers"), ["linkerd-proxy", "web"]);
    let proxy = outcome.proxy();
    assert_eq!(
        proxy["lifecycle"]["postStart"]["exec"]["command"],
        json!([
            "/usr/lib/linkerd/linkerd-await",
            "--timeout=2m",
            "--port=4191"
        ])
    );
    assert_eq!(proxy.get("restartPolicy"), None);
    assert_eq!(proxy.get("startupProbe"), None);
}

#[test]
fn s86_without_await_nothing_is_held_up() {
    let outcome = inject(&with_init(&[(NATIVE, "false"), (AWAIT, "disabled")]));
    assert_eq!(outcome.names("containers"), ["web", "linkerd-proxy"]);
    assert_eq!(outcome.proxy().get("lifecycle"), None);
    let native = inject(&annotated(&[(AWAIT, "disabled")]));
    assert_eq!(native.proxy().get("startupProbe"), None);
    assert_eq!(native.proxy()["restartPolicy"], "Always");
}

#[test]
fn s87_only_a_regular_proxy_waits_before_it_exits() {
    let native = inject(&annotated(&[(WAIT, "10")]));
    assert_eq!(native.proxy().get("lifecycle"), None);
    let regular = inject(&annotated(&[
        (WAIT, "10"),
        (NATIVE, "false"),
        (AWAIT, "disabled"),
    ]));
    assert_eq!(
        regular.proxy()["lifecycle"],
        json!({"preStop": {"exec": {"command": ["/bin/sleep", "10"]}}})
    );
    // As the other numbers: in digits, however large.
    let large = inject(&annotated(&[(WAIT, "1000000"), (NATIVE, "false")]));
    let command = &large.proxy()["lifecycle"]["preStop"]["exec"]["command"];
    assert_eq!(command, &json!(["/bin/sleep", "1000000"]));
}

#[test]
fn s88_of_the_three_native_keys_the_first_that_is_there_decides() {
    for (namespace, pod, native, warnings) in [
        (vec![(ALPHA, "false")], vec![], false, 0),
        // Not inherited, and told.
        (vec![(BETA, "false")], vec![], true, 1),
        (vec![], vec![(NATIVE, "nope"), (BETA, "false")], true, 1),
        (vec![], vec![(BETA, "F")], false, 0),
        (vec![], vec![(ALPHA, "F"), (BETA, "T")], true, 0),
        (vec![(NATIVE, "false")], vec![(BETA, "true")], false, 0),
        (vec![(ALPHA, "false")], vec![(BETA, "true")], true, 0),
    ] {
        let mut all = vec![("linkerd.io/inject", "enabled")];
        all.extend(&namespace);
        let outcome = review(&injector(&Value::Null), &annotated(&pod), &shop(&all));
        let is_native = outcome.names("initContainers").contains(&"linkerd-proxy");
        assert_eq!(is_native, native, "{namespace:?} {pod:?}");
        assert_eq!(
            outcome.warnings().len(),
            warnings,
            "{:?}",
            outcome.warnings()
        );
    }
    let inherited = shop(&[("linkerd.io/inject", "enabled"), (ALPHA, "false")]);
    let outcome = review(&injector(&Value::Null), &pod(), &inherited);
    assert_eq!(outcome.annotation(ALPHA), Some("false"));
}

#[test]
fn s89_s90_with_the_plugin_a_validator_takes_the_place_of_linkerd_init() {
    let pod = annotated(&[
        ("config.linkerd.io/outbound-port", "5140"),
        // s114: nothing that the plugin could do.
        ("config.linkerd.io/close-wait-timeout", "1m"),
    ]);
    let outcome = inject_with(&json!({"cniEnabled": true}), &pod);
    assert_eq!(
        outcome.names("initContainers"),
        ["linkerd-network-validator", "linkerd-proxy"]
    );
    assert_eq!(
        outcome.names("volumes"),
        ["linkerd-identity-end-entity", "linkerd-identity-token"]
    );
    let validator = outcome.container("linkerd-network-validator");
    assert_eq!(
        validator["args"],
        json!([
            "--log-format",
            "plain",
            "--log-level",
            "debug",
            "--connect-addr",
            "1.1.1.1:20001",
            "--listen-addr",
            "0.0.0.0:4140",
            "--timeout",
            "10s",
        ])
    );
    assert_eq!(
        outcome.env("LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR"),
        Some("127.0.0.1:5140")
    );
}

#[test]
fn the_validators_addresses_and_security_context_are_values() {
    let validator = |values: Value| {
        let outcome = inject_with(&values, &pod());
        outcome.container("linkerd-network-validator").clone()
    };
    let v6 = validator(json!({"cniEnabled": true, "disableIPv6": false}));
    assert_eq!(v6["args"][5], "[fd00::1]:20001");
    assert_eq!(v6["args"][7], "[::]:4140");
    let given = validator(json!({"cniEnabled": true, "networkValidator": {
        "connectAddr": "10.0.0.1:1", "listenAddr": "0.0.0.0:2",
        "securityContext": {"runAsUser": 7},
    }}));
    assert_eq!(given["args"][5], "10.0.0.1:1");
    assert_eq!(given["args"][7], "0.0.0.0:2");
    assert_eq!(given["securityContext"], json!({"runAsUser": 7}));
    let none = validator(json!({
        "cniEnabled": true, "networkValidator": {"enableSecurityContext": false},
    }));
    assert_eq!(none.get("securityContext"), None);
}

#[test]
fn s91_with_ipv6_the_proxy_listens_on_both_families() {
    let outcome = inject_with(&json!({"disableIPv6": false}), &pod());
    assert!(!outcome.arguments().contains("ipv6"));
    for (name, expected) in [
        ("CONTROL_LISTEN_ADDR", "[::]:4190"),
        ("ADMIN_LISTEN_ADDR", "[::]:4191"),
        ("INBOUND_LISTEN_ADDR", "[::]:4143"),
        ("OUTBOUND_LISTEN_ADDR", "127.0.0.1:4140"),
        ("OUTBOUND_LISTEN_ADDRS", "127.0.0.1:4140,[::1]:4140"),
    ] {
        assert_eq!(
            outcome.env(&format!("LINKERD2_PROXY_{name}")),
            Some(expected)
        );
    }
    assert!(inject(&pod()).arguments().contains("--ipv6=false"));
}

#[test]
fn s92_capabilities_are_those_of_the_first_container() {
    let mut pod = pod();
    pod["spec"]["containers"][0]["securityContext"] = json!({"capabilities": {
        "drop": ["ALL", "NET_ADMIN", "NET_RAW"], "add": ["NET_BIND_SERVICE"],
    }});
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({
            "name": "other", "securityContext": {"capabilities": {"add": ["SYS_TIME"]}},
        }));
    let outcome = inject(&pod);
    assert_eq!(
        outcome.proxy()["securityContext"]["capabilities"],
        json!({"add": ["NET_BIND_SERVICE"], "drop": ["ALL", "NET_ADMIN", "NET_RAW"]})
    );
    assert_eq!(
        outcome.init()["securityContext"]["capabilities"],
        json!({"add": ["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"], "drop": ["ALL"]})
    );
}

#[test]
fn s93_the_service_account_is_mounted_as_in_the_first_container() {
    let mount = json!({
        "name": "kube-api-access-x",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": true,
        "recursiveReadOnly": "IfPossible",
    });
    let mut pod = pod();
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "d", "mountPath": "/d"}, mount]);
    let outcome = inject(&pod);
    for container in [outcome.proxy(), outcome.init()] {
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert_eq!(mounts.last(), Some(&mount), "whatever it says");
    }
    let mut second = annotated(&[]);
    let containers = second["spec"]["containers"].as_array_mut().unwrap();
    containers.push(json!({"name": "b", "volumeMounts": [mount]}));
    let outcome = inject(&second);
    assert_eq!(outcome.proxy()["volumeMounts"].as_array().unwrap().len(), 2);
    assert_eq!(outcome.init()["volumeMounts"].as_array().unwrap().len(), 1);
}

#[test]
fn s94_a_security_context_of_the_values_is_taken_whole_for_the_proxy_only() {
    let context = json!({"runAsUser": 7, "seLinuxOptions": {"level": "s0"}});
    let outcome = inject_with(&json!({"proxy": {"securityContext": context}}), &pod());
    assert_eq!(outcome.proxy()["securityContext"], context);
    assert_eq!(outcome.init()["securityContext"]["runAsUser"], 65534);
}

#[test]
fn s114_close_wait_needs_root() {
    let pod = annotated(&[("config.linkerd.io/close-wait-timeout", "1m")]);
    let text = refusal(&Value::Null, &pod);
    assert!(
        text.contains("config.linkerd.io/close-wait-timeout"),
        "{text}"
    );
    assert!(text.contains("proxyInit.runAsRoot"), "{text}");
    let outcome = inject_with(&json!({"proxyInit": {"runAsRoot": true}}), &pod);
    assert!(outcome.arguments().contains("--timeout-close-wait-secs 60"));
    let context = &outcome.init()["securityContext"];
    for (key, expected) in [
        ("privileged", json!(true)),
        ("allowPrivilegeEscalation", json!(true)),
        ("runAsUser", json!(0)),
        ("runAsGroup", json!(0)),
        ("runAsNonRoot", json!(false)),
    ] {
        assert_eq!(context[key], expected, "{key}");
    }
}

#[test]
fn s115_the_mode_of_iptables_is_one_of_two() {
    let mode = |mode: &str| json!({"proxyInit": {"iptablesMode": mode}});
    assert!(refusal(&mode("plain"), &pod()).contains("proxyInit.iptablesMode"));
    let nft = "--firewall-bin-path iptables-nft --firewall-save-bin-path iptables-nft-save ";
    assert!(inject(&pod()).arguments().starts_with(nft));
    let legacy = inject_with(&mode("legacy"), &pod());
    assert!(
        legacy
            .arguments()
            .starts_with("--ipv6=false --incoming-proxy-port 4143 ")
    );
}

#[test]
fn s116_numbers_are_in_digits_however_large() {
    let outcome = inject(&annotated(&[
        ("config.linkerd.io/proxy-uid", "1000700000"),
        ("config.linkerd.io/proxy-gid", "1000700001"),
    ]));
    assert!(
        outcome
            .arguments()
            .contains("--proxy-uid 1000700000 --proxy-gid 1000700001")
    );
    let context = &outcome.proxy()["securityContext"];
    assert_eq!(context["runAsUser"], 1_000_700_000);
    assert_eq!(context["runAsGroup"], 1_000_700_001);
}

#[test]
fn linkerd_init_has_all_that_the_values_say() {
    let outcome = inject_with(
        &json!({"proxyInit": {
            "runAsUser": 0, "runAsGroup": 0, "privileged": true, "logFormat": "json",
            "logLevel": "debug", "skipSubnets": "10.0.0.0/24", "ignoreInboundPorts": "",
            "ignoreOutboundPorts": "443", "xtMountPath": {"name": "lock", "mountPath": "/lock"},
        }}),
        &pod(),
    );
    assert_eq!(
        outcome.arguments(),
        "--firewall-bin-path iptables-nft --firewall-save-bin-path iptables-nft-save --ipv6=false \
         --incoming-proxy-port 4143 --outgoing-proxy-port 4140 --proxy-uid 2102 \
         --inbound-ports-to-ignore 4190,4191 --outbound-ports-to-ignore 443 --log-format json \
         --log-level debug --subnets-to-ignore 10.0.0.0/24"
    );
    let context = &outcome.init()["securityContext"];
    // Root is contradicted by runAsNonRoot, so it is nobody.
    assert_eq!(context["runAsUser"], 65534);
    assert_eq!(context["privileged"], true);
    assert_eq!(
        outcome.init()["volumeMounts"],
        json!([{"name": "lock", "mountPath": "/lock"}])
    );
    assert!(outcome.names("volumes").contains(&"lock"));
}

#[test]
fn s117_ports_are_followed_everywhere_and_bad_ones_are_told() {
    let outcome = inject(&annotated(&[("config.linkerd.io/admin-port", "4999")]));
    let proxy = outcome.proxy();
    assert_eq!(
        proxy["ports"][1],
        json!({"name": "linkerd-admin", "containerPort": 4999})
    );
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        assert_eq!(proxy[probe]["httpGet"]["port"], 4999, "{probe}");
    }
    assert_eq!(
        outcome.env("LINKERD2_PROXY_ADMIN_LISTEN_ADDR"),
        Some("0.0.0.0:4999")
    );
    assert!(
        outcome
            .arguments()
            .contains("--inbound-ports-to-ignore 4190,4999,4567,4568")
    );
    let regular = inject(&annotated(&[
        ("config.linkerd.io/admin-port", "4999"),
        (NATIVE, "0"),
    ]));
    let hook = &regular.proxy()["lifecycle"]["postStart"]["exec"]["command"];
    assert_eq!(hook[2], "--port=4999");
    for bad in ["abc", "99999", "0", "-1", ""] {
        let outcome = inject(&annotated(&[("config.linkerd.io/inbound-port", bad)]));
        assert_eq!(outcome.proxy()["ports"][0]["containerPort"], 4143, "{bad}");
        assert_eq!(
            outcome.warnings(),
            [format!(
                "config.linkerd.io/inbound-port: {bad:?} is ignored; expected a port (1-65535)"
            )]
        );
    }
}

#[test]
fn s122_the_debug_container_is_added_and_its_image_is_the_pods_to_say() {
    let outcome = inject(&annotated(&[
        ("config.linkerd.io/enable-debug-sidecar", "true"),
        ("config.linkerd.io/debug-image-version", "foo"),
    ]));
    assert_eq!(outcome.names("containers"), ["web", "linkerd-debug"]);
    let debug = outcome.container("linkerd-debug");
    assert_eq!(debug["image"], "cr.l5d.io/linkerd/debug:foo");
    assert_eq!(
        debug["livenessProbe"],
        json!({"exec": {"command": ["true"]}})
    );
    let namespace = shop(&[
        ("linkerd.io/inject", "enabled"),
        ("config.linkerd.io/enable-debug-sidecar", "true"),
        ("config.linkerd.io/debug-image-version", "foo"),
    ]);
    let outcome = review(
        &injector(&json!({"linkerdVersion": "v1"})),
        &pod(),
        &namespace,
    );
    assert_eq!(
        outcome.container("linkerd-debug")["image"],
        "cr.l5d.io/linkerd/debug:v1"
    );
    assert_eq!(
        outcome.warnings(),
        [
            "config.linkerd.io/debug-image-version of namespace shop has no effect there; expected \
          on pods"
        ]
    );
}

#[test]
fn resources_are_there_only_where_set() {
    assert_eq!(inject(&pod()).proxy().get("resources"), None);
    let outcome = inject_with(
        &json!({"proxy": {"resources": {
            "cpu": {"request": "100m", "limit": ""}, "memory": {"request": "20Mi", "limit": "250Mi"},
        }}}),
        &annotated(&[("config.linkerd.io/proxy-ephemeral-storage-limit", "1Gi")]),
    );
    let expected = json!({
        "limits": {"memory": "250Mi", "ephemeral-storage": "1Gi"},
        "requests": {"cpu": "100m", "memory": "20Mi"},
    });
    assert_eq!(outcome.proxy()["resources"], expected);
    assert_eq!(outcome.init()["resources"], expected);
}
