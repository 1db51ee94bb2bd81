#![allow(
    clippy::needless_pass_by_value,
    reason = "values are written where they are used"
)]

mod authorizations;
mod endpoint_slice;
mod external_workload;
mod pod;
mod route;
mod server;
mod service_profile;

use super::*;
use crate::object::{self, Multicluster, Owner, OwnerRef, PortSet, ServicePort};
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
    assert_eq!(wire.resource_version.as_deref(), Some("12"));
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
            traffic: None,
            multicluster: None,
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
fn a_service_may_stand_for_others() {
    const REMOTE: &str = "multicluster.linkerd.io/remote-discovery";
    const LOCAL: &str = "multicluster.linkerd.io/local-discovery";
    const SERVICE: &str = "multicluster.linkerd.io/remote-service";
    let remote = |cluster: &str, service: Option<&str>| {
        Some(Multicluster::Remote {
            cluster: cluster.into(),
            service: service.map(Into::into),
        })
    };
    let federated = |local: Option<&str>| {
        Some(Multicluster::Federated {
            local: local.map(Into::into),
        })
    };
    for (labels, annotations, expected) in [
        (json!({}), json!({}), None),
        (
            json!({REMOTE: "east", SERVICE: "web"}),
            json!({}),
            remote("east", Some("web")),
        ),
        (json!({REMOTE: "east"}), json!({}), remote("east", None)),
        (
            json!({REMOTE: "", SERVICE: ""}),
            json!({}),
            remote("", None),
        ),
        (json!({SERVICE: "web"}), json!({}), None),
        (
            json!({REMOTE: "east", SERVICE: "web"}),
            json!({LOCAL: "bb"}),
            federated(Some("bb")),
        ),
        (json!({}), json!({REMOTE: "bb@east"}), federated(None)),
        (
            json!({}),
            json!({REMOTE: "bb@east", LOCAL: "bb"}),
            federated(Some("bb")),
        ),
        (json!({}), json!({LOCAL: ""}), federated(None)),
        // A label by the annotation's name says nothing.
        (json!({LOCAL: "bb"}), json!({}), None),
    ] {
        let value = json!({"metadata": {"labels": labels, "annotations": annotations}});
        let (found, problems) = service(value.clone());
        assert_eq!(found.multicluster.map(|it| *it), expected, "{value}");
        assert_eq!(problems, Vec::<String>::new());
    }
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
