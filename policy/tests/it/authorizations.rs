//! policy.md section 11, inbound: authorization.

use crate::{objects::*, support::*, told::*};
use ferrule_cluster::object::{
    AuthorizationPolicy, ClientIdentity, Clients, DefaultPolicy, IdentitySource, Kind,
    MeshTlsAuthentication, NetworkAuthentication, ObjectKey, PolicyTarget, ProxyProtocol,
    RequiredAuthentications, Server, ServerAuthorization, ServerSelector, route::RouteKind,
};
use ferrule_policy::PolicySettings;
use ferrule_proto::inbound;

const ANY: &str = "0.0.0.0/0 ::/0";

/// A mesh with pod `web`, whose port 80 Server `srv` is about.
fn mesh() -> TestMesh {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", pod(template()));
    mesh.apply("srv", server(80, ProxyProtocol::Http1));
    mesh
}

/// Who may call port 80 of `web`.
async fn who_at_80(mesh: &mut TestMesh) -> Vec<String> {
    who(&mesh.port("ns:web", 80).await.expect("known"))
}

fn requires(identity: Option<IdentitySource>, network: Option<&str>) -> AuthorizationPolicy {
    AuthorizationPolicy {
        required: Some(RequiredAuthentications {
            identity,
            network: network.map(|name| ObjectKey::new(NS, name)),
        }),
        ..policy("srv")
    }
}

fn service_account(namespace: &str, name: &str) -> ClientIdentity {
    ClientIdentity::ServiceAccount(ObjectKey::new(namespace, name))
}

#[tokio::test]
async fn s41_42_43_identities_are_told_exact_or_by_their_end() {
    let namespace = ClientIdentity::Namespace("foo".into());
    for (identities, expected) in [
        (identities(&["*"]), "*"),
        (
            identities(&[
                "*.ns.serviceaccount.identity.linkerd.cluster.local",
                "spiffe://td/x",
            ]),
            "spiffe://td/x *.ns.serviceaccount.identity.linkerd.cluster.local",
        ),
        (identities(&["*.*.a", "x.*.a", "**.a"]), "x.*.a **.a *.*.a"),
        (
            [namespace, service_account("b", "sa")].into(),
            "sa.b.serviceaccount.identity.linkerd.cluster.local \
             *.foo.serviceaccount.identity.linkerd.cluster.local",
        ),
    ] {
        let mut mesh = mesh();
        mesh.apply("m", MeshTlsAuthentication { identities });
        mesh.apply("p", mesh_tls_policy("srv", NS, "m"));
        let told = who_at_80(&mut mesh).await;
        assert_eq!(
            told,
            [format!("authorizationpolicy/p: {expected} from {ANY}")]
        );
    }
}

#[tokio::test]
async fn s42_each_label_of_a_pattern_is_a_part() {
    let mut mesh = mesh();
    mesh.apply(
        "m",
        mesh_tls(&["*.ns.serviceaccount.identity.linkerd.cluster.local", "*"]),
    );
    mesh.apply("p", mesh_tls_policy("srv", NS, "m"));
    let told = mesh.port("ns:web", 80).await.expect("known");
    let inbound::authn::Permit::MeshTls(tls) = permit(&told.authorizations[0]) else {
        panic!("{told:?}");
    };
    let Some(inbound::authn::permit_mesh_tls::Clients::Identities(clients)) = &tls.clients else {
        panic!("{tls:?}");
    };
    let parts: Vec<_> = clients
        .suffixes
        .iter()
        .map(|suffix| suffix.parts.len())
        .collect();
    assert_eq!(parts, [6, 0]);
}

#[tokio::test]
async fn s44_a_service_account_need_not_exist() {
    let mut mesh = mesh();
    let account = IdentitySource::ServiceAccount(ObjectKey::new("other-ns", "sa"));
    mesh.apply("p", requires(Some(account), None));
    let expected = "sa.other-ns.serviceaccount.identity.linkerd.cluster.local";
    assert_eq!(
        who_at_80(&mut mesh).await,
        [format!("authorizationpolicy/p: {expected} from {ANY}")]
    );
}

#[tokio::test]
async fn s45_what_one_policy_requires_must_all_hold_and_several_policies_are_alternatives() {
    let mut mesh = mesh();
    mesh.apply("m", mesh_tls(&["x"]));
    mesh.apply("n", network_authentication(&["10.0.0.0/8"]));
    let mesh_source = || Some(IdentitySource::MeshTls(ObjectKey::new(NS, "m")));
    mesh.apply("both", requires(mesh_source(), Some("n")));
    assert_eq!(
        who_at_80(&mut mesh).await,
        ["authorizationpolicy/both: x from 10.0.0.0/8"]
    );
    mesh.delete(Kind::AuthorizationPolicy, "both");
    mesh.apply("b", requires(mesh_source(), None));
    mesh.apply("a", requires(None, Some("n")));
    assert_eq!(
        who_at_80(&mut mesh).await,
        [
            "authorizationpolicy/a: anyone from 10.0.0.0/8".to_owned(),
            format!("authorizationpolicy/b: x from {ANY}"),
        ]
    );
}

