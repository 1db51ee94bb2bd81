//! destination.md section 20.7, scenarios 92 to 103: profiles of Services that
//! ServiceProfiles are written for.

use crate::support::*;
use ferrule_cluster::object::{
    GoDuration, Kind, Match, Object, ObjectKey, Override, PodTemplate, ProfileRoute, RequestTest,
    ResponseClass, RetryBudget, Service, ServiceProfile, StatusRange,
};
use ferrule_proto::{
    destination::{
        DestinationProfile, HttpStatusRange, PathMatch, RequestMatch, ResponseMatch, WeightedDst,
        request_match::{Match as Request, Seq as RequestSeq},
        response_match::{Match as Response, Seq as ResponseSeq},
    },
    http_types::{HttpMethod, http_method},
    meta::{Metadata, metadata::Kind as Meta},
};
use serde_json::json;

const WEB: &str = "web.ns.svc.cluster.local:80";
const FQN: &str = "web.ns.svc.cluster.local";
const IP: &str = "10.96.0.1:80";
const CLIENT: &str = "client";
const TOKEN: &str = r#"{"ns":"client"}"#;

fn mesh() -> TestMesh {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("web", web());
    mesh
}

fn web() -> Service {
    Service {
        cluster_ips: [ip("10.96.0.1")].into(),
        ..service()
    }
}

fn seconds(seconds: i64) -> GoDuration {
    GoDuration::from_nanos(seconds * 1_000_000_000)
}

fn of_method(method: &str) -> Match<RequestTest> {
    Match::Is(RequestTest::Method(method.into()))
}

fn route(name: &str) -> ProfileRoute {
    ProfileRoute {
        name: name.into(),
        condition: of_method("GET"),
        response_classes: Box::default(),
        retryable: false,
        timeout: None,
    }
}

/// A profile with one route of this name.
fn with(route: ProfileRoute) -> ServiceProfile {
    ServiceProfile {
        routes: [route].into(),
        ..ServiceProfile::default()
    }
}

fn named(name: &str) -> ServiceProfile {
    with(route(name))
}

/// Whose ServiceProfile was told, and the names of its routes.
fn source(profile: &DestinationProfile) -> (&str, Vec<&str>) {
    let Some(Metadata {
        kind: Some(Meta::Resource(resource)),
    }) = &profile.profile_ref
    else {
        panic!("{profile:?}")
    };
    assert_eq!(resource.group, "linkerd.io");
    if resource.namespace.is_empty() {
        assert_eq!((&*resource.kind, &*resource.name), ("", ""));
    } else {
        assert_eq!((&*resource.kind, &*resource.name), ("ServiceProfile", FQN));
    }
    let routes = profile
        .routes
        .iter()
        .map(|route| &*route.metrics_labels["route"]);
    (&resource.namespace, routes.collect())
}

/// The one message that was sent.
async fn told(mesh: &mut TestMesh, client: &mut ProfileClient) -> DestinationProfile {
    let told = mesh.read_profiles(client).await;
    assert_eq!(told.len(), 1);
    told.into_iter().next().expect("one")
}

async fn now(mesh: &mut TestMesh, path: &str, token: &str) -> DestinationProfile {
    let mut client = mesh.profile_as(path, token).await.expect(path);
    told(mesh, &mut client).await
}

#[tokio::test]
async fn s92_a_profile_in_the_services_namespace_is_for_everybody() {
    let mut mesh = mesh();
    mesh.apply(FQN, named("get"));
    for token in ["", "ns:ns", TOKEN, "ns:other"] {
        for path in [WEB, IP] {
            let profile = now(&mut mesh, path, token).await;
            assert_eq!(source(&profile), (NS, vec!["get"]), "{path} {token}");
            assert_eq!(profile.fully_qualified_name, FQN);
        }
    }
}

