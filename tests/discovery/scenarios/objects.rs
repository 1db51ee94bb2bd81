//! The objects of the scenarios, as people write them.

use serde_json::{Value, json};

/// Changes an object as a JSON merge patch does: lists are replaced, null removes.
pub(crate) fn with(mut object: Value, patch: Value) -> Value {
    merge(&mut object, patch);
    object
}

fn merge(value: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *value = patch;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (key, patch) in patch {
        if patch.is_null() {
            value.as_object_mut().map(|value| value.remove(&key));
        } else {
            merge(&mut value[&key], patch);
        }
    }
}

pub(crate) fn annotated(object: Value, key: &str, value: &str) -> Value {
    with(object, json!({"metadata": {"annotations": {key: value}}}))
}

pub(crate) fn labelled(object: Value, key: &str, value: &str) -> Value {
    with(object, json!({"metadata": {"labels": {key: value}}}))
}

pub(crate) const OPAQUE_PORTS: &str = "config.linkerd.io/opaque-ports";

/// `mp name@10.0.0.n`.
pub(crate) fn meshed(name: &str, n: u8) -> Value {
    let pod = labelled(unmeshed(name, n), "linkerd.io/control-plane-ns", "linkerd");
    let proxy = proxy("0.0.0.0:4143");
    with(pod, json!({"spec": {"containers": [app(), proxy]}}))
}

pub(crate) fn unmeshed(name: &str, n: u8) -> Value {
    let ip = format!("10.0.0.{n}");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"automountServiceAccountToken": false, "containers": [app()]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    })
}

pub(crate) fn app() -> Value {
    json!({"name": "app", "image": "app", "ports": [{"name": "http", "containerPort": 8080}]})
}

/// A proxy that listens there for what comes in.
pub(crate) fn proxy(inbound: &str) -> Value {
    json!({
        "name": "linkerd-proxy", "image": "proxy",
        "env": [
            {"name": "LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "value": inbound},
            {"name": "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", "value": "0.0.0.0:4191"},
            {"name": "LINKERD2_PROXY_CONTROL_LISTEN_ADDR", "value": "0.0.0.0:4190"},
        ],
    })
}

/// A Service with port 80, unnamed, and no selector: the slices are ours.
pub(crate) fn service(name: &str) -> Value {
    ports(name, &json!([{"port": 80}]))
}

pub(crate) fn ports(name: &str, ports: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": ports},
    })
}

pub(crate) fn external_name() -> Value {
    with(
        service("ext"),
        json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}),
    )
}

/// A slice with the unnamed port 8080, of the family of its first address.
pub(crate) fn slice(name: &str, service: &str, endpoints: &[Value]) -> Value {
    let first = endpoints.first().map(|one| one["addresses"].to_string());
    let v6 = first.is_some_and(|address| address.contains("::"));
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": if v6 { "IPv6" } else { "IPv4" },
        "ports": [{"port": 8080}],
        "endpoints": endpoints,
    })
}

/// Pod `name` at 10.0.0.n, ready.
pub(crate) fn endpoint(name: &str, n: u8) -> Value {
    at(name, &format!("10.0.0.{n}"))
}

pub(crate) fn at(name: &str, address: &str) -> Value {
    with(
        bare(address),
        json!({"targetRef": {"kind": "Pod", "namespace": "$ns", "name": name}}),
    )
}

/// An address that is no object's.
pub(crate) fn bare(address: &str) -> Value {
    json!({"addresses": [address], "conditions": {"ready": true}})
}

pub(crate) fn hinted(endpoint: Value, zone: &str) -> Value {
    with(endpoint, json!({"hints": {"forZones": [{"name": zone}]}}))
}

/// ExternalWorkload `vm` at 10.0.0.n, port 8080.
pub(crate) fn machine(n: u8) -> Value {
    json!({
        "apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload",
        "metadata": {"name": "vm"},
        "spec": {
            "meshTLS": {"identity": "spiffe://x/y", "serverName": "s"},
            "ports": [{"port": 8080}],
            "workloadIPs": [{"ip": format!("10.0.0.{n}")}],
        },
    })
}

pub(crate) fn machine_endpoint(n: u8) -> Value {
    with(
        endpoint("vm", n),
        json!({"targetRef": {"kind": "ExternalWorkload"}}),
    )
}

/// A Server of the pods labelled `app: web`.
pub(crate) fn server(name: &str, port: &Value, protocol: &str) -> Value {
    json!({
        "apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "port": port, "proxyProtocol": protocol,
        },
    })
}

/// A ServiceProfile of `web`.
pub(crate) fn service_profile(spec: &Value) -> Value {
    json!({
        "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
        "metadata": {"name": "web.$ns.svc.cluster.local"}, "spec": spec,
    })
}

/// One with a single route of this name.
pub(crate) fn routed(name: &str) -> Value {
    service_profile(&json!({"routes": [{"name": name, "condition": {"method": "GET"}}]}))
}

/// `web`, meshed pods `a` at 10.0.0.1, `b` at 10.0.0.2 and so on, and slice `s1`.
pub(crate) fn web(pods: &[&str]) -> Vec<Value> {
    let mut objects = vec![service("web")];
    objects.extend(pods.iter().zip(1..).map(|(pod, n)| meshed(pod, n)));
    objects.push(s1(pods));
    objects
}

pub(crate) fn s1(pods: &[&str]) -> Value {
    let endpoints = pods.iter().zip(1..).map(|(pod, n)| endpoint(pod, n));
    slice("s1", "web", &endpoints.collect::<Vec<_>>())
}
