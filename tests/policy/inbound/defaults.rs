//! Scenarios 1 to 18: what is asked, and what holds where no Server is.

use super::DEFAULT;
use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_tests::scenarios;
use serde_json::json;
use tonic::Code;

scenarios! {
    s1_2_3_only_ports_of_workloads_of_the_mesh_are_known,
    s4_5_a_plain_pod_lets_everybody_in_on_any_port_by_either_name,
    s6_7_a_machine_is_known_by_its_own_name_alone,
    s8_9_10_a_pod_says_which_policy_it_has,
    s11_a_cluster_may_require_identities_where_nobody_says_anything,
    s12_13_a_port_that_requires_identities_has_the_stricter_policy,
    s14_15_16_a_pods_own_opaque_ports_are_opaque,
    s17_an_edit_is_told_once_and_only_where_it_matters,
    s18_a_pod_that_goes_ends_its_streams_and_comes_back_as_another,
}

const POLICY: &str = "config.linkerd.io/default-inbound-policy";
const IDENTITY_PORTS: &str = "config.linkerd.io/proxy-require-identity-inbound-ports";

fn by_default(policy: &str) -> ferrule_proto::inbound::Server {
    told::by_default(policy, &told::CLUSTER)
}

async fn s1_2_3_only_ports_of_workloads_of_the_mesh_are_known(w: World) -> Result<()> {
    w.port_refused("$ns:web", 80, Code::NotFound).await?;
    w.apply(unmeshed("out", 2)).await?;
    w.apply(web()).await?;
    w.web(80, by_default(DEFAULT)).await?;
    for port in [0, 70_000] {
        w.port_refused("$ns:web", port, Code::InvalidArgument)
            .await?;
    }
    for workload in ["web", ":web", "$ns:", r#"{"ns":"$ns","node":"x"}"#] {
        w.port_refused(workload, 80, Code::InvalidArgument).await?;
    }
    w.port_refused("$ns:out", 80, Code::NotFound).await
}

async fn s4_5_a_plain_pod_lets_everybody_in_on_any_port_by_either_name(w: World) -> Result<()> {
    w.apply(web()).await?;
    for workload in [r#"{"ns":"$ns","pod":"web"}"#, "$ns:web"] {
        let mut stream = w.port(workload, 1234, by_default(DEFAULT)).await?;
        stream.is_silent().await?;
    }
    w.is_told_to_people(1234, "198.18.0.1:80").await
}

async fn s6_7_a_machine_is_known_by_its_own_name_alone(w: World) -> Result<()> {
    w.apply(machine(2)).await?;
    let name = r#"{"ns":"$ns","external_workload":"vm"}"#;
    let mut stream = w.port(name, 8080, by_default(DEFAULT)).await?;
    w.port_refused("$ns:vm", 8080, Code::NotFound).await?;
    w.apply(annotated(machine(2), POLICY, "deny")).await?;
    stream.tells(by_default("deny")).await?;
    w.delete(&machine(2)).await?;
    stream.ends().await
}

async fn s8_9_10_a_pod_says_which_policy_it_has(w: World) -> Result<()> {
    w.apply(annotated(web(), POLICY, "deny")).await?;
    let mut stream = w.web(80, by_default("deny")).await?;
    for (policy, expected) in [
        ("audit", "audit"),
        ("cluster-authenticated", "cluster-authenticated"),
        ("bogus", DEFAULT),
        ("all-authenticated", "all-authenticated"),
    ] {
        w.apply(annotated(web(), POLICY, policy)).await?;
        stream.tells(by_default(expected)).await?;
    }
    Ok(())
}

async fn s11_a_cluster_may_require_identities_where_nobody_says_anything(w: World) -> Result<()> {
    let w = w.closed();
    w.apply(web()).await?;
    let mut stream = w.web(80, by_default("cluster-authenticated")).await?;
    w.apply(annotated(web(), POLICY, DEFAULT)).await?;
    stream.tells(by_default(DEFAULT)).await
}

async fn s12_13_a_port_that_requires_identities_has_the_stricter_policy(w: World) -> Result<()> {
    let w = w.strict();
    let strict = |policy: &str| told::by_default(policy, &told::STRICT_CLUSTER);
    let web = || annotated(web(), IDENTITY_PORTS, "80,8080-8090");
    w.apply(web()).await?;
    let mut inside = w.web(8085, strict("cluster-authenticated")).await?;
    let mut outside = w.web(81, strict("cluster-unauthenticated")).await?;
    for policy in ["audit", "deny"] {
        w.apply(annotated(web(), POLICY, policy)).await?;
        inside.tells(strict(policy)).await?;
        outside.tells(strict(policy)).await?;
    }
    Ok(())
}

async fn s14_15_16_a_pods_own_opaque_ports_are_opaque(w: World) -> Result<()> {
    w.apply(web()).await?;
    let mut mysql = w.web(3306, by_default(DEFAULT)).await?;
    let mut http = w.web(80, by_default(DEFAULT)).await?;
    w.apply(annotated(web(), OPAQUE_PORTS, "3306")).await?;
    let opaque = told::speaking(told::opaque(), by_default(DEFAULT));
    mysql.tells(opaque).await?;
    w.apply(annotated(web(), OPAQUE_PORTS, "80-")).await?;
    mysql.tells(by_default(DEFAULT)).await?;
    http.is_silent().await
}

async fn s17_an_edit_is_told_once_and_only_where_it_matters(w: World) -> Result<()> {
    let open = open_server("srv", &json!(80), "HTTP/1", DEFAULT);
    w.apply_all([web(), open]).await?;
    let routes = || vec![told::default_route()];
    let by_server = || {
        let access = told::access(DEFAULT, &told::CLUSTER);
        told::by_server("srv", told::http1(routes()), access)
    };
    let mut selected = w.web(80, by_server()).await?;
    let mut other = w.web(81, by_default(DEFAULT)).await?;
    w.apply(labelled(web(), "app", "api")).await?;
    selected.tells(by_default(DEFAULT)).await?;
    w.apply(labelled(web(), "tier", "back")).await?;
    selected.tells(by_server()).await?;
    selected.is_silent().await?;
    other.is_silent().await
}

async fn s18_a_pod_that_goes_ends_its_streams_and_comes_back_as_another(w: World) -> Result<()> {
    w.apply(web()).await?;
    let mut stream = w.web(80, by_default(DEFAULT)).await?;
    w.delete(&web()).await?;
    stream.ends().await?;
    w.port_refused("$ns:web", 80, Code::NotFound).await?;
    w.apply(annotated(web(), POLICY, "deny")).await?;
    w.web(80, by_default("deny")).await.map(drop)
}
