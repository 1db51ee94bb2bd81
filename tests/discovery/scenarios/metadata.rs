//! Section 20.4: what an endpoint carries.

use super::{
    WEB,
    expected::{Endpoint, labels},
    objects::*,
    scenarios,
    world::World,
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

scenarios! {
    s52_to_54_who_is_meshed_and_by_whom,
    s55_a_port_that_is_skipped_is_not_meshed,
    s56_58_59_an_annotated_port_is_opaque,
    s57_the_transport_header_goes_to_the_proxys_port,
    s60_a_native_sidecar_is_a_proxy,
    s61_a_proxy_that_cannot_be_reached_is_left_out,
    s62_without_upgrade_the_hint_of_pods_is_there_and_empty,
    s63_64_opaque_ports_by_default_by_name_and_in_ranges,
    a_namespaces_opaque_ports_hold_for_what_has_no_list_of_its_own,
    s65_67_to_69_a_server_makes_a_port_opaque,
    s66_a_server_may_name_a_port_of_any_container,
    s70_a_pod_is_labelled_with_the_workload_that_made_it,
    s71_a_machine_is_told_whole,
    s37_72_a_gateway_to_another_cluster,
}

/// Pod `a`, as the one endpoint of web, is told like this.
async fn is_told(w: &World, pod: Value, told: Endpoint) -> Result<()> {
    w.apply(pod).await?;
    w.get(WEB, w.add([told])).await.map(drop)
}

fn env(index: usize, value: Value) -> Value {
    let mut proxy = proxy("0.0.0.0:4143");
    proxy["env"][index] = value;
    json!({"spec": {"containers": [app(), proxy]}})
}

async fn s52_to_54_who_is_meshed_and_by_whom(w: World) -> Result<()> {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa1"},
    });
    let serving = json!({"spec": {"serviceAccountName": "sa1"}});
    let other = labelled(meshed("b", 2), "linkerd.io/control-plane-ns", "other");
    w.apply_all([account, service("web"), unmeshed("a", 1), other])
        .await?;
    w.apply(with(meshed("c", 3), serving)).await?;
    w.apply(s1(&["a", "b", "c"])).await?;
    let told = [
        w.u("a", "10.0.0.1:8080"),
        w.w("b", "10.0.0.2:8080")
            .label("control_plane_ns", "other")
            .without_identity(),
        w.w("c", "10.0.0.3:8080")
            .label("serviceaccount", "sa1")
            .identity(&format!("sa1.{}", w.namespace())),
    ];
    w.get(WEB, w.add(told)).await.map(drop)
}

async fn s55_a_port_that_is_skipped_is_not_meshed(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    let pod = annotated(
        meshed("a", 1),
        "config.linkerd.io/skip-inbound-ports",
        "8080",
    );
    let skipped = w
        .u("a", "10.0.0.1:8080")
        .label("control_plane_ns", "linkerd");
    is_told(&w, pod, skipped).await?;
    let other = w.add([w.w("a", "10.0.0.1:8081")]);
    w.get("web.$ns.svc.cluster.local:8081", other)
        .await
        .map(drop)
}

