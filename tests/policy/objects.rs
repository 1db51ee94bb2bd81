//! The objects of the scenarios, as people write them.

pub(crate) use ferrule_tests::scenario::objects::*;

use ferrule_tests::crds;
use serde_json::{Value, json};

/// Pod `web`, with label `app: web`.
pub(crate) fn web() -> Value {
    labelled(meshed("web", 1), "app", "web")
}

/// The same with other containers.
pub(crate) fn web_of(containers: &Value) -> Value {
    with(web(), json!({"spec": {"containers": containers}}))
}

fn policy(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("policy.linkerd.io/{version}"), "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    })
}

/// A Server of the pods labelled `app: web` with this `accessPolicy`.
pub(crate) fn open_server(name: &str, port: &Value, protocol: &str, access: &str) -> Value {
    with(
        server(name, port, protocol),
        json!({"spec": {"accessPolicy": access}}),
    )
}

/// A reference to a kind of policy.linkerd.io.
pub(crate) fn refers(kind: &str, name: &str) -> Value {
    json!({"group": "policy.linkerd.io", "kind": kind, "name": name})
}

pub(crate) fn account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
}

pub(crate) fn authorization_policy(name: &str, target: &Value, required: &Value) -> Value {
    let spec = json!({"targetRef": target, "requiredAuthenticationRefs": required});
    policy("v1alpha1", "AuthorizationPolicy", name, &spec)
}

pub(crate) fn mesh_tls(name: &str, identities: &[&str]) -> Value {
    let spec = json!({"identities": identities});
    policy("v1alpha1", "MeshTLSAuthentication", name, &spec)
}

pub(crate) fn network(name: &str, networks: &Value) -> Value {
    let spec = json!({"networks": networks});
    policy("v1alpha1", "NetworkAuthentication", name, &spec)
}

/// A ServerAuthorization for Server `srv`.
pub(crate) fn server_authorization(name: &str, client: &Value) -> Value {
    let spec = json!({"server": {"name": "srv"}, "client": client});
    policy("v1beta1", "ServerAuthorization", name, &spec)
}

/// A limit of Server `srv`.
pub(crate) fn rate_limit(name: &str, limits: &Value) -> Value {
    let limit = policy("v1alpha1", "HTTPLocalRateLimitPolicy", name, &json!({}));
    let target = json!({"spec": {"targetRef": refers("Server", "srv")}});
    with(with(limit, target), json!({"spec": limits}))
}

pub(crate) fn egress_network(name: &str, traffic: &str) -> Value {
    let spec = json!({"trafficPolicy": traffic});
    policy("v1alpha1", "EgressNetwork", name, &spec)
}

/// One of these addresses alone.
pub(crate) fn egress_network_of(name: &str, traffic: &str, networks: &Value) -> Value {
    with(
        egress_network(name, traffic),
        json!({"spec": {"networks": networks}}),
    )
}

/// A Server as a parent.
pub(crate) fn on_server(name: &str) -> Value {
    refers("Server", name)
}

/// A port of a Service as a parent.
pub(crate) fn on_port(name: &str, port: u16) -> Value {
    with(on_service(name), json!({"port": port}))
}

/// A Service as a parent.
pub(crate) fn on_service(name: &str) -> Value {
    json!({"group": "core", "kind": "Service", "name": name})
}

/// A port of an EgressNetwork as a parent.
pub(crate) fn on_egress(name: &str, port: u16) -> Value {
    with(refers("EgressNetwork", name), json!({"port": port}))
}

/// A port of a Service as a backend.
pub(crate) fn to(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port})
}

/// An HTTPRoute of policy.linkerd.io.
pub(crate) fn http_route(name: &str, parents: &Value, rules: &Value) -> Value {
    let spec = json!({"parentRefs": parents, "rules": rules});
    policy("v1beta3", "HTTPRoute", name, &spec)
}

/// One that takes one path.
pub(crate) fn at_path(name: &str, parent: &Value, path: &str) -> Value {
    let rules = json!([{"matches": [{"path": {"type": "Exact", "value": path}}]}]);
    http_route(name, &json!([parent]), &rules)
}

/// One that sends all there.
pub(crate) fn all_to(name: &str, parent: &Value, backends: &Value) -> Value {
    http_route(name, &json!([parent]), &json!([{"backendRefs": backends}]))
}

/// A route of the Gateway API.
pub(crate) fn gateway(kind: &str, name: &str, parent: &Value, rules: &Value) -> Value {
    let resource = crds::resource("gateway.networking.k8s.io", kind).expect("one of its kinds");
    json!({
        "apiVersion": resource.api_version, "kind": kind,
        "metadata": {"name": name}, "spec": {"parentRefs": [parent], "rules": rules},
    })
}

/// One that sends all there.
pub(crate) fn gateway_to(kind: &str, name: &str, parent: &Value, backend: &Value) -> Value {
    let route = gateway(kind, name, parent, &json!([{"backendRefs": [backend]}]));
    match kind {
        "TLSRoute" => with(route, json!({"spec": {"hostnames": ["a.example.com"]}})),
        _ => route,
    }
}
