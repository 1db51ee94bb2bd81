//! Kinds that can no longer be read: each degrades alone, and is seen in the metrics.

use crate::{
    CHART, expected as told, install,
    objects::*,
    proxy, start,
    world::{Shared, World},
};
use anyhow::{Context as _, Result};
use ferrule_proto::inbound::Server;
use ferrule_test_cluster::{Cluster, Component, Options};
use ferrule_tests::{Account, Ferrule, PolicyProxy, crds, scenario::Stage};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, api::DeleteParams};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

const WEB: &str = "web.$ns.svc.cluster.local:80";

async fn world(client: &Client, ferrule: &Ferrule) -> Result<World> {
    let proxy = proxy(ferrule).await?;
    let shared = Shared {
        chart: proxy.clone(),
        admin: PolicyProxy::connect(ferrule.admin_addr()).await?,
        strict: proxy.clone(),
        closed: proxy,
    };
    let stage = Stage::create(client.clone(), 1).await?;
    Ok(World::new(stage, shared))
}

/// Waits until the metrics say that a kind is watched, or is not.
async fn is_watched(ferrule: &Ferrule, kind: &str, is_watched: bool) -> Result<()> {
    let expected = if is_watched { 1.0 } else { 0.0 };
    let what = format!("watch_connected{{kind={kind:?}}} {expected}");
    ferrule
        .scraped(&what, |scrape| {
            scrape.sum("watch_connected", &[("kind", kind)]) == Some(expected)
        })
        .await?;
    Ok(())
}

/// Server `srv` of port 80, which lets in whom policy `p` lets in.
fn letting_in(is_allowed: bool, protocol: &str) -> Server {
    let routes = vec![told::default_route()];
    let kind = match protocol {
        "HTTP/2" => told::http2(routes),
        _ => told::http1(routes),
    };
    let policy = is_allowed.then(|| told::policy("p", told::anyone(), &told::ANY));
    told::by_server("srv", kind, policy.into_iter().collect())
}

fn srv(protocol: &str) -> Value {
    server("srv", &json!(80), protocol)
}

fn policy() -> Value {
    authorization_policy("p", &refers("Server", "srv"), &json!([]))
}

