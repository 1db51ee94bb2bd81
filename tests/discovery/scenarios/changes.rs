//! Section 20.2: endpoints over time.

use super::{
    WEB,
    expected::Told,
    objects::*,
    scenarios,
    world::{Following, World},
};
use anyhow::Result;
use serde_json::{Value, json};

scenarios! {
    s20_26_only_what_differs_is_told,
    s21_to_23_readiness_decides_and_nothing_else,
    s24_a_pod_that_the_slice_knows_first_is_told_when_it_comes,
    s25_the_phase_of_a_ready_endpoints_pod_does_not_matter,
    s27_29_slices_are_a_union,
    s28_a_pod_is_removed_when_it_is_gone_and_its_slice_says_no_more,
    s30_31_a_service_that_comes_back_is_told_again_on_the_same_stream,
    s32_33_39c_a_changed_port_moves_every_endpoint_in_one_difference,
    s34_35_a_pod_that_reads_differently_is_told_again,
    s36_hints_that_change_the_set_are_told,
    s38_what_cannot_be_sent_to_is_left_out,
    s39_subscribers_are_told_the_same,
    s39a_a_machine_that_moves_leaves_its_old_address,
    s39b_a_pod_with_a_new_address_leaves_its_old_one,
}

/// Service web with the pods `a`, `b` and so on, and a stream that has them all.
async fn with_a(w: &World) -> Result<Following<Told>> {
    w.apply_all(web(&["a"])).await?;
    w.get(WEB, w.add([w.w("a", "10.0.0.1:8080")])).await
}

async fn s20_26_only_what_differs_is_told(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    w.apply(meshed("b", 2)).await?;
    w.apply(s1(&["a", "b"])).await?;
    stream.tells(w.add([w.w("b", "10.0.0.2:8080")])).await?;
    // Scaled to 0 after the pods are gone.
    w.delete(&meshed("a", 1)).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    w.apply(s1(&[])).await?;
    stream.tells(w.remove(["10.0.0.2:8080"])).await?;
    stream.is_silent().await
}

fn in_condition(pods: &[&str], conditions: &Value) -> Value {
    let endpoints = pods
        .iter()
        .zip(1..)
        .map(|(pod, n)| with(endpoint(pod, n), json!({"conditions": conditions})));
    slice("s1", "web", &endpoints.collect::<Vec<_>>())
}

async fn s21_to_23_readiness_decides_and_nothing_else(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    let terminating = |ready: bool| json!({"ready": ready, "serving": true, "terminating": true});
    w.apply(in_condition(&["a"], &terminating(false))).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    // publishNotReadyAddresses: ready all the same.
    w.apply(in_condition(&["a"], &terminating(true))).await?;
    stream.tells(w.add([w.w("a", "10.0.0.1:8080")])).await?;
    w.apply(meshed("b", 2)).await?;
    w.apply(in_condition(&["a", "b"], &Value::Null)).await?;
    stream.tells(w.add([w.w("b", "10.0.0.2:8080")])).await?;
    stream.is_silent().await
}

async fn s24_a_pod_that_the_slice_knows_first_is_told_when_it_comes(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    w.apply(s1(&["a", "b"])).await?;
    stream.is_silent().await?;
    w.apply(meshed("b", 2)).await?;
    stream.tells(w.add([w.w("b", "10.0.0.2:8080")])).await?;
    stream.is_silent().await
}

async fn s25_the_phase_of_a_ready_endpoints_pod_does_not_matter(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    w.apply(with(
        meshed("a", 1),
        json!({"status": {"phase": "Succeeded"}}),
    ))
    .await?;
    let told = w.add([w.w("a", "10.0.0.1:8080")]);
    w.get(WEB, told).await?.is_silent().await
}

async fn s27_29_slices_are_a_union(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    w.apply(meshed("b", 2)).await?;
    let second = slice("s2", "web", &[endpoint("a", 1), endpoint("b", 2)]);
    w.apply(second.clone()).await?;
    stream.tells(w.add([w.w("b", "10.0.0.2:8080")])).await?;
    // The other slice still lists it.
    w.apply(s1(&[])).await?;
    stream.is_silent().await?;
    w.apply(s1(&["a"])).await?;
    w.delete(&second).await?;
    stream.tells(w.remove(["10.0.0.2:8080"])).await?;
    stream.is_silent().await
}

async fn s28_a_pod_is_removed_when_it_is_gone_and_its_slice_says_no_more(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    w.delete(&meshed("a", 1)).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    w.delete(&s1(&[])).await?;
    stream.is_silent().await
}

async fn s30_31_a_service_that_comes_back_is_told_again_on_the_same_stream(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    w.delete(&service("web")).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    w.apply(service("web")).await?;
    stream.tells(w.add([w.w("a", "10.0.0.1:8080")])).await?;
    w.delete(&service("web")).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    w.delete(&s1(&[])).await?;
    stream.is_silent().await?;
    w.apply(service("web")).await?;
    w.apply(s1(&["a"])).await?;
    stream.tells(w.add([w.w("a", "10.0.0.1:8080")])).await
}

