//! The proxy starts in what a kubelet makes of each shape of pod, and is where its
//! neighbours and its probes look for it. That a real proxy does was tried by hand, with
//! pods of a real API server (identity-injector.md section 7).

use crate::{
    kubelet::{Started, list, start, text},
    snapshots::every_annotation,
    support::*,
};
use ferrule_cluster::object::parse_port_range;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

const PREFIX: &str = "LINKERD2_PROXY_";
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Each shape of a pod, and the values that make it.
fn shapes() -> Vec<(&'static str, Value, Value)> {
    let native = "config.linkerd.io/proxy-enable-native-sidecar";
    // As the API server's admission has made it before.
    let mut mounting = pod();
    mounting["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "kube-api-access", "mountPath": SERVICE_ACCOUNT, "readOnly": true}]);
    mounting["spec"]["volumes"] = json!([{"name": "kube-api-access", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]}}]);
    let (all_values, all) = every_annotation();
    let tracing = json!({"proxy": {"tracing": {"enabled": true, "collector": {
        "endpoint": "collector.obs:4317",
        "meshIdentity": {"serviceAccountName": "collector", "namespace": "obs"},
    }}}});
    let own_token = json!({"identity": {"serviceAccountTokenProjection": false}});
    vec![
        ("plain", Value::Null, pod()),
        ("regular", Value::Null, annotated(&[(native, "false")])),
        ("its own account's token", own_token, mounting.clone()),
        ("an account that is mounted", Value::Null, mounting),
        ("both families", json!({"disableIPv6": false}), pod()),
        ("the plugin", json!({"cniEnabled": true}), pod()),
        ("tracing", tracing, pod()),
        ("every annotation", all_values, all),
    ]
}

fn is_duration(text: &str) -> bool {
    let unit = text.trim_start_matches(|one: char| one.is_ascii_digit());
    text.len() > unit.len() && ["ms", "s", "m", "h", "d"].contains(&unit)
}

fn are_ports(text: &str) -> bool {
    text.is_empty() || text.split(',').all(|item| parse_port_range(item).is_some())
}

/// A name that a proxy can look up, with a port.
fn is_authority(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(name, port)| {
        is_name(name.strip_suffix('.').unwrap_or(name)) && port.parse::<u16>().is_ok()
    })
}

fn is_name(text: &str) -> bool {
    text.split('.').all(|label| {
        let mut all = label.chars();
        (1..=63).contains(&label.len()) && all.all(|one| one.is_ascii_alphanumeric() || one == '-')
    })
}

fn all<T: std::str::FromStr>(text: &str) -> bool {
    text.split(',').all(|item| item.parse::<T>().is_ok())
}

/// What a variable must be, by its name; everything else may be any text.
fn is_understood(name: &str, value: &str) -> bool {
    let ends = |end: &str| name.ends_with(end);
    match name {
        "CORES" | "CORES_MIN" | "CORES_MAX" => value.parse::<u32>().is_ok_and(|cores| cores > 0),
        "INBOUND_IPS" => all::<IpAddr>(value),
        "INBOUND_PORTS" => are_ports(value),
        "LOG_FORMAT" => ["plain", "json"].contains(&value),
        "INGRESS_MODE" => value == "true",
        "SHUTDOWN_GRACE_PERIOD" | "CONTROL_STREAM_LIFETIME" => is_duration(value),
        _ if ends("_LISTEN_ADDR") || ends("_LISTEN_ADDRS") => all::<SocketAddr>(value),
        _ if ends("_SVC_ADDR") => is_authority(value),
        _ if ends("_SVC_NAME") || ends("_LOCAL_NAME") => is_name(value),
        _ if ends("_TIMEOUT") || ends("_KEEPALIVE") || ends("_INTERVAL") => is_duration(value),
        _ if ends("_NETWORKS") => all::<ipnet::IpNet>(value),
        _ if name.starts_with("INBOUND_PORTS_") => are_ports(value),
        _ if ends("_ENABLED") || ends("_LABELS") => ["true", "false"].contains(&value),
        _ if ends("_WORKLOAD") || ends("_CONTEXT") => serde_json::from_str::<Value>(value)
            .is_ok_and(|told| told["ns"] == "shop" && told["pod"] == "web-1"),
        _ => true,
    }
}

