//! policy.md section 11, outbound: where rules lead.

use crate::{routes::*, support::*, target::*};
use ferrule_cluster::object::{
    Kind as ObjectKind, ObjectKey,
    route::{
        Backend, BackendTarget, Filter, HeaderChanges, HttpMatch, PathChange, Redirect, RouteKind,
        Scheme,
    },
};
use ferrule_policy::{PolicySettings, route_status};
use ferrule_proto::{
    http_route::{PathModifier, path_modifier},
    outbound::http_route::filter,
};

const WEB: &str = "web.ns.svc:80";
const HTTP: RouteKind = RouteKind::Http;
const KINDS: [RouteKind; 4] = [HTTP, RouteKind::Grpc, RouteKind::Tls, RouteKind::Tcp];

/// Where a route of this kind to these backends leads.
async fn led(mesh: &mut TestMesh, kind: RouteKind, backends: &[Backend]) -> String {
    mesh.apply_route(kind, "r", route(&[on_web(80)], all_to(kind, backends)));
    let policy = mesh.policy(authority(WEB)).await.expect("known");
    mesh.delete_route(kind, "r");
    let [rule] = &leads(&policy)[..] else {
        panic!("{policy:?}");
    };
    rule.clone()
}

fn filters() -> Vec<Filter> {
    let changes = HeaderChanges {
        add: [HeaderChanges::header("A", "b").expect("valid")].into(),
        ..HeaderChanges::default()
    };
    vec![
        Filter::RequestHeaders(changes.clone()),
        Filter::ResponseHeaders(changes),
        Filter::Redirect(Redirect {
            scheme: Some(Scheme::Http),
            host: "h".into(),
            path: Some(PathChange::prefix("/p").expect("absolute")),
            port: 5555,
            status: 302,
        }),
    ]
}

#[tokio::test]
async fn s95_97_98_backends_by_weight_and_none_is_the_parent() {
    let mut mesh = TestMesh::with_services();
    for kind in KINDS {
        for (backends, expected) in [
            (&[][..], "=web:80"),
            (&[backend("api", 80)], "1*api:80"),
            (&[weighted(0, backend("api", 80))], "0*api:80"),
            (
                &[
                    weighted(90, backend("api", 80)),
                    weighted(0, backend("web", 81)),
                ],
                "90*api:80 0*web:81",
            ),
        ] {
            assert_eq!(led(&mut mesh, kind, backends).await, expected, "{kind:?}");
        }
    }
}

/// A proxy panics on weights that are all 0, or too large together.
#[tokio::test]
async fn weights_that_no_proxy_can_add_up_are_told_in_another_way() {
    let mut mesh = TestMesh::with_services();
    let two = |one, other| {
        [
            weighted(one, backend("api", 80)),
            weighted(other, backend("web", 81)),
        ]
    };
    for (backends, expected) in [
        (two(0, 0), "nowhere"),
        (two(u32::MAX, 0), "4294967295*api:80 0*web:81"),
        (
            two(u32::MAX, u32::MAX),
            "1073741823*api:80 1073741823*web:81",
        ),
        (two(u32::MAX, 1), "1073741823*api:80 1*web:81"),
    ] {
        assert_eq!(led(&mut mesh, HTTP, &backends).await, expected);
    }
}

#[tokio::test]
async fn s96_a_route_without_rules_is_told_and_there_is_no_default() {
    let mut mesh = TestMesh::with_services();
    let none = route(&[on_web(80)], http_rules(vec![]));
    mesh.apply_route(RouteKind::PolicyHttp, "r", none);
    let policy = mesh.policy(authority(WEB)).await.expect("known");
    assert_eq!(spoken(&policy), "web:80 detect r | opaq");
    assert_eq!(http(&policy)[0].rules, []);
}

