use super::*;
use crate::object::{DefaultPolicy, Labels, WorkloadPort};

fn workload(value: Value) -> (object::ExternalWorkload, Vec<String>) {
    let converted = convert::<ExternalWorkload>(named(value));
    let Object::ExternalWorkload(workload) = converted.object else {
        unreachable!()
    };
    (workload, converted.problems)
}

/// A spec with these ports and addresses.
fn spec(ports: Value, ips: Value) -> Value {
    let mesh_tls = json!({"identity": "spiffe://x/y", "serverName": "s"});
    json!({"spec": {"meshTLS": mesh_tls, "ports": ports, "workloadIPs": ips}})
}

fn port(name: &str, port: u16) -> WorkloadPort {
    WorkloadPort {
        name: name.into(),
        port,
        is_tcp: true,
    }
}

const NOT_SENT_TO: &str =
    "spec.meshTLS: expected identity and serverName; a workload without both is not sent to";

#[test]
fn an_external_workload_is_read() {
    let (found, problems) = workload(json!({
        "metadata": {
            "labels": {"app": "web", "topology.kubernetes.io/zone": "west"},
            "annotations": {
                "config.linkerd.io/opaque-ports": "db,9000-9001",
                "config.linkerd.io/default-inbound-policy": "deny",
                "config.linkerd.io/proxy-require-identity-inbound-ports": "80",
            },
            "ownerReferences": [{"kind": "ExternalGroup", "name": "vms"}],
        },
        "spec": {
            "meshTLS": {"identity": "spiffe://x/y", "serverName": "s"},
            "ports": [{"name": "db", "port": 3306, "protocol": "TCP"}, {"port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}],
            "workloadIPs": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}],
        },
        "status": {"conditions": [{"type": "Ready", "status": "False"}]},
    }));
    let labels = [("app", "web"), ("topology.kubernetes.io/zone", "west")];
    let labels = labels.map(|(key, value)| (key.into(), value.into()));
    let dns = WorkloadPort {
        is_tcp: false,
        ..port("dns", 53)
    };
    assert_eq!(
        found,
        object::ExternalWorkload {
            labels: Labels::new(labels).into(),
            owner: Owner::One(OwnerRef {
                kind: "ExternalGroup".into(),
                name: "vms".into(),
            }),
            zone: Some("west".into()),
            identity: "spiffe://x/y".into(),
            server_name: "s".into(),
            ips: ips(&["192.0.2.1", "2001:db8::1"]).into(),
            ports: [port("db", 3306), port("", 80), dns].into(),
            opaque_ports: Some(PortSet::parse("3306,9000-9001", |_| None).0),
            default_policy: Some(DefaultPolicy::Deny),
            require_identity_ports: PortSet::parse("80", |_| None).0,
        }
    );
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn an_older_version_spells_its_identity_otherwise() {
    let mesh_tls = |identity: &str| json!({"identity": identity, "serverName": "s"});
    for (spec, identity) in [
        (json!({"meshTLS": mesh_tls("new")}), "new"),
        (json!({"meshTls": mesh_tls("old")}), "old"),
        (
            json!({"meshTls": mesh_tls("old"), "meshTLS": mesh_tls("new")}),
            "new",
        ),
        (json!({"meshTLS": null, "meshTls": mesh_tls("old")}), "old"),
    ] {
        let (found, problems) = workload(json!({"spec": spec}));
        assert_eq!(&*found.identity, identity, "{spec}");
        assert_eq!(problems, Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn what_cannot_be_read_is_left_out_and_said() {
    for (value, expected) in [
        (
            spec(
                json!([{"port": 80}, {"name": "x"}, {"port": 70000}, {"port": "80"}, 7]),
                json!([{"ip": "192.0.2.1"}, {"ip": "vm.example"}, {"ip": 5}, {}, "192.0.2.2"]),
            ),
            vec![
                "spec.workloadIPs[4]: expected an object, found \"192.0.2.2\"",
                "spec.workloadIPs[].ip: \"vm.example\" is not an IP address",
                "spec.workloadIPs[].ip: expected a string, found 5",
                "spec.ports[4]: expected an object, found 7",
                "spec.ports[].port: expected a port (0-65535), found 70000",
                "spec.ports[].port: expected a port (0-65535), found \"80\"",
            ],
        ),
        (
            spec(json!({"port": 80}), json!("192.0.2.1")),
            vec![
                "spec.workloadIPs: expected a list, found \"192.0.2.1\"",
                "spec.ports: expected a list, found an object",
            ],
        ),
        (spec(json!(null), json!(null)), vec![]),
        (json!({}), vec![NOT_SENT_TO]),
        (
            json!({"spec": 5}),
            vec!["spec: expected an object, found 5", NOT_SENT_TO],
        ),
        (
            json!({"spec": {"meshTLS": {"identity": "a", "serverName": 5}}}),
            vec![
                "spec.meshTLS.serverName: expected a string, found 5",
                NOT_SENT_TO,
            ],
        ),
        (
            json!({"spec": {"meshTLS": {"identity": "", "serverName": "s"}}}),
            vec![NOT_SENT_TO],
        ),
        (
            json!({"spec": {"meshTLS": "spiffe://x/y"}}),
            vec![
                "spec.meshTLS: expected an object, found \"spiffe://x/y\"",
                NOT_SENT_TO,
            ],
        ),
    ] {
        let (found, problems) = workload(value.clone());
        assert_eq!(problems, expected, "{value}");
        assert_eq!(
            found.is_meshed(),
            !problems.iter().any(|problem| problem == NOT_SENT_TO)
        );
    }
    let (found, _) = workload(spec(
        json!([{"port": 80}, {"name": "x"}, {"port": 70000}]),
        json!([{"ip": "192.0.2.1"}, {"ip": "x"}]),
    ));
    assert_eq!(found.ips.to_vec(), ips(&["192.0.2.1"]));
    assert_eq!(*found.ports, [port("", 80)]);
}

#[test]
fn the_proxys_port_is_named_or_the_usual_one() {
    for (ports, expected) in [
        (json!([{"name": "linkerd-proxy", "port": 5143}]), 5143),
        (json!([{"name": "http", "port": 5143}]), 4143),
        (json!([]), 4143),
    ] {
        assert_eq!(workload(spec(ports, json!([]))).0.proxy_port(), expected);
    }
}