fn port_of(started: &Started, listener: &str) -> u16 {
    let addr = started.variable(&format!("{PREFIX}{listener}_LISTEN_ADDR"));
    addr.parse::<SocketAddr>().unwrap().port()
}

fn started(values: &Value, pod: &Value) -> (Outcome, Started) {
    let outcome = inject_with(values, pod);
    let started = start(&outcome.object, outcome.proxy());
    (outcome, started)
}

#[test]
fn every_variable_is_one_that_a_proxy_understands() {
    for (shape, values, pod) in shapes() {
        let (_, started) = started(&values, &pod);
        for (name, value) in &started.variables {
            let Some(name) = name.strip_prefix(PREFIX) else {
                continue;
            };
            assert!(is_understood(name, value), "{shape}: {name}={value:?}");
        }
        let name = "web.shop.serviceaccount.identity.linkerd.cluster.local";
        assert_eq!(started.variable("LINKERD2_PROXY_IDENTITY_LOCAL_NAME"), name);
    }
}

#[test]
fn every_file_that_a_variable_names_is_there() {
    for (shape, values, pod) in shapes() {
        let (outcome, started) = started(&values, &pod);
        let paths = started
            .variables
            .iter()
            .filter(|(_, value)| value.starts_with('/'));
        for (name, path) in paths {
            let is_there = match &**name {
                // Its key is made there as it starts.
                "LINKERD2_PROXY_IDENTITY_DIR" => started.writable.contains(path),
                _ => started.files.contains(path),
            };
            assert!(is_there, "{shape}: {name}={path} in {started:#?}");
        }
        // The others' volumes are there, too.
        for container in ["initContainers", "containers"] {
            for container in list(&outcome.object["spec"][container]) {
                start(&outcome.object, container);
            }
        }
    }
}

#[test]
fn probes_neighbours_and_redirected_connections_find_the_proxy_where_it_listens() {
    for (shape, values, pod) in shapes() {
        let (outcome, started) = started(&values, &pod);
        let proxy = outcome.proxy();
        let [admin, control] = ["ADMIN", "CONTROL"].map(|one| port_of(&started, one));
        let [inbound, outbound] = ["INBOUND", "OUTBOUND"].map(|one| port_of(&started, one));
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            let port = &proxy[probe]["httpGet"]["port"];
            assert!(port.is_null() || *port == admin, "{shape}: {probe}");
        }
        let named = |name: &str| {
            list(&proxy["ports"])
                .find(|port| port["name"] == name)
                .unwrap()
        };
        assert_eq!(named("linkerd-admin")["containerPort"], admin, "{shape}");
        assert_eq!(named("linkerd-proxy")["containerPort"], inbound, "{shape}");
        let awaits = list(&proxy["lifecycle"]["postStart"]["exec"]["command"]);
        for argument in awaits.filter_map(|argument| text(argument).strip_prefix("--port=")) {
            assert_eq!(argument, admin.to_string(), "{shape}");
        }
        if !outcome.names("initContainers").contains(&"linkerd-init") {
            continue;
        }
        let arguments: Vec<_> = list(&outcome.init()["args"]).map(text).collect();
        let argument = |name: &str| {
            let at = arguments.iter().position(|one| *one == name);
            arguments[at.unwrap_or_else(|| panic!("{shape}: no {name}")) + 1]
        };
        assert_eq!(argument("--incoming-proxy-port"), inbound.to_string());
        assert_eq!(argument("--outgoing-proxy-port"), outbound.to_string());
        let user = proxy["securityContext"]["runAsUser"].to_string();
        assert_eq!(argument("--proxy-uid"), user, "{shape}: it is redirected");
        let passed: Vec<_> = argument("--inbound-ports-to-ignore").split(',').collect();
        for port in [admin, control] {
            assert!(passed.contains(&&*port.to_string()), "{shape}: {port}");
        }
    }
}
