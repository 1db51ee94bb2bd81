//! What routes match, in words.

use super::sheet::Section;
use crate::{endpoint::resource, profile_fields::method};
use ferrule_proto::{
    grpc_route::GrpcRouteMatch,
    http_route::{
        HeaderMatch, HostMatch, HttpRouteMatch, PathMatch, QueryParamMatch, header_match,
        host_match, path_match, query_param_match,
    },
    meta::Metadata,
    tls_route::{SniMatch, sni_match},
};

const COLUMNS: &[&str] = &[
    "ROUTE",
    "KIND",
    "HOSTS",
    "MATCHES",
    "FILTERS",
    "BACKENDS",
    "TIMEOUTS AND RETRIES",
];

/// A route without its rules.
pub(super) struct Route<'a> {
    pub(super) metadata: Option<&'a Metadata>,
    pub(super) kind: &'static str,
    /// Empty for every host.
    pub(super) hosts: String,
}

/// A rule of a route, in words; empty for what it does not have.
#[derive(Default)]
pub(super) struct Rule {
    pub(super) matches: String,
    pub(super) filters: String,
    pub(super) backends: String,
    pub(super) limits: String,
}

/// Rules in the order in which they are tried.
pub(super) fn section(rows: Vec<Vec<String>>) -> Section {
    Section {
        columns: COLUMNS,
        rows,
    }
}

impl Route<'_> {
    /// A row for each rule.
    pub(super) fn rows(&self, rules: impl Iterator<Item = Rule>) -> Vec<Vec<String>> {
        let mut rules: Vec<_> = rules.collect();
        if rules.is_empty() {
            rules.push(Rule {
                matches: "nothing: it has no rules".to_owned(),
                ..Rule::default()
            });
        }
        let rows = rules.into_iter().map(|rule| {
            vec![
                name(self.metadata),
                self.kind.to_owned(),
                self.hosts.clone(),
                rule.matches,
                rule.filters,
                rule.backends,
                rule.limits,
            ]
        });
        rows.collect()
    }
}

/// What a route is called.
pub(super) fn name(metadata: Option<&Metadata>) -> String {
    metadata.map(resource).unwrap_or_default()
}

/// Any one must match; empty for every host.
pub(super) fn hosts(hosts: &[HostMatch]) -> String {
    let hosts = hosts.iter().map(|host| match &host.r#match {
        Some(host_match::Match::Exact(name)) => name.clone(),
        Some(host_match::Match::Suffix(suffix)) => below(&suffix.reverse_labels),
        None => "not set".to_owned(),
    });
    hosts.collect::<Vec<_>>().join(", ")
}

