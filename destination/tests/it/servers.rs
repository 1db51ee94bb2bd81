//! What Servers make opaque: destination.md section 5.5, scenarios 65-69, 109
//! and 113.

use crate::{objects::*, support::*};
use ferrule_cluster::object::{
    ContainerPort, Kind, Pod, PodTemplate, ProxyProtocol, Server, ServerPort, WorkloadSelector,
};
use ferrule_proto::destination::{
    ProtocolHint, WeightedAddr,
    protocol_hint::{Opaque, OpaqueTransport, Protocol},
};

const WEB: &str = "web.ns.svc.cluster.local:80";
const ADDR: &str = "10.0.0.1:8080";

/// Service web with the one pod a, labelled `app: web`, and who follows it by
/// Service and by address.
struct Followed {
    mesh: TestMesh,
    get: Client,
    profile: ProfileClient,
}

impl Followed {
    async fn new() -> Self {
        let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
        mesh.apply("a", web_pod());
        let get = mesh.get(WEB).await.expect("open");
        let profile = mesh.profile(ADDR).await.expect("open");
        let mut followed = Self { mesh, get, profile };
        assert_eq!(followed.told().await, Some(false));
        followed
    }

    /// Whether both are now told that the port is opaque; `None` if they are told
    /// nothing. They must always agree.
    async fn told(&mut self) -> Option<bool> {
        let get = self.mesh.read(&mut self.get).await;
        let profiles = self.mesh.read_profiles(&mut self.profile).await;
        let expected = if profiles.is_empty() {
            vec![]
        } else {
            vec![add(&[ADDR])]
        };
        assert_eq!(get, expected, "no Remove, and nothing twice");
        let opaque = is_opaque(self.get.endpoint(ADDR));
        let profile = profiles.last()?;
        assert_eq!(profile.opaque_protocol, opaque);
        assert_eq!(
            is_opaque(profile.endpoint.as_ref().expect("a pod")),
            opaque,
            "the endpoint in the profile"
        );
        Some(opaque)
    }

    async fn apply(&mut self, name: &str, server: Server) -> Option<bool> {
        self.mesh.apply(name, server);
        self.told().await
    }

    async fn delete(&mut self, name: &str) -> Option<bool> {
        self.mesh.delete(Kind::Server, name);
        self.told().await
    }
}

fn web_pod() -> Pod {
    labelled(meshed("10.0.0.1"), &[("app", "web")])
}

fn is_opaque(addr: &WeightedAddr) -> bool {
    let opaque = ProtocolHint {
        protocol: Some(Protocol::Opaque(Opaque {})),
        opaque_transport: Some(OpaqueTransport { inbound_port: 4143 }),
    };
    addr.protocol_hint == Some(opaque)
}

fn opaque(port: u16) -> Server {
    server(ServerPort::Number(port), ProxyProtocol::Opaque)
}

#[tokio::test]
async fn s65_113_a_server_makes_a_port_opaque_for_as_long_as_it_says_so() {
    let mut web = Followed::new().await;
    assert_eq!(web.apply("s", opaque(8080)).await, Some(true));
    assert_eq!(web.apply("s", opaque(8080)).await, None);
    let other = Server {
        workloads: Some(WorkloadSelector::Pods(selector(&[("app", "db")]))),
        ..opaque(8080)
    };
    assert_eq!(web.apply("s", other).await, Some(false));
    assert_eq!(web.apply("s", opaque(8080)).await, Some(true));
    // D7: the reference never clears the profile's.
    let http = server(ServerPort::Number(8080), ProxyProtocol::Http1);
    assert_eq!(web.apply("s", http).await, Some(false));
    assert_eq!(web.apply("s", opaque(8080)).await, Some(true));
    assert_eq!(web.apply("s", opaque(9)).await, Some(false));
    assert_eq!(web.apply("s", opaque(8080)).await, Some(true));
    assert_eq!(web.delete("s").await, Some(false));
}

