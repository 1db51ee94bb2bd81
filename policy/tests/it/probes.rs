//! policy.md section 11, inbound: probes.

use crate::support::*;
use ferrule_cluster::object::{DefaultPolicy, HttpProbe, PodTemplate};
use ferrule_policy::{PolicySettings, parse_networks};
use ferrule_proto::{
    http_route::path_match,
    http_types::http_method,
    inbound::{HttpRoute, Server, authn::Permit, proxy_protocol::Kind},
};

fn probed(probes: &[(u16, &str)]) -> PodTemplate {
    let mut probes: Vec<_> = probes
        .iter()
        .map(|&(port, path)| HttpProbe {
            port,
            path: path.into(),
        })
        .collect();
    probes.sort_unstable();
    PodTemplate {
        probes: probes.into(),
        ..template()
    }
}

async fn routes(settings: PolicySettings, template: PodTemplate, port: u32) -> Vec<HttpRoute> {
    let mut mesh = TestMesh::new(settings);
    mesh.apply("web", pod(template));
    let Server { protocol, .. } = mesh.port("ns:web", port).await.expect("known");
    match protocol.and_then(|protocol| protocol.kind) {
        Some(Kind::Detect(detect)) => detect.http_routes,
        other => panic!("{other:?}"),
    }
}

fn names(routes: &[HttpRoute]) -> Vec<bool> {
    let is_probe = |route: &HttpRoute| route.metadata == default_metadata("probe");
    routes.iter().map(is_probe).collect()
}

#[tokio::test]
async fn s19_22_probed_paths_have_a_route_that_lets_probes_in() {
    let template = probed(&[
        (8080, "/ready"),
        (8080, "/live"),
        (4191, "/live"),
        (4191, "/ready"),
    ]);
    for port in [8080, 4191] {
        // Also where nobody else is let in.
        let settings = PolicySettings {
            default_policy: DefaultPolicy::Deny,
            ..PolicySettings::default()
        };
        let routes = routes(settings, template.clone(), port).await;
        assert_eq!(names(&routes), [false, true]);
        let [_, probe] = &routes[..] else {
            unreachable!()
        };
        assert!(probe.hosts.is_empty());
        let [authz] = &probe.authorizations[..] else {
            panic!("{probe:?}");
        };
        assert_eq!(authz.metadata, default_metadata("probe"));
        assert_eq!(authz.labels["name"], "probe");
        assert_eq!(authz.networks.len(), 2);
        let permit = authz
            .authentication
            .as_ref()
            .and_then(|authn| authn.permit.as_ref());
        assert!(matches!(permit, Some(Permit::Unauthenticated(_))));
        let [rule] = &probe.rules[..] else {
            panic!("{probe:?}");
        };
        let matched: Vec<_> = rule
            .matches
            .iter()
            .map(|request| {
                let get = http_method::Type::Registered(http_method::Registered::Get.into());
                let method = request
                    .method
                    .as_ref()
                    .and_then(|method| method.r#type.clone());
                assert_eq!(method, Some(get));
                match request.path.as_ref().and_then(|path| path.kind.as_ref()) {
                    Some(path_match::Kind::Exact(path)) => path.as_str(),
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        assert_eq!(matched, ["/live", "/ready"]);
    }
}

#[tokio::test]
async fn a_port_that_is_not_probed_has_no_route_for_probes() {
    let routes = routes(PolicySettings::default(), probed(&[(8080, "/live")]), 80).await;
    assert_eq!(names(&routes), [false]);
}

#[tokio::test]
async fn s20_without_networks_of_probes_there_is_no_route_for_them() {
    let settings = |networks| PolicySettings {
        probe_networks: parse_networks(networks).expect("literal"),
        ..PolicySettings::default()
    };
    let template = || probed(&[(8080, "/live")]);
    assert_eq!(
        names(&routes(settings(""), template(), 8080).await),
        [false]
    );
    let routes = routes(settings("10.0.0.0/16"), template(), 8080).await;
    assert_eq!(names(&routes), [false, true]);
    assert_eq!(routes[1].authorizations[0].networks.len(), 1);
}
