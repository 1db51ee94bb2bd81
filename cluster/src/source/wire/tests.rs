use super::*;
use crate::object::{
    self, AddressType, ContainerPort, Endpoint, Mirror, Owner, OwnerRef, Phase, PortSet,
    ProxyContainer, ProxyPorts, ServicePort, SlicePort, Target,
};
use serde_json::{Value, json};

fn convert<T: Watched>(value: Value) -> Converted {
    let wire: Wire<T> = serde_json::from_str(&value.to_string()).unwrap();
    wire.convert(&Interner::new(), "").unwrap()
}

fn named(mut value: Value) -> Value {
    value["metadata"]["name"] = json!("x");
    value["metadata"]["namespace"] = json!("ns");
    value
}

fn service(value: Value) -> (object::Service, Vec<String>) {
    let converted = convert::<Service>(named(value));
    let Object::Service(service) = converted.object else {
        unreachable!()
    };
    (service, converted.problems)
}

fn pod(value: Value) -> (object::Pod, Vec<String>) {
    let converted = convert::<Pod>(named(value));
    let Object::Pod(pod) = converted.object else {
        unreachable!()
    };
    (pod, converted.problems)
}

fn slice(value: Value) -> (object::EndpointSlice, Vec<String>) {
    let converted = convert::<EndpointSlice>(named(value));
    let Object::EndpointSlice(slice) = converted.object else {
        unreachable!()
    };
    (slice, converted.problems)
}

fn ips(texts: &[&str]) -> Vec<std::net::IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_key_is_namespace_and_name_and_cluster_scoped_kinds_have_no_namespace() {
    let value = named(json!({"metadata": {"resourceVersion": "12"}}));
    assert_eq!(convert::<Pod>(value.clone()).key, ObjectKey::new("ns", "x"));
    assert_eq!(convert::<Node>(value.clone()).key, ObjectKey::new("", "x"));
    assert_eq!(
        convert::<Namespace>(value.clone()).key,
        ObjectKey::new("", "x")
    );
    let wire: Wire<Pod> = serde_json::from_value(value).unwrap();
    assert_eq!(wire.meta().resource_version.as_deref(), Some("12"));
}

#[test]
fn an_object_that_is_none_is_an_error_and_not_the_end_of_its_list() {
    let page = json!({
        "kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "5"},
        "items": [5, null, {"metadata": {"name": 7}}, {"metadata": "x"}, named(json!({}))],
    });
    let list: kube::core::ObjectList<Wire<Pod>> = serde_json::from_value(page).unwrap();
    let interner = Interner::new();
    let outcomes: Vec<_> = list
        .items
        .into_iter()
        .map(|pod| {
            pod.convert(&interner, "")
                .map(|converted| converted.key.to_string())
        })
        .collect();
    let none = "a Pod without metadata.name";
    assert_eq!(
        outcomes,
        [
            Err(format!("expected an object, found 5; {none}")),
            Err(none.to_owned()),
            Err(format!("metadata.name: expected a string, found 7; {none}")),
            Err(format!("metadata: expected an object, found \"x\"; {none}")),
            Ok("ns/x".to_owned()),
        ]
    );
}

#[test]
fn metadata_alone_is_enough_for_nodes_namespaces_and_owners() {
    let owners = json!({"metadata": {"ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": true}
    ]}});
    let owner = Owner::One(OwnerRef {
        kind: "Deployment".into(),
        name: "web".into(),
    });
    assert_eq!(
        convert::<ReplicaSet>(named(owners.clone())).object,
        Object::ReplicaSet(owner.clone())
    );
    assert_eq!(convert::<Job>(named(owners)).object, Object::Job(owner));
    for owners in [
        json!([]),
        json!(null),
        json!([{"kind": "A", "name": "a"}, {"kind": "B", "name": "b"}]),
    ] {
        let value = named(json!({"metadata": {"ownerReferences": owners}}));
        assert_eq!(convert::<Job>(value).object, Object::Job(Owner::Unclear));
    }
    for (labels, zone) in [
        (
            json!({"topology.kubernetes.io/zone": "west-1", "other": "x"}),
            Some("west-1"),
        ),
        (json!({"topology.kubernetes.io/zone": ""}), None),
        (json!(null), None),
    ] {
        let node = convert::<Node>(named(json!({"metadata": {"labels": labels}})));
        assert_eq!(
            node.object,
            Object::Node(object::Node {
                zone: zone.map(Into::into)
            })
        );
    }
    let value = named(json!({"metadata": {"annotations": {"config.linkerd.io/opaque-ports": ""}}}));
    assert_eq!(
        convert::<Namespace>(value).object,
        Object::Namespace(object::Namespace {
            opaque_ports: Some("".into())
        })
    );
}

