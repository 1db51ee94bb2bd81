//! Annotations as such: what is inherited, what bad ones do, what they warn of.

use crate::support::*;
use ferrule_proxy_injector::inherited_keys;
use serde_json::Value;

#[test]
fn a_pod_inherits_what_it_does_not_say_itself_however_empty() {
    let key = "config.linkerd.io/proxy-version";
    let namespace = shop(&[("linkerd.io/inject", "enabled"), (key, "ns")]);
    let injector = injector(&serde_json::json!({"linkerdVersion": "v1"}));
    for (own, annotation, image) in [
        (None, "ns", "cr.l5d.io/linkerd/proxy:ns"),
        (Some("own"), "own", "cr.l5d.io/linkerd/proxy:own"),
        (Some(""), "", "cr.l5d.io/linkerd/proxy:v1"),
    ] {
        let own: Vec<_> = own.map(|own| (key, own)).into_iter().collect();
        let outcome = review(&injector, &annotated(&own), &namespace);
        assert_eq!(outcome.annotation(key), Some(annotation));
        assert_eq!(outcome.proxy()["image"], image);
        assert_eq!(outcome.init()["image"], image);
        let version = image.rsplit(':').next();
        assert_eq!(outcome.annotation("linkerd.io/proxy-version"), version);
    }
}

#[test]
fn every_inherited_annotation_reaches_the_pod_as_it_is() {
    for key in inherited_keys() {
        // Also what cannot be read: the pod shows what holds for it.
        let value = if key == "linkerd.io/inject" {
            "enabled"
        } else {
            "\"off\""
        };
        if key == "config.linkerd.io/proxy-log-http-headers" {
            continue;
        }
        let namespace = shop(&[("linkerd.io/inject", "enabled"), (key, value)]);
        let outcome = review(&injector(&Value::Null), &pod(), &namespace);
        assert_eq!(outcome.annotation(key), Some(value));
    }
}

