//! Any Servers, authorizations and machines, few enough names and labels that
//! they meet.

pub(crate) mod routes;

use crate::{objects::*, support::*};
use ferrule_cluster::object::{
    AuthorizationPolicy, ClientIdentity, Clients, DefaultPolicy, ExternalWorkload, IdentitySource,
    Kind, Object, ObjectKey, PolicyTarget, ProxyProtocol, RequiredAuthentications, Server,
    ServerAuthorization, ServerPort, ServerSelector, WorkloadPort, WorkloadSelector,
    route::RouteKind,
};
use proptest::{prelude::*, sample::select};

/// Another namespace, which policies refer to.
const OTHER: &str = "other";
const APPS: [&str; 2] = ["a", "b"];

/// The kinds that only inbound policy looks at.
pub(crate) const INBOUND_KINDS: [Kind; 6] = [
    Kind::ExternalWorkload,
    Kind::Server,
    Kind::ServerAuthorization,
    Kind::AuthorizationPolicy,
    Kind::MeshTlsAuthentication,
    Kind::NetworkAuthentication,
];

/// The `n`th key of one of them, or of routes and EgressNetworks.
pub(crate) fn key(kind: Kind, n: usize) -> ObjectKey {
    if routes::KINDS.contains(&kind) {
        return routes::key(kind, n);
    }
    let namespace = match kind {
        Kind::MeshTlsAuthentication | Kind::NetworkAuthentication if n % 2 == 1 => OTHER,
        // Two Servers for each of two workloads and ports; one elsewhere.
        Kind::Server | Kind::AuthorizationPolicy if n == 3 => OTHER,
        _ => NS,
    };
    let name = match kind {
        Kind::MeshTlsAuthentication | Kind::NetworkAuthentication => n / 2 % 2,
        _ => n,
    };
    ObjectKey::new(namespace, format!("x{name}"))
}

/// Any object of them, where it may be.
pub(crate) fn object() -> impl Strategy<Value = (ObjectKey, Object)> {
    let object = prop_oneof![
        16 => routes::object(),
        2 => external_workload(),
        6 => any_server(),
        4 => any_server_authorization(),
        6 => any_policy(),
        3 => prop::collection::vec(identity(), 0..3).prop_map(|identities| {
            let identities = identities.into();
            ferrule_cluster::object::MeshTlsAuthentication { identities }.into()
        }),
        3 => prop::collection::vec(select(vec!["10.0.0.0/8", "fd00::/8"]), 0..3)
            .prop_map(|cidrs| network_authentication(&cidrs).into()),
    ];
    (0..4_usize, object).prop_map(|(n, object)| (key(object.kind(), n), object))
}

/// A Server whom all kinds of objects let somebody in to, so that whatever
/// happens to any of them matters.
pub(crate) fn settled() -> Vec<(ObjectKey, Object)> {
    let identity = IdentitySource::MeshTls(key(Kind::MeshTlsAuthentication, 1));
    let network = key(Kind::NetworkAuthentication, 0);
    let policy = AuthorizationPolicy {
        required: Some(RequiredAuthentications {
            identity: Some(identity),
            network: Some(network),
        }),
        ..policy("x0")
    };
    let selecting = Server {
        labels: labels_of(Some("a")),
        workloads: Some(WorkloadSelector::Pods(selector(&[("app", "a")]))),
        ..server(80, ProxyProtocol::Http1)
    };
    let authorization = ServerAuthorization {
        servers: Some(ServerSelector::Labels(selector(&[("app", "a")]))),
        ..server_authorization("", Clients::Unauthenticated)
    };
    let objects: [(usize, Object); 6] = [
        (0, selecting.into()),
        (0, policy.into()),
        (1, mesh_tls(&["x"]).into()),
        (0, network_authentication(&["10.0.0.0/8"]).into()),
        (0, authorization.into()),
        (0, external().into()),
    ];
    objects
        .into_iter()
        .map(|(n, object)| (key(object.kind(), n), object))
        .chain(routes::settled())
        .collect()
}

/// Labels of a workload or Server.
pub(crate) fn app() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(select(APPS.to_vec()))
}

pub(crate) fn labels_of(
    app: Option<&'static str>,
) -> std::sync::Arc<ferrule_cluster::object::Labels> {
    let pairs: Vec<_> = app.map(|app| ("app", app)).into_iter().collect();
    labels(&pairs)
}