async fn s56_58_59_an_annotated_port_is_opaque(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    let pod = annotated(meshed("a", 1), OPAQUE_PORTS, "8080,4191");
    let told = || w.w("a", "10.0.0.1:8080").opaque();
    is_told(&w, pod.clone(), told().transport(4143)).await?;
    // The proxy's own port is never dialled through it.
    let own = w.add([w.w("a", "10.0.0.1:4191").opaque()]);
    w.get("web.$ns.svc.cluster.local:4191", own).await?;
    w.delete(&pod).await?;
    let inbound = json!({"name": "LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "value": "[::]:5143"});
    is_told(&w, with(pod, env(0, inbound)), told().transport(5143)).await
}

async fn s57_the_transport_header_goes_to_the_proxys_port(w: World) -> Result<()> {
    let w = w.with_the_charts_defaults();
    w.apply_all(web(&["a"])).await?;
    w.apply(machine(2)).await?;
    w.apply(slice("s2", "web", &[machine_endpoint(2)])).await?;
    let told = [
        w.w("a", "10.0.0.1:8080").transport(4143),
        w.machine("10.0.0.2:8080").transport(4143),
    ];
    w.get(WEB, w.add(told)).await?;
    for own in [4190, 4191] {
        let told = [
            w.w("a", &format!("10.0.0.1:{own}")),
            w.machine(&format!("10.0.0.2:{own}")).transport(4143),
        ];
        let path = format!("web.$ns.svc.cluster.local:{own}");
        w.get(&path, w.add(told)).await?;
    }
    Ok(())
}

async fn s60_a_native_sidecar_is_a_proxy(w: World) -> Result<()> {
    w.apply_all([service("web"), s1(&["a"])]).await?;
    let sidecar = with(proxy("0.0.0.0:4143"), json!({"restartPolicy": "Always"}));
    let containers = json!({"containers": [app()], "initContainers": [sidecar]});
    let pod = with(meshed("a", 1), json!({"spec": containers}));
    is_told(&w, pod, w.w("a", "10.0.0.1:8080")).await
}

async fn s61_a_proxy_that_cannot_be_reached_is_left_out(w: World) -> Result<()> {
    let control = json!({"name": "ANY", "value": "thing"});
    let pod = with(meshed("a", 1), env(2, control));
    w.apply_all([service("web"), pod, meshed("b", 2), s1(&["a"])])
        .await?;
    let mut stream = w.silent("", WEB).await?;
    w.apply(s1(&["a", "b"])).await?;
    stream.tells(w.add([w.w("b", "10.0.0.2:8080")])).await?;
    stream.is_silent().await?;
    w.silent_profile("10.0.0.1:8080").await?.is_silent().await
}

async fn s62_without_upgrade_the_hint_of_pods_is_there_and_empty(w: World) -> Result<()> {
    let w = w.without_upgrade();
    w.apply_all(web(&["a"])).await?;
    w.apply(machine(2)).await?;
    w.apply(slice("s2", "web", &[machine_endpoint(2)])).await?;
    let told = [
        w.w("a", "10.0.0.1:8080").any_protocol(),
        w.machine("10.0.0.2:8080"),
    ];
    w.get(WEB, w.add(told)).await.map(drop)
}

/// Ferrule's own, and without a number: the reference reads no Namespaces.
async fn a_namespaces_opaque_ports_hold_for_what_has_no_list_of_its_own(w: World) -> Result<()> {
    w.apply_all([service("web"), meshed("a", 1)]).await?;
    w.apply(annotated(meshed("b", 2), OPAQUE_PORTS, "")).await?;
    w.apply(s1(&["a", "b"])).await?;
    let (a, b) = (w.w("a", "10.0.0.1:8080"), w.w("b", "10.0.0.2:8080"));
    let mut stream = w.get(WEB, w.add([a.clone(), b])).await?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "$ns"}});
    // By the name of the pod's port.
    w.apply(annotated(namespace.clone(), OPAQUE_PORTS, "http"))
        .await?;
    let opaque = a.clone().opaque().transport(4143);
    stream.tells(w.add([opaque])).await?;
    w.apply(namespace).await?;
    stream.tells(w.add([a])).await?;
    stream.is_silent().await
}

async fn s63_64_opaque_ports_by_default_by_name_and_in_ranges(w: World) -> Result<()> {
    w.apply_all(web(&["a"])).await?;
    let at = |port: u16| w.w("a", &format!("10.0.0.1:{port}"));
    let path = |port: u16| format!("web.$ns.svc.cluster.local:{port}");
    let opaque = w.add([at(3306).opaque().transport(4143)]);
    w.get(&path(3306), opaque).await?;
    w.apply(annotated(meshed("a", 1), OPAQUE_PORTS, "")).await?;
    w.get(&path(3306), w.add([at(3306)])).await?;

    let list = "sidecar, 9000-9002,bad-,8080,";
    let pod = annotated(meshed("b", 1), OPAQUE_PORTS, list);
    let sidecar = json!({
        "name": "sidecar", "image": "s", "ports": [{"name": "sidecar", "containerPort": 8081}],
    });
    let containers = json!([app(), proxy("0.0.0.0:4143"), sidecar]);
    w.apply(with(pod, json!({"spec": {"containers": containers}})))
        .await?;
    w.apply(slice("s1", "web", &[endpoint("b", 1)])).await?;
    for (port, is_opaque) in [
        (8081, true),
        (9000, true),
        (9001, true),
        (9002, true),
        (9003, false),
        (8999, false),
        (3306, false),
    ] {
        let told = w.w("b", &format!("10.0.0.1:{port}"));
        let told = if is_opaque {
            told.opaque().transport(4143)
        } else {
            told
        };
        w.get(&path(port), w.add([told])).await?;
    }
    Ok(())
}

