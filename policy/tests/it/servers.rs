//! policy.md section 11, inbound: Servers.

use crate::{objects::*, support::*, told::*};
use ferrule_cluster::object::{
    DefaultPolicy, ExternalWorkload, HttpProbe, Kind, PodTemplate, ProxyProtocol, Server,
    ServerPort, WorkloadSelector,
};
use ferrule_policy::PolicySettings;
use ferrule_proto::inbound;
use tonic::Code;

fn mesh() -> TestMesh {
    TestMesh::new(PolicySettings::default())
}

/// A mesh with pod `web`.
fn with_pod(template: PodTemplate) -> TestMesh {
    let mut mesh = mesh();
    mesh.apply("web", pod(template));
    mesh
}

async fn of(mesh: &mut TestMesh, port: u32) -> inbound::Server {
    mesh.port("ns:web", port).await.expect("known")
}

async fn decided(mesh: &mut TestMesh, port: u32) -> String {
    by(&of(mesh, port).await)
}

#[tokio::test]
async fn s27_39_a_server_decides_what_is_spoken_and_lets_nobody_in_by_itself() {
    for (protocol, expected) in [
        (ProxyProtocol::Unknown, "detect default"),
        (ProxyProtocol::Http1, "http1 default"),
        (ProxyProtocol::Http2, "http2 default"),
        (ProxyProtocol::Grpc, "grpc default"),
        (ProxyProtocol::Opaque, "opaque"),
        (ProxyProtocol::Tls, "tls"),
    ] {
        let mut mesh = with_pod(template());
        mesh.apply("srv", server(8080, protocol));
        let told = of(&mut mesh, 8080).await;
        assert_eq!(by(&told), "server/srv");
        assert_eq!(spoken(&told), expected);
        assert_eq!(who(&told), [""; 0], "{expected}");
        assert_eq!(decided(&mut mesh, 80).await, "default/all-unauthenticated");
    }
}

#[tokio::test]
async fn s23_25_probes_are_let_in_where_http_is_spoken() {
    for (protocol, expected) in [
        (ProxyProtocol::Unknown, "detect default probe"),
        (ProxyProtocol::Http1, "http1 default probe"),
        (ProxyProtocol::Http2, "http2 default probe"),
        (ProxyProtocol::Grpc, "grpc default"),
        (ProxyProtocol::Opaque, "opaque"),
        (ProxyProtocol::Tls, "tls"),
    ] {
        let mut mesh = with_pod(PodTemplate {
            probes: [HttpProbe {
                port: 8080,
                path: "/live".into(),
            }]
            .into(),
            ..template()
        });
        mesh.apply("srv", server(8080, protocol));
        let told = of(&mut mesh, 8080).await;
        assert_eq!(spoken(&told), expected);
        assert_eq!(who(&told), [""; 0], "those of probes are of their route");
    }
}

#[tokio::test]
async fn s28_an_access_policy_lets_in_whom_its_name_says() {
    const CLUSTER: &str = "10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.168.0.0/16 fd00::/8";
    for (policy, clients) in [
        (
            DefaultPolicy::AllUnauthenticated,
            "anyone from 0.0.0.0/0 ::/0".into(),
        ),
        (
            DefaultPolicy::AllAuthenticated,
            "* from 0.0.0.0/0 ::/0".into(),
        ),
        (
            DefaultPolicy::ClusterUnauthenticated,
            format!("anyone from {CLUSTER}"),
        ),
        (
            DefaultPolicy::ClusterAuthenticated,
            format!("* from {CLUSTER}"),
        ),
        (
            DefaultPolicy::Audit,
            "anyone from 0.0.0.0/0 ::/0".to_owned(),
        ),
    ] {
        let mut mesh = with_pod(template());
        let access = Server {
            access: policy,
            ..server(80, ProxyProtocol::Http1)
        };
        mesh.apply("srv", access);
        let told = of(&mut mesh, 80).await;
        assert_eq!(by(&told), "server/srv");
        assert_eq!(who(&told), [format!("default/{policy}: {clients}")]);
    }
}

