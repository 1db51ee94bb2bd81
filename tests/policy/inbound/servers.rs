//! Scenarios 27 to 40: which Server a port has, and what it says.

use super::DEFAULT;
use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::inbound::{Server, proxy_protocol::Kind};
use ferrule_tests::scenarios;
use serde_json::json;

scenarios! {
    s27_28_a_server_denies_unless_it_says_who_may_call,
    s29_30_a_named_port_is_every_number_of_that_name,
    s31_37_38_a_server_decides_whatever_the_pod_says,
    s32_the_older_of_two_servers_wins_until_it_is_deleted,
    s33_of_two_servers_of_one_age_the_first_by_name_wins,
    s34_36_a_server_that_selects_the_pod_no_more_lets_it_go,
    s35_a_server_of_machines_is_none_of_pods,
    s39_what_is_not_looked_into_has_neither_routes_nor_limits,
    s40_a_port_of_a_sidecar_may_be_named,
}

fn by_default() -> Server {
    told::by_default(DEFAULT, &told::CLUSTER)
}

fn denying(name: &str, kind: Kind) -> Server {
    told::by_server(name, kind, vec![])
}

fn http1() -> Kind {
    told::http1(vec![told::default_route()])
}

async fn s27_28_a_server_denies_unless_it_says_who_may_call(w: World) -> Result<()> {
    w.apply(web()).await?;
    let mut stream = w.web(8080, by_default()).await?;
    w.apply(server("srv", &json!(8080), "HTTP/1")).await?;
    stream.tells(denying("srv", http1())).await?;
    for policy in [DEFAULT, "cluster-authenticated", "audit"] {
        w.apply(open_server("srv", &json!(8080), "HTTP/1", policy))
            .await?;
        let access = told::access(policy, &told::CLUSTER);
        stream
            .tells(told::by_server("srv", http1(), access))
            .await?;
    }
    let server = server("srv", &json!(8080), "HTTP/1");
    w.delete(&server).await?;
    stream.tells(by_default()).await
}

async fn s29_30_a_named_port_is_every_number_of_that_name(w: World) -> Result<()> {
    let container = |name: &str, port: u16| {
        json!({
            "name": name, "image": name, "ports": [{"name": "admin", "containerPort": port}],
        })
    };
    let containers = json!([container("a", 8080), container("b", 9090)]);
    w.apply(web_of(&containers)).await?;
    w.apply(server("number", &json!("9091"), "HTTP/1")).await?;
    w.apply(server("srv", &json!("admin"), "HTTP/1")).await?;
    for port in [8080, 9090] {
        w.web(port, denying("srv", http1())).await?;
    }
    w.web(9091, by_default()).await.map(drop)
}

async fn s31_37_38_a_server_decides_whatever_the_pod_says(w: World) -> Result<()> {
    let pod = annotated(web(), OPAQUE_PORTS, "3306,7777");
    let key = "config.linkerd.io/proxy-require-identity-inbound-ports";
    w.apply(annotated(pod, key, "7777")).await?;
    let opaque = told::speaking(told::opaque(), by_default());
    let mut mysql = w.web(3306, opaque).await?;
    w.apply(server("mysql", &json!(3306), "unknown")).await?;
    let detect = || told::detect(vec![told::default_route()]);
    mysql.tells(denying("mysql", detect())).await?;
    w.apply(open_server("any", &json!(7777), "unknown", DEFAULT))
        .await?;
    let access = told::access(DEFAULT, &told::CLUSTER);
    w.web(7777, told::by_server("any", detect(), access))
        .await
        .map(drop)
}

async fn s32_the_older_of_two_servers_wins_until_it_is_deleted(w: World) -> Result<()> {
    w.apply(web()).await?;
    let zed = server("zed", &json!(80), "HTTP/1");
    w.apply(zed.clone()).await?;
    let mut stream = w.web(80, denying("zed", http1())).await?;
    w.apply_later(server("abe", &json!(80), "HTTP/1")).await?;
    stream.is_silent().await?;
    w.delete(&zed).await?;
    stream.tells(denying("abe", http1())).await?;
    w.apply(zed).await?;
    stream.is_silent().await
}

