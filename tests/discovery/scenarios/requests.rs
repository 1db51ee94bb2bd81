//! Section 20.1: what is asked of Get.

use super::{WEB, objects::*, scenarios, world::World};
use anyhow::{Context as _, Result};
use serde_json::json;
use tonic::Code;

scenarios! {
    s1_to_3_a_name_with_and_without_a_port_is_the_service,
    s4_to_9_what_is_no_service_is_refused_in_the_requests_words,
    s10_an_empty_service_is_silent_until_it_has_endpoints,
    s11_a_slice_of_no_service_is_nobodys,
    s12_a_slice_without_a_label_is_its_owners,
    s13_a_port_that_is_not_declared_is_taken_as_it_is,
    s14_15_a_target_port_is_what_the_slice_says,
    s16_17_a_slice_without_the_ports_name_or_without_ports_has_no_endpoints,
    s18_a_hostname_is_one_pod,
    s19_any_context_token_is_accepted,
    s77_a_service_of_a_cluster_that_is_not_linked_is_refused,
    s81_83_a_federated_services_local_member_leaves_and_joins,
}

async fn s1_to_3_a_name_with_and_without_a_port_is_the_service(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    for path in [
        WEB,
        "web.$ns.svc.cluster.local",
        "web.$ns.svc.cluster.local:+80",
    ] {
        let mut stream = w.get(path, w.add([w.w("a", "10.0.0.1:8080")])).await?;
        stream.is_silent().await?;
    }
    Ok(())
}

