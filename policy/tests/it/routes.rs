//! Routes and where they lead, for tests.

use crate::support::*;
use ferrule_cluster::object::{
    EgressNetwork, Name, Object, ObjectKey, Service, StatusCondition,
    route::{
        Backend, BackendTarget, Filter, GrpcMatch, HttpMatch, Parent, ParentKey, ParentKind,
        ParentStatus, PathMatch, RequestSettings, Requests, Route, RouteKind, RouteSpec, Rule,
        Rules,
    },
    traffic::{Annotations, Traffic},
};
use std::sync::Arc;

/// A port of a Service, or all of them.
pub(crate) fn on_service(namespace: &str, name: &str, port: Option<u16>) -> Parent {
    parent(ParentKind::Service, namespace, name, port)
}

/// A port of `web`.
pub(crate) fn on_web(port: u16) -> Parent {
    on_service(NS, "web", Some(port))
}

pub(crate) fn on_egress(namespace: &str, name: &str, port: Option<u16>) -> Parent {
    parent(ParentKind::EgressNetwork, namespace, name, port)
}

fn parent(kind: ParentKind, namespace: &str, name: &str, port: Option<u16>) -> Parent {
    Parent {
        key: ParentKey::new(kind, ObjectKey::new(namespace, name)),
        port,
        is_part: false,
    }
}

/// A port of a Service of the parent's namespace, with weight 1.
pub(crate) fn backend(name: &str, port: u16) -> Backend {
    let target = BackendTarget::Object {
        kind: ParentKind::Service,
        namespace: None,
        name: name.into(),
        port: Some(port),
    };
    to(target)
}

pub(crate) fn to_egress(name: &str, port: Option<u16>) -> Backend {
    to(BackendTarget::Object {
        kind: ParentKind::EgressNetwork,
        namespace: None,
        name: name.into(),
        port,
    })
}

pub(crate) fn to(target: BackendTarget) -> Backend {
    Backend {
        target,
        weight: 1,
        filters: Ok([].into()),
    }
}

pub(crate) fn weighted(weight: u32, backend: Backend) -> Backend {
    Backend { weight, ..backend }
}

/// The backend in that namespace.
pub(crate) fn within(namespace: &str, mut backend: Backend) -> Backend {
    if let BackendTarget::Object { namespace: own, .. } = &mut backend.target {
        *own = Some(namespace.into());
    }
    backend
}

/// The backend with filters, or with one that no proxy has.
pub(crate) fn filtered(filters: Result<Vec<Filter>, &str>, backend: Backend) -> Backend {
    Backend {
        filters: match filters {
            Ok(filters) => Ok(filters.into()),
            Err(problem) => Err(problem.into()),
        },
        ..backend
    }
}

/// A rule for these requests.
pub(crate) fn rule<M>(matches: Vec<M>, backends: &[Backend]) -> Rule<M> {
    Rule {
        matches: matches.into(),
        filters: [].into(),
        backends: backends.into(),
        timeout: None,
    }
}

pub(crate) fn at_path(path: &str) -> HttpMatch {
    HttpMatch {
        path: Some(PathMatch::Prefix(path.into())),
        ..HttpMatch::default()
    }
}

/// An HTTPRoute with these rules.
pub(crate) fn http_rules(rules: Vec<Rule<HttpMatch>>) -> Rules {
    Rules::Http(Requests {
        rules: rules.into(),
        settings: Some(RequestSettings::default()),
    })
}

pub(crate) fn grpc_rules(rules: Vec<Rule<GrpcMatch>>) -> Rules {
    Rules::Grpc(Requests {
        rules: rules.into(),
        settings: Some(RequestSettings::default()),
    })
}

