//! policy.md section 11, status: what is said of routes, EgressNetworks and rate
//! limits.

use crate::{judged::*, objects::server, support::*};
use ferrule_cluster::object::{
    EgressNetwork, Kind, ProxyProtocol, Service,
    route::{BackendTarget, ParentKind, Route, RouteKind},
};
use ferrule_policy::parse_networks;

const ALL: [&str; 1] = ["web Accepted, ResolvedRefs"];
const GONE: [&str; 1] = ["web !Accepted NoMatchingParent, ResolvedRefs"];
const CONFLICTED: [&str; 1] = ["web !Accepted RouteReasonConflicted, ResolvedRefs"];
const HEADLESS: [&str; 1] =
    ["web !Accepted NoMatchingParent (parent service must have a ClusterIP), ResolvedRefs"];

fn egress(networks: Option<&str>) -> EgressNetwork {
    let networks = networks.map(|text| {
        let cidrs = parse_networks(text).expect("literal");
        let networks = cidrs
            .into_iter()
            .map(|cidr| ferrule_cluster::object::Network {
                cidr,
                except: Box::default(),
            });
        networks.collect()
    });
    EgressNetwork {
        allows: true,
        networks,
        ..EgressNetwork::default()
    }
}

#[test]
fn s142_services_have_two_conditions_and_servers_one() {
    let mut judged = Judged::new();
    judged.apply("web", web());
    judged.apply("http", server(80, ProxyProtocol::Unknown));
    for kind in RouteKind::ALL {
        let parents = [on(ParentKind::Server, "http", None), on_service("web")];
        judged.route(kind, kind.name(), route(&parents, &[]));
    }
    let both = ["http Accepted", "web Accepted, ResolvedRefs"];
    assert_eq!(judged.said(RouteKind::Grpc, "GRPCRoute"), both);
    for kind in [RouteKind::Grpc, RouteKind::Http] {
        judged.delete(kind.kind(), kind.name());
    }
    assert_eq!(judged.said(RouteKind::PolicyHttp, "HTTPRoute"), both);
}

#[test]
fn s143_a_parent_that_comes_and_goes_is_followed() {
    let mut judged = Judged::new();
    judged.route(RouteKind::Http, "r", on_web());
    assert_eq!(judged.said(RouteKind::Http, "r"), GONE);
    judged.apply("web", web());
    assert_eq!(judged.said(RouteKind::Http, "r"), ALL);
    judged.delete(Kind::Service, "web");
    assert_eq!(judged.said(RouteKind::Http, "r"), GONE);
    let on_server = route(&[on(ParentKind::Server, "http", None)], &[]);
    judged.route(RouteKind::Http, "r", on_server);
    assert_eq!(
        judged.said(RouteKind::Http, "r"),
        ["http !Accepted NoMatchingParent"]
    );
    judged.apply("http", server(80, ProxyProtocol::Unknown));
    assert_eq!(judged.said(RouteKind::Http, "r"), ["http Accepted"]);
}

#[test]
fn s145_conflicts_count_routes_that_are_not_accepted_and_headless_comes_first() {
    let mut judged = Judged::new();
    judged.apply("web", service(&[]));
    judged.route(RouteKind::Http, "h", on_web());
    judged.route(RouteKind::Grpc, "g", on_web());
    assert_eq!(judged.said(RouteKind::Grpc, "g"), HEADLESS);
    assert_eq!(judged.said(RouteKind::Http, "h"), HEADLESS);
    judged.apply("web", web());
    assert_eq!(judged.said(RouteKind::Http, "h"), CONFLICTED);
    // What it does cannot be told, and it is in the way all the same.
    let untold = Route {
        spec: None,
        ..on_web()
    };
    judged.route(RouteKind::Grpc, "g", untold);
    assert_eq!(judged.said(RouteKind::Grpc, "g"), ALL);
    assert_eq!(judged.said(RouteKind::Http, "h"), CONFLICTED);
}

#[test]
fn s146_the_next_kind_takes_over_when_the_more_specific_one_goes() {
    let mut judged = Judged::new();
    judged.apply("web", web());
    for (kind, name) in [
        (RouteKind::Tcp, "tcp"),
        (RouteKind::Tls, "tls"),
        (RouteKind::PolicyHttp, "policy"),
        (RouteKind::Http, "http"),
        (RouteKind::Grpc, "grpc"),
    ] {
        judged.route(kind, name, on_web());
    }
    // The two kinds of HTTPRoutes are alike.
    for (gone, kind, name, conflicted) in [
        (
            RouteKind::Grpc,
            RouteKind::Http,
            "http",
            &["tls", "tcp"][..],
        ),
        (
            RouteKind::Http,
            RouteKind::PolicyHttp,
            "policy",
            &["tls", "tcp"],
        ),
        (RouteKind::PolicyHttp, RouteKind::Tls, "tls", &["tcp"]),
        (RouteKind::Tls, RouteKind::Tcp, "tcp", &[]),
    ] {
        assert_eq!(judged.said(gone, name_of(gone)), ALL);
        judged.delete(gone.kind(), name_of(gone));
        assert_eq!(judged.said(kind, name), ALL);
        for other in conflicted {
            let kind = if *other == "tls" {
                RouteKind::Tls
            } else {
                RouteKind::Tcp
            };
            assert_eq!(judged.said(kind, other), CONFLICTED);
        }
    }
}

