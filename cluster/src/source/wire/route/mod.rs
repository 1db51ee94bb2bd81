//! Routes of every kind: they are written alike.

mod backend;
mod filter;
mod matches;
mod parent;
mod status;

use super::{
    Reader, Watched,
    field::{Field, Shape, object_shapes},
    metadata::Metadata,
};
use crate::object::{
    GoDuration, Kind, Name, Object, ObjectKey,
    route::{
        GrpcMatch, HttpMatch, PathMatch, RequestSettings, Requests, Route, RouteKind, RouteSpec,
        Rule, Rules,
    },
    traffic::{
        AnnotationError, Annotations, GrpcCode, Retry, StatusCodes, Timeouts, parse_duration,
    },
};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

macro_rules! routes {
    ($($(#[$doc:meta])* $name:ident: $kind:ident;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, Deserialize)]
            #[serde(default)]
            pub(crate) struct $name {
                metadata: Field<Metadata>,
                spec: Field<Spec>,
                status: Field<status::RouteStatus>,
            }

            impl Watched for $name {
                const KIND: Kind = RouteKind::$kind.kind();
                const METADATA_ONLY: bool = false;

                fn metadata(&mut self) -> &mut Field<Metadata> {
                    &mut self.metadata
                }

                fn into_object(
                    self,
                    metadata: Metadata,
                    key: &ObjectKey,
                    reader: &mut Reader<'_>,
                ) -> Object {
                    let kind = RouteKind::$kind;
                    let status = status::read(self.status, &key.namespace, reader);
                    let route = route(kind, self.spec, metadata, key, reader);
                    Object::Route(kind, Route { status, ..route })
                }
            }
        )+
        object_shapes!($($name),+);
    };
}

routes! {
    /// `policy.linkerd.io` HTTPRoute, any version.
    PolicyHttpRoute: PolicyHttp;
    /// `gateway.networking.k8s.io` HTTPRoute, any version.
    HttpRoute: Http;
    /// `gateway.networking.k8s.io` GRPCRoute, any version.
    GrpcRoute: Grpc;
    /// `gateway.networking.k8s.io` TLSRoute, any version.
    TlsRoute: Tls;
    /// `gateway.networking.k8s.io` TCPRoute, any version.
    TcpRoute: Tcp;
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    parent_refs: Field<Vec<Field<parent::ParentRef>>>,
    hostnames: Field<Vec<Field<Box<str>>>>,
    rules: Field<Vec<Field<WireRule>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireRule {
    matches: Field<Vec<Field<matches::WireMatch>>>,
    filters: Field<Vec<Field<filter::WireFilter>>>,
    backend_refs: Field<Vec<Field<backend::BackendRef>>>,
    timeouts: Field<WireTimeouts>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WireTimeouts {
    request: Field<Box<str>>,
}

object_shapes!(Spec, WireRule, WireTimeouts);

/// Reads a route's spec. What it finds wrong makes the route one that cannot be
/// told; `flaws` do not.
struct SpecReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    kind: RouteKind,
    flaws: Vec<String>,
}

fn route(
    kind: RouteKind,
    spec: Field<Spec>,
    mut metadata: Metadata,
    key: &ObjectKey,
    reader: &mut Reader<'_>,
) -> Route {
    let created = metadata.created(reader);
    let annotations = metadata.traffic(reader);
    let mut spec = reader.part(spec, "spec");
    let parents = std::mem::take(&mut spec.parent_refs);
    if kind == RouteKind::Tls && !spec.hostnames.is_present() {
        // The schemas allow it; the reference serves none such, and says nothing
        // of it in the status either.
        let problem = "spec.hostnames: a TLSRoute without hostnames is not served; expected some";
        reader.problems.push(problem.to_owned());
        return Route {
            created,
            ..Route::default()
        };
    }
    let parents = parent::parents(kind, parents, &key.namespace, reader);
    let known = reader.problems.len();
    let mut reader = SpecReader {
        reader,
        kind,
        flaws: Vec::new(),
    };
    let spec = reader.spec(spec, &annotations);
    let SpecReader { reader, flaws, .. } = reader;
    let spec = (reader.problems.len() == known).then_some(spec).flatten();
    reader.problems.extend(flaws);
    Route {
        created,
        parents,
        status: Box::default(),
        spec: spec.map(Arc::new),
    }
}

impl SpecReader<'_, '_> {
    fn spec(&mut self, spec: Spec, annotations: &impl Annotations) -> Option<RouteSpec> {
        let hosts = self.reader.elements(spec.hostnames, "spec.hostnames");
        let hosts = hosts.iter().map(|host| self.reader.interner.name(host));
        let hosts = hosts.collect();
        let has_rules = spec.rules.is_present();
        let rules = self.reader.elements(spec.rules, "spec.rules");
        let rules = match self.kind {
            RouteKind::PolicyHttp | RouteKind::Http => Rules::Http(Requests {
                rules: if has_rules {
                    self.requests(rules, Self::http_match)
                } else {
                    // What the CRDs put there, for objects that never saw one.
                    [every_request()].into()
                },
                settings: self.settings(annotations, Retry::<StatusCodes>::read),
            }),
            RouteKind::Grpc => Rules::Grpc(Requests {
                rules: self.requests(rules, Self::grpc_match),
                settings: self.settings(annotations, Retry::<GrpcCode>::read),
            }),
            RouteKind::Tls => Rules::Tls(self.connections(rules)?),
            RouteKind::Tcp => Rules::Tcp(self.connections(rules)?),
        };
        Some(RouteSpec { hosts, rules })
    }

    fn requests<M>(
        &mut self,
        rules: Vec<WireRule>,
        read: impl Fn(&mut Self, matches::WireMatch, &str) -> Option<M>,
    ) -> Box<[Rule<M>]> {
        let rules = rules.into_iter().enumerate();
        let rules = rules.map(|(index, rule)| {
            let path = format!("spec.rules[{index}]");
            let matches_path = format!("{path}.matches");
            let matches = self.reader.elements(rule.matches, &matches_path);
            let matches = matches.into_iter().enumerate();
            let matches = matches.filter_map(|(index, wire)| {
                let path = format!("{matches_path}[{index}]");
                read(self, wire, &path)
            });
            Rule {
                matches: matches.collect(),
                filters: self.rule_filters(rule.filters, &format!("{path}.filters")),
                backends: self.backends(rule.backend_refs, &format!("{path}.backendRefs")),
                timeout: self.timeout(rule.timeouts, &format!("{path}.timeouts")),
            }
        });
        rules.collect()
    }

    /// The backends of the one rule that a route of connections has.
    fn connections(
        &mut self,
        mut rules: Vec<WireRule>,
    ) -> Option<Box<[crate::object::route::Backend]>> {
        match (rules.pop(), rules.len()) {
            (Some(rule), 0) => Some(self.backends(rule.backend_refs, "spec.rules[0].backendRefs")),
            (last, others) => {
                let count = others + usize::from(last.is_some());
                self.wrong(format!("spec.rules: expected one rule, found {count}"));
                None
            }
        }
    }

    /// `timeouts.request`: the two groups have it in different grammars. Of a
    /// gateway's route one that cannot be read is none; its own CRD takes more
    /// than can be told.
    fn timeout(&mut self, field: Field<WireTimeouts>, path: &str) -> Option<Duration> {
        let timeouts = self.reader.part(field, path);
        let path = format!("{path}.request");
        let text = self.reader.text(timeouts.request, &path);
        if text.is_empty() {
            return None;
        }
        let timeout = match self.kind {
            RouteKind::PolicyHttp => match text.parse::<GoDuration>() {
                Ok(duration) => match u64::try_from(duration.nanos()) {
                    Ok(nanos) => Duration::from_nanos(nanos),
                    Err(_) => {
                        self.wrong(format!("{path}: {duration} is less than no time"));
                        return None;
                    }
                },
                Err(error) => {
                    self.wrong(format!("{path}: {error}"));
                    return None;
                }
            },
            _ => match parse_duration(&text) {
                Ok(duration) => duration,
                Err(error) => {
                    self.flaws
                        .push(format!("{path}: {error}; no timeout is set"));
                    return None;
                }
            },
        };
        (!timeout.is_zero()).then_some(timeout)
    }

    /// What cannot be read there hides the route from clients, not from those who
    /// are called.
    fn settings<A: Annotations, C>(
        &mut self,
        annotations: &A,
        retry: impl Fn(&A) -> Result<Option<Retry<C>>, AnnotationError>,
    ) -> Option<RequestSettings<C>> {
        let settings = || {
            Ok(RequestSettings {
                retry: retry(annotations)?,
                timeouts: Timeouts::read(annotations)?,
            })
        };
        settings()
            .map_err(|error: AnnotationError| {
                self.flaws
                    .push(format!("{error}; no client is told of the route"));
            })
            .ok()
    }

    fn wrong(&mut self, problem: String) {
        self.reader.problems.push(problem);
    }

    /// A text that is there.
    fn some_text(&mut self, field: Field<Box<str>>, path: &str, part: &str) -> Option<Box<str>> {
        field.read(format_args!("{path}.{part}"), &mut self.reader.problems)
    }

    /// A text that must be there.
    fn required_text(
        &mut self,
        field: Field<Box<str>>,
        path: &str,
        part: &str,
    ) -> Option<Box<str>> {
        self.reader.required(field, &format!("{path}.{part}"))
    }

    /// A value, or what is wrong with the field at `path`.
    fn valid<T, E: std::fmt::Display>(&mut self, path: &str, value: Result<T, E>) -> Option<T> {
        value
            .map_err(|error| self.wrong(format!("{path}: {error}")))
            .ok()
    }

    fn http_match(&mut self, wire: matches::WireMatch, path: &str) -> Option<HttpMatch> {
        wire.http(self, path)
    }

    fn grpc_match(&mut self, wire: matches::WireMatch, path: &str) -> Option<GrpcMatch> {
        wire.grpc(self, path)
    }
}

fn every_request() -> Rule<HttpMatch> {
    Rule {
        matches: [HttpMatch {
            path: Some(PathMatch::Prefix("/".into())),
            ..HttpMatch::default()
        }]
        .into(),
        filters: Box::default(),
        backends: Box::default(),
        timeout: None,
    }
}

/// A number that is not negative.
impl Shape for u32 {
    const EXPECTED: &'static str = "a number that is not negative";

    fn from_integer(number: i64) -> Option<Self> {
        number.try_into().ok()
    }
}

/// The group of a reference; none is the one that the CRDs put there.
fn group_or(group: &str, default: &str) -> Name {
    if group.is_empty() { default } else { group }.into()
}