#[tokio::test]
async fn s29_40_a_port_name_means_every_port_of_that_name() {
    let mut mesh = with_pod(with_ports(&[
        ("admin", 8080),
        ("http", 80),
        // Of another container.
        ("admin", 9090),
        ("", 7070),
    ]));
    let named = Server {
        port: named_port("admin"),
        ..server(1, ProxyProtocol::Http1)
    };
    mesh.apply("srv", named);
    for port in [8080, 9090] {
        assert_eq!(decided(&mut mesh, port).await, "server/srv", "{port}");
    }
    for port in [80, 7070, 1] {
        assert!(
            decided(&mut mesh, port).await.starts_with("default/"),
            "{port}"
        );
    }
}

#[tokio::test]
async fn a_port_name_means_no_port_of_the_host_and_none_that_is_not_tcp() {
    let mut udp = container_port("dns", 53);
    udp.is_tcp = false;
    let mut shared = container_port("dns", 5353);
    shared.host_port = Some(80);
    let mut mesh = with_pod(PodTemplate {
        ports: [udp, shared].into(),
        ..template()
    });
    let named = Server {
        port: named_port("dns"),
        ..server(1, ProxyProtocol::Opaque)
    };
    mesh.apply("srv", named);
    assert_eq!(decided(&mut mesh, 5353).await, "server/srv");
    for port in [53, 80] {
        assert!(
            decided(&mut mesh, port).await.starts_with("default/"),
            "{port}"
        );
    }
}

#[tokio::test]
async fn s30_31_a_text_is_a_name_and_a_number_need_not_be_declared() {
    let mut mesh = with_pod(with_ports(&[("http", 8080), ("9090", 1)]));
    for (name, port) in [
        ("eight", named_port("8080")),
        ("nine", named_port("9090")),
        ("seven", Some(ServerPort::Number(7777))),
        ("none", None),
    ] {
        let server = Server {
            port,
            ..server(1, ProxyProtocol::Http1)
        };
        mesh.apply(name, server);
    }
    assert!(decided(&mut mesh, 8080).await.starts_with("default/"));
    assert!(decided(&mut mesh, 9090).await.starts_with("default/"));
    assert_eq!(decided(&mut mesh, 1).await, "server/nine");
    assert_eq!(decided(&mut mesh, 7777).await, "server/seven");
}

#[tokio::test]
async fn s32_33_of_several_servers_the_oldest_then_the_first_by_name_decides() {
    let mut mesh = with_pod(template());
    let mut web = mesh.watch_port("ns:web", 80).await.expect("known");
    let mut told = |mesh: &mut TestMesh, name: &str, created| {
        let server = Server {
            created,
            ..server(80, ProxyProtocol::Http1)
        };
        mesh.apply(name, server);
        web.read().iter().map(by).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut mesh, "s", Some(5)), ["server/s"]);
    assert_eq!(told(&mut mesh, "abe", Some(6)), [""; 0]);
    assert_eq!(told(&mut mesh, "zed", Some(4)), ["server/zed"]);
    assert_eq!(told(&mut mesh, "yew", Some(4)), ["server/yew"]);
    // One of which nothing is known is older than all.
    assert_eq!(told(&mut mesh, "zoe", None), ["server/zoe"]);
    for (gone, next) in [("zoe", "yew"), ("yew", "zed"), ("zed", "s"), ("s", "abe")] {
        mesh.delete(Kind::Server, gone);
        let told: Vec<_> = web.read().iter().map(by).collect();
        assert_eq!(told, [format!("server/{next}")]);
    }
    mesh.delete(Kind::Server, "abe");
    assert_eq!(by(&web.read()[0]), "default/all-unauthenticated");
}

