//! The objects of the scenarios, as people write them.

use serde_json::{Value, json};

/// Which ports of a pod or Service are opaque.
pub const OPAQUE_PORTS: &str = "config.linkerd.io/opaque-ports";

/// Changes an object as a JSON merge patch does: lists are replaced, null removes.
pub fn with(mut object: Value, patch: Value) -> Value {
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

/// The object with one more annotation.
pub fn annotated(object: Value, key: &str, value: &str) -> Value {
    with(object, json!({"metadata": {"annotations": {key: value}}}))
}

/// The object with one more label.
pub fn labelled(object: Value, key: &str, value: &str) -> Value {
    with(object, json!({"metadata": {"labels": {key: value}}}))
}

/// A meshed pod at 10.0.0.n: `mp name@10.0.0.n`.
pub fn meshed(name: &str, n: u8) -> Value {
    let pod = labelled(unmeshed(name, n), "linkerd.io/control-plane-ns", "linkerd");
    let proxy = proxy("0.0.0.0:4143");
    with(pod, json!({"spec": {"containers": [app(), proxy]}}))
}

/// One that is not in the mesh.
pub fn unmeshed(name: &str, n: u8) -> Value {
    let ip = format!("10.0.0.{n}");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"automountServiceAccountToken": false, "containers": [app()]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    })
}

/// A container whose TCP port 8080 is named `http`.
pub fn app() -> Value {
    json!({"name": "app", "image": "app", "ports": [{"name": "http", "containerPort": 8080}]})
}

/// A proxy that listens there for what comes in.
pub fn proxy(inbound: &str) -> Value {
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
pub fn service(name: &str) -> Value {
    ports(name, &json!([{"port": 80}]))
}

/// A Service with these ports.
pub fn ports(name: &str, ports: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": ports},
    })
}

/// ExternalWorkload `vm` at 10.0.0.n, port 8080.
pub fn machine(n: u8) -> Value {
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

/// A Server of the pods labelled `app: web`.
pub fn server(name: &str, port: &Value, protocol: &str) -> Value {
    json!({
        "apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "port": port, "proxyProtocol": protocol,
        },
    })
}