#[test]
fn what_is_not_read_is_skipped() {
    let value = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "x", "namespace": "ns", "managedFields": [{"fieldsV1": {"f:metadata": {"f:labels": {}}}}],
            "labels": {"app": "web"}, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"key": "k"}]},
    });
    assert_eq!(convert::<Pod>(value).problems, Vec::<String>::new());
}

#[test]
fn a_service_is_read() {
    let (found, problems) = service(json!({
        "metadata": {"annotations": {"config.linkerd.io/opaque-ports": "db,99-100,bad-"}},
        "spec": {
            "ports": [
                {"name": "db", "port": 3306, "protocol": "TCP", "targetPort": 1},
                {"port": 80, "appProtocol": "kubernetes.io/h2c"},
                {"name": "big", "port": 70000},
                {"name": "text", "port": "80"},
            ],
            "clusterIPs": ["10.1.0.1", "fd00::1"], "clusterIP": "10.1.0.1",
            "type": "ClusterIP", "internalTrafficPolicy": "Local",
        },
    }));
    let port = |name: &str, port, app_protocol: Option<&str>| ServicePort {
        name: name.into(),
        port,
        app_protocol: app_protocol.map(Into::into),
    };
    assert_eq!(
        found,
        object::Service {
            ports: [
                port("db", 3306, None),
                port("", 80, Some("kubernetes.io/h2c"))
            ]
            .into(),
            cluster_ips: ips(&["10.1.0.1", "fd00::1"]).into(),
            external_name: false,
            local_traffic: true,
            opaque_ports: Some(PortSet::parse("3306,99-100", |_| None).0),
        }
    );
    assert_eq!(
        problems,
        [
            "spec.ports[].port: expected a port (0-65535), found 70000",
            "spec.ports[].port: expected a port (0-65535), found \"80\"",
            "annotation config.linkerd.io/opaque-ports: \"bad-\" is neither a port name of the \
             object, a port (0-65535) nor a range such as 9000-9100",
        ]
    );
}

#[test]
fn cluster_addresses_of_a_service() {
    for (spec, expected) in [
        (json!({"clusterIP": "10.1.0.1"}), &["10.1.0.1"][..]),
        (
            json!({"clusterIPs": [], "clusterIP": "10.1.0.1"}),
            &["10.1.0.1"],
        ),
        (
            json!({"clusterIPs": ["10.1.0.2"], "clusterIP": "10.1.0.1"}),
            &["10.1.0.2"],
        ),
        (json!({"clusterIPs": ["None"], "clusterIP": "None"}), &[]),
        (json!({"clusterIP": "None"}), &[]),
        (json!({"clusterIP": ""}), &[]),
        (json!({}), &[]),
        (json!({"type": "ExternalName"}), &[]),
    ] {
        let external = spec["type"] == "ExternalName";
        let (found, problems) = service(json!({"spec": spec}));
        assert_eq!(found.cluster_ips.to_vec(), ips(expected), "{spec}");
        assert_eq!(found.external_name, external);
        assert_eq!(problems, Vec::<String>::new(), "{spec}");
    }
    let (found, problems) = service(json!({"spec": {"clusterIP": "x"}}));
    assert!(found.cluster_ips.is_empty());
    assert_eq!(problems, ["spec.clusterIP: \"x\" is not an IP address"]);
}