#[test]
fn s117_s118_what_cannot_be_read_is_named_and_the_rest_works() {
    for (key, value) in [
        ("default-inbound-policy", "bogus"),
        ("proxy-await", "yes"),
        ("admin-port", "abc"),
        ("proxy-uid", "root"),
        ("proxy-cpu-limit", "lots"),
        ("proxy-memory-request", "-1Mi"),
        ("proxy-cpu-ratio-limit", "1.0"),
        ("enable-debug-sidecar", "please"),
        ("shutdown-grace-period", "-1s"),
        ("close-wait-timeout", "soon"),
        ("proxy-additional-env", "{}"),
        ("proxy-additional-env", "[{}]"),
        ("proxy-additional-env", r#"[{"name": "A", "value": 5}]"#),
        (
            "proxy-additional-env",
            r#"[{"name": "A", "valueFrom": "b"}]"#,
        ),
        ("enable-gateway", "yes"),
        ("proxy-admin-shutdown", "true"),
    ] {
        let key = format!("config.linkerd.io/{key}");
        let other = ("config.linkerd.io/proxy-version", "v9");
        let outcome = inject(&annotated(&[(&key, value), other]));
        let plain = inject(&annotated(&[other]));
        assert_eq!(outcome.proxy(), plain.proxy(), "{key}");
        assert_eq!(outcome.proxy()["image"], "cr.l5d.io/linkerd/proxy:v9");
        let warnings = outcome.warnings();
        assert_eq!(warnings.len(), 1, "{key}");
        let start = format!("{key}: {value:?} is ignored; expected ");
        assert!(warnings[0].starts_with(&start), "{}", warnings[0]);
        assert!(warnings[0].len() <= 256, "{}", warnings[0]);
    }
}

#[test]
fn what_others_will_not_understand_is_passed_on_and_doubted() {
    for (key, value) in [
        ("skip-inbound-ports", "http"),
        ("skip-outbound-ports", "1-0"),
        ("skip-subnets", "10.0.0.1"),
        ("image-pull-policy", "Sometimes"),
        ("proxy-log-format", "xml"),
        ("access-log", "verbose"),
        ("proxy-require-identity-inbound-ports", "web"),
        ("pod-inbound-ports", "web"),
    ] {
        let key = format!("config.linkerd.io/{key}");
        let outcome = inject(&annotated(&[(&key, value)]));
        assert!(
            outcome.object.to_string().matches(value).count() > 1,
            "{key} is passed on"
        );
        let start = format!("{key}: {value:?} will not be understood; expected ");
        assert_eq!(outcome.warnings().len(), 1, "{key}");
        assert!(
            outcome.warnings()[0].starts_with(&start),
            "{:?}",
            outcome.warnings()
        );
    }
}

#[test]
fn a_key_that_nobody_reads_is_told_unless_it_once_was_one() {
    let outcome = inject(&annotated(&[
        ("config.linkerd.io/proxy-log-levle", "debug"),
        ("config.linkerd.io/disable-tap", "true"),
        ("linkerd.io/identity-mode", "default"),
        ("viz.linkerd.io/tap-enabled", "true"),
        ("balancer.linkerd.io/failure-accrual", "consecutive"),
    ]));
    assert_eq!(
        outcome.warnings(),
        ["config.linkerd.io/proxy-log-levle is not known and has no effect"]
    );
    let namespace = shop(&[
        ("linkerd.io/inject", "enabled"),
        ("config.linkerd.io/enable-gateway", "true"),
        ("config.linkerd.io/typo", "x"),
    ]);
    let outcome = review(&injector(&Value::Null), &pod(), &namespace);
    assert_eq!(
        outcome.warnings(),
        [
            "config.linkerd.io/enable-gateway of namespace shop has no effect there; expected on pods",
            "config.linkerd.io/typo of namespace shop is not known and has no effect",
        ]
    );
    assert_eq!(outcome.env("LINKERD2_PROXY_INBOUND_GATEWAY_SUFFIXES"), None);
}

#[test]
fn each_annotation_has_the_effect_that_the_table_says() {
    let env = |name: &str| format!("LINKERD2_PROXY_{name}");
    for (key, value, name, expected) in [
        (
            "proxy-admin-shutdown",
            "enabled",
            env("SHUTDOWN_ENDPOINT_ENABLED"),
            "true",
        ),
        ("proxy-log-format", "json", env("LOG_FORMAT"), "json"),
        ("access-log", "apache", env("ACCESS_LOG"), "apache"),
        (
            "default-inbound-policy",
            "audit",
            env("INBOUND_DEFAULT_POLICY"),
            "audit",
        ),
        (
            "enable-external-profiles",
            "true",
            env("DESTINATION_PROFILE_SUFFIXES"),
            ".",
        ),
        (
            "enable-gateway",
            "true",
            env("INBOUND_GATEWAY_SUFFIXES"),
            "svc.cluster.local.",
        ),
        (
            "proxy-metrics-hostname-labels",
            "1",
            env("OUTBOUND_METRICS_HOSTNAME_LABELS"),
            "true",
        ),
        (
            "shutdown-grace-period",
            "1m30s",
            env("SHUTDOWN_GRACE_PERIOD"),
            "90000ms",
        ),
        (
            "proxy-require-identity-inbound-ports",
            "80,90",
            env("INBOUND_PORTS_REQUIRE_IDENTITY"),
            "80,90",
        ),
        (
            "proxy-disable-outbound-protocol-detect-timeout",
            "true",
            env("OUTBOUND_DETECT_TIMEOUT"),
            "365d",
        ),
        (
            "proxy-disable-inbound-protocol-detect-timeout",
            "t",
            env("INBOUND_DETECT_TIMEOUT"),
            "365d",
        ),
        (
            "proxy-outbound-discovery-cache-unused-timeout",
            "1m",
            env("OUTBOUND_DISCOVERY_IDLE_TIMEOUT"),
            "60s",
        ),
        (
            "control-port",
            "5190",
            env("CONTROL_LISTEN_ADDR"),
            "0.0.0.0:5190",
        ),
        (
            "inbound-port",
            "5143",
            env("INBOUND_LISTEN_ADDR"),
            "0.0.0.0:5143",
        ),
    ] {
        let outcome = inject(&annotated(&[(&format!("config.linkerd.io/{key}"), value)]));
        assert_eq!(outcome.env(&name), Some(expected), "{key}");
        assert_eq!(outcome.warnings(), [""; 0], "{key}");
    }
    let outcome = inject(&annotated(&[
        ("config.linkerd.io/skip-inbound-ports", "80"),
        ("config.linkerd.io/skip-outbound-ports", "443-445"),
        ("config.linkerd.io/skip-subnets", "10.0.0.0/24"),
        ("config.linkerd.io/proxy-image", "my.reg/proxy"),
        ("config.linkerd.io/image-pull-policy", "Always"),
        ("config.linkerd.io/debug-image", "my.reg/debug"),
        ("config.linkerd.io/debug-image-pull-policy", "Never"),
        ("config.linkerd.io/enable-debug-sidecar", "true"),
    ]));
    assert!(
        outcome
            .arguments()
            .contains("--inbound-ports-to-ignore 4190,4191,80 ")
    );
    assert!(
        outcome
            .arguments()
            .contains("--outbound-ports-to-ignore 443-445 ")
    );
    assert!(
        outcome
            .arguments()
            .ends_with("--subnets-to-ignore 10.0.0.0/24")
    );
    for container in [outcome.proxy(), outcome.init()] {
        assert!(
            container["image"]
                .as_str()
                .unwrap()
                .starts_with("my.reg/proxy:")
        );
        assert_eq!(container["imagePullPolicy"], "Always");
    }
    let debug = outcome.container("linkerd-debug");
    assert!(
        debug["image"]
            .as_str()
            .unwrap()
            .starts_with("my.reg/debug:")
    );
    assert_eq!(debug["imagePullPolicy"], "Never");
    assert_eq!(outcome.warnings(), [""; 0]);
}
