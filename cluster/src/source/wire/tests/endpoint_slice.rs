use super::*;
use crate::object::{AddressType, Endpoint, Mirror, SlicePort, Target};

fn slice(value: Value) -> (object::EndpointSlice, Vec<String>) {
    let converted = convert::<EndpointSlice>(named(value));
    let Object::EndpointSlice(slice) = converted.object else {
        unreachable!()
    };
    (slice, converted.problems)
}

#[test]
fn a_slice_is_read() {
    let (found, problems) = slice(json!({
        "metadata": {
            "labels": {"kubernetes.io/service-name": "web", "mirror.linkerd.io/cluster-name": "east"},
            "annotations": {
                "mirror.linkerd.io/remote-gateway-identity": "g",
                "mirror.linkerd.io/remote-svc-fq-name": "web.ns.svc.remote.local",
            },
            "resourceVersion": "42",
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"port": null}, {"port": 99999}],
        "endpoints": [
            {
                "addresses": ["10.0.0.1", "10.0.0.2"], "conditions": {"ready": false, "serving": true},
                "targetRef": {"kind": "Pod", "name": "a", "namespace": "other"},
                "hostname": "h", "zone": "z", "nodeName": "n1",
                "hints": {"forZones": [{"name": "z"}, {"name": "y"}], "forNodes": [{"name": "n"}]},
            },
            {"addresses": ["10.0.0.3"], "targetRef": {"kind": "Pod", "name": "b"}, "conditions": {}},
            {"addresses": ["10.0.0.4"], "targetRef": {"kind": "Node", "name": "c"}},
            {"addresses": ["10.0.0.5", "10.0.0.6"], "targetRef": null},
            {"addresses": ["fd00::1", "x"], "targetRef": 5},
        ],
    }));
    let endpoint = |address: &str, target| Endpoint {
        address: address.parse().expect("literal"),
        ready: true,
        target,
        hostname: None,
        zone: None,
        zone_hints: Default::default(),
    };
    assert_eq!(
        found,
        object::EndpointSlice {
            service: Some("web".into()),
            address_type: AddressType::V4,
            ports: Some(
                [
                    SlicePort {
                        name: "http".into(),
                        port: Some(8080)
                    },
                    SlicePort {
                        name: "".into(),
                        port: None
                    },
                ]
                .into()
            ),
            endpoints: [
                Endpoint {
                    ready: false,
                    hostname: Some("h".into()),
                    zone: Some("z".into()),
                    zone_hints: ["z".into(), "y".into()].into_iter().collect(),
                    ..endpoint("10.0.0.2", Target::Pod(ObjectKey::new("other", "a")))
                },
                endpoint("10.0.0.3", Target::Pod(ObjectKey::new("ns", "b"))),
                endpoint("10.0.0.4", Target::Unsupported),
                endpoint("10.0.0.5", Target::Address),
                endpoint("10.0.0.6", Target::Address),
            ]
            .into(),
            resource_version: 42,
            mirror: Some(Box::new(Mirror {
                gateway_identity: Some("g".into()),
                remote_name: Some("web.ns.svc.remote.local".into()),
                cluster: Some("east".into()),
            })),
        }
    );
    assert_eq!(
        problems,
        [
            "ports[].port: expected a port (0-65535), found 99999",
            "endpoints[].addresses: fd00::1 is not of the slice's addressType",
            "endpoints[].addresses: \"x\" is not an IP address",
            "endpoints[].targetRef: expected an object, found 5",
        ]
    );
}

#[test]
fn s11_12_a_slice_belongs_to_its_label_else_to_an_owning_service() {
    // destination.md 5.4, scenarios 11 and 12.
    let owners = json!([{"kind": "Node", "name": "n"}, {"kind": "Service", "name": "owner"}]);
    for (labels, owners, expected) in [
        (
            json!({"kubernetes.io/service-name": "web"}),
            owners.clone(),
            Some("web"),
        ),
        (json!({}), owners.clone(), Some("owner")),
        (
            json!({"kubernetes.io/service-name": ""}),
            owners,
            Some("owner"),
        ),
        (json!({}), json!([{"kind": "Node", "name": "n"}]), None),
    ] {
        let (found, _) = slice(
            json!({"metadata": {"labels": labels, "ownerReferences": owners}, "addressType": "IPv6"}),
        );
        assert_eq!(found.service.as_deref(), expected);
        assert_eq!(found.address_type, AddressType::V6);
        assert_eq!((found.ports, found.mirror), (None, None));
    }
}

#[test]
fn names_are_no_addresses_and_an_unknown_type_is_a_problem() {
    let endpoints = json!([{"addresses": ["a.example"]}]);
    let (found, problems) = slice(json!({"addressType": "FQDN", "endpoints": endpoints}));
    assert_eq!(found.address_type, AddressType::Fqdn);
    assert!(found.endpoints.is_empty() && problems.is_empty());
    let (found, problems) = slice(json!({"addressType": "IPv5", "ports": []}));
    assert_eq!(
        (found.address_type, found.ports),
        (AddressType::Fqdn, Some([].into()))
    );
    assert_eq!(
        problems,
        ["addressType: \"IPv5\" is not IPv4, IPv6 or FQDN"]
    );
}

#[test]
fn s22_23_only_the_ready_condition_is_read_and_only_false_is_not_ready() {
    // destination.md 5.2, scenarios 21 to 23.
    for (conditions, ready) in [
        (
            json!({"ready": false, "serving": true, "terminating": true}),
            false,
        ),
        (json!({"ready": true, "terminating": true}), true),
        (json!({"serving": false}), true),
        (json!({"ready": null}), true),
        (json!({}), true),
        (json!(null), true),
    ] {
        let endpoints = json!([{"addresses": ["10.0.0.1"], "conditions": conditions}]);
        let (found, problems) = slice(json!({"addressType": "IPv4", "endpoints": endpoints}));
        assert_eq!(found.endpoints[0].ready, ready, "{conditions}");
        assert_eq!(problems, Vec::<String>::new());
    }
}

#[test]
fn an_endpoint_may_be_an_external_workload_of_the_slices_namespace() {
    let endpoints = json!([
        {"addresses": ["192.0.2.1", "192.0.2.2"], "targetRef": {
            "apiVersion": "workload.linkerd.io/v1beta1", "kind": "ExternalWorkload", "name": "vm",
            "namespace": "other", "uid": "1",
        }},
        {"addresses": ["192.0.2.3"], "targetRef": {"kind": "ExternalWorkload"}},
        {"addresses": ["192.0.2.4"], "targetRef": {"kind": "externalworkload", "name": "vm"}},
    ]);
    let (found, problems) = slice(json!({"addressType": "IPv4", "endpoints": endpoints}));
    let told = found.endpoints.iter();
    let told: Vec<_> = told
        .map(|endpoint| (endpoint.address.to_string(), endpoint.target.clone()))
        .collect();
    assert_eq!(
        told,
        [
            // The last of an object's addresses counts.
            (
                "192.0.2.2".to_owned(),
                Target::ExternalWorkload(ObjectKey::new("ns", "vm"))
            ),
            ("192.0.2.3".to_owned(), Target::Unsupported),
            ("192.0.2.4".to_owned(), Target::Unsupported),
        ]
    );
    assert_eq!(problems, Vec::<String>::new());
}
