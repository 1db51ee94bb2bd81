//! Why a port has the policy that it has.

use crate::{objects::*, support::*};
use ferrule_cluster::object::{
    DefaultPolicy, Kind, Object, ObjectKey, PodTemplate, ProxyProtocol, RateLimit, Server,
    route::{Parent, ParentKey, ParentKind, Route, RouteKind, RouteSpec, Rules},
};
use ferrule_policy::PolicySettings;

fn told(mesh: &mut TestMesh) -> (String, Vec<String>) {
    let reasons = mesh.reasons("ns:web", 80).expect("known");
    let idle = reasons.without_effect.into_iter();
    let idle = idle.map(|idle| format!("{}: {}", idle.object, idle.because));
    (reasons.decided, idle.collect())
}

fn mesh() -> TestMesh {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", pod(template()));
    mesh
}

#[tokio::test]
async fn without_a_server_the_workload_or_the_mesh_decides() {
    let mut mesh = mesh();
    assert_eq!(mesh.reasons("ns:nobody", 80), None);
    let (decided, _) = told(&mut mesh);
    assert_eq!(
        decided,
        "the mesh's default, since no Server of ns is about the port"
    );
    let template = PodTemplate {
        default_policy: Some(DefaultPolicy::Deny),
        require_identity_ports: ports("80"),
        ..template()
    };
    mesh.apply("web", pod(template));
    mesh.apply("broken", Server::default());
    let (decided, idle) = told(&mut mesh);
    assert_eq!(
        decided,
        "the workload's annotation config.linkerd.io/default-inbound-policy, made stricter by \
         config.linkerd.io/proxy-require-identity-inbound-ports, since no Server of ns is about \
         the port"
    );
    assert_eq!(idle, ["Server broken: its selector cannot be read"]);
}

#[tokio::test]
async fn what_lets_nobody_in_is_named_with_what_it_lacks() {
    let mut mesh = mesh();
    mesh.apply("srv", server(80, ProxyProtocol::Http1));
    mesh.apply("p", mesh_tls_policy("srv", "other", "m"));
    mesh.apply("q", network_policy("srv", "n"));
    mesh.apply("elsewhere", network_policy("another", "n"));
    assert_eq!(
        told(&mut mesh),
        (
            "Server srv, the only one about the port".into(),
            vec![
                "AuthorizationPolicy p: there is no MeshTLSAuthentication other/m".into(),
                "AuthorizationPolicy q: there is no NetworkAuthentication ns/n".into(),
            ]
        )
    );
    mesh.apply_in("other", "m", mesh_tls(&["x"]));
    mesh.apply("n", network_authentication(&["10.0.0.0/8"]));
    assert_eq!(told(&mut mesh).1, [""; 0]);
    mesh.apply("another", server(80, ProxyProtocol::Http1));
    let (decided, idle) = told(&mut mesh);
    assert_eq!(decided, "Server another, the oldest of 2 about the port");
    assert!(
        idle[0].starts_with("Server srv: Server another is older"),
        "{idle:?}"
    );
}

fn route(namespace: &str, server: &str, is_part: bool) -> Route {
    Route {
        parents: [Parent {
            key: ParentKey::new(ParentKind::Server, ObjectKey::new(namespace, server)),
            port: None,
            is_part,
        }]
        .into(),
        spec: Some(std::sync::Arc::new(RouteSpec {
            hosts: [].into(),
            rules: Rules::Tcp([].into()),
        })),
        ..Route::default()
    }
}

#[tokio::test]
async fn a_route_or_limit_that_does_nothing_is_named_with_why() {
    let mut mesh = mesh();
    mesh.apply("srv", server(80, ProxyProtocol::Http1));
    let policy_http = |route| Object::Route(RouteKind::PolicyHttp, route);
    mesh.apply("new", policy_http(route(NS, "srv", false)));
    mesh.apply("part", policy_http(route(NS, "srv", true)));
    mesh.apply_in("other", "far", policy_http(route(NS, "srv", false)));
    let broken = Route {
        spec: None,
        ..route(NS, "srv", false)
    };
    mesh.apply("broken", policy_http(broken));
    let limit = RateLimit {
        server: Some("srv".into()),
        limits: Some(Default::default()),
        ..RateLimit::default()
    };
    mesh.apply("limit", limit);
    assert_eq!(
        told(&mut mesh).1,
        [
            "HTTPRoute.policy.linkerd.io ns/broken: it cannot be told to proxies; the log says why",
            "HTTPRoute.policy.linkerd.io ns/new: its status is not written yet (due: Accepted)",
            "HTTPRoute.policy.linkerd.io ns/part: one of its parents names a port or section of \
             a Server",
            "HTTPRoute.policy.linkerd.io other/far: it is in another namespace than the Server",
            "HTTPLocalRateLimitPolicy limit: its status does not accept it (due: Accepted)",
        ]
    );
    mesh.delete(Kind::Server, "srv");
    assert_eq!(told(&mut mesh).1, [""; 0]);
}