fn selector_of() -> impl Strategy<Value = ferrule_cluster::object::LabelSelector> {
    app().prop_map(|app| {
        let pairs: Vec<_> = app.map(|app| ("app", app)).into_iter().collect();
        selector(&pairs)
    })
}

fn external_workload() -> impl Strategy<Value = Object> {
    let policy = prop::option::of(select(DefaultPolicy::ALL.to_vec()));
    (app(), policy, any::<bool>(), any::<bool>()).prop_map(
        |(app, default_policy, opaque, named)| {
            ExternalWorkload {
                labels: labels_of(app),
                default_policy,
                opaque_ports: opaque.then(|| ports("80")),
                ports: [WorkloadPort {
                    name: "http".into(),
                    port: if named { 80 } else { 8080 },
                    is_tcp: true,
                }]
                .into(),
                ..external()
            }
            .into()
        },
    )
}

fn any_server() -> impl Strategy<Value = Object> {
    let workloads = prop::option::weighted(
        0.9,
        (selector_of(), prop::bool::weighted(0.2)).prop_map(|(selector, external)| {
            if external {
                WorkloadSelector::ExternalWorkloads(selector)
            } else {
                WorkloadSelector::Pods(selector)
            }
        }),
    );
    let port = select(vec![
        None,
        Some(ServerPort::Number(80)),
        Some(ServerPort::Number(80)),
        Some(ServerPort::Number(8080)),
        named_port("http"),
    ]);
    let protocol = select(ProxyProtocol::ALL.map(|(protocol, _)| protocol).to_vec());
    let access = prop_oneof![
        2 => Just(DefaultPolicy::Deny),
        1 => select(DefaultPolicy::ALL.to_vec()),
    ];
    let created = prop::option::of(0..3_i64);
    (app(), created, workloads, port, protocol, access).prop_map(
        |(app, created, workloads, port, protocol, access)| {
            Server {
                labels: labels_of(app),
                created,
                workloads,
                port,
                protocol,
                access,
            }
            .into()
        },
    )
}

fn identity() -> impl Strategy<Value = ClientIdentity> {
    select(vec![
        ClientIdentity::Exact("x".into()),
        ClientIdentity::Below("a.b".into()),
        ClientIdentity::Below("".into()),
        ClientIdentity::Namespace(NS.into()),
        ClientIdentity::ServiceAccount(ObjectKey::new(OTHER, "sa")),
    ])
}

fn server_name() -> impl Strategy<Value = ferrule_cluster::object::Name> {
    (0..3_usize).prop_map(|n| key(Kind::Server, n).name)
}

fn any_server_authorization() -> impl Strategy<Value = Object> {
    let servers = prop::option::weighted(
        0.9,
        prop_oneof![
            server_name().prop_map(ServerSelector::Name),
            selector_of().prop_map(ServerSelector::Labels),
        ],
    );
    let clients = prop::option::weighted(
        0.9,
        prop_oneof![
            Just(Clients::Unauthenticated),
            Just(Clients::UnauthenticatedTls),
            identity().prop_map(|identity| Clients::Identities([identity].into())),
        ],
    );
    let networks = prop::option::of(select(vec![
        vec![],
        vec![network("10.0.0.0/8", &["10.1.0.0/16"])],
    ]));
    (servers, clients, networks).prop_map(|(servers, clients, networks)| {
        ServerAuthorization {
            servers,
            clients,
            networks: networks.map(Into::into),
        }
        .into()
    })
}

fn any_policy() -> impl Strategy<Value = Object> {
    let route = PolicyTarget::Route {
        kind: RouteKind::Http,
        name: "x0".into(),
    };
    let target = prop::option::weighted(
        0.9,
        prop_oneof![
            4 => server_name().prop_map(PolicyTarget::Server),
            2 => Just(PolicyTarget::Namespace),
            1 => Just(route),
        ],
    );
    let referred = |kind| (0..4_usize).prop_map(move |n| key(kind, n));
    let identity = prop::option::of(prop_oneof![
        3 => referred(Kind::MeshTlsAuthentication).prop_map(IdentitySource::MeshTls),
        1 => Just(IdentitySource::ServiceAccount(ObjectKey::new(NS, "sa"))),
    ]);
    let network = prop::option::of(referred(Kind::NetworkAuthentication));
    let required = (identity, network)
        .prop_map(|(identity, network)| RequiredAuthentications { identity, network });
    (target, prop::option::weighted(0.9, required))
        .prop_map(|(target, required)| AuthorizationPolicy { target, required }.into())
}