async fn s4_to_9_what_is_no_service_is_refused_in_the_requests_words(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    w.apply(external_name()).await?;
    for path in [
        "web.$ns:80",
        "web.$ns.svc.cluster.local.:80",
        "x.y.web.$ns.svc.cluster.local:80",
        "linkerd.io",
        "web.$ns.svc.cluster.local:0",
        "web.$ns.svc.cluster.local:70000",
        "web.$ns.svc.cluster.local:http",
        "web.$ns.svc.cluster.local:",
        "::1",
        "[::1]",
        "web.$ns.SVC.cluster.local:80",
        "ext.$ns.svc.cluster.local:80",
    ] {
        let words = format!("Invalid authority: {path}");
        w.get_refused(path, Code::InvalidArgument, &words).await?;
    }
    for (path, host) in [
        ("10.0.0.1:80", "10.0.0.1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
    ] {
        let words = format!("IP queries not supported by Get API: host={host}");
        w.get_refused(path, Code::InvalidArgument, &words).await?;
    }
    for name in ["nope", "WEB"] {
        let path = format!("{name}.$ns.svc.cluster.local:80");
        let words = format!("Service {name}.$ns not found");
        w.get_refused(&path, Code::NotFound, &words).await?;
    }
    Ok(())
}

async fn s10_an_empty_service_is_silent_until_it_has_endpoints(w: World) -> Result<()> {
    w.apply(service("web")).await?;
    let mut stream = w.silent("", WEB).await?;
    w.apply(meshed("a", 1)).await?;
    w.apply(s1(&["a"])).await?;
    stream.tells(w.add([w.w("a", "10.0.0.1:8080")])).await
}

async fn s11_a_slice_of_no_service_is_nobodys(w: World) -> Result<()> {
    let label = json!({"metadata": {"labels": {"kubernetes.io/service-name": null}}});
    w.apply_all([service("web"), meshed("a", 1), meshed("b", 2)])
        .await?;
    w.apply(with(s1(&["a"]), label)).await?;
    let mut stream = w.silent("", WEB).await?;
    // The first thing told is from after it has come to be the Service's.
    w.apply(s1(&["a", "b"])).await?;
    let both = [w.w("a", "10.0.0.1:8080"), w.w("b", "10.0.0.2:8080")];
    stream.tells(w.add(both)).await
}

/// On open and on fresh streams (ruling 1), and no label of the set is missing (D22).
async fn s12_a_slice_without_a_label_is_its_owners(w: World) -> Result<()> {
    let owner = w.apply(service("web")).await?;
    w.apply(meshed("a", 1)).await?;
    let mut before = w.silent("", WEB).await?;
    let owned = json!({"metadata": {
        "labels": {"kubernetes.io/service-name": null},
        "ownerReferences": [{
            "apiVersion": "v1", "kind": "Service", "name": "web",
            "uid": owner.metadata.uid.context("a uid")?,
        }],
    }});
    w.apply(with(s1(&["a"]), owned)).await?;
    let told = w.add([w.w("a", "10.0.0.1:8080")]);
    before.tells(told.clone()).await?;
    w.get(WEB, told).await.map(drop)
}

async fn s13_a_port_that_is_not_declared_is_taken_as_it_is(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    let told = w.add([w.w("a", "10.0.0.1:1111")]);
    w.get("web.$ns.svc.cluster.local:1111", told)
        .await
        .map(drop)
}

async fn s14_15_a_target_port_is_what_the_slice_says(w: World) -> Result<()> {
    let port = json!([{"name": "app", "port": 7778, "targetPort": "http"}]);
    w.apply(ports("web", &port)).await?;
    w.apply(meshed("a", 1)).await?;
    let named = json!({"ports": [{"name": "app", "port": 7779}]});
    w.apply(with(s1(&["a"]), named)).await?;
    let told = w.add([w.w("a", "10.0.0.1:7779")]);
    w.get("web.$ns.svc.cluster.local:7778", told).await?;

    let port = json!([{"port": 80, "targetPort": "port1"}]);
    w.apply(ports("other", &port)).await?;
    let unnamed = json!({"ports": [{"port": 8990}]});
    w.apply(with(slice("s2", "other", &[endpoint("a", 1)]), unnamed))
        .await?;
    let told = w.add_of("other", [w.w("a", "10.0.0.1:8990")]);
    w.get("other.$ns.svc.cluster.local:80", told)
        .await
        .map(drop)
}

async fn s16_17_a_slice_without_the_ports_name_or_without_ports_has_no_endpoints(
    w: World,
) -> Result<()> {
    let two = json!([{"name": "port1", "port": 80}, {"name": "port2", "port": 81}]);
    w.apply(ports("web", &two)).await?;
    w.apply_all([meshed("a", 1), meshed("b", 2)]).await?;
    let named = |name: &str| json!({"ports": [{"name": name, "port": 8080}]});
    let of = |pod: &str, n| slice(&format!("s{n}"), "web", &[endpoint(pod, n)]);
    w.apply(with(of("b", 2), named("port2"))).await?;
    w.apply(with(of("a", 1), named("port1"))).await?;
    let mut stream = w.get(WEB, w.add([w.w("a", "10.0.0.1:8080")])).await?;
    stream.is_silent().await?;

    let headless = json!({"spec": {"clusterIP": "None", "ports": null}});
    w.apply(with(service("db"), headless)).await?;
    let none = json!({"ports": null});
    w.apply(with(slice("s3", "db", &[endpoint("a", 1)]), none))
        .await?;
    let path = "db.$ns.svc.cluster.local:5432";
    let mut stream = w.silent("", path).await?;
    w.apply(slice("s4", "db", &[endpoint("b", 2)])).await?;
    // A port that is opaque by default.
    let told = w.w("b", "10.0.0.2:5432").opaque().transport(4143);
    let told = w.add_of("db", [told]);
    stream.tells(told).await
}

async fn s18_a_hostname_is_one_pod(w: World) -> Result<()> {
    w.apply(with(service("db"), json!({"spec": {"clusterIP": "None"}})))
        .await?;
    let names = ["db-0", "db-1", "db-2"];
    let named = |(name, n): (&&str, u8)| with(endpoint(name, n), json!({"hostname": name}));
    w.apply_all(names.iter().zip(1..).map(|(name, n)| meshed(name, n)))
        .await?;
    let endpoints: Vec<_> = names.iter().zip(1..).map(named).collect();
    w.apply(slice("s1", "db", &endpoints)).await?;
    let told = w.add_of("db", [w.w("db-2", "10.0.0.3:8080")]);
    let path = |host: &str| format!("{host}.db.$ns.svc.cluster.local:80");
    let mut known = w.get(&path("db-2"), told).await?;
    let mut unknown = w.silent("", &path("db-3")).await?;
    w.apply(slice("s1", "db", &endpoints[..2])).await?;
    known.tells(w.remove(["10.0.0.3:8080"])).await?;
    unknown.is_silent().await
}

async fn s19_any_context_token_is_accepted(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    for token in [
        "ns:foo",
        "{\"ns\":\"foo\",\"nodeName\":\"n9\"}\n",
        "123fa-test",
    ] {
        let told = w.add([w.w("a", "10.0.0.1:8080")]);
        w.get_as(token, WEB, told).await?;
    }
    Ok(())
}

async fn s77_a_service_of_a_cluster_that_is_not_linked_is_refused(w: World) -> Result<()> {
    let remote = labelled(
        service("web"),
        "multicluster.linkerd.io/remote-discovery",
        "east",
    );
    w.apply(remote.clone()).await?;
    let words = format!("Remote discovery service missing remote service name {WEB}");
    w.get_refused(WEB, Code::FailedPrecondition, &words).await?;
    w.apply(labelled(
        remote,
        "multicluster.linkerd.io/remote-service",
        "web",
    ))
    .await?;
    let words = "Remote cluster not found: east";
    w.get_refused(WEB, Code::NotFound, words).await
}

async fn s81_83_a_federated_services_local_member_leaves_and_joins(w: World) -> Result<()> {
    const LOCAL: &str = "multicluster.linkerd.io/local-discovery";
    const REMOTE: &str = "multicluster.linkerd.io/remote-discovery";
    let without = annotated(service("all"), REMOTE, "bb@east");
    let federated = annotated(without.clone(), LOCAL, "bb");
    w.apply_all([service("bb"), federated.clone(), meshed("a", 1)])
        .await?;
    w.apply(slice("s1", "bb", &[endpoint("a", 1)])).await?;
    let told = w.add_of("bb", [w.w("a", "10.0.0.1:8080")]);
    let mut stream = w.get("all.$ns.svc.cluster.local:80", told.clone()).await?;
    w.apply(without).await?;
    stream.tells(w.remove(["10.0.0.1:8080"])).await?;
    w.apply(federated).await?;
    stream.tells(told).await
}