#[test]
fn an_empty_annotation_is_an_empty_set_and_none_is_none() {
    let annotated = |value: Value| json!({"metadata": {"annotations": {"config.linkerd.io/opaque-ports": value}}});
    assert_eq!(
        service(annotated(json!(""))).0.opaque_ports,
        Some(PortSet::default())
    );
    assert_eq!(service(json!({})).0.opaque_ports, None);
    assert_eq!(
        service(annotated(json!(3306))),
        (
            object::Service::default(),
            vec![
                "annotation config.linkerd.io/opaque-ports: expected a string, found 3306"
                    .to_owned()
            ]
        )
    );
    let (_, problems) = service(json!({"metadata": {"annotations": ["a"]}}));
    assert_eq!(
        problems,
        ["metadata.annotations: expected an object, found a list"]
    );
}

#[test]
fn a_pod_is_read() {
    let (found, problems) = pod(json!({
        "metadata": {
            "labels": {"linkerd.io/control-plane-ns": "linkerd", "pod-template-hash": "abc"},
            "annotations": {
                "config.linkerd.io/opaque-ports": "db, admin",
                "config.linkerd.io/skip-inbound-ports": "db,22",
            },
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc"}],
            "deletionTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "serviceAccountName": "sa", "nodeName": "n1", "hostNetwork": true,
            "initContainers": [{"name": "i", "ports": [{"name": "admin", "containerPort": 9990}]}],
            "containers": [{"name": "c", "ports": [
                {"name": "db", "containerPort": 3306, "hostPort": 33060},
                {"containerPort": 80, "hostPort": 0},
            ]}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "hostIP": "192.168.0.1", "hostIPs": [{"ip": "192.168.0.1"}, {"ip": "fd01::1"}],
        },
    }));
    let port = |name: &str, port, host_port| ContainerPort {
        name: name.into(),
        port,
        host_port,
    };
    let set = |text: &str| PortSet::parse(text, |_| None).0;
    assert_eq!(
        *found.template,
        object::PodTemplate {
            service_account: "sa".into(),
            control_plane: Some("linkerd".into()),
            template_hash: Some("abc".into()),
            opaque_ports: Some(set("3306,9990")),
            skip_inbound_ports: set("22"),
            ports: [
                port("admin", 9990, None),
                port("db", 3306, Some(33060)),
                port("", 80, None)
            ]
            .into(),
            proxy: ProxyContainer::Absent,
        }
    );
    assert_eq!(
        found.owner,
        Owner::One(OwnerRef {
            kind: "ReplicaSet".into(),
            name: "web-abc".into()
        })
    );
    assert_eq!((&*found.node, found.phase), ("n1", Phase::Running));
    assert!(found.terminating && found.host_network);
    assert_eq!(found.ips.to_vec(), ips(&["10.0.0.1", "fd00::1"]));
    assert_eq!(found.host_ips.to_vec(), ips(&["192.168.0.1", "fd01::1"]));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0]
            .starts_with("annotation config.linkerd.io/skip-inbound-ports: \"db\" is neither")
    );
}

#[test]
fn what_a_pod_lacks_has_its_default() {
    let (found, problems) = pod(json!({
        "metadata": {"labels": {"linkerd.io/control-plane-ns": "", "pod-template-hash": ""}},
        "spec": {"serviceAccountName": ""},
        "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": ""}], "hostIP": "192.168.0.1", "phase": "Unknown"},
    }));
    assert_eq!(
        *found.template,
        object::PodTemplate {
            service_account: "default".into(),
            ..Default::default()
        }
    );
    assert_eq!(
        found.ips.to_vec(),
        ips(&["10.0.0.1"]),
        "podIP where podIPs has none"
    );
    assert!(
        found.host_ips.is_empty(),
        "kept only for pods with a host port"
    );
    assert_eq!((found.owner, found.phase), (Owner::Unclear, Phase::Pending));
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn host_addresses_fall_back_too() {
    let (found, _) = pod(json!({
        "spec": {"containers": [{"ports": [{"containerPort": 80, "hostPort": 8080}]}]},
        "status": {"hostIP": "192.168.0.1"},
    }));
    assert_eq!(found.host_ips.to_vec(), ips(&["192.168.0.1"]));
}

