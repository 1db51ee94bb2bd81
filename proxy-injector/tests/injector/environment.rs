//! Section 11.4: what the proxy is told.

use crate::support::*;
use ferrule_proxy_injector::{Injector, TrustAnchors};
use serde_json::{Value, json};

fn inbound_ports(pod: &Value) -> String {
    let outcome = inject(pod);
    outcome
        .env("LINKERD2_PROXY_INBOUND_PORTS")
        .unwrap()
        .to_owned()
}

#[test]
fn s95_s96_inbound_ports_are_declared_ones_and_those_of_http_probes() {
    let mut pod = pod();
    pod["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": 9090}});
    assert_eq!(inbound_ports(&pod), "80,9090");
    pod["spec"]["initContainers"] = json!([{"name": "m", "ports": [{"containerPort": 11211}]}]);
    assert_eq!(inbound_ports(&pod), "11211,80,9090");
    let mut pod = with_ports(
        &[],
        &json!([{"containerPort": 80}, {"containerPort": 3306}]),
    );
    let container = &mut pod["spec"]["containers"][0];
    container["livenessProbe"] = json!({"httpGet": {"port": 9999}});
    container["readinessProbe"] = json!({"tcpSocket": {"port": 7777}});
    container["startupProbe"] = json!({"httpGet": {"port": 6666}});
    assert_eq!(inbound_ports(&pod), "3306,80,9999");
    pod["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"port": "http"}});
    assert_eq!(inbound_ports(&pod), "3306,80");
}

#[test]
fn s97_without_ports_the_variable_is_there_and_empty() {
    assert_eq!(inbound_ports(&with_ports(&[], &json!([]))), "");
}

#[test]
fn s98_an_annotation_replaces_the_ports_that_were_found() {
    let pod = annotated(&[("config.linkerd.io/pod-inbound-ports", "1,2,3")]);
    assert_eq!(inbound_ports(&pod), "1,2,3");
}

#[test]
fn s106_s107_additional_variables_are_merged_by_name() {
    let variables = |pairs: &[(&str, &str)]| {
        let list: Vec<_> = pairs
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        Value::from(list)
    };
    let values = json!({"proxy": {
        "additionalEnv": variables(&[("A", "values"), ("B", "values")]),
        "experimentalEnv": variables(&[("X", "values")]),
    }});
    let key = "config.linkerd.io/proxy-additional-env";
    let of_namespace = variables(&[("B", "ns"), ("C", "ns")]).to_string();
    let namespace = shop(&[("linkerd.io/inject", "enabled"), (key, &of_namespace)]);
    let of_pod = json!([{"name": "C", "valueFrom": {"fileKeyRef": {"key": "c"}}}]).to_string();
    let outcome = review(
        &injector(&values),
        &annotated(&[(key, &of_pod)]),
        &namespace,
    );
    let last = |count: usize| {
        let all = outcome.proxy()["env"].as_array().unwrap();
        all[all.len() - count..].to_vec()
    };
    assert_eq!(
        last(4),
        [
            json!({"name": "A", "value": "values"}),
            json!({"name": "B", "value": "ns"}),
            json!({"name": "C", "valueFrom": {"fileKeyRef": {"key": "c"}}}),
            json!({"name": "X", "value": "values"}),
        ]
    );
    assert_eq!(outcome.annotation(key), Some(&*of_pod));
    // Inherited as it is, quotes and all.
    let outcome = review(&injector(&values), &pod(), &namespace);
    assert_eq!(outcome.annotation(key), Some(&*of_namespace));
    // Only the layer that cannot be read is left out.
    let bad = shop(&[("linkerd.io/inject", "enabled"), (key, "[{\"name\": ")]);
    let outcome = review(&injector(&values), &annotated(&[(key, &of_pod)]), &bad);
    assert_eq!(outcome.env("B"), Some("values"));
    assert_eq!(outcome.warnings().len(), 1);
    assert!(outcome.warnings()[0].starts_with(&format!("{key} of namespace shop: ")));
    // A name that is there already: the later counts.
    let level = variables(&[("LINKERD2_PROXY_LOG", "trace")]).to_string();
    let outcome = inject(&annotated(&[(key, &level)]));
    assert_eq!(outcome.env("LINKERD2_PROXY_LOG"), Some("trace"));
}

