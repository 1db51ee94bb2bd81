#![allow(
    clippy::needless_pass_by_value,
    reason = "values are written where they are used"
)]

use super::*;
use crate::{
    object::{Kind, Object},
    source::manifests::items::{Facts, Item, items},
};
use serde_json::json;

/// The slices of the one Service among the documents.
fn derived(documents: &[Value]) -> Vec<(ObjectKey, EndpointSlice)> {
    let interner = Interner::new();
    let mut found: Vec<Item> = documents
        .iter()
        .flat_map(|document| items(document.clone(), 1, &interner))
        .map(|item| item.unwrap())
        .collect();
    found.sort_by(|a, b| a.id().cmp(&b.id()));
    let service = found
        .iter()
        .find(|item| item.object.kind() == Kind::Service)
        .unwrap();
    let (Object::Service(object), Facts::Service(facts)) = (&service.object, &service.facts) else {
        unreachable!()
    };
    let candidates = found.iter().filter_map(|item| {
        let workload = match (&item.object, &item.facts) {
            (Object::Pod(pod), Facts::Pod(facts)) => Workload::Pod(pod, facts),
            (Object::ExternalWorkload(workload), Facts::External(facts)) => {
                Workload::External(workload, facts)
            }
            _ => return None,
        };
        let key = &item.key;
        Some(Candidate { key, workload })
    });
    let zone_of = |node: &Name| (**node == *"n1").then(|| "west".into());
    derive(&service.key, object, facts, candidates, zone_of, &interner)
}

fn service(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ns"}, "spec": spec})
}

fn pod(name: &str, spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "labels": {"app": "web", "v": "1"}},
        "spec": spec, "status": status,
    })
}

/// Slices in short: name, ports, and address of each ready endpoint, the others
/// with a sign.
fn short(slices: &[(ObjectKey, EndpointSlice)]) -> Vec<String> {
    slices
        .iter()
        .map(|(key, slice)| {
            let ports = slice.ports.as_ref().map_or("null".to_owned(), |ports| {
                ports
                    .iter()
                    .map(|port| format!("{}={}", port.name, port.port.unwrap()))
                    .collect::<Vec<_>>()
                    .join(",")
            });
            let endpoints: Vec<_> = slice
                .endpoints
                .iter()
                .map(|endpoint| {
                    let sign = if endpoint.ready { "" } else { "!" };
                    format!("{sign}{}", endpoint.address)
                })
                .collect();
            format!("{} [{ports}] {}", key.name, endpoints.join(" "))
        })
        .collect()
}

fn web() -> Value {
    service(json!({"selector": {"app": "web"}, "ports": [{"port": 80}]}))
}

#[test]
fn a_service_without_selector_has_none() {
    let a = pod("a", json!({}), json!({"podIP": "10.0.0.1"}));
    for spec in [
        json!({"ports": [{"port": 80}]}),
        json!({"selector": {}, "ports": [{"port": 80}]}),
        json!({"selector": {"app": "web", "v": 1}, "ports": [{"port": 80}]}),
        json!({"selector": "app=web"}),
        json!({"selector": {"app": "web"}, "type": "ExternalName"}),
        json!({"selector": {"app": "other"}}),
    ] {
        assert_eq!(derived(&[service(spec.clone()), a.clone()]), [], "{spec}");
    }
}

#[test]
fn a_slice_is_as_a_cluster_would_write_it() {
    let slices = derived(&[
        web(),
        pod("a", json!({"nodeName": "n1"}), json!({"podIP": "10.0.0.1"})),
    ]);
    assert_eq!(
        slices,
        [(
            ObjectKey::new("ns", "web-derived-1"),
            EndpointSlice {
                service: Some("web".into()),
                address_type: AddressType::V4,
                ports: Some(
                    [SlicePort {
                        name: "".into(),
                        port: Some(80)
                    }]
                    .into()
                ),
                endpoints: [Endpoint {
                    address: "10.0.0.1".parse().unwrap(),
                    ready: true,
                    target: Target::Pod(ObjectKey::new("ns", "a")),
                    hostname: None,
                    zone: Some("west".into()),
                    zone_hints: Default::default(),
                }]
                .into(),
                resource_version: 0,
                mirror: None,
            }
        )]
    );
}

