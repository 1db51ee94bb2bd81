//! The policy of a workload's port.

use super::{default, object, prefix};
use ferrule_proto::{
    grpc_route::{GrpcRouteMatch, GrpcRpcMatch},
    http_route::{HttpRouteMatch, PathMatch, path_match},
    http_types::{HttpMethod, http_method},
    inbound::{
        Authn, Authz, GrpcRoute, HttpLocalRateLimit, HttpRoute, Identity, IdentitySuffix, Network,
        ProxyProtocol, Server,
        authn::{
            Permit, PermitMeshTls, PermitUnauthenticated,
            permit_mesh_tls::{Clients, PermitClientIdentities},
        },
        grpc_route, http_route,
        proxy_protocol::{Detect, Grpc, Http1, Http2, Kind, Opaque, Tls},
    },
    net::IpNetwork,
};
use prost_types::Duration;
use std::{collections::BTreeMap, net::IpAddr};

/// All networks.
pub(crate) const ANY: [&str; 2] = ["0.0.0.0/0", "::/0"];
/// Those that the chart says are the cluster's, in its order.
pub(crate) const CLUSTER: [&str; 5] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fd00::/8",
];
/// The same where the flags say less.
pub(crate) const STRICT_CLUSTER: [&str; 2] = ["10.0.0.0/8", "192.168.0.0/16"];

/// A port that its workload's default policy decides, with these networks for the
/// cluster's.
pub(crate) fn by_default(policy: &str, cluster: &[&str]) -> Server {
    let routes = vec![default_route()];
    told("default", policy, detect(routes), access(policy, cluster))
}

/// A port that a Server decides.
pub(crate) fn by_server(name: &str, kind: Kind, authorizations: Vec<Authz>) -> Server {
    told("server", name, kind, authorizations)
}

/// The same port, spoken to in another way.
pub(crate) fn speaking(kind: Kind, server: Server) -> Server {
    Server {
        protocol: Some(ProxyProtocol { kind: Some(kind) }),
        ..server
    }
}

fn told(kind: &str, name: &str, protocol: Kind, authorizations: Vec<Authz>) -> Server {
    let server = Server {
        labels: labels(kind, name),
        authorizations,
        ..Server::default()
    };
    speaking(protocol, server)
}

fn labels(kind: &str, name: &str) -> BTreeMap<String, String> {
    let group = match kind {
        "default" => "",
        _ => "policy.linkerd.io",
    };
    let pairs = [("group", group), ("kind", kind), ("name", name)];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    pairs.into()
}

/// What a policy by name lets in.
pub(crate) fn access(policy: &str, cluster: &[&str]) -> Vec<Authz> {
    let (permit, networks) = match policy {
        "all-unauthenticated" | "audit" => (anyone(), &ANY[..]),
        "all-authenticated" => (identities(&[], &[""]), &ANY[..]),
        "cluster-unauthenticated" => (anyone(), cluster),
        "cluster-authenticated" => (identities(&[], &[""]), cluster),
        _ => return vec![],
    };
    vec![Authz {
        metadata: default(policy),
        ..authz("default", policy, permit, networks)
    }]
}

/// What an object lets in: `kind` is as in labels.
pub(crate) fn authz(kind: &str, name: &str, permit: Permit, networks: &[&str]) -> Authz {
    Authz {
        networks: networks.iter().map(|text| network(text)).collect(),
        authentication: Some(Authn {
            permit: Some(permit),
        }),
        labels: labels(kind, name),
        metadata: object(&format!("{kind}.policy.linkerd.io"), "", name, 0),
    }
}

/// An AuthorizationPolicy's.
pub(crate) fn policy(name: &str, permit: Permit, networks: &[&str]) -> Authz {
    authz("authorizationpolicy", name, permit, networks)
}

/// `10.0.0.0/8`, or `10.0.0.0/8-10.1.0.0/16-10.2.0.0/16` with exceptions.
fn network(text: &str) -> Network {
    let mut nets = text.split('-').map(|text| {
        let (ip, length) = text.split_once('/').expect("a literal");
        let ip: IpAddr = ip.parse().expect("a literal");
        IpNetwork {
            ip: Some(ip.into()),
            prefix_len: length.parse().expect("a literal"),
        }
    });
    Network {
        net: nets.next(),
        except: nets.collect(),
    }
}

pub(crate) fn anyone() -> Permit {
    Permit::Unauthenticated(PermitUnauthenticated {})
}

fn mesh_tls(clients: Clients) -> Permit {
    Permit::MeshTls(PermitMeshTls {
        clients: Some(clients),
    })
}

pub(crate) fn any_tls() -> Permit {
    mesh_tls(Clients::Unauthenticated(PermitUnauthenticated {}))
}

