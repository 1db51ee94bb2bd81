//! Section 20.3: which endpoints which client is told of.

use super::{WEB, objects::*, scenarios, world::World};
use anyhow::Result;
use serde_json::{Value, json};

scenarios! {
    s40_the_v6_address_of_a_pod_is_preferred_and_the_v4_one_stands_in,
    s41_without_ipv6_only_v4_is_told,
    s42_hints_choose_the_clients_zone,
    s43_to_45_hints_that_are_incomplete_or_match_nobody_choose_nothing,
    s46_a_twin_in_another_zone_does_not_hide_the_v4_address,
    s47_a_local_policy_tells_each_node_its_own,
    s48_a_local_policy_has_no_fallback,
    s49_under_a_local_policy_hints_do_not_count,
    s50_51_locality_is_seen_from_the_client,
}

/// Pod `a` with an address of each family.
fn dual() -> Value {
    let ips = json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]);
    with(meshed("a", 1), json!({"status": {"podIPs": ips}}))
}

fn v6() -> Value {
    slice("s6", "web", &[at("a", "fd00::1")])
}

async fn s40_the_v6_address_of_a_pod_is_preferred_and_the_v4_one_stands_in(w: World) -> Result<()> {
    w.apply_all([service("web"), dual(), s1(&["a"]), v6()])
        .await?;
    let (four, six) = (w.w("a", "10.0.0.1:8080"), w.w("a", "[fd00::1]:8080"));
    let mut stream = w.get(WEB, w.add([six.clone()])).await?;
    w.delete(&v6()).await?;
    stream.tells(w.add([four])).await?;
    stream.tells(w.remove(["[fd00::1]:8080"])).await?;
    w.apply(v6()).await?;
    stream.tells(w.add([six])).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    let another = slice("s2", "web", &[endpoint("a", 1)]);
    w.apply(another.clone()).await?;
    w.delete(&another).await?;
    stream.is_silent().await
}

async fn s41_without_ipv6_only_v4_is_told(w: World) -> Result<()> {
    let w = w.with_the_charts_defaults();
    let only = json!({"status": {"podIP": "fd00::2", "podIPs": [{"ip": "fd00::2"}]}});
    w.apply_all([service("web"), dual(), with(meshed("b", 2), only)])
        .await?;
    let sixes = [at("a", "fd00::1"), at("b", "fd00::2")];
    w.apply(slice("s6", "web", &sixes)).await?;
    let mut stream = w.silent("", WEB).await?;
    w.apply(s1(&["a"])).await?;
    let told = w.w("a", "10.0.0.1:8080").transport(4143);
    stream.tells(w.add([told])).await?;
    stream.is_silent().await
}

fn hints(zones: [&str; 2]) -> Value {
    let [a, b] = zones;
    let endpoints = [hinted(endpoint("a", 1), a), hinted(endpoint("b", 2), b)];
    slice("s1", "web", &endpoints)
}

async fn s42_hints_choose_the_clients_zone(w: World) -> Result<()> {
    w.apply_all(web(&["a", "b"])).await?;
    w.apply(hints(["west-1a", "west-1b"])).await?;
    let (a, b) = (w.w("a", "10.0.0.1:8080"), w.w("b", "10.0.0.2:8080"));
    let mut first = w.get_as(&w.on("n1"), WEB, w.add([a])).await?;
    w.get_as(&w.on("n2"), WEB, w.add([b])).await?;
    w.apply(slice("s1", "web", &[hinted(endpoint("a", 1), "west-1a")]))
        .await?;
    first.is_silent().await
}

async fn s43_to_45_hints_that_are_incomplete_or_match_nobody_choose_nothing(
    w: World,
) -> Result<()> {
    w.apply_all(web(&["a", "b"])).await?;
    let both = || w.add([w.w("a", "10.0.0.1:8080"), w.w("b", "10.0.0.2:8080")]);
    let one = [hinted(endpoint("a", 1), "west-1a"), endpoint("b", 2)];
    w.apply(slice("s1", "web", &one)).await?;
    let mut incomplete = w.get_as(&w.on("n1"), WEB, both()).await?;
    w.apply(hints(["west-1c", "west-1d"])).await?;
    incomplete.is_silent().await?;
    w.get_as(&w.on("n1"), WEB, both()).await?;
    w.apply(hints(["west-1a", "west-1b"])).await?;
    incomplete.tells(w.remove(["10.0.0.2:8080"])).await?;
    for token in ["", r#"{"ns":"any"}"#, &w.on("n9"), &w.on("n3")] {
        w.get_as(token, WEB, both()).await?;
    }
    Ok(())
}

