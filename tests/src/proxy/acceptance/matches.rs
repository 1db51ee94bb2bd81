//! What routes match.

use super::{Accepted, Invalid, Within as _, each, optional, required};
use ferrule_proto::{
    grpc_route::GrpcRouteMatch,
    http_route::{
        HeaderMatch, HostMatch, HttpRouteMatch, PathMatch, QueryParamMatch, header_match,
        path_match, query_param_match,
    },
    http_types::{HttpMethod, http_method},
    tls_route::SniMatch,
};
use http::HeaderName;
use regex::Regex;

pub(super) fn hosts(hosts: &[HostMatch]) -> Accepted {
    each("hosts", hosts, |host| is_set(host.r#match.as_ref()))
}

pub(super) fn snis(snis: &[SniMatch]) -> Accepted {
    each("snis", snis, |sni| is_set(sni.r#match.as_ref()))
}

pub(super) fn http(route: &HttpRouteMatch) -> Accepted {
    optional("path", route.path.as_ref(), path)?;
    each("headers", &route.headers, header)?;
    each("query_params", &route.query_params, query_param)?;
    optional("method", route.method.as_ref(), method)
}

pub(super) fn grpc(route: &GrpcRouteMatch) -> Accepted {
    required("rpc", route.rpc.as_ref(), super::present)?;
    each("headers", &route.headers, header)
}

fn path(path: &PathMatch) -> Accepted {
    is_set(path.kind.as_ref())?;
    match &path.kind {
        Some(path_match::Kind::Regex(text)) => regex(text),
        _ => Ok(()),
    }
}

fn header(header: &HeaderMatch) -> Accepted {
    header_name(&header.name).within("name")?;
    is_set(header.value.as_ref()).within("value")?;
    match &header.value {
        Some(header_match::Value::Regex(text)) => regex(text),
        _ => Ok(()),
    }
}

fn query_param(param: &QueryParamMatch) -> Accepted {
    if param.name.is_empty() {
        return Err(Invalid::new("empty")).within("name");
    }
    is_set(param.value.as_ref()).within("value")?;
    match &param.value {
        Some(query_param_match::Value::Regex(text)) => regex(text),
        _ => Ok(()),
    }
}

fn method(method: &HttpMethod) -> Accepted {
    match &method.r#type {
        None => Err(Invalid::new("no type is set")),
        Some(http_method::Type::Registered(number)) => http_method::Registered::try_from(*number)
            .map(|_| ())
            .map_err(|error| Invalid::new(error.to_string())),
        Some(http_method::Type::Unregistered(text)) => http::Method::from_bytes(text.as_bytes())
            .map(|_| ())
            .map_err(|error| Invalid::new(format!("{text:?}: {error}"))),
    }
}

pub(super) fn header_name(name: &str) -> Accepted {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Invalid::new(format!("{name:?}: {error}"))),
    }
}

fn regex(text: &str) -> Accepted {
    match Regex::new(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Invalid::new(error.to_string())),
    }
}

fn is_set<T>(one: Option<&T>) -> Accepted {
    one.map(|_| ())
        .ok_or_else(|| Invalid::new("no kind is set"))
}
