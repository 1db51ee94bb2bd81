use super::{
    Translation,
    encoding::{entry, enveloped, event, field, message, number},
    status,
};
use crate::object::Kind;
use serde_json::{Value, json};

fn lines(kind: Kind, bytes: &[u8]) -> Vec<Value> {
    let translated = Translation::of(kind).unwrap().lines(bytes).unwrap();
    let text = str::from_utf8(&translated).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The object in a change that tells this one.
fn told(kind: Kind, object: &[u8]) -> Value {
    let envelope = enveloped("v1", kind.as_str(), object);
    let mut events = lines(kind, &event("ADDED", &envelope));
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "ADDED");
    let mut object = events[0]["object"].take();
    for (name, expected) in [("apiVersion", "v1"), ("kind", kind.as_str())] {
        let named = object.as_object_mut().unwrap().remove(name);
        assert_eq!(named, Some(expected.into()));
    }
    object
}

fn metadata() -> Vec<u8> {
    message(
        1,
        &[
            field(1, "web"),
            field(2, "generated-"),
            field(3, "shop"),
            field(4, ""),
            field(5, "a-uid"),
            field(6, "42"),
            number(7, 3),
            message(8, &[number(1, 1_787_306_400), number(2, 5)]),
            entry(11, "app", "web"),
            entry(11, "empty", ""),
            entry(12, "quoted", "\"a\\b\"\n\u{1}é"),
            message(
                13,
                &[
                    field(1, "ReplicaSet"),
                    field(3, "web-1"),
                    field(5, "apps/v1"),
                ],
            ),
            message(13, &[field(1, "Job"), field(3, "web-2")]),
            message(
                17,
                &[field(1, "kubelet"), message(4, &[number(1, 1_787_306_407)])],
            ),
            message(17, &[field(1, "nobody"), message(7, &[field(1, "{}")])]),
        ],
    )
}

fn metadata_json() -> Value {
    json!({
        "name": "web",
        "namespace": "shop",
        "resourceVersion": "42",
        "creationTimestamp": "2026-08-21T10:00:00Z",
        "labels": {"app": "web", "empty": ""},
        "annotations": {"quoted": "\"a\\b\"\n\u{1}é"},
        "ownerReferences": [
            {"kind": "ReplicaSet", "name": "web-1"},
            {"kind": "Job", "name": "web-2"},
        ],
        "managedFields": [{"time": "2026-08-21T10:00:07Z"}, {}],
    })
}