#[tokio::test]
async fn s93_the_clients_profile_comes_before_the_services() {
    for path in [WEB, IP] {
        let mut mesh = mesh();
        mesh.apply(FQN, named("server"));
        mesh.apply_in(CLIENT, FQN, named("client"));
        let mut client = mesh.profile_as(path, TOKEN).await.expect("open");
        let mut neighbour = mesh.profile_as(path, "ns:ns").await.expect("open");
        assert_eq!(
            source(&told(&mut mesh, &mut client).await),
            (CLIENT, vec!["client"])
        );
        assert_eq!(
            source(&told(&mut mesh, &mut neighbour).await),
            (NS, vec!["server"])
        );
        // Not what counts for this client.
        mesh.apply(FQN, named("edited"));
        assert_eq!(mesh.read_profiles(&mut client).await, []);
        assert_eq!(
            source(&told(&mut mesh, &mut neighbour).await),
            (NS, vec!["edited"])
        );
        mesh.feed(ferrule_cluster::source::Event::Deleted(
            Kind::ServiceProfile,
            ObjectKey::new(CLIENT, FQN),
        ));
        mesh.publish();
        assert_eq!(
            source(&told(&mut mesh, &mut client).await),
            (NS, vec!["edited"])
        );
        assert_eq!(mesh.read_profiles(&mut neighbour).await, []);
        mesh.delete(Kind::ServiceProfile, FQN);
        assert_eq!(source(&told(&mut mesh, &mut client).await), ("", vec![]));
        assert_eq!(source(&told(&mut mesh, &mut neighbour).await), ("", vec![]));
    }
}

#[tokio::test]
async fn clients_of_other_namespaces_do_not_see_each_others_profiles() {
    let mut mesh = mesh();
    mesh.apply_in("other", FQN, named("other"));
    mesh.apply_in(CLIENT, "web.other.svc.cluster.local", named("not web"));
    for token in ["", TOKEN] {
        assert_eq!(source(&now(&mut mesh, WEB, token).await), ("", vec![]));
    }
}

#[tokio::test]
async fn s94_a_profile_that_comes_is_told_and_one_that_reads_the_same_is_not() {
    let mut mesh = mesh();
    let mut by_name = mesh.profile_as(WEB, TOKEN).await.expect("open");
    let mut by_ip = mesh.profile_as(IP, TOKEN).await.expect("open");
    for client in [&mut by_name, &mut by_ip] {
        assert_eq!(source(&told(&mut mesh, client).await), ("", vec![]));
    }
    mesh.apply_in(CLIENT, FQN, named("get"));
    for client in [&mut by_name, &mut by_ip] {
        assert_eq!(
            source(&told(&mut mesh, client).await),
            (CLIENT, vec!["get"])
        );
    }
    mesh.apply_in(CLIENT, FQN, named("get"));
    for client in [&mut by_name, &mut by_ip] {
        assert_eq!(mesh.read_profiles(client).await, []);
    }
}

#[tokio::test]
async fn s95_opaque_ports_are_the_services_with_or_without_a_profile() {
    let mut mesh = mesh();
    let opaque = Service {
        opaque_ports: Some(ports("80")),
        ..web()
    };
    mesh.apply("web", opaque.clone());
    let mut client = mesh.profile(WEB).await.expect("open");
    assert!(told(&mut mesh, &mut client).await.opaque_protocol);
    mesh.apply(FQN, named("get"));
    let profile = told(&mut mesh, &mut client).await;
    assert!(profile.opaque_protocol && profile.routes.len() == 1);
    mesh.apply("web", web());
    let profile = told(&mut mesh, &mut client).await;
    assert!(!profile.opaque_protocol && profile.routes.len() == 1);
    // s97 and s104: pods do not matter here either.
    let annotated = PodTemplate {
        opaque_ports: Some(ports("80,8080")),
        ..template()
    };
    mesh.apply("a", pod(&["10.0.0.1"], annotated));
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read_profiles(&mut client).await, []);
}