#[test]
fn s108_a_log_filter_keeps_its_quotes_wherever_it_comes_from() {
    let filter = "linkerd[name=\"outbound\"]=debug";
    let key = "config.linkerd.io/proxy-log-level";
    let expected = format!("{filter},[{{headers}}]=off,[{{request}}]=off");
    let own = inject(&annotated(&[(key, filter)]));
    assert_eq!(own.env("LINKERD2_PROXY_LOG"), Some(&*expected));
    let namespace = shop(&[("linkerd.io/inject", "enabled"), (key, filter)]);
    let inherited = review(&injector(&Value::Null), &pod(), &namespace);
    assert_eq!(inherited.env("LINKERD2_PROXY_LOG"), Some(&*expected));
    assert_eq!(inherited.annotation(key), Some(filter));
}

#[test]
fn s109_headers_are_logged_only_where_that_is_said_clearly() {
    let key = "config.linkerd.io/proxy-log-http-headers";
    let text = refusal(&Value::Null, &annotated(&[(key, "yes")]));
    assert!(text.contains(key) && text.contains("\"yes\""), "{text}");
    let outcome = inject(&annotated(&[(key, "insecure")]));
    let level = "warn,linkerd=info,hickory=error";
    assert_eq!(outcome.env("LINKERD2_PROXY_LOG"), Some(level));
    let filtered = format!("{level},[{{headers}}]=off,[{{request}}]=off");
    for value in ["", "off"] {
        let outcome = inject(&annotated(&[(key, value)]));
        assert_eq!(outcome.env("LINKERD2_PROXY_LOG"), Some(&*filtered));
    }
}

#[test]
fn s110_s111_durations() {
    let connect = "config.linkerd.io/proxy-outbound-connect-timeout";
    let inbound = "config.linkerd.io/proxy-inbound-connect-timeout";
    let discovery = "config.linkerd.io/proxy-inbound-discovery-cache-unused-timeout";
    for (key, value, name, expected, warned) in [
        (
            connect,
            "6s5ms",
            "OUTBOUND_CONNECT_TIMEOUT",
            "6005ms",
            false,
        ),
        (connect, "6000", "OUTBOUND_CONNECT_TIMEOUT", "1000ms", true),
        (
            connect,
            "1001ms",
            "OUTBOUND_CONNECT_TIMEOUT",
            "1001ms",
            false,
        ),
        (
            discovery,
            "6s5000ms",
            "INBOUND_DISCOVERY_IDLE_TIMEOUT",
            "11s",
            false,
        ),
        (
            discovery,
            "500ms",
            "INBOUND_DISCOVERY_IDLE_TIMEOUT",
            "0s",
            false,
        ),
        (inbound, "-5s", "INBOUND_CONNECT_TIMEOUT", "100ms", true),
    ] {
        let outcome = inject(&annotated(&[(key, value)]));
        let name = format!("LINKERD2_PROXY_{name}");
        assert_eq!(outcome.env(&name), Some(expected), "{key} {value}");
        assert_eq!(!outcome.warnings().is_empty(), warned, "{key} {value}");
    }
}

#[test]
fn s112_s113_worker_threads() {
    let key = |name: &str| format!("config.linkerd.io/proxy-cpu-{name}");
    for (name, value, minimum, maximum, ratio) in [
        ("limit", "1001m", "1", Some("2"), None),
        ("request", "100m", "1", None, None),
        ("request", "2500m", "3", None, None),
        ("request", "0", "1", None, None),
        ("request", "x", "1", None, None),
        ("ratio-limit", "1.0", "1", None, None),
        ("ratio-limit", "0.3", "1", None, Some("0.3")),
    ] {
        let outcome = inject(&annotated(&[(&key(name), value)]));
        let env = |name: &str| outcome.env(&format!("LINKERD2_PROXY_CORES{name}"));
        assert_eq!(
            (env(""), env("_MIN")),
            (Some(minimum), Some(minimum)),
            "{name} {value}"
        );
        assert_eq!(
            (env("_MAX"), env("_MAX_RATIO")),
            (maximum, ratio),
            "{name} {value}"
        );
    }
    let outcome = inject(&annotated(&[(&key("limit"), "1001m")]));
    assert_eq!(outcome.proxy()["resources"]["limits"]["cpu"], "1001m");
    let namespace = shop(&[
        ("linkerd.io/inject", "enabled"),
        (&key("ratio-limit"), "0.3"),
    ]);
    let outcome = review(&injector(&Value::Null), &pod(), &namespace);
    assert_eq!(outcome.env("LINKERD2_PROXY_CORES_MAX_RATIO"), None);
    assert_eq!(outcome.annotation(&key("ratio-limit")), None);
    let pod = annotated(&[(&key("limit"), "8"), (&key("ratio-limit"), "0.5")]);
    let outcome = inject_with(&json!({"proxy": {"cores": 4}}), &pod);
    let env = |name: &str| outcome.env(&format!("LINKERD2_PROXY_CORES{name}"));
    assert_eq!((env(""), env("_MIN")), (Some("4"), Some("4")));
    assert_eq!((env("_MAX"), env("_MAX_RATIO")), (None, None));
    let workers = json!({"minimum": 0, "maximum": 6, "maximumCPURatio": 0.2});
    let outcome = inject_with(
        &json!({"proxy": {"runtime": {"workers": workers}}}),
        &crate::support::pod(),
    );
    let env = |name: &str| outcome.env(&format!("LINKERD2_PROXY_CORES{name}"));
    assert_eq!(env("_MIN"), Some("1"));
    assert_eq!((env("_MAX"), env("_MAX_RATIO")), (Some("6"), Some("0.2")));
}