#[test]
fn phases() {
    for (text, phase) in [
        ("Pending", Phase::Pending),
        ("Running", Phase::Running),
        ("Succeeded", Phase::Finished),
        ("Failed", Phase::Finished),
        ("Unknown", Phase::Pending),
        ("", Phase::Pending),
    ] {
        assert_eq!(
            pod(json!({"status": {"phase": text}})).0.phase,
            phase,
            "{text}"
        );
    }
}

fn proxy(containers: Value) -> ProxyContainer {
    pod(json!({ "spec": containers })).0.template.proxy
}

fn env(inbound: &str, admin: &str, control: &str) -> Value {
    json!([
        {"name": "_pod_name", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "value": inbound},
        {"name": "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", "value": admin},
        {"name": "LINKERD2_PROXY_CONTROL_LISTEN_ADDR", "value": control},
        {"name": "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", "value": "0.0.0.0:1"},
    ])
}

#[test]
fn the_proxy_container_says_where_it_listens() {
    let listening = |inbound, admin, control| {
        ProxyContainer::Listening(ProxyPorts {
            inbound,
            admin,
            control,
        })
    };
    for (inbound, admin, control, expected) in [
        (
            "0.0.0.0:4143",
            "0.0.0.0:4191",
            "0.0.0.0:4190",
            listening(Some(4143), 4191, 4190),
        ),
        (
            "[::]:5143",
            "[::]:4191",
            "127.0.0.1:4190",
            listening(Some(5143), 4191, 4190),
        ),
        (
            "$(ADDR):4143",
            "0.0.0.0:4191",
            "0.0.0.0:4190",
            listening(None, 4191, 4190),
        ),
        (
            "0.0.0.0:4143",
            "localhost:4191",
            "0.0.0.0:4190",
            ProxyContainer::Incomplete,
        ),
        (
            "0.0.0.0:4143",
            "0.0.0.0:4191",
            "4190",
            ProxyContainer::Incomplete,
        ),
        (
            "0.0.0.0:4143",
            "0.0.0.0:4191",
            "0.0.0.0:70000",
            ProxyContainer::Incomplete,
        ),
    ] {
        let container = json!({"name": "linkerd-proxy", "env": env(inbound, admin, control)});
        let app = json!({"name": "app", "env": env("0.0.0.0:1", "0.0.0.0:2", "0.0.0.0:3")});
        assert_eq!(
            proxy(json!({"containers": [app, container]})),
            expected,
            "{inbound} {admin} {control}"
        );
        assert_eq!(
            proxy(json!({"initContainers": [container], "containers": [app]})),
            expected
        );
    }
    assert_eq!(
        proxy(json!({"containers": [{"name": "linkerd-proxy"}]})),
        ProxyContainer::Incomplete
    );
    assert_eq!(
        proxy(json!({"containers": [{"name": "app"}]})),
        ProxyContainer::Absent
    );
    // Env is written before the name as often as after it.
    let text = format!(
        r#"{{"metadata": {{"name": "x"}}, "spec": {{"containers": [{{"env": {}, "name": "linkerd-proxy"}}]}}}}"#,
        env("0.0.0.0:1", "0.0.0.0:2", "0.0.0.0:3")
    );
    let wire: Wire<Pod> = serde_json::from_str(&text).unwrap();
    let Object::Pod(pod) = wire.convert(&Interner::new(), "").unwrap().object else {
        unreachable!()
    };
    assert_eq!(pod.template.proxy, listening(Some(1), 2, 3));
}