#[tokio::test]
async fn s99_100_a_backend_is_there_or_not_as_its_service_is() {
    for kind in KINDS {
        for parent in [on_web(80), on_service(NS, "web", None)] {
            let mut mesh = TestMesh::with_services();
            let rules = all_to(kind, &[backend("x", 81), backend("api", 80)]);
            mesh.apply_route(kind, "r", route(&[parent], rules));
            let missing = match kind {
                RouteKind::Tls | RouteKind::Tcp => "1*!x:81(Service not found x) 1*api:80",
                _ => "1*!x:81(500 Service not found x) 1*api:80",
            };
            let mut clients = Vec::new();
            for target in [authority(WEB), addr("10.96.0.1:80")] {
                let mut client = mesh.watch(target).await.expect("known");
                assert_eq!(leads(&client.read()[0]), [missing]);
                clients.push(client);
            }
            for client in &mut clients {
                // Its ports and endpoints do not matter.
                mesh.apply("x", service(&[]));
                assert_eq!(leads(&client.read()[0]), ["1*x:81 1*api:80"]);
                mesh.delete(ObjectKind::Service, "x");
                assert_eq!(leads(&client.read()[0]), [missing]);
            }
        }
    }
}

#[tokio::test]
async fn s101_102_a_backends_namespace_is_the_parents_unless_it_is_written() {
    let mut mesh = TestMesh::with_services();
    mesh.apply_in("c", "api", service(&[]));
    let elsewhere = led(&mut mesh, HTTP, &[within("c", backend("api", 80))]).await;
    assert_eq!(elsewhere, "1*api.c:80");
    // 102: of a consumer's route it is the parent's too, but not for its status.
    let consumer = route(&[on_web(80)], all_to(HTTP, &[backend("api", 80)]));
    mesh.apply_route_in("c", HTTP, "r", consumer.clone());
    let mut client = mesh.watch_from("c", authority(WEB)).await.expect("known");
    assert_eq!(leads(&client.read()[0]), ["1*api:80"]);
    mesh.delete(ObjectKind::Service, "api");
    assert_eq!(
        leads(&client.read()[0]),
        ["1*!api:80(500 Service not found api)"]
    );
}

#[tokio::test]
async fn s103_104_105_109_what_is_no_backend_fails_alone() {
    let mut mesh = TestMesh::with_services();
    mesh.apply("out", egress(true));
    let unsupported = |group: &str| {
        to(BackendTarget::Unsupported {
            group: group.into(),
            kind: "ConfigMap".into(),
        })
    };
    let without_port = to(BackendTarget::Object {
        kind: ferrule_cluster::object::route::ParentKind::Service,
        namespace: None,
        name: "x".into(),
        port: None,
    });
    let rewriting = filtered(Err("URLRewrite"), backend("api", 80));
    for (wrong, name, message) in [
        (
            unsupported(""),
            "invalid",
            "unsupported backend type  ConfigMap",
        ),
        (
            unsupported("core"),
            "invalid",
            "unsupported backend type core ConfigMap",
        ),
        (
            without_port,
            "invalid",
            "missing port for backend Service x",
        ),
        (
            rewriting,
            "invalid",
            "unsupported backend filter: URLRewrite",
        ),
        (
            to_egress("out", None),
            "out",
            "EgressNetwork backends attach to EgressNetwork parents only",
        ),
        (
            to_egress("out", Some(443)),
            "out:443",
            "EgressNetwork backends attach to EgressNetwork parents only",
        ),
        (to_egress("no", None), "no", "EgressNetwork not found no"),
        // No name in DNS, on which a proxy panics.
        (backend("a_b", 80), "a_b:80", "Service not found a_b"),
        (backend("", 80), "invalid", "Service not found "),
    ] {
        for kind in KINDS {
            let code = match kind {
                HTTP | RouteKind::Grpc => "500 ",
                _ => "",
            };
            let backends = [wrong.clone(), weighted(3, backend("api", 80))];
            assert_eq!(
                led(&mut mesh, kind, &backends).await,
                format!("1*!{name}({code}{message}) 3*api:80")
            );
        }
    }
}

