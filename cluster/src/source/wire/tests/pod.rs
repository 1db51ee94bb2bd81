use super::*;
use crate::object::{ContainerPort, DefaultPolicy, Phase, ProxyContainer, ProxyPorts};

fn pod(value: Value) -> (object::Pod, Vec<String>) {
    let converted = convert::<Pod>(named(value));
    let Object::Pod(pod) = converted.object else {
        unreachable!()
    };
    (pod, converted.problems)
}

#[test]
fn a_pod_is_read() {
    let (found, problems) = pod(json!({
        "metadata": {
            "labels": {"linkerd.io/control-plane-ns": "linkerd", "pod-template-hash": "abc"},
            "annotations": {
                "config.linkerd.io/opaque-ports": "db, admin",
                "config.linkerd.io/skip-inbound-ports": "db,22",
                "config.linkerd.io/default-inbound-policy": "cluster-authenticated",
                "config.linkerd.io/proxy-require-identity-inbound-ports": "80,8080-8090",
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
        is_tcp: true,
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
            default_policy: Some(DefaultPolicy::ClusterAuthenticated),
            require_identity_ports: set("80,8080-8090"),
            probes: Default::default(),
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
fn a_meshed_pod_whose_proxy_does_not_say_where_it_listens_is_a_problem() {
    for (labels, expected) in [
        (json!({"linkerd.io/control-plane-ns": "linkerd"}), 1),
        (json!({}), 0),
    ] {
        let (_, problems) = pod(json!({
            "metadata": {"name": "web", "labels": labels},
            "spec": {"containers": [{"name": "linkerd-proxy"}]},
        }));
        assert_eq!(problems.len(), expected, "{problems:?}");
    }
}

#[test]
fn s60_init_containers_are_searched_first() {
    // A native sidecar.
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
fn annotations_that_cannot_be_read_are_problems_and_the_rest_of_them_counts() {
    let (found, problems) = pod(json!({
        "metadata": {"annotations": {
            "config.linkerd.io/default-inbound-policy": "bogus",
            "config.linkerd.io/proxy-require-identity-inbound-ports": "80,http",
        }},
    }));
    assert_eq!(found.template.default_policy, None);
    assert!(found.template.require_identity_ports.contains(80));
    assert_eq!(problems.len(), 2, "{problems:?}");
    for (problem, start) in problems.iter().zip([
        "annotation config.linkerd.io/default-inbound-policy: \"bogus\" is none of",
        "annotation config.linkerd.io/proxy-require-identity-inbound-ports: \"http\" is neither",
    ]) {
        assert!(problem.starts_with(start), "{problem}");
    }
}

/// Port and path of each probe.
fn probes(spec: Value) -> (Vec<(u16, String)>, Vec<String>) {
    let (found, problems) = pod(json!({ "spec": spec }));
    let probes = found.template.probes.iter();
    let probes = probes.map(|probe| (probe.port, probe.path.to_string()));
    (probes.collect(), problems)
}

#[test]
fn http_probes_of_all_containers_are_read_sorted_and_once() {
    // policy.md 5.6, scenarios 19, 22 and 26.
    let get = |port: Value, path: &str| json!({"httpGet": {"port": port, "path": path}});
    let (found, problems) = probes(json!({
        "initContainers": [{
            "name": "linkerd-proxy",
            "livenessProbe": get(json!(4191), "/live"),
            "readinessProbe": get(json!(4191), "/ready"),
        }],
        "containers": [
            {
                "ports": [
                    {"name": "web", "containerPort": 8080},
                    {"name": "tls", "containerPort": 8443, "protocol": "tcp"},
                ],
                "readinessProbe": get(json!("WEB"), "/ready?x=1"),
                "livenessProbe": get(json!(8080), "/live"),
                "startupProbe": get(json!("web"), "/live"),
            },
            {
                "ports": [{"name": "tls", "containerPort": 9443}],
                "livenessProbe": {"tcpSocket": {"port": 1}},
                "readinessProbe": {"exec": {"command": ["true"]}},
                "startupProbe": {"grpc": {"port": 2}},
            },
            {
                "ports": [{"name": "tls", "containerPort": 9443}],
                "livenessProbe": {"httpGet": {"port": "tls"}},
            },
        ],
    }));
    let at = |port, path: &str| (port, path.to_owned());
    assert_eq!(
        found,
        [
            at(4191, "/live"),
            at(4191, "/ready"),
            at(8080, "/live"),
            at(8080, "/ready"),
            at(9443, "/")
        ]
    );
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_probe_that_cannot_be_made_is_a_problem() {
    // Scenario 21: a name means a TCP port of the same container.
    let (found, problems) = probes(json!({"containers": [
        {"ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]},
        {
            "ports": [{"name": "udp", "containerPort": 53, "protocol": "UDP"}],
            "livenessProbe": {"httpGet": {"port": "http"}},
            "readinessProbe": {"httpGet": {"port": "udp"}},
            "startupProbe": {"httpGet": {"port": 0}},
        },
        {
            "ports": [{"containerPort": 80}],
            "livenessProbe": "x",
            "readinessProbe": {"httpGet": {"port": ""}},
            "startupProbe": {"httpGet": {"port": 80, "path": "/a b"}},
        },
    ]}));
    assert_eq!(found, []);
    assert_eq!(
        problems,
        [
            "containers[].livenessProbe.httpGet.port: the container has no TCP port named \"http\"",
            "containers[].readinessProbe.httpGet.port: the container has no TCP port named \"udp\"",
            "containers[].startupProbe.httpGet.port: expected a port (1-65535) or the name of one, found 0",
            "containers[].livenessProbe: expected an object, found \"x\"",
            "containers[].readinessProbe.httpGet.port: the container has no TCP port named \"\"",
            "containers[].startupProbe.httpGet.path: \"/a b\" is not the path of a URI",
        ]
    );
}
