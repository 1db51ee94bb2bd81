//! Which requests and calls.

use ferrule_cluster::object::route::{
    GrpcMatch, HttpMatch, MatchValue, Method, NamedMatch, PathMatch,
};
use ferrule_proto::{
    grpc_route::{GrpcRouteMatch, GrpcRpcMatch},
    http_route::{
        self, HeaderMatch, HttpRouteMatch, QueryParamMatch, header_match, path_match,
        query_param_match,
    },
    http_types::{HttpMethod, http_method},
};

/// Requests.
pub(crate) fn http(requests: &HttpMatch) -> HttpRouteMatch {
    HttpRouteMatch {
        path: requests.path.as_ref().map(path),
        headers: requests.headers.iter().map(header).collect(),
        query_params: requests.query.iter().map(query).collect(),
        method: requests.method.map(method),
    }
}

/// Calls. Proxies refuse a policy in which a match says nothing of the method, so
/// that any is said to be meant.
pub(crate) fn grpc(calls: &GrpcMatch) -> GrpcRouteMatch {
    let rpc = calls.rpc.as_ref();
    let rpc = rpc.map(|(service, method)| GrpcRpcMatch {
        service: service.to_string(),
        method: method.to_string(),
    });
    GrpcRouteMatch {
        rpc: Some(rpc.unwrap_or_default()),
        headers: calls.headers.iter().map(header).collect(),
    }
}

/// Paths that begin with this one.
pub(crate) fn below(path: &str) -> HttpRouteMatch {
    HttpRouteMatch {
        path: Some(http_route::PathMatch {
            kind: Some(path_match::Kind::Prefix(path.to_owned())),
        }),
        ..HttpRouteMatch::default()
    }
}

fn path(path: &PathMatch) -> http_route::PathMatch {
    http_route::PathMatch {
        kind: Some(match path {
            PathMatch::Exact(path) => path_match::Kind::Exact(path.to_string()),
            PathMatch::Prefix(path) => path_match::Kind::Prefix(path.to_string()),
            PathMatch::Regex(form) => path_match::Kind::Regex(form.to_string()),
        }),
    }
}

fn header(header: &NamedMatch) -> HeaderMatch {
    HeaderMatch {
        name: header.name.to_string(),
        value: Some(match &header.value {
            MatchValue::Exact(value) => header_match::Value::Exact(value.as_bytes().into()),
            MatchValue::Regex(form) => header_match::Value::Regex(form.to_string()),
        }),
    }
}

fn query(parameter: &NamedMatch) -> QueryParamMatch {
    QueryParamMatch {
        name: parameter.name.to_string(),
        value: Some(match &parameter.value {
            MatchValue::Exact(value) => query_param_match::Value::Exact(value.to_string()),
            MatchValue::Regex(form) => query_param_match::Value::Regex(form.to_string()),
        }),
    }
}

fn method(method: Method) -> HttpMethod {
    use http_method::Registered;
    let registered = match method {
        Method::Get => Registered::Get,
        Method::Head => Registered::Head,
        Method::Post => Registered::Post,
        Method::Put => Registered::Put,
        Method::Delete => Registered::Delete,
        Method::Connect => Registered::Connect,
        Method::Options => Registered::Options,
        Method::Trace => Registered::Trace,
        Method::Patch => Registered::Patch,
    };
    HttpMethod {
        r#type: Some(http_method::Type::Registered(registered.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_match_is_told() {
        let told = http(&HttpMatch {
            path: Some(PathMatch::Regex("/a.*".into())),
            headers: [
                NamedMatch::header(None, "X-Who", "me").expect("valid"),
                NamedMatch::header(Some("RegularExpression"), "x-what", "m.").expect("valid"),
            ]
            .into(),
            query: [NamedMatch::query(None, "q", "1").expect("valid")].into(),
            method: Some(Method::Patch),
        });
        assert_eq!(
            told.path.and_then(|path| path.kind),
            Some(path_match::Kind::Regex("/a.*".into()))
        );
        let headers = told.headers.into_iter().map(|header| header.value);
        assert_eq!(
            headers.flatten().collect::<Vec<_>>(),
            [
                header_match::Value::Exact(b"me".to_vec()),
                header_match::Value::Regex("m.".into())
            ]
        );
        assert_eq!(told.query_params[0].name, "q");
        let method = told.method.and_then(|method| method.r#type);
        let patch = http_method::Registered::Patch.into();
        assert_eq!(method, Some(http_method::Type::Registered(patch)));
        assert_eq!(http(&HttpMatch::default()), HttpRouteMatch::default());
    }

    #[test]
    fn any_call_is_said_to_be_any() {
        assert_eq!(
            grpc(&GrpcMatch::default()).rpc,
            Some(GrpcRpcMatch::default())
        );
        let told = grpc(&GrpcMatch {
            rpc: Some(("a.B".into(), "".into())),
            ..GrpcMatch::default()
        });
        assert_eq!(told.rpc.expect("required").service, "a.B");
    }
}