#[tokio::test]
async fn a_kind_whose_definition_is_deleted_goes_alone_and_comes_back() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    install(&client).await?;
    let ferrule = start(&cluster, &[]).await?;
    let w = world(&client, &ferrule).await?;
    w.apply_all([web(), srv("HTTP/1"), policy()]).await?;
    w.apply_all([service("web"), service("api")]).await?;
    let calls = || gateway_to("GRPCRoute", "g", &on_port("web", 80), &to("api", 80));
    w.apply(calls()).await?;
    let mut inbound = w.web(80, letting_in(true, "HTTP/1")).await?;
    let by_calls = || {
        let routes = vec![w.grpc_route("g", w.balancer("api", 80))];
        w.service("web", 80, told::grpc_only(routes))
    };
    let mut outbound = w.target(WEB, by_calls()).await?;

    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in [
        "authorizationpolicies.policy.linkerd.io",
        "grpcroutes.gateway.networking.k8s.io",
    ] {
        definitions.delete(name, &DeleteParams::default()).await?;
    }
    inbound.tells(letting_in(false, "HTTP/1")).await?;
    outbound.tells(w.plain("web", 80)).await?;
    for (kind, watched) in [
        ("AuthorizationPolicy", false),
        ("GRPCRoute", false),
        ("Server", true),
        ("MeshTLSAuthentication", true),
        ("HTTPRoute.policy.linkerd.io", true),
    ] {
        is_watched(&ferrule, kind, watched).await.context(kind)?;
    }
    // All others go on, on the streams that are open.
    w.apply(srv("HTTP/2")).await?;
    inbound.tells(letting_in(false, "HTTP/2")).await?;
    let route = all_to("r", &on_service("web"), &json!([to("api", 80)]));
    w.apply(route.clone()).await?;
    let routed = vec![w.route_to("r", w.balancer("api", 80))];
    outbound.tells(w.routed("web", 80, routed)).await?;

    crds::install_kind(&client, "AuthorizationPolicy").await?;
    crds::install_gateway_api(&client).await?;
    w.apply(policy()).await?;
    inbound.tells(letting_in(true, "HTTP/2")).await?;
    w.apply(calls()).await?;
    outbound.tells(by_calls()).await?;
    for kind in ["AuthorizationPolicy", "GRPCRoute"] {
        is_watched(&ferrule, kind, true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn kinds_that_are_absent_for_long_are_asked_for_rarely_and_seen_soon_once_they_come()
-> Result<()> {
    const SOON: Duration = Duration::from_secs(20);
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    crds::install(&client).await?;
    let ferrule = start(&cluster, &[]).await?;
    for kind in ["TCPRoute", "HTTPRoute"] {
        // Later than that a kind is asked for after 26 s, or less often.
        let absent = [("kind", kind), ("reason", "not_found")];
        ferrule
            .scraped(&format!("{kind} is looked for"), |scrape| {
                scrape.sum("watch_errors_total", &absent) >= Some(9.0)
            })
            .await?;
    }
    ferrule
        .scraped("the API server is asked for changes alone", |scrape| {
            scrape.sum("http_client_requests_total", &[("code", "304")]) >= Some(1.0)
        })
        .await?;
    crds::install_gateway_api(&client).await?;
    for kind in ["TCPRoute", "HTTPRoute"] {
        timeout(SOON, is_watched(&ferrule, kind, true)).await??;
    }
    // One that goes and comes back while its group stays.
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = "tcproutes.gateway.networking.k8s.io";
    definitions.delete(name, &DeleteParams::default()).await?;
    is_watched(&ferrule, "TCPRoute", false).await?;
    crds::install_gateway_api(&client).await?;
    timeout(SOON, is_watched(&ferrule, "TCPRoute", true)).await??;
    Ok(())
}

#[tokio::test]
async fn a_kind_that_may_no_longer_be_read_stays_as_it_was_and_the_others_go_on() -> Result<()> {
    const ALL: &[&str] = &["*"];
    // All that is watched, but for AuthorizationPolicies.
    const OTHERS: &[&str] = &[
        "services",
        "pods",
        "nodes",
        "namespaces",
        "endpointslices",
        "replicasets",
        "jobs",
        "serviceprofiles",
        "externalworkloads",
        "servers",
        "serverauthorizations",
        "meshtlsauthentications",
        "networkauthentications",
        "httproutes",
        "grpcroutes",
        "tlsroutes",
        "tcproutes",
        "httplocalratelimitpolicies",
        "egressnetworks",
    ];
    let mut cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    crds::install(&client).await?;
    let account = Account::create(&client).await?;
    account.may_read(ALL).await?;
    let files = TempDir::new()?;
    let kubeconfig = files.path().join("kubeconfig");
    account
        .write_kubeconfig(cluster.kubeconfig(), &kubeconfig)
        .await?;
    let ferrule = Ferrule::start_with(&kubeconfig, &CHART).await?;
    ferrule.ready().await?;
    let w = world(&client, &ferrule).await?;
    w.apply_all([web(), srv("HTTP/1"), policy()]).await?;
    let mut stream = w.web(80, letting_in(true, "HTTP/1")).await?;

    account.may_read(OTHERS).await?;
    // A watch that is open stays so until it is opened again.
    cluster.kill(Component::ApiServer);
    cluster.restart(Component::ApiServer).await?;
    is_watched(&ferrule, "AuthorizationPolicy", false).await?;
    is_watched(&ferrule, "Server", true).await?;
    stream.is_silent().await?;
    w.apply(srv("HTTP/2")).await?;
    stream.tells(letting_in(true, "HTTP/2")).await?;
    w.delete(&policy()).await?;
    stream.is_silent().await?;

    // What has happened meanwhile is told once it may be read again.
    account.may_read(ALL).await?;
    stream.tells(letting_in(false, "HTTP/2")).await?;
    is_watched(&ferrule, "AuthorizationPolicy", true).await
}