#[tokio::test]
async fn s99_a_route_is_told_field_by_field() {
    let mut mesh = mesh();
    let condition = json!({"method": "get", "pathRegex": "/p"});
    let timeout = Some(GoDuration::from_nanos(200_000_000));
    mesh.apply(
        FQN,
        with(ProfileRoute {
            condition: Match::read(&condition).expect("valid"),
            retryable: true,
            timeout,
            ..route("GET /p")
        }),
    );
    let profile = now(&mut mesh, WEB, "").await;
    let [route] = &*profile.routes else {
        panic!("{profile:?}")
    };
    let request = |told| RequestMatch {
        r#match: Some(told),
    };
    let method = HttpMethod {
        r#type: Some(http_method::Type::Registered(0)),
    };
    let path = PathMatch { regex: "/p".into() };
    let matches = vec![
        request(Request::Method(method)),
        request(Request::Path(path)),
    ];
    assert_eq!(
        route.condition,
        Some(request(Request::All(RequestSeq { matches })))
    );
    assert_eq!(route.metrics_labels, labels(&[("route", "GET /p")]));
    assert!(route.is_retryable && route.response_classes.is_empty());
    let timeout = route.timeout.expect("set");
    assert_eq!((timeout.seconds, timeout.nanos), (0, 200_000_000));
}

#[tokio::test]
async fn s100_response_classes_and_their_ranges() {
    let mut mesh = mesh();
    let class = |condition, failure| ResponseClass {
        condition: Match::<StatusRange>::read(&condition).expect("valid"),
        failure,
    };
    let combined = json!({"status": {"min": 400, "max": 499}, "not": {"status": {"min": 404}}});
    let any = json!({"any": [{"status": {"max": 599}}, {"all": []}]});
    mesh.apply(
        FQN,
        with(ProfileRoute {
            response_classes: [class(combined, true), class(any, false)].into(),
            ..route("get")
        }),
    );
    let profile = now(&mut mesh, WEB, "").await;
    let classes = &profile.routes[0].response_classes;
    let is = |told| ResponseMatch {
        r#match: Some(told),
    };
    let status = |min, max| is(Response::Status(HttpStatusRange { min, max }));
    let seq = |matches| ResponseSeq { matches };
    let not = is(Response::Not(Box::new(status(404, 0))));
    let expected = is(Response::All(seq(vec![status(400, 499), not])));
    assert_eq!(classes[0].condition, Some(expected));
    let all = is(Response::All(seq(vec![])));
    let expected = is(Response::Any(seq(vec![status(0, 599), all])));
    assert_eq!(classes[1].condition, Some(expected));
    assert_eq!(
        (classes[0].is_failure, classes[1].is_failure),
        (true, false)
    );
}

#[tokio::test]
async fn s101_overrides_have_weights_and_the_port_that_was_asked_for() {
    let mut mesh = mesh();
    let to = |authority: &str, weight| Override {
        authority: authority.into(),
        weight,
    };
    let overrides = [
        to("a.ns.svc.cluster.local", 500),
        to("b.ns.svc.cluster.local:9000", 1_000),
    ];
    mesh.apply(
        FQN,
        ServiceProfile {
            overrides: overrides.into(),
            ..ServiceProfile::default()
        },
    );
    let profile = now(&mut mesh, IP, "").await;
    let told = |authority: &str, weight| WeightedDst {
        authority: authority.into(),
        weight,
        backend_ref: None,
    };
    assert_eq!(
        profile.dst_overrides,
        [
            told("a.ns.svc.cluster.local:80", 5_000),
            told("b.ns.svc.cluster.local:9000", 10_000)
        ]
    );
}