fn name_of(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::PolicyHttp => "policy",
        RouteKind::Http => "http",
        RouteKind::Grpc => "grpc",
        RouteKind::Tls => "tls",
        RouteKind::Tcp => "tcp",
    }
}

#[test]
fn s92_s93_only_the_very_same_parent_is_a_conflict() {
    let mut judged = Judged::new();
    judged.apply("web", web());
    judged.route(RouteKind::Http, "h", on_web());
    judged.route(RouteKind::Tls, "t", on_web());
    assert_eq!(judged.said(RouteKind::Tls, "t"), CONFLICTED);
    assert_eq!(judged.said(RouteKind::Http, "h"), ALL);
    judged.delete(Kind::TlsRoute, "t");
    let port = |port| on(ParentKind::Service, "web", Some(port));
    judged.route(RouteKind::Grpc, "g", on_web());
    judged.route(RouteKind::Http, "h", route(&[port(80), port(81)], &[]));
    let both = [
        "web:80 Accepted, ResolvedRefs",
        "web:81 Accepted, ResolvedRefs",
    ];
    assert_eq!(judged.said(RouteKind::Http, "h"), both);
    judged.route(RouteKind::Grpc, "g", route(&[port(81)], &[]));
    let one = [
        both[0],
        "web:81 !Accepted RouteReasonConflicted, ResolvedRefs",
    ];
    assert_eq!(judged.said(RouteKind::Http, "h"), one);
}

#[test]
fn s147_an_external_name_is_no_parent_though_it_has_an_address() {
    let mut judged = Judged::new();
    let external = Service {
        external_name: true,
        ..web()
    };
    judged.apply("web", external);
    judged.route(RouteKind::Http, "r", on_web());
    assert_eq!(judged.said(RouteKind::Http, "r"), HEADLESS);
}

#[test]
fn s113_parents_that_are_no_longer_named_are_no_longer_spoken_of() {
    let mut judged = Judged::new();
    judged.apply("web", web());
    judged.apply("other", service(&["10.0.0.2"]));
    judged.route(RouteKind::Http, "r", on_web());
    assert_eq!(judged.said(RouteKind::Http, "r"), ALL);
    let key = route_key(RouteKind::Http, "r");
    let status_of = |judged: &Judged| match &judged.objects[&key] {
        ferrule_cluster::object::Object::Route(_, route) => route.status.clone(),
        other => panic!("{other:?}"),
    };
    let moved = Route {
        status: status_of(&judged),
        ..route(&[on_service("other")], &[])
    };
    judged.route(RouteKind::Http, "r", moved);
    assert_eq!(
        judged.said(RouteKind::Http, "r"),
        ["other Accepted, ResolvedRefs"]
    );
    let detached = Route {
        status: status_of(&judged),
        ..route(&[], &[])
    };
    judged.route(RouteKind::Http, "r", detached);
    assert_eq!(judged.outbox.len(), 1);
    assert_eq!(judged.said(RouteKind::Http, "r"), [""; 0]);
}