#[tokio::test]
async fn s106_107_filters_are_where_they_are_written() {
    let mut mesh = TestMesh::with_services();
    let all = "(request headers)(response headers)(redirect)";
    let of_backend = filtered(Ok(filters()), backend("api", 80));
    assert_eq!(
        led(&mut mesh, HTTP, &[of_backend]).await,
        format!("1*api:80{all}")
    );
    let mut filtering = rule::<HttpMatch>(vec![], &[backend("api", 80)]);
    filtering.filters = filters().into();
    mesh.apply_route(HTTP, "r", route(&[on_web(80)], http_rules(vec![filtering])));
    let policy = mesh.policy(authority(WEB)).await.expect("known");
    // D-1 as well: changes of responses are that.
    assert_eq!(leads(&policy), [format!("1*api:80 {all}")]);
    let redirect = http_rule(&policy).filters[2].kind.as_ref();
    let Some(filter::Kind::Redirect(redirect)) = redirect else {
        panic!("{policy:?}");
    };
    assert!(redirect.scheme.is_some());
    assert_eq!(
        (&*redirect.host, redirect.port, redirect.status),
        ("h", 5555, 302)
    );
    let prefix = path_modifier::Replace::Prefix("/p".into());
    assert_eq!(
        redirect.path,
        Some(PathModifier {
            replace: Some(prefix)
        })
    );
}

#[tokio::test]
async fn s108_of_calls_only_the_headers_of_requests_are_changed() {
    let mut mesh = TestMesh::with_services();
    let mut filtering = rule(vec![], &[filtered(Ok(filters()), backend("api", 80))]);
    filtering.filters = filters().into();
    mesh.apply_route(
        RouteKind::Grpc,
        "r",
        route(&[on_web(80)], grpc_rules(vec![filtering])),
    );
    let policy = mesh.policy(authority(WEB)).await.expect("known");
    assert_eq!(
        leads(&policy),
        ["1*api:80(request headers) (request headers)"]
    );
}

#[tokio::test]
async fn rules_and_their_matches_stay_in_order() {
    let mut mesh = TestMesh::with_services();
    let rules = vec![
        rule(vec![at_path("/b"), at_path("/a")], &[backend("api", 80)]),
        rule(vec![HttpMatch::default()], &[]),
        rule(vec![], &[backend("web", 81)]),
    ];
    mesh.apply_route(HTTP, "r", route(&[on_web(80)], http_rules(rules)));
    let policy = mesh.policy(authority(WEB)).await.expect("known");
    assert_eq!(leads(&policy), ["1*api:80", "=web:80", "1*web:81"]);
    let matches = http(&policy)[0].rules.iter().map(|rule| rule.matches.len());
    assert_eq!(matches.collect::<Vec<_>>(), [2, 1, 0]);
    let first = http_rule(&policy).matches[0].path.as_ref();
    let first = first.and_then(|path| path.kind.clone());
    let path = ferrule_proto::http_route::path_match::Kind::Prefix("/b".into());
    assert_eq!(first, Some(path));
}

/// What streams are told and what statuses say are judged apart (D-3).
#[test]
fn s102_103_141_a_status_speaks_of_the_routes_own_namespace() {
    use ferrule_cluster::{
        World,
        object::route::{Route, RouteKey},
        source::Event,
        world::Changes,
    };
    let mut world = World::default();
    // Of parents that were never listed nothing is said.
    for event in [Event::Relisting, Event::Synced] {
        world.apply(event(ObjectKind::Service), &mut Changes::default());
    }
    for (namespace, name) in [(NS, "web"), (NS, "api")] {
        let event = applied(
            ObjectKey::new(namespace, name),
            service(&["10.96.0.1"]).into(),
        );
        world.apply(event, &mut Changes::default());
    }
    let status = |namespace: &str, route: &Route| {
        let key = RouteKey {
            kind: HTTP,
            key: ObjectKey::new(namespace, "r"),
        };
        let statuses = route_status(&PolicySettings::default(), &world, &key, route);
        statuses[0].conditions[1].reason.to_string()
    };
    let to_api = unaccepted(&[on_web(80)], all_to(HTTP, &[backend("api", 80)]));
    assert_eq!(status(NS, &to_api), "ResolvedRefs");
    assert_eq!(status("c", &to_api), "BackendNotFound");
    let unsupported = to(BackendTarget::Unsupported {
        group: "".into(),
        kind: "ConfigMap".into(),
    });
    let to_map = unaccepted(&[on_web(80)], all_to(HTTP, &[unsupported]));
    assert_eq!(status(NS, &to_map), "InvalidKind");
}
