//! Scenarios 133, 134 and 138, which concern the clients of all namespaces: they are
//! one story, so that none ends another's streams.

use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::outbound::OutboundPolicy;
use ferrule_tests::scenarios;
use serde_json::json;

scenarios! {
    s133_134_138_networks_of_the_clients_namespace_come_before_those_for_all,
}

const GLOBAL: &str = "linkerd-egress";
const OUT: &str = "198.18.0.1:80";

async fn s133_134_138_networks_of_the_clients_namespace_come_before_those_for_all(
    w: World,
) -> Result<()> {
    let other = w.other_namespace().await?;
    w.create_namespace(GLOBAL).await?;
    let addr = w.fill(OUT);
    let fallback = || told::fallback(&addr);
    let of = |namespace: &str| -> OutboundPolicy {
        told::egress_of(namespace, "out", &addr, true, vec![])
    };
    // 138: whoever has no network looks again when there is one anywhere. A stream
    // ends without a word where the address is another object's.
    let mut near = w.target(OUT, fallback()).await?;
    let mut far = w.target_from(&other, OUT, fallback()).await?;
    w.apply(egress_network("out", "Allow")).await?;
    near.ends().await?;
    far.ends().await?;
    // 133
    let mut far = w.target_from(&other, OUT, fallback()).await?;
    let there = json!({"metadata": {"namespace": GLOBAL}});
    let global = with(egress_network("out", "Allow"), there);
    w.apply(global.clone()).await?;
    far.ends().await?;
    w.target_from(&other, OUT, of(GLOBAL)).await?;
    let mut near = w.target(OUT, of(w.namespace())).await?;
    // 134: also where the local ones are about something else.
    let elsewhere = json!([{"cidr": "203.0.113.0/24"}]);
    w.apply(egress_network_of("out", "Allow", &elsewhere))
        .await?;
    near.ends().await?;
    let mut near = w.target(OUT, fallback()).await?;
    w.delete(&egress_network("out", "Allow")).await?;
    near.ends().await?;
    w.target(OUT, of(GLOBAL)).await?;
    w.delete(&global).await?;
    w.target(OUT, fallback()).await.map(drop)
}