/// Pod `a`, which the Servers select.
fn selected() -> Value {
    labelled(meshed("a", 1), "app", "web")
}

async fn s65_67_to_69_a_server_makes_a_port_opaque(w: World) -> Result<()> {
    w.apply_all([service("web"), selected(), s1(&["a"])])
        .await?;
    let usual = || w.add([w.w("a", "10.0.0.1:8080")]);
    let opaque = || w.add([w.w("a", "10.0.0.1:8080").opaque().transport(4143)]);
    let mut stream = w.get(WEB, usual()).await?;
    let elsewhere = w.other_namespace().await?;
    let server = server("web", &json!(8080), "opaque");
    w.apply(with(
        server.clone(),
        json!({"metadata": {"namespace": elsewhere}}),
    ))
    .await?;
    // `In` of nothing: an API server does not look into selectors.
    let nothing = json!([{"key": "app", "operator": "In"}]);
    let nothing = json!({"matchLabels": null, "matchExpressions": nothing});
    let unreadable = with(server.clone(), json!({"metadata": {"name": "unreadable"}}));
    w.apply(with(unreadable, json!({"spec": {"podSelector": nothing}})))
        .await?;
    stream.is_silent().await?;
    w.apply(server.clone()).await?;
    stream.tells(opaque()).await?;
    let away = json!({"spec": {"podSelector": {"matchLabels": {"app": "other"}}}});
    w.apply(with(server.clone(), away)).await?;
    stream.tells(usual()).await?;
    w.apply(server.clone()).await?;
    stream.tells(opaque()).await?;
    // One that says otherwise changes nothing, coming or going.
    let http = super::objects::server("http", &json!(8080), "HTTP/1");
    w.apply(http.clone()).await?;
    w.delete(&http).await?;
    stream.is_silent().await?;
    w.delete(&server).await?;
    stream.tells(usual()).await
}

async fn s66_a_server_may_name_a_port_of_any_container(w: World) -> Result<()> {
    let init = json!({
        "name": "init", "image": "i", "ports": [{"name": "extra", "containerPort": 8080}],
    });
    let unnamed = json!({"name": "app", "image": "app"});
    let spec = json!({
        "initContainers": [init], "containers": [unnamed, proxy("0.0.0.0:4143")],
    });
    w.apply_all([
        service("web"),
        with(selected(), json!({"spec": spec})),
        s1(&["a"]),
        server("web", &json!("extra"), "opaque"),
    ])
    .await?;
    let told = w.w("a", "10.0.0.1:8080").opaque().transport(4143);
    w.get(WEB, w.add([told])).await.map(drop)
}