async fn s33_of_two_servers_of_one_age_the_first_by_name_wins(w: World) -> Result<()> {
    w.apply(web()).await?;
    let of = |name| server(name, &json!(80), "HTTP/1");
    w.apply_in_one_second(&[of("zed"), of("abe")]).await?;
    let mut stream = w.web(80, denying("abe", http1())).await?;
    w.delete(&of("abe")).await?;
    stream.tells(denying("zed", http1())).await
}

async fn s34_36_a_server_that_selects_the_pod_no_more_lets_it_go(w: World) -> Result<()> {
    w.apply(web()).await?;
    let selecting = |expression| {
        let spec = json!({"podSelector": {"matchLabels": null, "matchExpressions": [expression]}});
        with(server("srv", &json!(80), "HTTP/1"), json!({"spec": spec}))
    };
    w.apply(server("srv", &json!(80), "HTTP/1")).await?;
    let mut stream = w.web(80, denying("srv", http1())).await?;
    for (expression, is_selected) in [
        (
            json!({"key": "app", "operator": "NotIn", "values": ["web"]}),
            false,
        ),
        (
            json!({"key": "app", "operator": "In", "values": ["api", "web"]}),
            true,
        ),
        // 36: no value may be given.
        (
            json!({"key": "app", "operator": "Exists", "values": []}),
            false,
        ),
        (json!({"key": "app", "operator": "Exists"}), true),
        (json!({"key": "app", "operator": "DoesNotExist"}), false),
    ] {
        w.apply(selecting(expression)).await?;
        let expected = if is_selected {
            denying("srv", http1())
        } else {
            by_default()
        };
        stream.tells(expected).await?;
    }
    Ok(())
}

async fn s35_a_server_of_machines_is_none_of_pods(w: World) -> Result<()> {
    w.apply_all([web(), machine(2)]).await?;
    let mut pod = w.web(8080, by_default()).await?;
    let name = r#"{"ns":"$ns","external_workload":"vm"}"#;
    let mut vm = w.port(name, 8080, by_default()).await?;
    let selector = json!({"spec": {"podSelector": null, "externalWorkloadSelector": {}}});
    let machines = with(server("srv", &json!(8080), "HTTP/1"), selector);
    w.apply(machines).await?;
    vm.tells(denying("srv", http1())).await?;
    pod.is_silent().await
}

async fn s39_what_is_not_looked_into_has_neither_routes_nor_limits(w: World) -> Result<()> {
    let limit = rate_limit("limit", &json!({"total": {"requestsPerSecond": 1}}));
    w.apply_all([
        web(),
        server("srv", &json!(80), "TLS"),
        at_path("r", &on_server("srv"), "/a"),
        limit,
    ])
    .await?;
    let mut stream = w.web(80, denying("srv", told::tls())).await?;
    w.apply(server("srv", &json!(80), "opaque")).await?;
    stream.tells(denying("srv", told::opaque())).await
}

async fn s40_a_port_of_a_sidecar_may_be_named(w: World) -> Result<()> {
    let sidecar = json!({
        "name": "linkerd-proxy", "image": "proxy", "restartPolicy": "Always",
        "ports": [{"name": "linkerd-admin", "containerPort": 4191}],
    });
    w.apply(with(
        web(),
        json!({"spec": {"initContainers": [sidecar], "containers": [app()]}}),
    ))
    .await?;
    w.apply(server("admin", &json!("linkerd-admin"), "HTTP/2"))
        .await?;
    let http2 = told::http2(vec![told::default_route()]);
    w.web(4191, denying("admin", http2)).await.map(drop)
}