#[test]
fn a_pod_is_told_as_far_as_it_is_read() {
    let probe = |at: u32, port: Vec<u8>| {
        let get = message(2, &[field(1, "/live"), field(2, port)]);
        message(at, &[field(1, get), number(2, 30)])
    };
    let container = [
        field(1, "web"),
        field(2, "an/image:1"),
        message(6, &[field(1, "http"), number(3, 8080), field(4, "TCP")]),
        message(
            6,
            &[
                field(1, ""),
                number(2, 53),
                number(3, 5353),
                field(4, "UDP"),
            ],
        ),
        message(7, &[field(1, "A"), field(2, "127.0.0.1:1")]),
        message(
            7,
            &[field(1, "B"), field(2, ""), message(3, &[field(1, "x")])],
        ),
        probe(10, [number(1, 0), number(2, 8081), field(3, "")].concat()),
        probe(11, [number(1, 1), number(2, 0), field(3, "http")].concat()),
        message(22, &[message(1, &[message(3, &[field(1, "tcp")])])]),
    ];
    let pod = [
        metadata(),
        message(
            2,
            &[
                message(2, &container),
                field(8, "web-account"),
                field(10, "node-1"),
                number(11, 1),
                number(30, 1),
                message(20, &[field(1, "linkerd-proxy")]),
            ],
        ),
        message(
            3,
            &[
                field(1, "Running"),
                field(5, "192.0.2.7"),
                field(6, "10.0.0.1"),
                message(12, &[field(1, "10.0.0.1")]),
                message(12, &[field(1, "fd00::1")]),
                message(16, &[field(1, "192.0.2.7")]),
            ],
        ),
    ];
    let expected = json!({
        "metadata": metadata_json(),
        "spec": {
            "containers": [{
                "name": "web",
                "ports": [
                    {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                    {"hostPort": 53, "containerPort": 5353, "protocol": "UDP"},
                ],
                "env": [{"name": "A", "value": "127.0.0.1:1"}, {"name": "B"}],
                "livenessProbe": {"httpGet": {"path": "/live", "port": 8081}},
                "readinessProbe": {"httpGet": {"path": "/live", "port": "http"}},
                "startupProbe": {},
            }],
            "serviceAccountName": "web-account",
            "nodeName": "node-1",
            "hostNetwork": true,
            "initContainers": [{"name": "linkerd-proxy"}],
        },
        "status": {
            "phase": "Running",
            "hostIP": "192.0.2.7",
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "hostIPs": [{"ip": "192.0.2.7"}],
        },
    });
    assert_eq!(told(Kind::Pod, &pod.concat()), expected);
}

#[test]
fn a_service_is_told_as_far_as_it_is_read() {
    let port = [
        field(1, "http"),
        field(2, "TCP"),
        number(3, 80),
        message(4, &[number(1, 0), number(2, 8080)]),
        number(5, 0),
        field(6, "kubernetes.io/h2c"),
    ];
    let spec = [
        message(1, &port),
        entry(2, "app", "web"),
        field(3, "10.1.0.1"),
        field(4, "ClusterIP"),
        field(18, "10.1.0.1"),
        field(18, "fd01::1"),
        field(22, "Local"),
    ];
    let expected = json!({
        "metadata": metadata_json(),
        "spec": {
            "ports": [{"name": "http", "port": 80, "appProtocol": "kubernetes.io/h2c"}],
            "clusterIP": "10.1.0.1",
            "type": "ClusterIP",
            "clusterIPs": ["10.1.0.1", "fd01::1"],
            "internalTrafficPolicy": "Local",
        },
    });
    let service = [metadata(), message(2, &spec)].concat();
    assert_eq!(told(Kind::Service, &service), expected);
}

#[test]
fn a_slice_is_told_as_far_as_it_is_read() {
    let endpoint = [
        field(1, "10.0.0.1"),
        message(2, &[number(1, 0), number(2, 1), number(3, 1)]),
        field(3, "web-0"),
        message(
            4,
            &[
                field(1, "Pod"),
                field(2, "shop"),
                field(3, "web-0"),
                field(4, "u"),
            ],
        ),
        field(6, "node-1"),
        field(7, "zone-a"),
        message(
            8,
            &[
                message(1, &[field(1, "zone-a")]),
                message(1, &[field(1, "zone-b")]),
            ],
        ),
    ];
    let expected = json!({
        "metadata": metadata_json(),
        "endpoints": [
            {
                "addresses": ["10.0.0.1"],
                "conditions": {"ready": false},
                "hostname": "web-0",
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0"},
                "zone": "zone-a",
                "hints": {"forZones": [{"name": "zone-a"}, {"name": "zone-b"}]},
            },
            {"addresses": ["10.0.0.2"], "conditions": {}},
        ],
        "ports": [{"name": "http", "port": 8080}],
        "addressType": "IPv4",
    });
    let slice = [
        metadata(),
        message(2, &endpoint),
        message(2, &[field(1, "10.0.0.2"), message(2, &[])]),
        message(3, &[field(1, "http"), field(2, "TCP"), number(3, 8080)]),
        field(4, "IPv4"),
    ];
    assert_eq!(told(Kind::EndpointSlice, &slice.concat()), expected);
}

#[test]
fn a_list_is_one_in_whatever_order_fields_are_and_whatever_else_there_is() {
    let node = message(
        1,
        &[
            message(13, &[field(3, "a")]),
            field(1, "old"),
            // A field of eight bytes, one of four, and one of which nothing is known.
            vec![0x91, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
            vec![0x95, 0x06, 1, 2, 3, 4],
            field(900, "x"),
            message(13, &[field(3, "b")]),
            field(1, "new"),
            message(8, &[]),
        ],
    );
    let expected = json!({
        "name": "new",
        "creationTimestamp": null,
        "ownerReferences": [{"name": "a"}, {"name": "b"}],
    });
    assert_eq!(told(Kind::Node, &node), json!({"metadata": expected}));
}

#[test]
fn bookmarks_and_errors_are_told() {
    let bookmark = message(
        1,
        &[
            field(6, "50"),
            entry(12, "k8s.io/initial-events-end", "true"),
        ],
    );
    let error = [
        field(2, "Failure"),
        field(3, "too old"),
        field(4, "Expired"),
        number(6, 410),
    ];
    let events = [
        event("BOOKMARK", &enveloped("v1", "Pod", &bookmark)),
        event("ERROR", &enveloped("v1", "Status", &error.concat())),
    ];
    let told = lines(Kind::Pod, &events.concat());
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    assert_eq!(
        told,
        [
            json!({"type": "BOOKMARK", "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"resourceVersion": "50", "annotations": annotations},
            }}),
            json!({"type": "ERROR", "object": {
                "apiVersion": "v1", "kind": "Status", "status": "Failure",
                "message": "too old", "reason": "Expired", "code": 410,
            }}),
        ]
    );
}

#[test]
fn events_are_told_however_they_are_cut() {
    let envelope = enveloped("v1", "Pod", &metadata());
    let events = [event("ADDED", &envelope), event("DELETED", &envelope)].concat();
    let whole = Translation::of(Kind::Pod).unwrap().lines(&events).unwrap();
    for size in [1, 2, 3, 5, 7, 64, 300] {
        let mut translation = Translation::of(Kind::Pod).unwrap();
        let mut told = Vec::new();
        for chunk in events.chunks(size) {
            told.extend_from_slice(&translation.lines(chunk).unwrap());
        }
        assert_eq!(told, whole, "by {size} bytes");
        assert!(translation.pending.capacity() == 0, "nothing is kept");
    }
}

#[test]
fn what_is_no_event_is_an_error() {
    let node = |object: &[u8]| event("ADDED", &enveloped("v1", "Node", object));
    for (bytes, expected) in [
        (vec![0xff; 8], "an event of 4294967295 bytes"),
        (event("ADDED", b"{}"), "an object without its envelope"),
        // The name is a number, the metadata a group; it is longer than the object.
        (
            node(&message(1, &[number(1, 1)])),
            "field 1 is of another type",
        ),
        (node(&[0x0b]), "field 1 is of another type"),
        (
            node(&[0x0a, 0x05, 0x00]),
            "field 1 is longer than what it is in",
        ),
        (node(&[0xff; 11]), "varint"),
    ] {
        let error = Translation::of(Kind::Node).unwrap().lines(&bytes);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error} is not {expected}");
    }
}

#[test]
fn a_refusal_says_why() {
    let refusal = [
        field(2, "Failure"),
        field(3, "nodes is forbidden"),
        number(6, 403),
    ]
    .concat();
    let json: Value =
        serde_json::from_slice(&status(&enveloped("v1", "Status", &refusal)).unwrap()).unwrap();
    assert_eq!(json["message"], "nodes is forbidden");
    assert_eq!(json["code"], 403);
    assert_eq!(status(b"<html>"), None);
}

#[test]
fn custom_resources_are_read_in_json() {
    let translated: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| Translation::of(*kind).is_some())
        .collect();
    assert_eq!(
        translated,
        Kind::ALL
            .into_iter()
            .filter(|kind| !kind.is_custom())
            .collect::<Vec<_>>()
    );
}