#[tokio::test]
async fn only_a_server_that_says_opaque_makes_a_port_opaque() {
    let mut web = Followed::new().await;
    for (protocol, spelling) in ProxyProtocol::ALL {
        let told = web
            .apply("s", server(ServerPort::Number(8080), protocol))
            .await;
        let expected = (protocol == ProxyProtocol::Opaque).then_some(true);
        let cleared = (protocol == ProxyProtocol::Tls).then_some(false);
        assert_eq!(told, expected.or(cleared), "{spelling}");
    }
}

#[tokio::test]
async fn s66_a_server_may_name_a_port_of_any_container() {
    let mut web = Followed::new().await;
    // Init containers' ports are among the template's.
    let by_name = |name: &str| server(named(name), ProxyProtocol::Opaque);
    assert_eq!(web.apply("s", by_name("http")).await, Some(true));
    assert_eq!(web.apply("s", by_name("grpc")).await, Some(false));
    // A number as a text is a name.
    assert_eq!(web.apply("s", by_name("8080")).await, None);
    let declaring = PodTemplate {
        ports: [
            ContainerPort {
                name: "http".into(),
                port: 1,
                host_port: None,
                is_tcp: true,
            },
            ContainerPort {
                name: "grpc".into(),
                port: 8080,
                host_port: None,
                is_tcp: true,
            },
        ]
        .into(),
        ..template()
    };
    web.mesh.apply("s", by_name("grpc"));
    let pod = labelled(pod(&["10.0.0.1"], declaring), &[("app", "web")]);
    web.mesh.apply("a", pod);
    assert_eq!(web.told().await, Some(true));
}

#[tokio::test]
async fn s66_a_server_may_name_a_port_of_any_protocol() {
    let mut web = Followed::new().await;
    let mut declaring = template();
    declaring.ports[0].is_tcp = false;
    let pod = labelled(pod(&["10.0.0.1"], declaring), &[("app", "web")]);
    web.mesh.apply("a", pod);
    let told = web
        .apply("s", server(named("http"), ProxyProtocol::Opaque))
        .await;
    assert_eq!(told, Some(true));
}

#[tokio::test]
async fn s67_a_server_of_another_namespace_does_not_count() {
    let mut web = Followed::new().await;
    web.mesh.apply_in("other", "s", opaque(8080));
    assert_eq!(web.told().await, None);
}

#[tokio::test]
async fn s68_one_opaque_server_is_enough_whatever_others_say() {
    let http = || server(ServerPort::Number(8080), ProxyProtocol::Http1);
    let mut web = Followed::new().await;
    assert_eq!(web.apply("opaque", opaque(8080)).await, Some(true));
    // D8: the reference lets the last event win.
    assert_eq!(web.apply("http", http()).await, None);
    assert_eq!(web.delete("http").await, None);
    assert_eq!(web.apply("other", opaque(8080)).await, None);
    assert_eq!(web.delete("opaque").await, None);
    assert_eq!(web.delete("other").await, Some(false));
}

#[tokio::test]
async fn s69_a_server_that_cannot_be_read_selects_nothing_and_hides_no_other() {
    let mut web = Followed::new().await;
    let broken = |server: Server| Server {
        workloads: None,
        ..server
    };
    assert_eq!(web.apply("broken", broken(opaque(8080))).await, None);
    let portless = Server {
        port: None,
        ..opaque(8080)
    };
    assert_eq!(web.apply("portless", portless).await, None);
    assert_eq!(web.apply("good", opaque(8080)).await, Some(true));
    // One that is broken while in force is no longer in force.
    assert_eq!(web.apply("good", broken(opaque(8080))).await, Some(false));
}

#[tokio::test]
async fn an_empty_selector_is_every_pod_and_one_of_external_workloads_none() {
    let mut web = Followed::new().await;
    let all = Server {
        workloads: Some(WorkloadSelector::Pods(selector(&[]))),
        ..opaque(8080)
    };
    assert_eq!(web.apply("s", all).await, Some(true));
    let external = external_server(ServerPort::Number(8080), ProxyProtocol::Opaque);
    assert_eq!(web.apply("s", external).await, Some(false));
}