#[test]
fn init_containers_are_searched_first() {
    let container = |admin: &str| json!([{"name": "linkerd-proxy", "env": env("0.0.0.0:1", admin, "0.0.0.0:3")}]);
    let both =
        json!({"containers": container("0.0.0.0:9"), "initContainers": container("0.0.0.0:2")});
    let ProxyContainer::Listening(ports) = proxy(both) else {
        panic!()
    };
    assert_eq!(ports.admin, 2);
}

#[test]
fn wrong_parts_of_a_pod_are_problems_and_the_rest_is_read() {
    let (found, problems) = pod(json!({
        "metadata": {"labels": {"linkerd.io/control-plane-ns": true}},
        "spec": {"nodeName": 7, "hostNetwork": "yes", "containers": [
            "x", {"name": "c", "ports": [{"containerPort": -1}, {"containerPort": 80}], "env": {}},
            {"name": "linkerd-proxy", "env": "x"},
        ]},
        "status": {"podIP": "10.0.0.256", "podIPs": "10.0.0.1"},
    }));
    assert_eq!(found.template.ports.len(), 1);
    assert_eq!(found.template.proxy, ProxyContainer::Incomplete);
    assert_eq!(
        problems,
        [
            "spec.nodeName: expected a string, found 7",
            "spec.hostNetwork: expected true or false, found \"yes\"",
            "spec.containers[0]: expected an object, found \"x\"",
            "containers[].ports[].containerPort: expected a port (0-65535), found -1",
            "containers[].env: expected a list, found \"x\"",
            "label linkerd.io/control-plane-ns: expected a string, found true",
            "status.podIPs: expected a list, found \"10.0.0.1\"",
            "status.podIP: \"10.0.0.256\" is not an IP address",
        ]
    );
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
            {"addresses": ["10.0.0.5"], "targetRef": null},
            {"addresses": ["fd00::1", "x"], "targetRef": 5},
        ],
    }));
    let endpoint = |addresses: &[&str], target| Endpoint {
        addresses: ips(addresses).into(),
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
            labelled: true,
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
                    ..endpoint(
                        &["10.0.0.1", "10.0.0.2"],
                        Target::Pod(ObjectKey::new("other", "a"))
                    )
                },
                endpoint(&["10.0.0.3"], Target::Pod(ObjectKey::new("ns", "b"))),
                endpoint(&["10.0.0.4"], Target::Unsupported),
                endpoint(&["10.0.0.5"], Target::Address),
                endpoint(&[], Target::Unsupported),
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
fn a_slice_belongs_to_its_label_else_to_an_owning_service() {
    let owners = json!([{"kind": "Node", "name": "n"}, {"kind": "Service", "name": "owner"}]);
    for (labels, owners, expected, labelled) in [
        (
            json!({"kubernetes.io/service-name": "web"}),
            owners.clone(),
            Some("web"),
            true,
        ),
        (json!({}), owners.clone(), Some("owner"), false),
        (
            json!({"kubernetes.io/service-name": ""}),
            owners,
            Some("owner"),
            false,
        ),
        (
            json!({}),
            json!([{"kind": "Node", "name": "n"}]),
            None,
            false,
        ),
    ] {
        let (found, _) = slice(
            json!({"metadata": {"labels": labels, "ownerReferences": owners}, "addressType": "IPv6"}),
        );
        assert_eq!(
            (found.service.as_deref(), found.labelled),
            (expected, labelled)
        );
        assert_eq!(found.address_type, AddressType::V6);
        assert_eq!((found.ports, found.mirror), (None, None));
    }
}

#[test]
fn names_are_no_addresses_and_an_unknown_type_is_a_problem() {
    let endpoints = json!([{"addresses": ["a.example"]}]);
    let (found, problems) = slice(json!({"addressType": "FQDN", "endpoints": endpoints}));
    assert_eq!(found.address_type, AddressType::Fqdn);
    assert!(found.endpoints[0].addresses.is_empty() && problems.is_empty());
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
