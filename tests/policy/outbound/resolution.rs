//! Scenarios 72 to 83: what a target is.

use super::WEB;
use crate::{expected as told, objects::*, world::World};
use anyhow::{Context as _, Result};
use ferrule_tests::scenarios;
use serde_json::json;
use tonic::Code;

scenarios! {
    s72_80_an_address_of_the_cluster_that_is_no_services_is_not_found,
    s73_76_a_service_by_its_address_and_its_name,
    s74_a_port_that_is_not_declared_is_forbidden_until_it_is,
    s75_both_addresses_of_a_service_have_one_policy,
    s77_a_service_that_is_not_there_has_the_default_policy_until_it_comes,
    s78_79_what_cannot_be_a_target_is_refused,
    s80_81_what_is_outside_of_the_cluster_is_forwarded_to,
    s82_a_headless_service_is_known_by_name,
    s83_a_deleted_services_streams_stay,
}

async fn s72_80_an_address_of_the_cluster_that_is_no_services_is_not_found(w: World) -> Result<()> {
    w.apply(web()).await?;
    for target in ["10.8.255.255:4191", "10.0.0.1:8080", "[fd00::5]:80"] {
        w.target_refused(target, Code::NotFound).await?;
    }
    Ok(())
}

async fn s73_76_a_service_by_its_address_and_its_name(w: World) -> Result<()> {
    let addr = w.service_addr(service("web"), 80).await?;
    for target in [
        addr.as_str(),
        WEB,
        "web.$ns.svc.cluster.local",
        "web.$ns.svc",
    ] {
        let mut stream = w.target(target, w.plain("web", 80)).await?;
        stream.is_silent().await?;
    }
    let unlisted = "web.$ns.svc.cluster.local:8080";
    w.target(unlisted, w.plain("web", 8080)).await?;
    w.apply(super::super::objects::web()).await?;
    w.web(80, told::by_default("all-unauthenticated", &told::CLUSTER))
        .await?;
    w.is_told_to_people(80, &addr).await
}

async fn s74_a_port_that_is_not_declared_is_forbidden_until_it_is(w: World) -> Result<()> {
    let addr = w.service_addr(service("web"), 81).await?;
    let mut stream = w.target(&addr, w.undefined("web", 81)).await?;
    // Ruling 1: the open stream is told what a fresh one is.
    let two = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    w.apply(ports("web", &two)).await?;
    stream.tells(w.plain("web", 81)).await
}

async fn s75_both_addresses_of_a_service_have_one_policy(w: World) -> Result<()> {
    let dual = json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}});
    let applied = w.apply(with(service("web"), dual)).await?;
    let ips = applied.data["spec"]["clusterIPs"].as_array();
    let ips = ips.context("addresses")?;
    anyhow::ensure!(ips.len() == 2, "{ips:?}");
    for ip in ips {
        let ip = ip.as_str().context("text")?.parse()?;
        let addr = std::net::SocketAddr::new(ip, 80).to_string();
        w.target(&addr, w.plain("web", 80)).await?;
    }
    Ok(())
}

async fn s77_a_service_that_is_not_there_has_the_default_policy_until_it_comes(
    w: World,
) -> Result<()> {
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    w.apply(annotated(service("web"), OPAQUE_PORTS, "80"))
        .await?;
    let route = told::default_opaque(w.balancer("web", 80));
    let opaque = w.service("web", 80, told::opaque_only(route));
    stream.tells(opaque).await
}

async fn s78_79_what_cannot_be_a_target_is_refused(w: World) -> Result<()> {
    for target in ["example.com:443", "pod-0.web.$ns.svc.cluster.local"] {
        w.target_refused(target, Code::NotFound).await?;
    }
    for target in ["", "web:x:80", "1.1.1.1:0"] {
        w.target_refused(target, Code::InvalidArgument).await?;
    }
    w.target_refused_to("", WEB, Code::InvalidArgument).await
}

async fn s80_81_what_is_outside_of_the_cluster_is_forwarded_to(w: World) -> Result<()> {
    // An EgressNetwork made anywhere ends these streams, so only the first message
    // counts.
    for target in ["198.18.0.1:80", "[2001:db8::1]:443"] {
        w.target(target, told::fallback(&w.fill(target))).await?;
    }
    // 81: what the cluster's networks are is a flag.
    let w = w.strict();
    let target = w.fill("[fd00::5]:80");
    w.target(&target, told::fallback(&target)).await.map(drop)
}

async fn s82_a_headless_service_is_known_by_name(w: World) -> Result<()> {
    let headless = with(service("web"), json!({"spec": {"clusterIP": "None"}}));
    w.apply(annotated(headless, OPAQUE_PORTS, "80")).await?;
    let route = told::default_opaque(w.balancer("web", 80));
    let opaque = w.service("web", 80, told::opaque_only(route));
    w.target(WEB, opaque).await.map(drop)
}

async fn s83_a_deleted_services_streams_stay(w: World) -> Result<()> {
    let addr = w.service_addr(service("web"), 80).await?;
    let mut stream = w.target(&addr, w.plain("web", 80)).await?;
    w.delete(&service("web")).await?;
    w.target_refused(&addr, Code::NotFound).await?;
    stream.is_silent().await
}