#[tokio::test]
async fn a_pod_that_is_relabelled_comes_under_other_servers() {
    let mut web = Followed::new().await;
    web.apply("s", opaque(8080)).await;
    web.mesh.apply("a", meshed("10.0.0.1"));
    assert_eq!(web.told().await, Some(false));
    web.mesh.apply("a", web_pod());
    assert_eq!(web.told().await, Some(true));
    // Labels that nobody selects by are no news.
    let more = labelled(
        meshed("10.0.0.1"),
        &[("app", "web"), ("rollout", "restarted")],
    );
    web.mesh.apply("a", more);
    assert_eq!(web.told().await, None);
}

#[tokio::test]
async fn an_annotation_and_a_server_add_up() {
    let mut web = Followed::new().await;
    let annotated = |set| PodTemplate {
        opaque_ports: Some(set),
        ..template()
    };
    let annotated = |set| labelled(pod(&["10.0.0.1"], annotated(set)), &[("app", "web")]);
    web.mesh.apply("a", annotated(ports("8080")));
    assert_eq!(web.told().await, Some(true));
    let http = server(ServerPort::Number(8080), ProxyProtocol::Http1);
    assert_eq!(web.apply("s", http).await, None);
    assert_eq!(web.apply("s", opaque(8080)).await, None);
    web.mesh.apply("a", annotated(ports("1")));
    assert_eq!(web.told().await, None);
    assert_eq!(web.delete("s").await, Some(false));
}

#[tokio::test]
async fn s97_104_a_server_does_not_matter_to_a_services_profile() {
    let mut web = Followed::new().await;
    let mut service = web.mesh.profile(WEB).await.expect("open");
    assert!(!web.mesh.read_profiles(&mut service).await[0].opaque_protocol);
    web.apply("s", opaque(8080)).await;
    web.apply("t", opaque(80)).await;
    assert_eq!(web.mesh.read_profiles(&mut service).await, []);
}

#[tokio::test]
async fn s109_a_host_port_is_opaque_by_the_ports_name() {
    let mut mesh = TestMesh::new(baseline());
    let declared = ContainerPort {
        name: "http".into(),
        port: 80,
        host_port: Some(7777),
        is_tcp: true,
    };
    let host = |name: &str| {
        let template = PodTemplate {
            ports: [declared.clone()].into(),
            ..template()
        };
        let pod = Pod {
            host_ips: [ip("192.168.0.1")].into_iter().collect(),
            ..pod(&["10.0.0.1"], template)
        };
        labelled(pod, &[("app", "web"), ("name", name)])
    };
    mesh.apply("a", host("a"));
    let mut client = mesh.profile("192.168.0.1:7777").await.expect("open");
    let told = mesh.read_profiles(&mut client).await;
    assert!(!told[0].opaque_protocol);
    assert_eq!(pod_and_address(&told[0]), ("a", "192.168.0.1:7777".into()));
    mesh.apply("s", server(named("http"), ProxyProtocol::Opaque));
    let told = mesh.read_profiles(&mut client).await;
    assert!(told[0].opaque_protocol);
    assert_eq!(pod_and_address(&told[0]), ("a", "192.168.0.1:7777".into()));
    // A replacement is under the Server from the start.
    mesh.delete(Kind::Pod, "a");
    assert!(!mesh.read_profiles(&mut client).await[0].opaque_protocol);
    mesh.apply("b", host("b"));
    let told = mesh.read_profiles(&mut client).await;
    assert!(told[0].opaque_protocol);
    assert_eq!(pod_and_address(&told[0]), ("b", "192.168.0.1:7777".into()));
    // By number it is the container's port that is meant, not the host's.
    mesh.apply("s", opaque(80));
    assert!(!mesh.read_profiles(&mut client).await[0].opaque_protocol);
}

fn pod_and_address(profile: &ferrule_proto::destination::DestinationProfile) -> (&str, String) {
    let endpoint = profile.endpoint.as_ref().expect("a pod");
    let addr = std::net::SocketAddr::try_from(endpoint.addr.expect("set")).expect("valid");
    (&endpoint.metric_labels["pod"], addr.to_string())
}
