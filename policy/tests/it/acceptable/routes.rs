//! What routes of both directions have in common.

use ferrule_proto::{
    grpc_route::{GrpcFailureInjector, GrpcRouteMatch},
    http_route::{
        HeaderMatch, HostMatch, HttpFailureInjector, HttpRouteMatch, PathModifier, QueryParamMatch,
        RequestRedirect, header_match, host_match, path_match, path_modifier, query_param_match,
    },
    http_types::{Headers, http_method},
    tls_route::{SniMatch, sni_match},
};
use http::{HeaderName, HeaderValue, StatusCode};

pub(super) fn accept_hosts(hosts: &[HostMatch]) {
    for host in hosts {
        match host.r#match.as_ref().expect("a host") {
            host_match::Match::Exact(name) => assert!(!name.is_empty()),
            host_match::Match::Suffix(suffix) => assert!(!suffix.reverse_labels.is_empty()),
        }
    }
}

pub(super) fn accept_snis(snis: &[SniMatch]) {
    for sni in snis {
        match sni.r#match.as_ref().expect("a name") {
            sni_match::Match::Exact(name) => assert!(!name.is_empty()),
            sni_match::Match::Suffix(suffix) => assert!(!suffix.reverse_labels.is_empty()),
        }
    }
}

pub(super) fn accept_requests(requests: &HttpRouteMatch) {
    if let Some(path) = &requests.path {
        match path.kind.as_ref().expect("a path") {
            path_match::Kind::Exact(path) | path_match::Kind::Prefix(path) => {
                assert!(path.starts_with('/'));
            }
            path_match::Kind::Regex(_) => {}
        }
    }
    requests.headers.iter().for_each(accept_header);
    requests.query_params.iter().for_each(accept_parameter);
    if let Some(method) = &requests.method {
        match method.r#type.as_ref().expect("a method") {
            http_method::Type::Registered(known) => {
                http_method::Registered::try_from(*known).expect("a known method");
            }
            http_method::Type::Unregistered(name) => assert!(!name.is_empty()),
        }
    }
}

pub(super) fn accept_calls(calls: &GrpcRouteMatch) {
    assert!(calls.rpc.is_some(), "refused with all of the policy");
    calls.headers.iter().for_each(accept_header);
}

fn accept_header(header: &HeaderMatch) {
    accept_name(&header.name);
    match header.value.as_ref().expect("a value") {
        header_match::Value::Exact(value) => accept_value(value),
        header_match::Value::Regex(_) => {}
    }
}

fn accept_parameter(parameter: &QueryParamMatch) {
    assert!(!parameter.name.is_empty());
    match parameter.value.as_ref().expect("a value") {
        query_param_match::Value::Exact(_) | query_param_match::Value::Regex(_) => {}
    }
}

pub(super) fn accept_changes(add: Option<&Headers>, set: Option<&Headers>, remove: &[String]) {
    let headers = [add, set].map(|headers| &headers.expect("always told").headers);
    for header in headers.into_iter().flatten() {
        accept_name(&header.name);
        accept_value(&header.value);
    }
    remove.iter().for_each(|name| accept_name(name));
}

pub(super) fn accept_redirect(redirect: &RequestRedirect) {
    let scheme = redirect.scheme.as_ref();
    assert!(scheme.is_none_or(|scheme| scheme.r#type.is_some()));
    assert!(redirect.port <= u32::from(u16::MAX));
    accept_status(redirect.status);
    if let Some(PathModifier { replace }) = &redirect.path {
        match replace.as_ref().expect("a path") {
            path_modifier::Replace::Full(path) | path_modifier::Replace::Prefix(path) => {
                assert!(path.starts_with('/'));
            }
        }
    }
}

pub(super) fn accept_http_failure(failure: &HttpFailureInjector) {
    accept_status(failure.status);
    assert!(failure.ratio.is_none());
}

pub(super) fn accept_grpc_failure(failure: &GrpcFailureInjector) {
    assert!(failure.code != 0, "that is no failure");
    assert!(failure.ratio.is_none());
}

fn accept_status(status: u32) {
    let status = u16::try_from(status).expect("a status");
    StatusCode::from_u16(status).expect("a status");
}

fn accept_name(name: &str) {
    assert_eq!(name, name.to_ascii_lowercase());
    HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
}

fn accept_value(value: &[u8]) {
    HeaderValue::from_bytes(value).expect("a header's value");
}
