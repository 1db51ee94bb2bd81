//! Policies of a workload's own ports.

use super::{
    Accepted, Invalid, Within as _, duration, each, filters, kind_is_set, matches, optional,
    required,
};
use ferrule_proto::{
    inbound::{
        Authn, Authz, GrpcRoute, HttpLocalRateLimit, HttpRoute, Network, Server,
        authn::{Permit, PermitMeshTls},
        grpc_route, http_route,
        proxy_protocol::Kind,
    },
    net::IpNetwork,
};
use std::{collections::BTreeMap, net::IpAddr};

/// Whether a proxy can use the policy of a port.
///
/// # Errors
/// What is wrong.
pub fn server(server: &Server) -> Accepted {
    let kind = server.protocol.as_ref().and_then(|one| one.kind.as_ref());
    required("protocol", kind, protocol)?;
    each("authorizations", &server.authorizations, authorization)?;
    has_name(&server.labels).within("labels")
}

fn protocol(kind: &Kind) -> Accepted {
    match kind {
        Kind::Detect(detect) => required("timeout", detect.timeout.as_ref(), duration)
            .and_then(|()| each("http_routes", &detect.http_routes, http))
            .and_then(|()| rate_limit(detect.http_local_rate_limit.as_ref()))
            .within("detect"),
        Kind::Http1(http1) => each("routes", &http1.routes, http)
            .and_then(|()| rate_limit(http1.local_rate_limit.as_ref()))
            .within("http1"),
        Kind::Http2(http2) => each("routes", &http2.routes, http)
            .and_then(|()| rate_limit(http2.local_rate_limit.as_ref()))
            .within("http2"),
        Kind::Grpc(grpc) => each("routes", &grpc.routes, grpc_route).within("grpc"),
        Kind::Opaque(_) | Kind::Tls(_) => Ok(()),
    }
}

fn http(route: &HttpRoute) -> Accepted {
    required("metadata", route.metadata.as_ref(), kind_is_set)?;
    matches::hosts(&route.hosts)?;
    each("authorizations", &route.authorizations, authorization)?;
    each("rules", &route.rules, |rule| {
        each("matches", &rule.matches, matches::http)?;
        // A filter without a kind answers 500, and the rest holds.
        each("filters", &rule.filters, |filter| match &filter.kind {
            Some(http_route::filter::Kind::FailureInjector(one)) => filters::http_failure(one),
            Some(http_route::filter::Kind::RequestHeaderModifier(one)) => {
                filters::request_headers(one)
            }
            Some(http_route::filter::Kind::Redirect(one)) => filters::redirect(one),
            None => Ok(()),
        })
    })
}

fn grpc_route(route: &GrpcRoute) -> Accepted {
    required("metadata", route.metadata.as_ref(), kind_is_set)?;
    matches::hosts(&route.hosts)?;
    each("authorizations", &route.authorizations, authorization)?;
    each("rules", &route.rules, |rule| {
        each("matches", &rule.matches, matches::grpc)?;
        each("filters", &rule.filters, |filter| match &filter.kind {
            Some(grpc_route::filter::Kind::FailureInjector(one)) => filters::grpc_failure(one),
            Some(grpc_route::filter::Kind::RequestHeaderModifier(one)) => {
                filters::request_headers(one)
            }
            None => Ok(()),
        })
    })
}

fn authorization(authz: &Authz) -> Accepted {
    if authz.networks.is_empty() {
        return Err(Invalid::new("no networks"));
    }
    each("networks", &authz.networks, network)?;
    required(
        "authentication",
        authz.authentication.as_ref(),
        authentication,
    )?;
    match &authz.metadata {
        Some(metadata) => kind_is_set(metadata).within("metadata"),
        None => has_name(&authz.labels).within("labels"),
    }
}

fn network(one: &Network) -> Accepted {
    required("net", one.net.as_ref(), range)?;
    each("except", &one.except, range)
}

fn range(range: &IpNetwork) -> Accepted {
    let ip = range.ip.ok_or_else(|| Invalid::new("no ip"))?;
    let longest = match IpAddr::try_from(ip) {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(error) => return Err(Invalid::new(error.to_string())),
    };
    if range.prefix_len > longest {
        return Err(Invalid::new(format!("prefix length {}", range.prefix_len)));
    }
    Ok(())
}

fn authentication(authn: &Authn) -> Accepted {
    match &authn.permit {
        None => Err(Invalid::new("nobody is permitted")),
        Some(Permit::MeshTls(PermitMeshTls { clients: None })) => {
            Err(Invalid::new("no clients")).within("meshTLS")
        }
        Some(_) => Ok(()),
    }
}

fn rate_limit(limit: Option<&HttpLocalRateLimit>) -> Accepted {
    let metadata = limit.and_then(|limit| limit.metadata.as_ref());
    optional("local_rate_limit.metadata", metadata, kind_is_set)
}

fn has_name(labels: &BTreeMap<String, String>) -> Accepted {
    if labels.contains_key("name") {
        Ok(())
    } else {
        Err(Invalid::new("no name"))
    }
}