#[tokio::test]
async fn s17_34_36_a_server_decides_for_as_long_as_it_selects_the_pod() {
    let mut mesh = with_pod(template());
    mesh.apply("other", labelled(pod(template()), &[("app", "web")]));
    let mut web = mesh.watch_port("ns:web", 80).await.expect("known");
    let mut other = mesh.watch_port("ns:other", 80).await.expect("known");
    let mut told =
        || [web.read(), other.read()].map(|told| told.iter().map(by).collect::<Vec<_>>());
    let default = "default/all-unauthenticated".to_owned();
    assert_eq!(told(), [[default.clone()], [default.clone()]]);
    let selecting = |workloads| Server {
        workloads,
        ..server(80, ProxyProtocol::Http1)
    };
    let pods = |pairs| Some(WorkloadSelector::Pods(selector(pairs)));
    mesh.apply("srv", selecting(pods(&[("app", "web")])));
    assert_eq!(told(), [vec![], vec!["server/srv".to_owned()]]);
    mesh.apply(
        "web",
        labelled(pod(template()), &[("app", "web"), ("x", "y")]),
    );
    assert_eq!(told(), [vec!["server/srv".to_owned()], vec![]]);
    mesh.apply("srv", selecting(pods(&[("app", "api")])));
    assert_eq!(told(), [[default.clone()], [default.clone()]]);
    // A selector that cannot be read (`Exists` with values) selects nothing.
    mesh.apply("srv", selecting(None));
    assert_eq!(told(), [[""; 0], [""; 0]]);
}

#[tokio::test]
async fn s6_35_external_workloads_have_servers_of_their_own_kind() {
    let mut mesh = with_pod(template());
    let vm = r#"{"ns":"ns","external_workload":"vm"}"#;
    let status = mesh.port(vm, 80).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    mesh.apply("vm", external());
    let mut client = mesh.watch_port(vm, 80).await.expect("known");
    let first = client.read().remove(0);
    assert_eq!(spoken(&first), "detect default");
    assert_eq!(
        who(&first),
        ["default/all-unauthenticated: anyone from 0.0.0.0/0 ::/0"]
    );

    mesh.apply("pods", server(80, ProxyProtocol::Http1));
    assert_eq!(client.read(), []);
    let external_server = Server {
        workloads: Some(WorkloadSelector::ExternalWorkloads(selector(&[]))),
        port: named_port("http"),
        ..server(1, ProxyProtocol::Http2)
    };
    mesh.apply("machines", external_server);
    assert_eq!(by(&client.read()[0]), "server/machines");
    assert_eq!(decided(&mut mesh, 80).await, "server/pods");
    let status = mesh.port("ns:vm", 80).await.expect_err("means a pod");
    assert_eq!(status.code(), Code::NotFound);

    mesh.delete(Kind::Server, "machines");
    assert_eq!(by(&client.read()[0]), "default/all-unauthenticated");
    let annotated = ExternalWorkload {
        opaque_ports: Some(ports("80")),
        default_policy: Some(DefaultPolicy::ClusterUnauthenticated),
        require_identity_ports: ports("80"),
        ..external()
    };
    mesh.apply("vm", annotated);
    let told = client.read().remove(0);
    assert_eq!(
        (spoken(&told), by(&told)),
        ("opaque".into(), "default/cluster-authenticated".into())
    );
    mesh.delete(Kind::ExternalWorkload, "vm");
    assert_eq!((client.read(), client.ended), (vec![], Some(Code::Ok)));
}

#[tokio::test]
async fn s37_38_where_a_server_decides_the_pods_own_words_do_not_count() {
    let mut mesh = with_pod(PodTemplate {
        opaque_ports: Some(ports("3306")),
        require_identity_ports: ports("3306"),
        default_policy: Some(DefaultPolicy::Deny),
        ..template()
    });
    let open = Server {
        access: DefaultPolicy::AllUnauthenticated,
        ..server(3306, ProxyProtocol::Unknown)
    };
    mesh.apply("srv", open);
    let told = of(&mut mesh, 3306).await;
    assert_eq!(spoken(&told), "detect default");
    assert_eq!(
        who(&told),
        ["default/all-unauthenticated: anyone from 0.0.0.0/0 ::/0"]
    );
}

#[tokio::test]
async fn servers_of_another_namespace_and_what_does_not_matter_are_no_news() {
    let mut mesh = with_pod(template());
    mesh.apply("srv", server(80, ProxyProtocol::Http1));
    let mut web = mesh.watch_port("ns:web", 80).await.expect("known");
    assert_eq!(web.read().len(), 1);
    mesh.apply_in("other", "srv", server(80, ProxyProtocol::Opaque));
    // Labels that no authorization selects by; another port.
    let relabelled = Server {
        labels: labels(&[("a", "b")]),
        ..server(80, ProxyProtocol::Http1)
    };
    mesh.apply("srv", relabelled);
    mesh.apply("more", server(81, ProxyProtocol::Http1));
    assert_eq!(web.read(), []);
}