/// Any one must match; empty for every server name.
pub(super) fn server_names(names: &[SniMatch]) -> String {
    let names = names.iter().map(|name| match &name.r#match {
        Some(sni_match::Match::Exact(name)) => name.clone(),
        Some(sni_match::Match::Suffix(suffix)) => below(&suffix.reverse_labels),
        None => "not set".to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn below(reverse_labels: &[String]) -> String {
    let labels: Vec<_> = reverse_labels.iter().rev().map(String::as_str).collect();
    format!("*.{}", labels.join("."))
}

/// Any one must hold.
pub(super) fn http_matches(matches: &[HttpRouteMatch]) -> String {
    any(matches.iter().map(|one| {
        let mut all: Vec<_> = one.method.as_ref().map(method).into_iter().collect();
        all.extend(one.path.as_ref().map(path));
        all.extend(one.headers.iter().map(header));
        all.extend(one.query_params.iter().map(query_param));
        all
    }))
}

/// Any one must hold.
pub(super) fn grpc_matches(matches: &[GrpcRouteMatch]) -> String {
    any(matches.iter().map(|one| {
        let rpc = one.rpc.as_ref();
        let mut all: Vec<_> = match rpc.map(|rpc| (&*rpc.service, &*rpc.method)) {
            None | Some(("", "")) => None,
            Some((service, "")) => Some(format!("rpc {service}/*")),
            Some(("", method)) => Some(format!("rpc */{method}")),
            Some((service, method)) => Some(format!("rpc {service}/{method}")),
        }
        .into_iter()
        .collect();
        all.extend(one.headers.iter().map(header));
        all
    }))
}

/// Conditions of which any may hold, each of parts that must all hold.
fn any(conditions: impl Iterator<Item = Vec<String>>) -> String {
    let conditions: Vec<_> = conditions
        .map(|all| match all.is_empty() {
            true => "any".to_owned(),
            false => all.join(", "),
        })
        .collect();
    match conditions.is_empty() {
        true => "any".to_owned(),
        false => conditions.join("; "),
    }
}

fn path(path: &PathMatch) -> String {
    match &path.kind {
        Some(path_match::Kind::Exact(path)) => format!("path {path}"),
        Some(path_match::Kind::Prefix(prefix)) => format!("path below {prefix}"),
        Some(path_match::Kind::Regex(regex)) => format!("path like {regex}"),
        None => "path not set".to_owned(),
    }
}

fn header(header: &HeaderMatch) -> String {
    let name = &header.name;
    match &header.value {
        Some(header_match::Value::Exact(value)) => {
            format!("header {name} = {}", String::from_utf8_lossy(value))
        }
        Some(header_match::Value::Regex(regex)) => format!("header {name} like {regex}"),
        None => format!("header {name} not set"),
    }
}

fn query_param(param: &QueryParamMatch) -> String {
    let name = &param.name;
    match &param.value {
        Some(query_param_match::Value::Exact(value)) => format!("query {name} = {value}"),
        Some(query_param_match::Value::Regex(regex)) => format!("query {name} like {regex}"),
        None => format!("query {name} not set"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::{
        grpc_route::GrpcRpcMatch,
        http_types::{HttpMethod, http_method},
    };

    #[test]
    fn hosts_are_written_in_the_order_of_dns() {
        let exact = HostMatch {
            r#match: Some(host_match::Match::Exact("web.shop".into())),
        };
        let suffix = HostMatch {
            r#match: Some(host_match::Match::Suffix(host_match::Suffix {
                reverse_labels: vec!["com".into(), "example".into()],
            })),
        };
        assert_eq!(hosts(&[exact, suffix]), "web.shop, *.example.com");
        assert_eq!(hosts(&[]), "");
    }

    #[test]
    fn conditions_that_must_all_hold_are_one_of_several() {
        let get = HttpMethod {
            r#type: Some(http_method::Type::Registered(0)),
        };
        let path = |kind| Some(PathMatch { kind: Some(kind) });
        let ready = HttpRouteMatch {
            method: Some(get),
            path: path(path_match::Kind::Exact("/ready".into())),
            headers: vec![HeaderMatch {
                name: "x-user".into(),
                value: Some(header_match::Value::Exact("me".into())),
            }],
            query_params: vec![QueryParamMatch {
                name: "v".into(),
                value: Some(query_param_match::Value::Regex("[12]".into())),
            }],
        };
        let prefix = HttpRouteMatch {
            path: path(path_match::Kind::Prefix("/".into())),
            ..HttpRouteMatch::default()
        };
        assert_eq!(
            http_matches(&[ready, prefix, HttpRouteMatch::default()]),
            "method GET, path /ready, header x-user = me, query v like [12]; path below /; any"
        );
        assert_eq!(http_matches(&[]), "any");
    }

    #[test]
    fn a_call_is_named_by_service_and_method() {
        let rpc = |service: &str, method: &str| GrpcRouteMatch {
            rpc: Some(GrpcRpcMatch {
                service: service.into(),
                method: method.into(),
            }),
            headers: Vec::new(),
        };
        assert_eq!(
            grpc_matches(&[rpc("a.B", "C"), rpc("a.B", ""), rpc("", "C"), rpc("", "")]),
            "rpc a.B/C; rpc a.B/*; rpc */C; any"
        );
    }
}