#[test]
fn readiness_is_the_condition_else_the_phase() {
    let ready = |status: &str| json!([{"type": "Other", "status": "False"}, {"type": "Ready", "status": status}]);
    for (status, expected) in [
        (json!({"podIP": "10.0.0.1"}), "10.0.0.1"),
        (json!({"podIP": "10.0.0.1", "phase": "Running"}), "10.0.0.1"),
        (
            json!({"podIP": "10.0.0.1", "phase": "Pending"}),
            "!10.0.0.1",
        ),
        (
            json!({"podIP": "10.0.0.1", "conditions": ready("False")}),
            "!10.0.0.1",
        ),
        (
            json!({"podIP": "10.0.0.1", "phase": "Running", "conditions": ready("Unknown")}),
            "!10.0.0.1",
        ),
        (
            json!({"podIP": "10.0.0.1", "phase": "Pending", "conditions": ready("True")}),
            "10.0.0.1",
        ),
    ] {
        let slices = derived(&[web(), pod("a", json!({}), status.clone())]);
        assert_eq!(
            short(&slices),
            [format!("web-derived-1 [=80] {expected}")],
            "{status}"
        );
    }
    for status in [
        json!({"podIP": "10.0.0.1", "phase": "Succeeded"}),
        json!({"podIP": "10.0.0.1", "phase": "Failed"}),
        json!({"phase": "Running"}),
    ] {
        assert_eq!(
            derived(&[web(), pod("a", json!({}), status.clone())]),
            [],
            "{status}"
        );
    }
}

#[test]
fn a_terminating_pod_is_not_ready_unless_that_is_published() {
    let mut a = pod("a", json!({}), json!({"podIP": "10.0.0.1"}));
    a["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let b = pod(
        "b",
        json!({}),
        json!({"podIP": "10.0.0.2", "phase": "Pending"}),
    );
    let pods = [web(), a.clone(), b.clone()];
    assert_eq!(
        short(&derived(&pods)),
        ["web-derived-1 [=80] !10.0.0.1 !10.0.0.2"]
    );
    let published = service(json!({
        "selector": {"app": "web"}, "ports": [{"port": 80}], "publishNotReadyAddresses": true
    }));
    assert_eq!(
        short(&derived(&[published, a, b])),
        ["web-derived-1 [=80] 10.0.0.1 10.0.0.2"]
    );
}

#[test]
fn endpoints_are_grouped_by_what_their_ports_come_to() {
    let with_port = |name: &str, port: u16, ip: &str| {
        let container = json!({"name": "c", "ports": [{"name": "http", "containerPort": port}]});
        pod(
            name,
            json!({"containers": [container]}),
            json!({"podIP": ip}),
        )
    };
    let service = service(json!({"selector": {"app": "web"}, "ports": [
        {"name": "web", "port": 80, "targetPort": "http"},
        {"name": "admin", "port": 81, "targetPort": 9000},
        {"name": "same", "port": 82},
    ]}));
    let slices = derived(&[
        service,
        with_port("a", 8080, "10.0.0.1"),
        with_port("b", 9090, "10.0.0.2"),
        with_port("c", 8080, "10.0.0.3"),
        pod("d", json!({}), json!({"podIP": "10.0.0.4"})),
    ]);
    assert_eq!(
        short(&slices),
        [
            "web-derived-1 [web=8080,admin=9000,same=82] 10.0.0.1 10.0.0.3",
            "web-derived-2 [web=9090,admin=9000,same=82] 10.0.0.2",
            "web-derived-3 [admin=9000,same=82] 10.0.0.4",
        ]
    );
}

#[test]
fn families_are_the_services_own() {
    let a = pod(
        "a",
        json!({}),
        json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}),
    );
    for (spec, expected) in [
        (json!({}), &["10.0.0.1", "fd00::1"][..]),
        (json!({"clusterIP": "10.1.0.1"}), &["10.0.0.1"]),
        (json!({"clusterIPs": ["fd00:1::1"]}), &["fd00::1"]),
        (json!({"clusterIP": "None"}), &["10.0.0.1", "fd00::1"]),
        (
            json!({"clusterIP": "None", "ipFamilies": ["IPv6"]}),
            &["fd00::1"],
        ),
    ] {
        let mut spec = spec;
        spec["selector"] = json!({"app": "web"});
        let slices = derived(&[service(spec.clone()), a.clone()]);
        let found: Vec<_> = slices
            .iter()
            .map(|(_, slice)| slice.endpoints[0].address.to_string())
            .collect();
        assert_eq!(found, expected, "{spec}");
        assert!(
            slices.iter().all(|(_, slice)| slice.ports.is_none()),
            "no ports, as null"
        );
    }
}