/// These, and those below these domains: all below ``.
pub(crate) fn identities(exact: &[&str], below: &[&str]) -> Permit {
    let parts = |domain: &&str| {
        let parts = domain.split('.').filter(|part| !part.is_empty());
        IdentitySuffix {
            parts: parts.map(str::to_owned).collect(),
        }
    };
    mesh_tls(Clients::Identities(PermitClientIdentities {
        identities: exact.iter().map(|name| identity(name)).collect(),
        suffixes: below.iter().map(parts).collect(),
    }))
}

pub(crate) fn identity(name: &str) -> Identity {
    Identity { name: name.into() }
}

/// The identity of a ServiceAccount; of all in a namespace without the first.
pub(crate) fn account(name: &str) -> String {
    format!("{name}.serviceaccount.identity.linkerd.cluster.local")
}

pub(crate) fn detect(http_routes: Vec<HttpRoute>) -> Kind {
    Kind::Detect(Detect {
        timeout: Some(Duration {
            seconds: 10,
            nanos: 0,
        }),
        http_routes,
        http_local_rate_limit: None,
    })
}

pub(crate) fn http1(routes: Vec<HttpRoute>) -> Kind {
    Kind::Http1(Http1 {
        routes,
        local_rate_limit: None,
    })
}

pub(crate) fn http2(routes: Vec<HttpRoute>) -> Kind {
    Kind::Http2(Http2 {
        routes,
        local_rate_limit: None,
    })
}

pub(crate) fn grpc(routes: Vec<GrpcRoute>) -> Kind {
    Kind::Grpc(Grpc { routes })
}

pub(crate) fn opaque() -> Kind {
    Kind::Opaque(Opaque {})
}

pub(crate) fn tls() -> Kind {
    Kind::Tls(Tls {})
}

/// The same with a limit.
pub(crate) fn limited(kind: Kind, limit: HttpLocalRateLimit) -> Kind {
    let limit = Some(limit);
    match kind {
        Kind::Detect(detect) => Kind::Detect(Detect {
            http_local_rate_limit: limit,
            ..detect
        }),
        Kind::Http1(http) => Kind::Http1(Http1 {
            local_rate_limit: limit,
            ..http
        }),
        other => other,
    }
}

pub(crate) fn default_route() -> HttpRoute {
    HttpRoute {
        metadata: default("default"),
        rules: vec![rule(vec![prefix("/")])],
        ..HttpRoute::default()
    }
}

pub(crate) fn default_grpc_route() -> GrpcRoute {
    GrpcRoute {
        metadata: default("default"),
        rules: vec![grpc_rule("", "")],
        ..GrpcRoute::default()
    }
}

/// The route of probes at these paths, from everywhere.
pub(crate) fn probe_route(paths: &[&str]) -> HttpRoute {
    let get = HttpMethod {
        r#type: Some(http_method::Type::Registered(0)),
    };
    let matches = paths.iter().map(|path| HttpRouteMatch {
        method: Some(get.clone()),
        ..exact(path)
    });
    let authorization = Authz {
        metadata: default("probe"),
        ..authz("default", "probe", anyone(), &ANY)
    };
    HttpRoute {
        metadata: default("probe"),
        authorizations: vec![authorization],
        rules: vec![rule(matches.collect())],
        ..HttpRoute::default()
    }
}

pub(crate) fn exact(path: &str) -> HttpRouteMatch {
    HttpRouteMatch {
        path: Some(PathMatch {
            kind: Some(path_match::Kind::Exact(path.into())),
        }),
        ..HttpRouteMatch::default()
    }
}

/// A rule for these requests.
pub(crate) fn rule(matches: Vec<HttpRouteMatch>) -> http_route::Rule {
    http_route::Rule {
        matches,
        filters: vec![],
    }
}

fn grpc_rule(service: &str, method: &str) -> grpc_route::Rule {
    let rpc = GrpcRpcMatch {
        service: service.into(),
        method: method.into(),
    };
    grpc_route::Rule {
        matches: vec![GrpcRouteMatch {
            rpc: Some(rpc),
            headers: vec![],
        }],
        filters: vec![],
    }
}

/// An HTTPRoute of policy.linkerd.io for one path.
pub(crate) fn http_route(name: &str, path: &str) -> HttpRoute {
    HttpRoute {
        metadata: object("HTTPRoute.policy.linkerd.io", "", name, 0),
        rules: vec![rule(vec![exact(path)])],
        ..HttpRoute::default()
    }
}

/// One of the Gateway API.
pub(crate) fn gateway_http_route(name: &str, path: &str) -> HttpRoute {
    HttpRoute {
        metadata: object("HTTPRoute.gateway.networking.k8s.io", "", name, 0),
        ..http_route(name, path)
    }
}

/// A GRPCRoute for one service.
pub(crate) fn grpc_route(name: &str, service: &str) -> GrpcRoute {
    GrpcRoute {
        metadata: object("GRPCRoute.gateway.networking.k8s.io", "", name, 0),
        rules: vec![grpc_rule(service, "")],
        ..GrpcRoute::default()
    }
}