async fn s46_a_twin_in_another_zone_does_not_hide_the_v4_address(w: World) -> Result<()> {
    let four = slice("s1", "web", &[hinted(endpoint("a", 1), "west-1a")]);
    let six = slice("s6", "web", &[hinted(at("a", "fd00::1"), "west-1b")]);
    w.apply_all([service("web"), dual(), four, six]).await?;
    let (four, six) = (w.w("a", "10.0.0.1:8080"), w.w("a", "[fd00::1]:8080"));
    w.get_as(&w.on("n1"), WEB, w.add([four])).await?;
    w.get_as(&w.on("n2"), WEB, w.add([six])).await.map(drop)
}

fn policy(policy: &str) -> Value {
    with(
        service("web"),
        json!({"spec": {"internalTrafficPolicy": policy}}),
    )
}

/// Pods `a` on n1 and `b` on n2, and `c`, which is bound to no node.
fn on_nodes() -> [Value; 3] {
    let on = |pod, node: &str| with(pod, json!({"spec": {"nodeName": node}}));
    [
        on(meshed("a", 1), "n1"),
        on(meshed("b", 2), "n2"),
        meshed("c", 3),
    ]
}

async fn s47_a_local_policy_tells_each_node_its_own(w: World) -> Result<()> {
    w.apply_all(on_nodes()).await?;
    w.apply_all([policy("Local"), s1(&["a", "b"])]).await?;
    let (a, b) = (w.w("a", "10.0.0.1:8080"), w.w("b", "10.0.0.2:8080"));
    let mut first = w.get_as(&w.on("n1"), WEB, w.add([a])).await?;
    let mut second = w.get_as(&w.on("n2"), WEB, w.add([b.clone()])).await?;
    w.apply(s1(&["a"])).await?;
    second.tells(w.remove(["10.0.0.2:8080"])).await?;
    first.is_silent().await?;
    w.apply(s1(&["a", "b"])).await?;
    second.tells(w.add([b.clone()])).await?;
    w.apply(policy("Cluster")).await?;
    // Told whole: their views are no longer one each.
    let both = w.add([w.w("a", "10.0.0.1:8080"), b]);
    first.tells(both.clone()).await?;
    second.tells(both).await?;
    first.is_silent().await
}

async fn s48_a_local_policy_has_no_fallback(w: World) -> Result<()> {
    w.apply_all(on_nodes()).await?;
    w.apply_all([policy("Local"), s1(&["a", "b", "c"])]).await?;
    w.apply(slice("s2", "web", &[bare("10.0.0.9")])).await?;
    let mut elsewhere = w.silent(&w.on("n3"), WEB).await?;
    let mut nowhere = w.get(WEB, w.add([w.w("c", "10.0.0.3:8080")])).await?;
    nowhere.is_silent().await?;
    elsewhere.is_silent().await
}

async fn s49_under_a_local_policy_hints_do_not_count(w: World) -> Result<()> {
    w.apply_all(on_nodes()).await?;
    w.apply_all([policy("Local"), hints(["west-1b", "west-1a"])])
        .await?;
    let told = w.add([w.w("a", "10.0.0.1:8080")]);
    w.get_as(&w.on("n1"), WEB, told).await?.is_silent().await
}

async fn s50_51_locality_is_seen_from_the_client(w: World) -> Result<()> {
    let zoned = |endpoint, zone: &str| with(endpoint, json!({"zone": zone}));
    w.apply_all(web(&["a", "b", "c"])).await?;
    let endpoints = [
        zoned(endpoint("a", 1), "west-1a"),
        zoned(endpoint("b", 2), "west-1b"),
        endpoint("c", 3),
        // Never of a known locality, nor with a zone.
        zoned(bare("10.0.0.4"), "west-1a"),
    ];
    w.apply(slice("s1", "web", &endpoints)).await?;
    for (node, of_a, of_b) in [
        ("n1", "local", "remote"),
        ("n2", "remote", "local"),
        ("n3", "unknown", "unknown"),
    ] {
        let told = [
            w.w("a", "10.0.0.1:8080").zone("west-1a", of_a),
            w.w("b", "10.0.0.2:8080").zone("west-1b", of_b),
            w.w("c", "10.0.0.3:8080"),
            w.bare("10.0.0.4:8080").label("zone_locality", "unknown"),
        ];
        w.get_as(&w.on(node), WEB, w.add(told)).await?;
    }
    Ok(())
}