#[tokio::test]
async fn s46_48_a_policy_counts_while_what_it_requires_is_there_in_whatever_namespace() {
    let mut mesh = mesh();
    mesh.apply("p", mesh_tls_policy("srv", "b", "m"));
    mesh.apply("q", network_policy("srv", "n"));
    let mut web = mesh.watch_port("ns:web", 80).await.expect("known");
    let mut told = |mesh: &mut TestMesh, event: &dyn Fn(&mut TestMesh)| {
        event(mesh);
        web.read().iter().map(who).collect::<Vec<_>>()
    };
    let p = |identity: &str| format!("authorizationpolicy/p: {identity} from {ANY}");
    assert_eq!(told(&mut mesh, &|_| {}), [[""; 0]]);
    assert_eq!(
        told(&mut mesh, &|mesh| mesh.apply_in("b", "m", mesh_tls(&["x"]))),
        [[p("x")]]
    );
    // Of that name, but not the one that is meant.
    assert_eq!(
        told(&mut mesh, &|mesh| mesh.apply("m", mesh_tls(&["y"]))),
        [[""; 0]; 0]
    );
    assert_eq!(
        told(&mut mesh, &|mesh| mesh.apply_in("b", "m", mesh_tls(&["z"]))),
        [[p("z")]]
    );
    assert_eq!(
        told(&mut mesh, &|mesh| mesh
            .apply("n", network_authentication(&["::1/128"]))),
        [[p("z"), "authorizationpolicy/q: anyone from ::1/128".into()]]
    );
    assert_eq!(
        told(&mut mesh, &|mesh| mesh.delete_in(
            "b",
            Kind::MeshTlsAuthentication,
            "m"
        )),
        [["authorizationpolicy/q: anyone from ::1/128"]]
    );
    assert_eq!(
        told(&mut mesh, &|mesh| mesh
            .delete(Kind::NetworkAuthentication, "n")),
        [[""; 0]]
    );
    // One that names nobody is as none.
    assert_eq!(
        told(&mut mesh, &|mesh| mesh.apply_in("b", "m", mesh_tls(&[]))),
        [[""; 0]; 0]
    );
    assert_eq!(
        told(&mut mesh, &|mesh| mesh.apply_in("b", "m", mesh_tls(&["x"]))),
        [[p("x")]]
    );
}

#[tokio::test]
async fn s47_a_policy_that_requires_nothing_lets_everybody_in_and_an_unreadable_one_nobody() {
    let mut mesh = mesh();
    mesh.apply("p", policy("srv"));
    let anyone = format!("authorizationpolicy/p: anyone from {ANY}");
    assert_eq!(who_at_80(&mut mesh).await, [anyone]);
    for unreadable in [
        AuthorizationPolicy {
            required: None,
            ..policy("srv")
        },
        AuthorizationPolicy {
            target: None,
            ..policy("srv")
        },
    ] {
        mesh.apply("p", unreadable);
        assert_eq!(who_at_80(&mut mesh).await, [""; 0]);
    }
}

#[tokio::test]
async fn s49_50_a_policy_for_the_namespace_is_for_its_servers_and_one_for_a_route_for_none() {
    let mut mesh = mesh();
    mesh.apply("other", server(81, ProxyProtocol::Opaque));
    mesh.apply(
        "p",
        AuthorizationPolicy {
            target: Some(PolicyTarget::Namespace),
            ..policy("")
        },
    );
    let route = PolicyTarget::Route {
        kind: RouteKind::PolicyHttp,
        name: "srv".into(),
    };
    mesh.apply(
        "q",
        AuthorizationPolicy {
            target: Some(route),
            ..policy("")
        },
    );
    // Of another namespace.
    mesh.apply_in("elsewhere", "r", policy("srv"));
    for port in [80, 81] {
        let told = mesh.port("ns:web", port).await.expect("known");
        assert_eq!(
            who(&told),
            [format!("authorizationpolicy/p: anyone from {ANY}")]
        );
    }
    let told = mesh.port("ns:web", 82).await.expect("known");
    assert_eq!(
        who(&told),
        [format!("default/all-unauthenticated: anyone from {ANY}")]
    );
}

#[tokio::test]
async fn s52_53_networks_come_with_their_exceptions_in_both_families() {
    let mut mesh = mesh();
    mesh.apply("p", network_policy("srv", "n"));
    mesh.apply(
        "n",
        NetworkAuthentication {
            networks: [
                network("10.0.0.0/8", &["10.1.0.0/16", "10.2.3.4/32"]),
                network("fd00::/8", &[]),
                network("::1/128", &[]),
            ]
            .into(),
        },
    );
    assert_eq!(
        who_at_80(&mut mesh).await,
        ["authorizationpolicy/p: anyone from 10.0.0.0/8-10.1.0.0/16-10.2.3.4/32 fd00::/8 ::1/128"]
    );
    // One without networks would have a proxy refuse the whole port.
    mesh.apply("n", network_authentication(&[]));
    assert_eq!(who_at_80(&mut mesh).await, [""; 0]);
}

