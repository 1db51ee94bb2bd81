//! Scenarios 19 to 26: what kubelets probe.

use super::DEFAULT;
use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::inbound::Server;
use ferrule_tests::scenarios;
use serde_json::{Value, json};

scenarios! {
    s19_26_the_paths_of_http_probes_are_open,
    s20_without_networks_of_probes_none_is,
    s21_a_probes_port_is_named_by_its_own_container,
    s22_a_sidecars_probes_are_open,
    s23_24_25_a_servers_routes_take_the_place_of_probes,
}

/// A container whose port 8080 is probed at two paths.
fn probed() -> Value {
    with(
        app(),
        json!({
            "readinessProbe": {"httpGet": {"path": "/ready?x=1", "port": "http"}},
            "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}},
            "startupProbe": {"tcpSocket": {"port": 8080}},
        }),
    )
}

fn with_probes(paths: &[&str]) -> Server {
    let routes = vec![told::default_route(), told::probe_route(paths)];
    let server = told::by_default(DEFAULT, &told::CLUSTER);
    told::speaking(told::detect(routes), server)
}

async fn s19_26_the_paths_of_http_probes_are_open(w: World) -> Result<()> {
    let grpc = json!({
        "name": "side", "image": "side",
        "readinessProbe": {"grpc": {"port": 8080}}, "livenessProbe": {"exec": {"command": ["x"]}},
    });
    w.apply(web_of(&json!([probed(), grpc]))).await?;
    w.web(8080, with_probes(&["/live", "/ready"])).await?;
    w.web(80, told::by_default(DEFAULT, &told::CLUSTER))
        .await
        .map(drop)
}

async fn s20_without_networks_of_probes_none_is(w: World) -> Result<()> {
    let w = w.strict();
    w.apply(web_of(&json!([probed()]))).await?;
    let strict = told::by_default("cluster-unauthenticated", &told::STRICT_CLUSTER);
    w.web(8080, strict).await.map(drop)
}

async fn s21_a_probes_port_is_named_by_its_own_container(w: World) -> Result<()> {
    let probing = |name: &str, port: &str| {
        json!({
            "name": name, "image": name,
            "ports": [{"name": "dns", "containerPort": 8080, "protocol": "UDP"}],
            "readinessProbe": {"httpGet": {"path": "/", "port": port}},
        })
    };
    let containers = json!([app(), probing("a", "http"), probing("b", "dns")]);
    w.apply(web_of(&containers)).await?;
    w.web(8080, told::by_default(DEFAULT, &told::CLUSTER))
        .await
        .map(drop)
}

async fn s22_a_sidecars_probes_are_open(w: World) -> Result<()> {
    let sidecar = json!({
        "name": "linkerd-proxy", "image": "proxy", "restartPolicy": "Always",
        "ports": [{"name": "linkerd-admin", "containerPort": 4191}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 4191}},
        "livenessProbe": {"httpGet": {"path": "/live", "port": 4191}},
    });
    let pod = with(
        web(),
        json!({"spec": {"initContainers": [sidecar], "containers": [app()]}}),
    );
    w.apply(pod).await?;
    w.web(4191, with_probes(&["/live", "/ready"]))
        .await
        .map(drop)
}

async fn s23_24_25_a_servers_routes_take_the_place_of_probes(w: World) -> Result<()> {
    w.apply(web_of(&json!([probed()]))).await?;
    w.apply(server("srv", &json!("http"), "HTTP/1")).await?;
    let kind = |routes| told::by_server("srv", told::http1(routes), vec![]);
    let probes = told::probe_route(&["/live", "/ready"]);
    let defaults = || kind(vec![told::default_route(), probes.clone()]);
    let mut stream = w.web(8080, defaults()).await?;
    let route = at_path("r", &on_server("srv"), "/a");
    w.apply(route.clone()).await?;
    stream
        .tells(kind(vec![told::http_route("r", "/a")]))
        .await?;
    w.delete(&route).await?;
    stream.tells(defaults()).await?;
    w.apply(server("srv", &json!("http"), "gRPC")).await?;
    let routes = vec![told::default_grpc_route()];
    let grpc = told::by_server("srv", told::grpc(routes), vec![]);
    stream.tells(grpc).await
}
