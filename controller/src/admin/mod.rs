//! The admin listener: probes, metrics, and a look inside (operations.md 9.2).

mod certificates;
mod connections;
mod objects;
mod state;

use crate::{flags::LogFilter, logging::LogLevel, metrics, process::Process, readiness};
use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use ferrule_cluster::{
    grpc::{Methods, Server},
    object::Kind,
};
use ferrule_identity::IdentityScope;
use ferrule_policy::{InboundKey, WorkloadKey};
use serde::Deserialize;
use std::{net::SocketAddr, num::NonZeroU16, sync::Arc};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_http::compression::CompressionLayer;

/// The largest body: a log filter.
const MAX_BODY: usize = 4 << 10;

/// What the admin listener answers from.
pub(crate) struct Admin {
    process: Arc<Process>,
    scope: IdentityScope,
    log_level: LogLevel,
    debug_remote: bool,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

impl Admin {
    pub(crate) fn new(
        process: Arc<Process>,
        scope: IdentityScope,
        log_level: LogLevel,
        debug_remote: bool,
    ) -> Self {
        Self {
            process,
            scope,
            log_level,
            debug_remote,
        }
    }

    /// Whether a peer may look inside.
    fn trusts(&self, peer: SocketAddr) -> bool {
        self.debug_remote || peer.ip().to_canonical().is_loopback()
    }
}

/// Answers for as long as the process runs, also while it drains.
pub(crate) async fn serve(listener: TcpListener, admin: Admin) {
    let admin = Arc::new(admin);
    connections::serve(listener, admin.clone(), router(admin)).await;
}

fn router(admin: Arc<Admin>) -> Router {
    let trusted = middleware::from_fn_with_state(admin.clone(), from_this_machine);
    let grpc = grpc(&admin.process).layer(trusted.clone());
    let inside = Router::new()
        .route("/debug/state", get(debug_state))
        .route("/debug/identity", get(debug_identity))
        .route("/debug/policy", get(debug_policy))
        .route("/log-level", put(set_log_level))
        .layer(trusted);
    Router::new()
        .route("/ready", get(ready))
        .route("/live", get(live))
        .route("/ping", get(ping))
        .route("/metrics", get(scrape))
        .merge(inside)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CompressionLayer::new())
        .with_state(admin)
        .merge(grpc)
}

/// What proxies ask, for `ferrule diagnostics`.
fn grpc(process: &Process) -> Router {
    let Some(discovery) = &process.discovery else {
        return Router::new();
    };
    let router = methods(Router::new(), discovery.destination.clone());
    let router = methods(router, discovery.inbound.clone());
    methods(router, discovery.outbound.clone())
}

fn methods<M: Methods>(router: Router, server: Server<M>) -> Router {
    let server = server.map_request(|request: Request| request.map(tonic::body::Body::new));
    router.route_service(&format!("/{}/{{method}}", M::NAME), server)
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match readiness::check(&admin.process) {
        Ok(()) => {
            let notes = readiness::notes(&admin.process);
            let notes = notes.iter().map(|note| format!("note: {note}\n"));
            format!("ok\n{}", notes.collect::<String>()).into_response()
        }
        Err(reason) => unavailable(format!("not ready: {reason}\n")),
    }
}

async fn live(State(admin): State<Arc<Admin>>) -> Response {
    alive(&admin, "ok\n").await
}

/// What Linkerd's liveness probes ask for.
async fn ping(State(admin): State<Arc<Admin>>) -> Response {
    alive(&admin, "pong\n").await
}

async fn alive(admin: &Admin, answer: &'static str) -> Response {
    if admin.process.is_alive().await {
        answer.into_response()
    } else {
        unavailable("the index does not answer\n".to_owned())
    }
}

fn unavailable(text: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn scrape(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let format = metrics::Format::accepted(accepted.filter_map(|value| value.to_str().ok()));
    let content_type = [(header::CONTENT_TYPE, format.content_type())];
    let text = metrics::scrape(&admin.process, format).await;
    (content_type, text).into_response()
}

#[derive(Deserialize)]
struct StateQuery {
    service: Option<String>,
    kind: Option<String>,
}

async fn debug_state(State(admin): State<Arc<Admin>>, Query(query): Query<StateQuery>) -> Response {
    if let Some(name) = query.kind {
        return match Kind::named(&name) {
            Some(kind) => objects::list(admin.process.clone(), kind).await,
            None => {
                let text = format!("kind={name:?} is not watched; Service and Pod are\n");
                (StatusCode::BAD_REQUEST, text).into_response()
            }
        };
    }
    let Some(service) = query.service else {
        return Json(state::process(&admin.process)).into_response();
    };
    let Some(key) = state::service_key(&service) else {
        let text = format!("service={service:?} is not NAMESPACE/NAME, such as shop/web\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    match state::service(&admin.process, key).await {
        Some(state) => Json(state).into_response(),
        None => unavailable("the index does not answer\n".to_owned()),
    }
}

#[derive(Deserialize)]
struct PolicyQuery {
    workload: String,
    port: NonZeroU16,
}

/// Why a workload's port has the policy that it has.
async fn debug_policy(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<PolicyQuery>,
) -> Response {
    let Some(discovery) = &admin.process.discovery else {
        return (StatusCode::NOT_FOUND, "this process runs no policy\n").into_response();
    };
    let workload = match WorkloadKey::parse(&query.workload) {
        Ok(workload) => workload,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let text = format!("the mesh has no {workload}\n");
    let port = query.port.get();
    let key = InboundKey { workload, port };
    let ask = |reply| ferrule_policy::Request::reasons(key, reply);
    match discovery.ask_policies(ask).await {
        Some(Some(reasons)) => Json(reasons).into_response(),
        Some(None) => (StatusCode::NOT_FOUND, text).into_response(),
        None => unavailable("the index does not answer\n".to_owned()),
    }
}

async fn debug_identity(State(admin): State<Arc<Admin>>) -> Response {
    Json(certificates::all(&admin.process, &admin.scope)).into_response()
}

async fn set_log_level(State(admin): State<Arc<Admin>>, filter: String) -> Response {
    let filter: LogFilter = match filter.trim().parse() {
        Ok(filter) => filter,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    match admin.log_level.set(&filter) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Keeps other machines away from what shows or changes the inside.
async fn from_this_machine(
    State(admin): State<Arc<Admin>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if admin.trusts(peer) {
        return next.run(request).await;
    }
    let text = "only for peers on this machine, unless served with --debug-remote\n";
    (StatusCode::FORBIDDEN, text).into_response()
}
