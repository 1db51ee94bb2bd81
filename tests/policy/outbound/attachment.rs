//! Scenarios 110 to 116, but for 115: which routes are told to whom.

use super::WEB;
use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::outbound::{Backend, HttpRoute};
use ferrule_tests::scenarios;
use serde_json::{Value, json};

scenarios! {
    s110_111_producers_routes_are_for_all_and_consumers_for_their_own_clients,
    s112_a_route_without_a_port_is_on_all_ports,
    s113_a_route_that_moves_is_told_where_it_goes,
    s114_a_parent_without_a_group_is_no_service,
    s116_routes_of_one_age_and_name_are_told_in_the_same_order_to_all,
}

/// A route of any namespace that sends all to one backend.
fn route_of(w: &World, namespace: &str, name: &str, to: Backend) -> HttpRoute {
    HttpRoute {
        metadata: told::object(told::POLICY_HTTP, namespace, name, 0),
        ..w.route_to(name, to)
    }
}

async fn s110_111_producers_routes_are_for_all_and_consumers_for_their_own_clients(
    w: World,
) -> Result<()> {
    let consumer = w.other_namespace().await?;
    w.apply_all([service("web"), service("api")]).await?;
    let mut near = w.target(WEB, w.plain("web", 80)).await?;
    let mut far = w.target_from(&consumer, WEB, w.plain("web", 80)).await?;
    // 102: its backend is of the parent's namespace.
    let on = with(on_port("web", 80), json!({"namespace": "$ns"}));
    let of_consumer = with(
        all_to("q", &on, &json!([to("api", 80)])),
        json!({"metadata": {"namespace": consumer}}),
    );
    w.apply(of_consumer).await?;
    let q = || route_of(&w, &consumer, "q", w.balancer("api", 80));
    far.tells(w.routed("web", 80, vec![q()])).await?;
    w.apply_later(all_to("p", &on, &json!([to("web", 80)])))
        .await?;
    let p = || w.route_to("p", w.balancer("web", 80));
    far.tells(w.routed("web", 80, vec![q(), p()])).await?;
    // Nothing was told of what is the consumer's alone.
    near.tells(w.routed("web", 80, vec![p()])).await?;
    // Who comes later is told the same.
    w.target(WEB, w.routed("web", 80, vec![p()])).await?;
    w.target_from(&consumer, WEB, w.routed("web", 80, vec![q(), p()]))
        .await
        .map(drop)
}

async fn s112_a_route_without_a_port_is_on_all_ports(w: World) -> Result<()> {
    let two = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    w.apply_all([ports("web", &two), service("api")]).await?;
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    let route = |parent: &Value| all_to("r", parent, &json!([to("api", 80)]));
    w.apply(route(&on_service("web"))).await?;
    let routed = |port| w.routed("web", port, vec![w.route_to("r", w.balancer("api", 80))]);
    stream.tells(routed(80)).await?;
    let other = "web.$ns.svc.cluster.local:81";
    let mut other = w.target(other, routed(81)).await?;
    // D-6: with a port it is on that one alone.
    w.apply(route(&on_port("web", 81))).await?;
    stream.tells(w.plain("web", 80)).await?;
    other.is_silent().await
}

async fn s113_a_route_that_moves_is_told_where_it_goes(w: World) -> Result<()> {
    w.apply_all([service("web"), service("api")]).await?;
    let route = |parents: &Value| {
        let rules = json!([{"backendRefs": [to("api", 80)]}]);
        http_route("r", parents, &rules)
    };
    w.apply(route(&json!([on_port("web", 80)]))).await?;
    let told = || vec![w.route_to("r", w.balancer("api", 80))];
    let mut web = w.target(WEB, w.routed("web", 80, told())).await?;
    let api = "api.$ns.svc.cluster.local:80";
    let mut api = w.target(api, w.plain("api", 80)).await?;
    w.apply(route(&json!([on_port("api", 80)]))).await?;
    web.tells(w.plain("web", 80)).await?;
    api.tells(w.routed("api", 80, told())).await?;
    w.apply(route(&json!([]))).await?;
    api.tells(w.plain("api", 80)).await?;
    web.is_silent().await
}

async fn s114_a_parent_without_a_group_is_no_service(w: World) -> Result<()> {
    w.apply_all([service("web"), service("api")]).await?;
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    let route = |parent: &Value| all_to("r", parent, &json!([to("api", 80)]));
    // The definition's default is policy.linkerd.io.
    let without = json!({"kind": "Service", "name": "web", "port": 80});
    w.apply(route(&without)).await?;
    stream.is_silent().await?;
    let routed = vec![w.route_to("r", w.balancer("api", 80))];
    let core = with(on_port("web", 80), json!({"group": ""}));
    w.apply(route(&core)).await?;
    stream.tells(w.routed("web", 80, routed)).await
}

async fn s116_routes_of_one_age_and_name_are_told_in_the_same_order_to_all(w: World) -> Result<()> {
    let consumer = w.other_namespace().await?;
    w.apply_all([service("web"), service("api")]).await?;
    let on = with(on_port("web", 80), json!({"namespace": "$ns"}));
    let producer = all_to("r", &on, &json!([to("api", 80)]));
    let there = json!({"metadata": {"namespace": consumer}});
    let consumers = with(producer.clone(), there);
    w.apply_in_one_second(&[consumers, producer.clone()])
        .await?;
    let of = |namespace: &str| route_of(&w, namespace, "r", w.balancer("api", 80));
    // No order is prescribed: it is that of the namespaces, in every process.
    let both = || w.routed("web", 80, vec![of(w.namespace()), of(&consumer)]);
    let mut stream = w.target_from(&consumer, WEB, both()).await?;
    // An edit changes neither.
    w.apply(labelled(producer, "edited", "true")).await?;
    stream.is_silent().await?;
    w.target_from(&consumer, WEB, both()).await.map(drop)
}