#[tokio::test]
async fn a_retry_budget_replaces_the_default_one() {
    let mut mesh = mesh();
    let budget = |ttl| ServiceProfile {
        retry_budget: Some(RetryBudget {
            ratio: 0.5,
            min_per_second: 3,
            ttl,
        }),
        ..ServiceProfile::default()
    };
    mesh.apply(FQN, budget(seconds(20)));
    let mut client = mesh.profile(WEB).await.expect("open");
    let first = told(&mut mesh, &mut client).await;
    let told_budget = first.retry_budget.as_ref().expect("set");
    assert_eq!(
        (told_budget.retry_ratio, told_budget.min_retries_per_second),
        (0.5, 3)
    );
    assert_eq!(told_budget.ttl.as_ref().map(|ttl| ttl.seconds), Some(20));
    mesh.apply(FQN, budget(seconds(0)));
    let unset = told(&mut mesh, &mut client).await;
    assert_eq!(unset.retry_budget.expect("set").ttl, None);
    // A profile without one has the default.
    mesh.apply(FQN, named("get"));
    let default = told(&mut mesh, &mut client).await.retry_budget;
    assert_eq!(
        default.and_then(|budget| budget.ttl).map(|ttl| ttl.seconds),
        Some(10)
    );
}

/// As the source hands over what cannot be told: an empty condition, a range
/// that ends before it begins, a budget whose ttl is no duration.
#[tokio::test]
async fn s99_s100_s102_what_cannot_be_told_leaves_the_previous_profile_to_open_and_new_streams() {
    let mut mesh = mesh();
    mesh.apply(FQN, named("good"));
    let mut client = mesh.profile(WEB).await.expect("open");
    assert_eq!(source(&told(&mut mesh, &mut client).await).1, ["good"]);
    mesh.apply(FQN, Object::ServiceProfile(None));
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    assert_eq!(source(&now(&mut mesh, WEB, "").await), (NS, vec!["good"]));
    assert_eq!(source(&now(&mut mesh, IP, TOKEN).await), (NS, vec!["good"]));
    mesh.apply(FQN, named("mended"));
    assert_eq!(source(&told(&mut mesh, &mut client).await).1, ["mended"]);
    mesh.apply(FQN, Object::ServiceProfile(None));
    mesh.delete(Kind::ServiceProfile, FQN);
    assert_eq!(source(&told(&mut mesh, &mut client).await), ("", vec![]));
}

#[tokio::test]
async fn a_profile_that_never_could_be_told_counts_as_absent() {
    let mut mesh = mesh();
    mesh.apply_in(CLIENT, FQN, Object::ServiceProfile(None));
    let mut client = mesh.profile_as(WEB, TOKEN).await.expect("open");
    assert_eq!(source(&told(&mut mesh, &mut client).await), ("", vec![]));
    mesh.apply(FQN, named("server"));
    assert_eq!(
        source(&told(&mut mesh, &mut client).await),
        (NS, vec!["server"])
    );
}

#[tokio::test]
async fn s103_a_service_that_goes_leaves_the_profile_to_open_streams() {
    let mut mesh = mesh();
    let opaque = Service {
        opaque_ports: Some(ports("80")),
        ..web()
    };
    mesh.apply("web", opaque);
    mesh.apply(FQN, named("get"));
    let mut client = mesh.profile(WEB).await.expect("open");
    assert!(told(&mut mesh, &mut client).await.opaque_protocol);
    mesh.delete(Kind::Service, "web");
    let profile = told(&mut mesh, &mut client).await;
    assert!(!profile.opaque_protocol);
    assert_eq!(source(&profile), (NS, vec!["get"]));
}

#[tokio::test]
async fn pods_and_undeclared_ports_have_no_service_profile() {
    let mut mesh = mesh();
    mesh.apply(FQN, named("get"));
    mesh.apply("a", meshed("10.0.0.1"));
    let pod = now(&mut mesh, "10.0.0.1:8080", TOKEN).await;
    assert!(pod.routes.is_empty() && pod.profile_ref.is_none());
    let undeclared = now(&mut mesh, "10.96.0.1:81", TOKEN).await;
    assert_eq!(undeclared, DestinationProfile::default());
}