async fn s32_33_39c_a_changed_port_moves_every_endpoint_in_one_difference(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    w.apply(with(s1(&["a"]), json!({"ports": [{"port": 9090}]})))
        .await?;
    stream.tells(w.add([w.w("a", "10.0.0.1:9090")])).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    // Two slices, and the Service no longer declares the port: it is a number.
    w.apply(meshed("b", 2)).await?;
    w.apply(slice("s2", "web", &[endpoint("b", 2)])).await?;
    stream.tells(w.add([w.w("b", "10.0.0.2:8080")])).await?;
    w.apply(ports("web", &json!([{"name": "other", "port": 81}])))
        .await?;
    let both = [w.w("a", "10.0.0.1:80"), w.w("b", "10.0.0.2:80")];
    stream.tells(w.add(both)).await?;
    stream
        .tells(w.remove(["10.0.0.1:9090", "10.0.0.2:8080"]))
        .await?;
    // Declared again, by a name that no slice has.
    w.apply(ports("web", &json!([{"name": "renamed", "port": 80}])))
        .await?;
    stream.tells(w.remove(["10.0.0.1:80", "10.0.0.2:80"])).await
}

/// Ruling 1: without waiting for an event of the slice.
async fn s34_35_a_pod_that_reads_differently_is_told_again(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    w.apply(labelled(meshed("a", 1), "pod-template-hash", "h1"))
        .await?;
    let relabelled = w.w("a", "10.0.0.1:8080").label("pod_template_hash", "h1");
    stream.tells(w.add([relabelled])).await?;
    // Neither is what nobody is told.
    w.apply(labelled(s1(&["a"]), "any", "thing")).await?;
    stream.is_silent().await
}

async fn s36_hints_that_change_the_set_are_told(w: World) -> Result<()> {
    w.apply_all(web(&["a", "b"])).await?;
    let both = [w.w("a", "10.0.0.1:8080"), w.w("b", "10.0.0.2:8080")];
    let mut stream = w.get_as(&w.on("n1"), WEB, w.add(both)).await?;
    let hints = [
        hinted(endpoint("a", 1), "west-1a"),
        hinted(endpoint("b", 2), "west-1b"),
    ];
    w.apply(slice("s1", "web", &hints)).await?;
    stream.tells(w.remove(["10.0.0.2:8080"])).await?;
    w.apply(s1(&["a", "b"])).await?;
    stream.tells(w.add([w.w("b", "10.0.0.2:8080")])).await
}

async fn s38_what_cannot_be_sent_to_is_left_out(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    let node = with(
        endpoint("n1", 9),
        json!({"targetRef": {"kind": "Node", "namespace": null}}),
    );
    w.apply(slice("s2", "web", &[node])).await?;
    let names = json!({"addressType": "FQDN"});
    w.apply(with(slice("s3", "web", &[bare("web.example.com")]), names))
        .await?;
    stream.is_silent().await?;
    w.apply(slice("s4", "web", &[bare("10.0.0.8")])).await?;
    let address = w.bare("10.0.0.8:8080").label("zone_locality", "unknown");
    stream.tells(w.add([address])).await
}

async fn s39_subscribers_are_told_the_same(w: World) -> Result<()> {
    let mut first = with_a(&w).await?;
    let mut second = w.get(WEB, w.add([w.w("a", "10.0.0.1:8080")])).await?;
    w.apply(meshed("b", 2)).await?;
    w.apply(s1(&["a", "b"])).await?;
    for stream in [&mut first, &mut second] {
        stream.tells(w.add([w.w("b", "10.0.0.2:8080")])).await?;
    }
    let both = [w.w("a", "10.0.0.1:8080"), w.w("b", "10.0.0.2:8080")];
    w.get(WEB, w.add(both)).await?.is_silent().await
}

async fn s39a_a_machine_that_moves_leaves_its_old_address(w: World) -> Result<()> {
    w.apply_all([service("web"), machine(1)]).await?;
    w.apply(slice("s1", "web", &[machine_endpoint(1)])).await?;
    let mut stream = w.get(WEB, w.add([w.machine("10.0.0.1:8080")])).await?;
    w.apply(slice("s1", "web", &[machine_endpoint(2)])).await?;
    stream.tells(w.add([w.machine("10.0.0.2:8080")])).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await
}

async fn s39b_a_pod_with_a_new_address_leaves_its_old_one(w: World) -> Result<()> {
    let mut stream = with_a(&w).await?;
    w.apply(slice("s1", "web", &[endpoint("a", 3)])).await?;
    stream.tells(w.add([w.w("a", "10.0.0.3:8080")])).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    // With a gap.
    w.apply(s1(&[])).await?;
    stream.tells(w.remove(["10.0.0.3:8080"])).await?;
    w.apply(s1(&["a"])).await?;
    stream.tells(w.add([w.w("a", "10.0.0.1:8080")])).await
}
