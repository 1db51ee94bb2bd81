//! Section 20.8: profiles of addresses.

use super::{expected::opaque, objects::*, scenarios, world::World};
use anyhow::Result;
use serde_json::{Value, json};
use tonic::Code;

scenarios! {
    s105_106_a_pod_by_each_of_its_addresses,
    s107_a_pod_counts_while_it_runs,
    s108_of_pods_at_one_address_the_running_one_counts_and_two_are_refused,
    s109_a_host_port_is_whoever_declares_it,
    s110_an_address_of_nobody_is_bare,
    s111_112_opacity_of_a_pods_port,
    s113_a_server_makes_an_address_opaque_while_it_says_so,
    s114_a_machine_by_its_address_and_a_declared_port,
    s115_a_pod_by_its_hostname,
    s116_a_pod_of_the_hosts_network_is_found_by_its_host_port_only,
    s117_a_pod_that_changes_or_goes_is_told,
}

const A: &str = "10.0.0.1:8080";

async fn s105_106_a_pod_by_each_of_its_addresses(w: World) -> Result<()> {
    let ips = json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]);
    w.apply(with(meshed("a", 1), json!({"status": {"podIPs": ips}})))
        .await?;
    for addr in [A, "[fd00::1]:8080"] {
        let mut stream = w.profile(addr, w.ep(w.w("a", addr))).await?;
        stream.is_silent().await?;
    }
    Ok(())
}

fn in_phase(pod: Value, phase: &str) -> Value {
    with(pod, json!({"status": {"phase": phase}}))
}

async fn s107_a_pod_counts_while_it_runs(w: World) -> Result<()> {
    w.apply(in_phase(meshed("a", 1), "Pending")).await?;
    let mut own = w
        .profile("10.0.0.1:4191", w.ep(w.bare("10.0.0.1:4191")))
        .await?;
    let mut stream = w.profile(A, w.ep(w.bare(A))).await?;
    w.apply(meshed("a", 1)).await?;
    stream.tells(w.ep(w.w("a", A))).await?;
    own.tells(w.ep(w.w("a", "10.0.0.1:4191"))).await?;
    w.apply(in_phase(meshed("a", 1), "Failed")).await?;
    stream.tells(w.ep(w.bare(A))).await
}

async fn s108_of_pods_at_one_address_the_running_one_counts_and_two_are_refused(
    w: World,
) -> Result<()> {
    w.apply_all([
        in_phase(meshed("done", 1), "Succeeded"),
        in_phase(meshed("failed", 1), "Failed"),
        meshed("a", 1),
    ])
    .await?;
    w.profile(A, w.ep(w.w("a", A))).await?;
    w.apply(meshed("b", 1)).await?;
    let words = "found 2 pods with a conflicting pod network IP 10.0.0.1";
    w.profile_refused(A, Code::FailedPrecondition, words).await
}

/// A pod at 10.0.0.n that declares port 80 as port 7777 of its host, 10.0.0.200.
fn on_host(name: &str, n: u8) -> Value {
    let web = json!({
        "name": "app", "image": "app",
        "ports": [{"name": "http", "containerPort": 80, "hostPort": 7777}],
    });
    let host = json!({"hostIP": "10.0.0.200", "hostIPs": [{"ip": "10.0.0.200"}]});
    with(
        labelled(meshed(name, n), "app", "web"),
        json!({"spec": {"containers": [web, proxy("0.0.0.0:4143")]}, "status": host}),
    )
}

const HOST: &str = "10.0.0.200:7777";

async fn s109_a_host_port_is_whoever_declares_it(w: World) -> Result<()> {
    w.apply(on_host("a", 1)).await?;
    let mut stream = w.profile(HOST, w.ep(w.w("a", HOST))).await?;
    w.delete(&on_host("a", 1)).await?;
    stream.tells(w.ep(w.bare(HOST))).await?;
    w.apply(on_host("b", 2)).await?;
    stream.tells(w.ep(w.w("b", HOST))).await?;
    w.apply(server("web", &json!("http"), "opaque")).await?;
    let told = w.w("b", HOST).opaque().transport(4143);
    stream.tells(opaque(w.ep(told))).await
}

async fn s110_an_address_of_nobody_is_bare(w: World) -> Result<()> {
    w.apply(on_host("a", 1)).await?;
    w.profile(HOST, w.ep(w.w("a", HOST))).await?;
    for addr in ["10.0.0.200:80", "10.0.0.99:80", "203.0.113.5:443"] {
        w.profile(addr, w.ep(w.bare(addr))).await?;
    }
    let mysql = "203.0.113.5:3306";
    w.profile(mysql, opaque(w.ep(w.bare(mysql))))
        .await
        .map(drop)
}