#[test]
fn s119_the_clusters_networks_are_networks() {
    let networks = |text: &str| json!({"clusterNetworks": text});
    for bad in ["foo", "10.0.0.0/8, 192.168.0.0/16", "10.0.0.0/33", ""] {
        let text = refusal(&networks(bad), &pod());
        assert!(text.starts_with("clusterNetworks: "), "{bad}: {text}");
    }
    let outcome = inject_with(&networks(",10.0.0.0/8,"), &pod());
    let env = |name: &str| outcome.env(&format!("LINKERD2_PROXY_{name}_NETWORKS"));
    assert_eq!(env("DESTINATION_PROFILE"), Some(",10.0.0.0/8,"));
    assert_eq!(env("POLICY_CLUSTER"), Some(",10.0.0.0/8,"));
}

#[test]
fn s120_tracing() {
    let collector = json!({
        "endpoint": "collector.obs:4317",
        "meshIdentity": {"serviceAccountName": "collector", "namespace": "obs"},
    });
    let values = json!({
        "identityTrustDomain": "trust.example",
        "proxy": {"tracing": {"enabled": true, "collector": collector}},
    });
    let mut pod = annotated(&[("resource.opentelemetry.io/foo", "bar")]);
    pod["metadata"]["labels"]["app.kubernetes.io/name"] = "nm".into();
    let outcome = inject_with(&values, &pod);
    let env = |name: &str| outcome.env(&format!("LINKERD2_PROXY_TRACE_{name}"));
    assert_eq!(env("COLLECTOR_SVC_ADDR"), Some("collector.obs:4317"));
    assert_eq!(
        env("COLLECTOR_SVC_NAME"),
        Some("collector.obs.serviceaccount.identity.linkerd.trust.example")
    );
    assert_eq!(
        env("EXTRA_ATTRIBUTES"),
        Some(
            "foo=bar\nk8s.container.name=$(_pod_containerName)\nk8s.pod.ip=$(_pod_ip)\n\
             k8s.pod.uid=$(_pod_uid)\nservice.name=nm\n"
        )
    );
    assert_eq!(
        env("ATTRIBUTES_PATH"),
        Some("/var/run/linkerd/podinfo/labels")
    );
    assert!(outcome.names("volumes").contains(&"linkerd-podinfo"));
    // The instance beats the name, and an annotation both.
    pod["metadata"]["labels"]["app.kubernetes.io/instance"] = "inst".into();
    let lines = |pod: &Value| {
        let outcome = inject_with(&values, pod);
        outcome
            .env("LINKERD2_PROXY_TRACE_EXTRA_ATTRIBUTES")
            .unwrap()
            .to_owned()
    };
    assert!(lines(&pod).contains("service.name=inst\n"));
    pod["metadata"]["annotations"]["resource.opentelemetry.io/service.name"] = "mine".into();
    assert!(lines(&pod).contains("service.name=mine\n"));
    for missing in ["endpoint", "meshIdentity"] {
        let mut values = values.clone();
        values["proxy"]["tracing"]["collector"][missing] = Value::Null;
        let text = refusal(&values, &crate::support::pod());
        assert!(text.starts_with("proxy.tracing.collector."), "{text}");
    }
}

#[test]
fn s121_parameters_of_servers_are_named_by_their_path() {
    let http2 = json!({"maxConcurrentStreams": 100, "keepAliveTimeout": "3s"});
    let values = json!({"proxy": {"inbound": {"server": {"http2": http2}}}});
    let outcome = inject_with(&values, &pod());
    let env = |name: &str| outcome.env(&format!("LINKERD2_PROXY_{name}"));
    assert_eq!(
        env("INBOUND_SERVER_HTTP2_MAX_CONCURRENT_STREAMS"),
        Some("100")
    );
    assert_eq!(env("INBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT"), Some("3s"));
    assert_eq!(
        env("OUTBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL"),
        Some("10s")
    );
}