/// The rules of a kind that send all there.
pub(crate) fn all_to(kind: RouteKind, backends: &[Backend]) -> Rules {
    match kind {
        RouteKind::PolicyHttp | RouteKind::Http => {
            http_rules(vec![rule(vec![at_path("/")], backends)])
        }
        RouteKind::Grpc => grpc_rules(vec![rule(vec![GrpcMatch::default()], backends)]),
        RouteKind::Tls => Rules::Tls(backends.into()),
        RouteKind::Tcp => Rules::Tcp(backends.into()),
    }
}

/// A route whose status says nothing yet.
pub(crate) fn unaccepted(parents: &[Parent], rules: Rules) -> Route {
    let spec = RouteSpec {
        hosts: [].into(),
        rules,
    };
    Route {
        created: None,
        parents: parents.into(),
        status: [].into(),
        spec: Some(Arc::new(spec)),
    }
}

/// A route that all its parents have accepted.
pub(crate) fn route(parents: &[Parent], rules: Rules) -> Route {
    accepted_by(parents, unaccepted(parents, rules))
}

/// The route with a status that says that these parents have accepted it.
pub(crate) fn accepted_by(parents: &[Parent], route: Route) -> Route {
    let status = parents.iter().map(|parent| ParentStatus {
        parent: parent.key.clone(),
        port: parent.port,
        conditions: [accepted_condition()].into(),
    });
    Route {
        status: status.collect(),
        ..route
    }
}

pub(crate) fn created(at: i64, route: Route) -> Route {
    Route {
        created: Some(at),
        ..route
    }
}

pub(crate) fn with_hosts(hosts: &[&str], mut route: Route) -> Route {
    if let Some(spec) = &mut route.spec {
        Arc::make_mut(spec).hosts = hosts.iter().map(|host| Name::from(*host)).collect();
    }
    route
}

fn accepted_condition() -> StatusCondition {
    StatusCondition {
        kind: StatusCondition::ACCEPTED.into(),
        status: "True".into(),
        reason: "Accepted".into(),
        message: "".into(),
    }
}

impl TestMesh {
    pub(crate) fn apply_route(&mut self, kind: RouteKind, name: &str, route: Route) {
        self.apply_route_in(NS, kind, name, route);
    }

    pub(crate) fn apply_route_in(
        &mut self,
        namespace: &str,
        kind: RouteKind,
        name: &str,
        route: Route,
    ) {
        self.apply_in(namespace, name, Object::Route(kind, route));
    }

    /// Services `web` and, as somewhere to go, `api`.
    pub(crate) fn with_services() -> Self {
        let mut mesh = Self::new(ferrule_policy::PolicySettings::default());
        mesh.apply("web", service(&["10.96.0.1"]));
        mesh.apply("api", service(&["10.96.0.2"]));
        mesh
    }

    pub(crate) fn delete_route(&mut self, kind: RouteKind, name: &str) {
        self.delete(kind.kind(), name);
    }
}

/// An EgressNetwork whose status says that it is accepted.
pub(crate) fn egress(allows: bool) -> EgressNetwork {
    EgressNetwork {
        allows,
        conditions: [accepted_condition()].into(),
        ..EgressNetwork::default()
    }
}

/// Annotations of a Service, EgressNetwork or route.
pub(crate) struct Written<'t>(pub(crate) &'t [(&'t str, &'t str)]);

impl Annotations for Written<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == key)?;
        Some(value)
    }
}

/// What annotations say, as far as they can be read.
pub(crate) fn traffic(annotations: &[(&str, &str)]) -> Option<Box<Traffic>> {
    let traffic = Traffic::read(&Written(annotations), &mut Vec::new());
    Some(Box::new(traffic))
}

/// A Service with annotations.
pub(crate) fn annotated(annotations: &[(&str, &str)]) -> Service {
    Service {
        traffic: traffic(annotations),
        ..service(&["10.96.0.1"])
    }
}

/// A Service whose port 80 has this `appProtocol`.
pub(crate) fn speaking(app_protocol: Option<&str>) -> Service {
    Service {
        ports: [service_port(80, app_protocol)].into(),
        ..service(&["10.96.0.1"])
    }
}