#[test]
fn s140_s141_backends_are_looked_for_where_the_route_is() {
    let mut judged = Judged::new();
    for name in ["web", "back"] {
        judged.apply(name, web());
    }
    judged.apply("e1", egress(None));
    judged.apply("e2", egress(None));
    let service = |name| to(ParentKind::Service, name);
    let network = |name| to(ParentKind::EgressNetwork, name);
    let elsewhere = BackendTarget::Object {
        kind: ParentKind::Service,
        namespace: Some("other".into()),
        name: "back".into(),
        port: None,
    };
    let config_map = BackendTarget::Unsupported {
        group: "core".into(),
        kind: "ConfigMap".into(),
    };
    let on_e1 = on(ParentKind::EgressNetwork, "e1", Some(80));
    let misplaced = "!ResolvedRefs InvalidKind (EgressNetwork backend needs to be on a route that \
                     has an EgressNetwork parent)";
    let missing = "!ResolvedRefs BackendNotFound";
    for (parent, backends, resolved) in [
        (on_service("web"), vec![service("back")], "ResolvedRefs"),
        (
            on_service("web"),
            vec![service("back"), service("nope")],
            missing,
        ),
        (on_service("web"), vec![elsewhere], missing),
        (on_service("web"), vec![network("e1")], misplaced),
        (on_service("web"), vec![network("nope")], missing),
        (
            on_service("web"),
            vec![config_map, service("nope")],
            "!ResolvedRefs InvalidKind",
        ),
        (on_e1.clone(), vec![service("back")], "ResolvedRefs"),
        (on_e1.clone(), vec![network("e1")], "ResolvedRefs"),
        (on_e1.clone(), vec![network("e2")], misplaced),
        (on_e1, vec![network("nope"), network("e2")], missing),
    ] {
        let about = if parent.port.is_some() {
            "e1:80"
        } else {
            "web"
        };
        judged.route(RouteKind::Http, "r", route(&[parent], &backends));
        let said = format!("{about} Accepted, {resolved}");
        assert_eq!(judged.said(RouteKind::Http, "r"), [said], "{backends:?}");
    }
    // A backend that comes later is noticed on the route, whose parent is unchanged.
    let late = route(&[on_service("web")], &[service("late")]);
    judged.route(RouteKind::Http, "r", late);
    assert_eq!(
        judged.said(RouteKind::Http, "r"),
        [format!("web Accepted, {missing}")]
    );
    judged.apply("late", web());
    assert_eq!(judged.said(RouteKind::Http, "r"), ALL);
}

#[test]
fn s136_a_route_waits_for_the_status_of_its_egress_network() {
    let mut judged = Judged::new();
    let on_all = route(&[on(ParentKind::EgressNetwork, "all", None)], &[]);
    judged.route(RouteKind::Http, "r", on_all);
    judged.apply("all", egress(None));
    let waiting = "all !Accepted NoMatchingParent (EgressNetwork parent has not been accepted), \
                   ResolvedRefs";
    // Before anything is written.
    let status = judged
        .outbox
        .get(&route_key(RouteKind::Http, "r"))
        .expect("pending");
    let messages: Vec<_> = status.conditions().map(|(_, c)| &*c.message).collect();
    assert_eq!(messages, ["EgressNetwork parent has not been accepted", ""]);
    assert_eq!(
        judged.said(RouteKind::Http, "r"),
        ["all Accepted, ResolvedRefs"]
    );
    assert_eq!(judged.conditions(Kind::EgressNetwork, "all"), ["Accepted"]);
    for (networks, accepted) in [
        ("0.0.0.0/0", false),
        ("1.0.0.0/8,10.1.0.0/16", false),
        ("fd00:1::/64", false),
        ("11.0.0.0/8,2001:db8::/32", true),
    ] {
        judged.apply("all", egress(Some(networks)));
        let overlap =
            "!Accepted EgressReasonNetworkOverlap (networks overlap with clusterNetworks)";
        let (network, route) = match accepted {
            true => ("Accepted", "all Accepted, ResolvedRefs"),
            false => (overlap, waiting),
        };
        assert_eq!(judged.conditions(Kind::EgressNetwork, "all"), [network]);
        assert_eq!(judged.said(RouteKind::Http, "r"), [route], "{networks}");
    }
}

#[test]
fn s148_of_the_rate_limits_of_a_server_the_oldest_counts() {
    let mut judged = Judged::new();
    judged.apply("none", limit(None, Some(1)));
    judged.apply("lost", limit(Some("nope"), Some(1)));
    judged.apply("undated", limit(Some("http"), None));
    judged.apply("b", limit(Some("http"), Some(5)));
    judged.apply("http", server(80, ProxyProtocol::Unknown));
    let said = |judged: &mut Judged, name| judged.conditions(Kind::RateLimit, name);
    let exists = ["!Accepted RateLimitReasonAlreadyExists"];
    assert_eq!(said(&mut judged, "none"), [""; 0]);
    assert_eq!(said(&mut judged, "lost"), ["!Accepted NoMatchingTarget"]);
    assert_eq!(said(&mut judged, "b"), ["Accepted"]);
    assert_eq!(said(&mut judged, "undated"), exists);
    // By name among those of an age.
    judged.apply("a", limit(Some("http"), Some(5)));
    assert_eq!(said(&mut judged, "a"), ["Accepted"]);
    assert_eq!(said(&mut judged, "b"), exists);
    for name in ["a", "b"] {
        judged.delete(Kind::RateLimit, name);
    }
    assert_eq!(said(&mut judged, "undated"), ["Accepted"]);
    judged.delete(Kind::Server, "http");
    assert_eq!(said(&mut judged, "undated"), ["!Accepted NoMatchingTarget"]);
}