#[test]
fn s123_s125_trust_anchors_are_those_of_now_and_there_must_be_some() {
    let with = |anchors: &str| Injector {
        trust_anchors: TrustAnchors::new(anchors),
        ..injector(&Value::Null)
    };
    let first = review(&with("\nfirst\n\n"), &pod(), &enabled());
    assert_eq!(
        first.env("LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"),
        Some("first\n")
    );
    let second = review(&with("second"), &pod(), &enabled());
    let hash = "linkerd.io/trust-root-sha256";
    assert_ne!(first.annotation(hash), second.annotation(hash));
    assert_eq!(
        second.annotation(hash),
        Some("16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4")
    );
    let error = try_review(&with(" \n"), &pod(), &enabled()).unwrap_err();
    assert!(error.to_string().contains("trust anchors"));
}

#[test]
fn s124_the_service_account_is_the_one_that_the_pod_turns_out_to_have() {
    let outcome = inject(&pod());
    let variables = outcome.proxy()["env"].as_array().unwrap();
    let account = variables
        .iter()
        .find(|variable| variable["name"] == "_pod_sa")
        .unwrap();
    assert_eq!(
        account["valueFrom"]["fieldRef"]["fieldPath"],
        "spec.serviceAccountName"
    );
    assert_eq!(
        outcome.env("LINKERD2_PROXY_IDENTITY_LOCAL_NAME"),
        Some("$(_pod_sa).$(_pod_ns).serviceaccount.identity.linkerd.cluster.local")
    );
}

#[test]
fn the_other_variables_follow_their_values() {
    let values = json!({
        "clusterDomain": "example.org",
        "identity": {"serviceAccountTokenProjection": true},
        "proxy": {
            "isGateway": true, "enableExternalProfiles": true, "enableShutdownEndpoint": true,
            "accessLog": "json", "shutdownGracePeriod": "10s", "requireTLSOnInboundPorts": "8080",
            "requireIdentityOnInboundPorts": "80", "metrics": {"hostnameLabels": true},
            "disableInboundProtocolDetectTimeout": true,
            "disableOutboundProtocolDetectTimeout": true,
            "inboundConnectTimeout": "", "defaultInboundPolicy": "deny", "logFormat": "json",
            "control": {"streams": {"initialTimeout": "", "idleTimeout": "1m", "lifetime": "2m"}},
        },
    });
    let outcome = inject_with(&values, &pod());
    for (name, expected) in [
        (
            "DESTINATION_SVC_ADDR",
            Some("linkerd-dst-headless.linkerd.svc.example.org.:8086"),
        ),
        (
            "POLICY_SVC_ADDR",
            Some("linkerd-policy.linkerd.svc.example.org.:8090"),
        ),
        (
            "IDENTITY_SVC_ADDR",
            Some("linkerd-identity-headless.linkerd.svc.example.org.:8080"),
        ),
        ("INBOUND_GATEWAY_SUFFIXES", Some("svc.example.org.")),
        ("DESTINATION_PROFILE_SUFFIXES", Some(".")),
        ("SHUTDOWN_ENDPOINT_ENABLED", Some("true")),
        ("ACCESS_LOG", Some("json")),
        ("SHUTDOWN_GRACE_PERIOD", Some("10s")),
        ("INBOUND_PORTS_REQUIRE_TLS", Some("8080")),
        ("INBOUND_PORTS_REQUIRE_IDENTITY", Some("80")),
        ("OUTBOUND_METRICS_HOSTNAME_LABELS", Some("true")),
        ("INBOUND_DETECT_TIMEOUT", Some("365d")),
        ("OUTBOUND_DETECT_TIMEOUT", Some("365d")),
        ("INBOUND_CONNECT_TIMEOUT", None),
        ("INBOUND_DEFAULT_POLICY", Some("deny")),
        ("LOG_FORMAT", Some("json")),
        ("CONTROL_STREAM_INITIAL_TIMEOUT", Some("")),
        ("CONTROL_STREAM_LIFETIME", Some("2m")),
    ] {
        assert_eq!(
            outcome.env(&format!("LINKERD2_PROXY_{name}")),
            expected,
            "{name}"
        );
    }
}