async fn s70_a_pod_is_labelled_with_the_workload_that_made_it(w: World) -> Result<()> {
    let template = json!({
        "metadata": {"labels": {"made": "not"}},
        "spec": {"containers": [{"name": "app", "image": "app"}], "restartPolicy": "Always"},
    });
    let workload = |group: &str, kind: &str, name: &str| {
        json!({
            "apiVersion": group, "kind": kind, "metadata": {"name": name},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": {"made": "not"}},
                "template": template,
            },
        })
    };
    let mut job = workload("batch/v1", "Job", "job");
    job["spec"] = json!({"suspend": true, "template": template});
    job["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    let owner = async |object: Value| {
        let made = w.apply(object.clone()).await?;
        let uid = made.metadata.uid.context("a uid")?;
        let (group, kind) = (&object["apiVersion"], &object["kind"]);
        let name = &object["metadata"]["name"];
        // Not a controller's: nobody makes of them what they are not.
        anyhow::Ok(json!({"apiVersion": group, "kind": kind, "name": name, "uid": uid}))
    };
    let owned =
        |object, owners: &[&Value]| with(object, json!({"metadata": {"ownerReferences": owners}}));
    let deployment = owner(workload("apps/v1", "Deployment", "d")).await?;
    let set = workload("apps/v1", "ReplicaSet", "d-1");
    let set = owner(owned(set, &[&deployment])).await?;
    let alone = owner(workload("apps/v1", "ReplicaSet", "alone")).await?;
    let job = owner(job).await?;
    w.apply_all([
        service("web"),
        owned(meshed("a", 1), &[&set]),
        owned(meshed("b", 2), &[&alone]),
        owned(meshed("c", 3), &[&job]),
        owned(meshed("d", 4), &[&alone, &job]),
        s1(&["a", "b", "c", "d"]),
    ])
    .await?;
    let told = [
        w.w("a", "10.0.0.1:8080").label("deployment", "d"),
        w.w("b", "10.0.0.2:8080").label("replicaset", "alone"),
        w.w("c", "10.0.0.3:8080").label("k8s_job", "job"),
        w.w("d", "10.0.0.4:8080"),
    ];
    w.get(WEB, w.add(told)).await.map(drop)
}

async fn s71_a_machine_is_told_whole(w: World) -> Result<()> {
    let endpoint = with(machine_endpoint(1), json!({"zone": "west-1a"}));
    w.apply_all([service("web"), machine(1), slice("s1", "web", &[endpoint])])
        .await?;
    let told = || w.machine("10.0.0.1:8080").zone("west-1a", "local");
    let mut stream = w.get_as(&w.on("n1"), WEB, w.add([told()])).await?;
    let annotated = annotated(machine(1), OPAQUE_PORTS, "8080");
    w.apply(annotated.clone()).await?;
    stream
        .tells(w.add([told().opaque().transport(4143)]))
        .await?;
    let ports = json!([{"port": 8080}, {"name": "linkerd-proxy", "port": 4999}]);
    w.apply(with(annotated, json!({"spec": {"ports": ports}})))
        .await?;
    stream.tells(w.add([told().opaque().transport(4999)])).await
}

async fn s37_72_a_gateway_to_another_cluster(w: World) -> Result<()> {
    let mirrored = |identity: &str| {
        let slice = slice("gw", "web-east", &[bare("10.0.0.7")]);
        let slice = labelled(slice, "mirror.linkerd.io/cluster-name", "east");
        let slice = annotated(
            slice,
            "mirror.linkerd.io/remote-svc-fq-name",
            "web.ns.svc.remote.local",
        );
        let slice = annotated(slice, "mirror.linkerd.io/remote-gateway-identity", identity);
        with(slice, json!({"ports": [{"port": 4143}]}))
    };
    w.apply_all([service("web-east"), mirrored("gateway.id")])
        .await?;
    let told = |endpoint: Endpoint| {
        let set = labels(&[
            ("service", "web-east"),
            ("namespace", w.namespace()),
            ("target_cluster", "east"),
            ("target_service", "web"),
            ("target_service_namespace", "ns"),
        ]);
        w.add_with(set, [endpoint])
    };
    let gateway = || {
        w.bare("10.0.0.7:4143")
            .label("zone_locality", "unknown")
            .authority("web.ns.svc.remote.local:80")
    };
    let path = "web-east.$ns.svc.cluster.local:80";
    let mut stream = w.get(path, told(gateway().gateway("gateway.id"))).await?;
    w.apply(labelled(mirrored("gateway.id"), "any", "thing"))
        .await?;
    stream.is_silent().await?;
    w.apply(mirrored("other.id")).await?;
    stream.tells(told(gateway().gateway("other.id"))).await?;
    w.apply(mirrored("")).await?;
    stream.tells(told(gateway())).await
}