#[test]
fn pods_of_a_headless_service_have_their_host_names() {
    let spec = json!({"hostname": "db-0", "subdomain": "web"});
    let a = pod("a", spec, json!({"podIP": "10.0.0.1"}));
    let b = pod(
        "b",
        json!({"hostname": "db-1"}),
        json!({"podIP": "10.0.0.2"}),
    );
    for (cluster_ip, expected) in [("None", Some("db-0")), ("10.1.0.1", None)] {
        let service = service(json!({"selector": {"app": "web"}, "clusterIP": cluster_ip}));
        let slices = derived(&[service, a.clone(), b.clone()]);
        let names: Vec<_> = slices[0]
            .1
            .endpoints
            .iter()
            .map(|endpoint| endpoint.hostname.as_deref())
            .collect();
        assert_eq!(names, [expected, None], "{cluster_ip}");
    }
}

fn machine(name: &str, ports: Value, ips: Value, status: Value) -> Value {
    json!({
        "apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload",
        "metadata": {"name": name, "namespace": "ns", "labels": {
            "app": "web", "topology.kubernetes.io/zone": "east",
        }},
        "spec": {
            "meshTLS": {"identity": "spiffe://root/vm", "serverName": "vm"},
            "ports": ports, "workloadIPs": ips,
        },
        "status": status,
    })
}

#[test]
fn external_workloads_are_endpoints_where_they_declare_the_port() {
    let http = || json!([{"name": "http", "port": 80}]);
    let ip = |ip: &str| json!([{"ip": ip}]);
    let not_ready = json!({"conditions": [{"type": "Ready", "status": "False"}]});
    let slices = derived(&[
        web(),
        pod("a", json!({}), json!({"podIP": "10.0.0.1"})),
        machine("b", http(), ip("192.0.2.1"), json!({})),
        machine("c", http(), ip("192.0.2.2"), not_ready),
        machine("d", json!([{"port": 81}]), ip("192.0.2.3"), json!({})),
        machine("e", http(), json!([]), json!({})),
        machine(
            "f",
            http(),
            json!([{"ip": "192.0.2.5"}, {"ip": "2001:db8::5"}]),
            json!({}),
        ),
    ]);
    assert_eq!(
        short(&slices),
        [
            "web-derived-1 [] 192.0.2.3",
            "web-derived-2 [=80] 10.0.0.1 192.0.2.1 !192.0.2.2 192.0.2.5",
            "web-derived-3 [=80] 2001:db8::5",
        ]
    );
    let endpoint = &slices[1].1.endpoints[1];
    assert_eq!(
        endpoint.target,
        Target::ExternalWorkload(ObjectKey::new("ns", "b"))
    );
    assert_eq!(
        (endpoint.zone.as_deref(), endpoint.hostname.as_deref()),
        (Some("east"), None)
    );
}

#[test]
fn an_external_workload_has_a_services_port_by_name_and_is_a_host_of_a_headless_one() {
    let ports = json!([{"name": "http", "port": 8080}, {"name": "grpc", "port": 9090}]);
    let spec = json!({
        "clusterIP": "None", "selector": {"app": "web"}, "publishNotReadyAddresses": true,
        "ports": [{"name": "a", "port": 80, "targetPort": "http"}, {"name": "b", "port": 81}],
    });
    let not_ready = json!({"conditions": [{"type": "Ready", "status": "False"}]});
    let ips = json!([{"ip": "192.0.2.1"}]);
    let slices = derived(&[service(spec), machine("vm", ports, ips, not_ready)]);
    // publishNotReadyAddresses is about pods.
    assert_eq!(short(&slices), ["web-derived-1 [a=8080] !192.0.2.1"]);
    assert_eq!(slices[0].1.endpoints[0].hostname.as_deref(), Some("vm"));
}