async fn s111_112_opacity_of_a_pods_port(w: World) -> Result<()> {
    let skipping = annotated(
        meshed("c", 3),
        "config.linkerd.io/skip-inbound-ports",
        "8080",
    );
    w.apply_all([
        unmeshed("a", 1),
        annotated(meshed("b", 2), OPAQUE_PORTS, "9"),
        skipping,
    ])
    .await?;
    let (plain, annotated, skipped) = ("10.0.0.1:3306", "10.0.0.2:9", "10.0.0.3:8080");
    w.profile(plain, opaque(w.ep(w.u("a", plain)))).await?;
    let told = w.w("b", annotated).opaque().transport(4143);
    w.profile(annotated, opaque(w.ep(told))).await?;
    let told = w.u("c", skipped).label("control_plane_ns", "linkerd");
    w.profile(skipped, w.ep(told)).await.map(drop)
}

async fn s113_a_server_makes_an_address_opaque_while_it_says_so(w: World) -> Result<()> {
    w.apply(labelled(meshed("a", 1), "app", "web")).await?;
    let mut stream = w.profile(A, w.ep(w.w("a", A))).await?;
    w.apply(server("web", &json!("http"), "opaque")).await?;
    let told = w.w("a", A).opaque().transport(4143);
    stream.tells(opaque(w.ep(told))).await?;
    w.apply(server("web", &json!("http"), "HTTP/1")).await?;
    stream.tells(w.ep(w.w("a", A))).await
}

async fn s114_a_machine_by_its_address_and_a_declared_port(w: World) -> Result<()> {
    let vm = labelled(machine(1), "topology.kubernetes.io/zone", "west-1a");
    w.apply(vm.clone()).await?;
    let told = || w.machine(A).label("zone", "west-1a");
    let mut stream = w.profile(A, w.ep(told())).await?;
    let unlisted = "10.0.0.1:9";
    w.profile(unlisted, w.ep(w.bare(unlisted))).await?;
    let unready = json!({"status": {"conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"},
    ]}});
    w.apply(with(vm.clone(), unready)).await?;
    stream.is_silent().await?;
    w.apply(annotated(vm.clone(), OPAQUE_PORTS, "8080")).await?;
    let told = told().opaque().transport(4143);
    stream.tells(opaque(w.ep(told))).await?;
    w.delete(&vm).await?;
    stream.tells(w.ep(w.bare(A))).await
}

async fn s115_a_pod_by_its_hostname(w: World) -> Result<()> {
    w.apply(with(service("db"), json!({"spec": {"clusterIP": "None"}})))
        .await?;
    let named = |endpoint, hostname: &str| with(endpoint, json!({"hostname": hostname}));
    w.apply(meshed("db-0", 1)).await?;
    w.apply(slice(
        "s1",
        "db",
        &[
            named(
                with(endpoint("db-0", 1), json!({"conditions": {"ready": false}})),
                "db-0",
            ),
            named(bare("10.0.0.9"), "gw"),
            named(endpoint("db-1", 2), "db-1"),
        ],
    ))
    .await?;
    let path = |host: &str| format!("{host}.db.$ns.svc.cluster.local:80");
    let told = w.ep(w.w("db-0", "10.0.0.1:80"));
    w.profile(&path("db-0"), told).await?;
    for hostname in ["db-9", "gw"] {
        let words =
            format!("no pod found in EndpointSlices of Service $ns/db for hostname {hostname}");
        w.profile_refused(&path(hostname), Code::NotFound, &words)
            .await?;
    }
    let words = "pod \"db-1\" not found";
    w.profile_refused(&path("db-1"), Code::Unknown, words).await
}

async fn s116_a_pod_of_the_hosts_network_is_found_by_its_host_port_only(w: World) -> Result<()> {
    let web = json!({
        "name": "app", "image": "app", "ports": [{"containerPort": 7777, "hostPort": 7777}],
    });
    let status = json!({"hostIP": "10.0.0.200", "hostIPs": [{"ip": "10.0.0.200"}]});
    let pod = with(
        meshed("a", 200),
        json!({
            "spec": {"hostNetwork": true, "containers": [web, proxy("0.0.0.0:4143")]},
            "status": status,
        }),
    );
    w.apply(pod).await?;
    w.profile(HOST, w.ep(w.w("a", HOST))).await?;
    let other = "10.0.0.200:8080";
    w.profile(other, w.ep(w.bare(other))).await.map(drop)
}

/// Ruling 1: an edit is told, too.
async fn s117_a_pod_that_changes_or_goes_is_told(w: World) -> Result<()> {
    let undeclared = "10.0.0.1:1234";
    w.apply(meshed("a", 1)).await?;
    let told = || w.w("a", undeclared);
    let mut stream = w.profile(undeclared, w.ep(told())).await?;
    w.apply(annotated(meshed("a", 1), OPAQUE_PORTS, "1234"))
        .await?;
    stream
        .tells(opaque(w.ep(told().opaque().transport(4143))))
        .await?;
    w.delete(&meshed("a", 1)).await?;
    stream.tells(w.ep(w.bare(undeclared))).await
}
