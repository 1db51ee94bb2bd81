//! The objects of the scenarios, as people write them.

pub(crate) use ferrule_tests::scenario::objects::*;

use serde_json::{Value, json};

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

pub(crate) fn machine_endpoint(n: u8) -> Value {
    with(
        endpoint("vm", n),
        json!({"targetRef": {"kind": "ExternalWorkload"}}),
    )
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
