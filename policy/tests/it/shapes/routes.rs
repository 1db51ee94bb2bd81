//! Any routes and EgressNetworks, on few enough parents that they meet.

use crate::{objects::network, routes::*, support::*};
use ferrule_cluster::object::{
    EgressNetwork, Kind, Object, ObjectKey,
    route::{
        Backend, BackendTarget, GrpcMatch, HttpMatch, Parent, ParentKey, ParentKind, Requests,
        Route, RouteKind, Rules,
    },
    traffic::{StatusCodes, Traffic},
};
use proptest::{prelude::*, sample::select};

/// A namespace with clients and routes, but no EgressNetwork of its own.
pub(crate) const CONSUMER: &str = "c";
const GLOBAL: &str = "linkerd-egress";

pub(crate) const KINDS: [Kind; 6] = [
    Kind::PolicyHttpRoute,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::EgressNetwork,
];

/// The `n`th key of one of them.
pub(crate) fn key(kind: Kind, n: usize) -> ObjectKey {
    let (namespace, name) = match (kind, n) {
        (Kind::EgressNetwork, 2 | 3) => (GLOBAL, n - 2),
        (_, 3) => (CONSUMER, 0),
        _ => (NS, n),
    };
    ObjectKey::new(namespace, format!("r{name}"))
}

pub(crate) fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        3 => select(RouteKind::ALL.to_vec()).prop_flat_map(|kind| {
            any_route(kind).prop_map(move |route| Object::Route(kind, route))
        }),
        1 => egress_network(),
    ]
}

/// A network for some and one for all, and a route on each of what somebody may
/// ask for.
pub(crate) fn settled() -> Vec<(ObjectKey, Object)> {
    let to_service = route(
        &[on_service(NS, "svc0", Some(80))],
        all_to(RouteKind::Http, &[backend("svc1", 80)]),
    );
    let outside = route(
        &[on_egress(NS, "r0", Some(80))],
        all_to(RouteKind::Grpc, &[backend("svc1", 80)]),
    );
    let for_all = route(
        &[on_egress(GLOBAL, "r0", Some(80))],
        all_to(RouteKind::PolicyHttp, &[within(NS, backend("svc1", 80))]),
    );
    let objects = [
        (0, Object::from(egress(true))),
        (2, Object::from(egress(true))),
        (0, Object::Route(RouteKind::Http, to_service)),
        (0, Object::Route(RouteKind::Grpc, outside)),
        // A consumer's.
        (3, Object::Route(RouteKind::PolicyHttp, for_all)),
    ];
    let objects = objects.into_iter();
    objects
        .map(|(n, object)| (key(object.kind(), n), object))
        .collect()
}

/// What annotations say for a Service or EgressNetwork.
pub(crate) fn any_traffic() -> impl Strategy<Value = Option<Box<Traffic>>> {
    const ALL: [(&str, &str); 5] = [
        ("balancer.linkerd.io/failure-accrual", "consecutive"),
        ("balancer.alpha.linkerd.io/penalize-failures", "true"),
        ("retry.linkerd.io/http", "5xx"),
        ("retry.linkerd.io/grpc", "internal"),
        ("timeout.linkerd.io/response", "5s"),
    ];
    let some = prop::sample::subsequence(ALL.to_vec(), 0..3);
    some.prop_map(|annotations| match annotations.is_empty() {
        true => None,
        false => traffic(&annotations),
    })
}

fn egress_network() -> impl Strategy<Value = Object> {
    let networks = select(vec![
        None,
        None,
        Some(vec!["1.1.0.0/16"]),
        Some(vec!["1.1.1.0/24", "fd00::/8"]),
        Some(vec!["0.0.0.0/0"]),
        Some(vec!["8.8.8.8/32"]),
    ]);
    let opaque = select(vec![None, None, Some(""), Some("80")]);
    let created = prop::option::of(0..2_i64);
    (
        any::<bool>(),
        any::<bool>(),
        networks,
        opaque,
        created,
        any_traffic(),
    )
        .prop_map(
            |(is_accepted, allows, networks, opaque, created, traffic)| {
                let of = |cidrs: Vec<&str>| cidrs.iter().map(|cidr| network(cidr, &[])).collect();
                let mut one = EgressNetwork {
                    created,
                    networks: networks.map(of),
                    opaque_ports: opaque.map(ports),
                    traffic,
                    ..egress(allows)
                };
                if !is_accepted {
                    one.conditions = [].into();
                }
                one.into()
            },
        )
}

fn any_parent() -> impl Strategy<Value = Parent> {
    let service = (
        0..2_usize,
        prop::option::weighted(0.7, select(vec![80, 8080])),
    )
        .prop_map(|(n, port)| on_service(NS, &format!("svc{n}"), port));
    let network = (0..4_usize, prop::option::weighted(0.9, Just(80))).prop_map(|(n, port)| {
        let key = key(Kind::EgressNetwork, n);
        on_egress(&key.namespace, &key.name, port)
    });
    let server = Just(Parent {
        key: ParentKey::new(ParentKind::Server, super::key(Kind::Server, 0)),
        port: None,
        is_part: false,
    });
    prop_oneof![4 => service, 3 => network, 1 => server]
}

fn any_backend() -> impl Strategy<Value = Backend> {
    let somewhere = prop_oneof![
        6 => (0..3_usize, select(vec![80, 8080]))
            .prop_map(|(n, port)| backend(&format!("svc{n}"), port)),
        1 => Just(within(CONSUMER, backend("svc0", 80))),
        3 => (0..2_usize, prop::option::of(Just(443)))
            .prop_map(|(n, port)| to_egress(&format!("r{n}"), port)),
        1 => Just(to(BackendTarget::Unsupported {
            group: "".into(),
            kind: "ConfigMap".into(),
        })),
        1 => Just(filtered(Err("URLRewrite"), backend("svc0", 80))),
    ];
    (select(vec![0, 1, 1, 90]), somewhere).prop_map(|(weight, to)| weighted(weight, to))
}

fn any_route(kind: RouteKind) -> impl Strategy<Value = Route> {
    let backends = prop::collection::vec(any_backend(), 0..3);
    let is_readable = prop::bool::weighted(0.9);
    let rules = (backends, is_readable)
        .prop_map(move |(backends, is_readable)| rules(kind, &backends, is_readable));
    (
        prop::collection::vec((any_parent(), prop::bool::weighted(0.8)), 0..3),
        prop::option::of(0..2_i64),
        rules,
    )
        .prop_map(|(parents, created, rules)| {
            let accepted = parents.iter().filter(|(_, is_accepted)| *is_accepted);
            let accepted: Vec<_> = accepted.map(|(parent, _)| parent.clone()).collect();
            let parents: Vec<_> = parents.into_iter().map(|(parent, _)| parent).collect();
            Route {
                created,
                ..accepted_by(&accepted, unaccepted(&parents, rules))
            }
        })
}

/// Annotations that cannot be read hide a route from clients.
fn rules(kind: RouteKind, backends: &[Backend], is_readable: bool) -> Rules {
    match all_to(kind, backends) {
        Rules::Http(requests) if !is_readable => Rules::Http(Requests::<HttpMatch, StatusCodes> {
            settings: None,
            ..requests
        }),
        Rules::Grpc(requests) if !is_readable => Rules::Grpc(Requests::<GrpcMatch, _> {
            settings: None,
            ..requests
        }),
        rules => rules,
    }
}
