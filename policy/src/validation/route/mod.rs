//! Routes of every kind. What proxies can be told is decided by the types that the
//! index makes of them.

mod filter;
mod matches;
mod parent;
mod shape;
mod timeouts;

use self::shape::{BackendRef, ConnectionSpec, GrpcSpec, HttpSpec, ParentRef, Rule, Spec};
use super::{GATEWAY, POLICY, Refusal, Subject};
use ferrule_cluster::object::traffic::{AnnotationError, GrpcCode, Retry, StatusCodes, Timeouts};
use ferrule_crds::http_route::v1beta3;

/// `policy.linkerd.io` HTTPRoute. Its backends are not looked at.
pub(super) fn policy_http(subject: &Subject<'_>) -> Result<(), Refusal> {
    subject.read::<v1beta3::HttpRouteSpec>()?;
    let spec: HttpSpec = subject.read()?;
    parent::check(spec.parents(), POLICY)?;
    let retry = |subject: &Subject<'_>| Retry::<StatusCodes>::read(subject).map(drop);
    check_annotations(subject, spec.parents(), POLICY, retry)?;
    each_rule(&spec, |rule, path| {
        matches::http(rule, path)?;
        filter::of_policy(rule, path)?;
        timeouts::check(rule, path)
    })
}

/// `gateway.networking.k8s.io` HTTPRoute. Its timeouts are not looked at, and
/// filters that no proxy has are others' to understand.
pub(super) fn gateway_http(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: HttpSpec = subject.read()?;
    parent::check(spec.parents(), GATEWAY)?;
    let retry = |subject: &Subject<'_>| Retry::<StatusCodes>::read(subject).map(drop);
    check_annotations(subject, spec.parents(), GATEWAY, retry)?;
    each_rule(&spec, |rule, path| {
        matches::http(rule, path)?;
        filter::known(rule, path)?;
        backend_ports(rule, path)
    })
}

/// `gateway.networking.k8s.io` GRPCRoute.
pub(super) fn gateway_grpc(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: GrpcSpec = subject.read()?;
    parent::check(spec.parents(), GATEWAY)?;
    let retry = |subject: &Subject<'_>| Retry::<GrpcCode>::read(subject).map(drop);
    check_annotations(subject, spec.parents(), GATEWAY, retry)?;
    each_rule(&spec, |rule, path| {
        matches::grpc(rule, path)?;
        filter::known(rule, path)?;
        backend_ports(rule, path)
    })
}

/// That a spec is one of an HTTPRoute.
pub(super) fn is_http(subject: &Subject<'_>) -> Result<(), Refusal> {
    subject.read::<HttpSpec>().map(drop)
}

/// That a spec is one of a GRPCRoute.
pub(super) fn is_grpc(subject: &Subject<'_>) -> Result<(), Refusal> {
    subject.read::<GrpcSpec>().map(drop)
}

/// That a spec is one of a TLSRoute or TCPRoute.
pub(super) fn is_connections(subject: &Subject<'_>) -> Result<(), Refusal> {
    subject.read::<ConnectionSpec>().map(drop)
}

/// TLSRoute and TCPRoute of `gateway.networking.k8s.io`.
pub(super) fn connections(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: ConnectionSpec = subject.read()?;
    parent::check(spec.parents(), GATEWAY)?;
    match spec.rules.as_ref().map_or(0, Vec::len) {
        1 => Ok(()),
        count => Err(Refusal(format!(
            "spec.rules: expected one rule, found {count}: a connection has nothing by which rules \
             could be told apart, list all backends in one"
        ))),
    }
}

/// Whether a route of the Gateway API is for the mesh, as far as its parents can be
/// read; if it has none, it may be.
pub(super) fn may_be_for_the_mesh(subject: &Subject<'_>) -> bool {
    parent::may_be_of_the_mesh(&subject.spec["parentRefs"])
}

/// What annotations say is for clients, so it counts where a parent is called by
/// some.
fn check_annotations(
    subject: &Subject<'_>,
    parents: &[ParentRef],
    group: &str,
    retry: impl FnOnce(&Subject<'_>) -> Result<(), AnnotationError>,
) -> Result<(), Refusal> {
    if !parent::has_clients(parents, group) {
        return Ok(());
    }
    let read = retry(subject).and_then(|()| Timeouts::read(subject).map(drop));
    read.map_err(|error| Refusal(error.to_string()))
}

fn each_rule<R>(
    spec: &Spec<R>,
    check: impl Fn(&R, &str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let rules = spec.rules.iter().flatten().enumerate();
    let mut rules = rules.map(|(at, rule)| check(rule, &format!("spec.rules[{at}]")));
    rules.try_for_each(|checked| checked)
}

/// Services are called by a port. Which group and kind are meant is as the Gateway
/// API has it: letters count.
fn backend_ports<M>(rule: &Rule<M>, path: &str) -> Result<(), Refusal> {
    let is_service = |backend: &BackendRef| {
        matches!(backend.group.as_deref(), None | Some("" | "core"))
            && matches!(backend.kind.as_deref(), None | Some("Service"))
    };
    let mut backends = rule.backend_refs.iter().flatten().enumerate();
    let without =
        backends.find(|(_, backend)| is_service(backend) && backend.port.unwrap_or_default() == 0);
    match without {
        None => Ok(()),
        Some((at, _)) => Err(Refusal(format!(
            "{path}.backendRefs[{at}].port: a Service as a backend needs a port"
        ))),
    }
}