#[tokio::test]
async fn s54_56_57_a_server_authorization_is_for_the_clusters_networks_unless_it_names_some() {
    const CLUSTER: &str = "10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.168.0.0/16 fd00::/8";
    let named = |texts: &[&str]| Clients::Identities(identities(texts));
    for (clients, networks, expected) in [
        (
            Some(Clients::Unauthenticated),
            None,
            Some(format!("anyone from {CLUSTER}")),
        ),
        (
            Some(Clients::UnauthenticatedTls),
            None,
            Some(format!("any TLS from {CLUSTER}")),
        ),
        (
            Some(named(&["*.a", "x"])),
            None,
            Some(format!("x *.a from {CLUSTER}")),
        ),
        (
            Some(Clients::Unauthenticated),
            Some(vec![network("0.0.0.0/0", &["10.0.0.0/8"])]),
            Some("anyone from 0.0.0.0/0-10.0.0.0/8".to_owned()),
        ),
        // What cannot be read is nothing.
        (Some(Clients::Unauthenticated), Some(vec![]), None),
        (None, None, None),
    ] {
        let mut mesh = mesh();
        let authorization = ServerAuthorization {
            clients,
            networks: networks.map(Into::into),
            ..server_authorization("srv", Clients::Unauthenticated)
        };
        mesh.apply("saz", authorization);
        let expected = expected.map(|clients| format!("serverauthorization/saz: {clients}"));
        assert_eq!(who_at_80(&mut mesh).await, Vec::from_iter(expected));
    }
}

#[tokio::test]
async fn s55_a_selector_follows_the_labels_of_servers() {
    let mut mesh = mesh();
    let select = |servers| ServerAuthorization {
        servers,
        networks: Some([network("10.0.0.0/8", &[])].into()),
        ..server_authorization("", Clients::Unauthenticated)
    };
    mesh.apply(
        "saz",
        select(Some(ServerSelector::Labels(selector(&[("tier", "front")])))),
    );
    let mut web = mesh.watch_port("ns:web", 80).await.expect("known");
    assert_eq!(who(&web.read()[0]), [""; 0]);
    let labelled = |pairs| Server {
        labels: labels(pairs),
        ..server(80, ProxyProtocol::Http1)
    };
    mesh.apply("srv", labelled(&[("tier", "front")]));
    let front = "serverauthorization/saz: anyone from 10.0.0.0/8";
    assert_eq!(who(&web.read()[0]), [front]);
    mesh.apply("srv", labelled(&[("tier", "back")]));
    assert_eq!(who(&web.read()[0]), [""; 0]);
    mesh.apply("saz", select(Some(ServerSelector::Labels(selector(&[])))));
    assert_eq!(who(&web.read()[0]), [front]);
    for none in [Some(ServerSelector::Name("other".into())), None] {
        mesh.apply("saz", select(none));
        assert_eq!(who_at_80(&mut mesh).await, [""; 0]);
    }
}

#[tokio::test]
async fn s58_who_is_named_comes_before_who_is_let_in_anyway() {
    let mut mesh = mesh();
    let audited = Server {
        access: DefaultPolicy::Audit,
        ..server(80, ProxyProtocol::Http1)
    };
    mesh.apply("srv", audited);
    mesh.apply("z", policy("srv"));
    mesh.apply(
        "b",
        server_authorization("srv", Clients::UnauthenticatedTls),
    );
    mesh.apply("a", server_authorization("srv", Clients::Unauthenticated));
    mesh.apply("m", policy("srv"));
    let told = who_at_80(&mut mesh).await;
    let origins: Vec<_> = told
        .iter()
        .filter_map(|words| words.split(':').next())
        .collect();
    assert_eq!(
        origins,
        [
            "authorizationpolicy/m",
            "authorizationpolicy/z",
            "serverauthorization/a",
            "serverauthorization/b",
            "default/audit",
        ]
    );
}

#[tokio::test]
async fn identities_have_the_meshs_own_names() {
    let mut mesh = TestMesh::new(PolicySettings {
        control_plane_namespace: "mesh".into(),
        trust_domain: "example.org".into(),
        ..PolicySettings::default()
    });
    mesh.apply("web", pod(template()));
    mesh.apply("srv", server(80, ProxyProtocol::Http1));
    mesh.apply("p", mesh_tls_policy("srv", NS, "m"));
    let identities = [
        service_account("b", "sa"),
        ClientIdentity::Namespace("c".into()),
    ];
    mesh.apply(
        "m",
        MeshTlsAuthentication {
            identities: identities.into(),
        },
    );
    let domain = "serviceaccount.identity.mesh.example.org";
    assert_eq!(
        who_at_80(&mut mesh).await,
        [format!(
            "authorizationpolicy/p: sa.b.{domain} *.c.{domain} from {ANY}"
        )]
    );
}
