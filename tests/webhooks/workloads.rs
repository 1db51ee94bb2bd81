use crate::{
    mesh::Mesh,
    objects::{container, create, init_containers, is_injected, pod},
};
use ferrule_test_cluster::{Cluster, PATIENCE};
use serde_json::{Value, json};

fn template(name: &str, further: &Value) -> Value {
    let mut spec = json!({"containers": [container()]});
    for (key, value) in further.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"metadata": {"labels": {"app": name}}, "spec": spec})
}

/// Kind in lower case, path and spec.
fn workloads() -> Vec<(&'static str, &'static str, Value)> {
    let selector = |name: &str| json!({"matchLabels": {"app": name}});
    let once = json!({"restartPolicy": "Never"});
    vec![
        (
            "cronjob",
            "/apis/batch/v1/namespaces/shop/cronjobs",
            json!({
                // Sooner than the next full minute, and once: its pod never ends.
                "schedule": "@every 2s", "concurrencyPolicy": "Forbid",
                "jobTemplate": {"spec": {"template": template("cronjob", &once)}},
            }),
        ),
        (
            "deployment",
            "/apis/apps/v1/namespaces/shop/deployments",
            json!({
                "selector": selector("deployment"),
                "template": template("deployment", &json!({})),
            }),
        ),
        (
            "daemonset",
            "/apis/apps/v1/namespaces/shop/daemonsets",
            json!({
                "selector": selector("daemonset"),
                "template": template("daemonset", &json!({})),
            }),
        ),
        (
            "statefulset",
            "/apis/apps/v1/namespaces/shop/statefulsets",
            json!({
                "selector": selector("statefulset"), "serviceName": "db",
                "template": template("statefulset", &json!({})),
            }),
        ),
        (
            "replicaset",
            "/apis/apps/v1/namespaces/shop/replicasets",
            json!({
                "selector": selector("replicaset"),
                "template": template("replicaset", &json!({})),
            }),
        ),
        (
            "replicationcontroller",
            "/api/v1/namespaces/shop/replicationcontrollers",
            json!({
                "selector": {"app": "replicationcontroller"},
                "template": template("replicationcontroller", &json!({})),
            }),
        ),
        (
            "job",
            "/apis/batch/v1/namespaces/shop/jobs",
            json!({"template": template("job", &once)}),
        ),
    ]
}

#[tokio::test]
async fn s63_s78_pods_of_every_workload_come_out_injected_and_their_owners_hear_of_it()
-> anyhow::Result<()> {
    let mesh = Mesh::start(&[]).await?;
    let cluster = Cluster::shared().await?;
    cluster.node("a", None).await?;
    let objects = &mesh.setup.objects;
    let enabled = json!({"linkerd.io/inject": "enabled"});
    objects.namespace("shop", &enabled, &json!({})).await?;
    for (kind, path, spec) in workloads() {
        let object = json!({"metadata": {"name": kind}, "spec": spec});
        create(mesh.setup.client(), path, &object).await?;
    }
    // The CronJob's comes last.
    for (kind, ..) in workloads().iter().rev() {
        let pods = format!("/api/v1/namespaces/shop/pods?labelSelector=app={kind}");
        let pods = objects
            .until(&pods, PATIENCE, |pods| !pods.is_empty())
            .await?;
        for pod in pods {
            let names = init_containers(&pod);
            assert_eq!(names, ["linkerd-init", "linkerd-proxy"], "{kind}");
            let metadata = &pod["metadata"];
            assert_eq!(metadata["annotations"]["linkerd.io/inject"], "enabled");
            let labels = metadata["labels"].as_object().expect("it has some");
            let owner: Vec<_> = labels
                .iter()
                .filter(|(key, _)| key.starts_with("linkerd.io/proxy-"))
                .collect();
            if *kind == "cronjob" {
                assert_eq!(owner, []);
            } else {
                let label = format!("linkerd.io/proxy-{kind}");
                assert_eq!(owner, [(&label, &json!(kind))]);
            }
        }
    }
    for (kind, ..) in workloads() {
        let about = |event: &Value| {
            event["involvedObject"]["kind"]
                .as_str()
                .is_some_and(|of| of.eq_ignore_ascii_case(kind))
        };
        let path = "/api/v1/namespaces/shop/events?fieldSelector=reason=Injected";
        let events = objects
            .until(path, PATIENCE, |events| events.iter().any(about))
            .await?;
        let event = events.iter().find(|event| about(event)).expect("found");
        assert_eq!(event["message"], "Linkerd sidecar proxy injected");
        assert_eq!(event["source"]["component"], "linkerd-proxy-injector");
        assert_eq!(event["type"], "Normal");
        assert_eq!(event["involvedObject"]["name"], kind);
        assert!(event["involvedObject"]["uid"].is_string());
        let series = format!(
            "proxy_inject_admission_responses_total{{owner_kind=\"{kind}\",namespace=\"shop\",\
             annotation_at=\"namespace\",skip=\"false\",skip_reason=\"\"}}"
        );
        let injected = mesh.ferrule.metric(&series).await?;
        assert!(injected >= Some(1.0), "{series}: {injected:?}");
    }
    for path in workloads()
        .iter()
        .map(|(kind, path, _)| format!("{path}/{kind}"))
    {
        objects.delete(&path).await?;
    }
    Ok(())
}

#[tokio::test]
async fn s64_s69_pods_and_services_get_what_they_and_their_namespace_ask_for() -> anyhow::Result<()>
{
    let mesh = Mesh::start(&[]).await?;
    let (setup, objects) = (&mesh.setup, &mesh.setup.objects);
    let inject = |value: &str| json!({"linkerd.io/inject": value});
    for (namespace, annotations) in [
        ("plain", json!({})),
        ("enabled", inject("enabled")),
        ("disabled", inject("disabled")),
        ("ingress", inject("ingress")),
        ("spoilt", inject("true")),
    ] {
        let annotations = &annotations;
        objects
            .namespace(namespace, annotations, &json!({}))
            .await?;
    }
    for (namespace, annotations, injected) in [
        ("plain", json!({}), false),
        ("plain", inject("enabled"), true),
        ("enabled", json!({}), true),
        ("enabled", inject("disabled"), false),
        ("enabled", inject("yes"), false),
        ("disabled", json!({}), false),
        ("disabled", inject("enabled"), true),
        ("ingress", json!({}), true),
        ("spoilt", inject("enabled"), false),
    ] {
        let answer = setup.dry_run(namespace, &pod("web", &annotations)).await?;
        let pod = answer.stored()?.object;
        assert_eq!(is_injected(&pod), injected, "{namespace} {annotations}");
    }

    // On the node's network, with a port that speaks first: told, not injected, and
    // the owner hears why.
    let mut host = pod("host", &inject("enabled"));
    host["spec"]["hostNetwork"] = json!(true);
    host["spec"]["containers"][0]["ports"] = json!([{"containerPort": 3306}]);
    let told = setup.dry_run("plain", &host).await?.stored()?.object;
    assert!(!is_injected(&told));
    let ports = &told["metadata"]["annotations"]["config.linkerd.io/opaque-ports"];
    assert_eq!(ports, "3306");
    let template = json!({
        "metadata": {"labels": {"app": "host"}, "annotations": inject("enabled")},
        "spec": host["spec"],
    });
    let deployment = json!({
        "metadata": {"name": "host"},
        "spec": {"selector": {"matchLabels": {"app": "host"}}, "template": template},
    });
    let deployments = "/apis/apps/v1/namespaces/plain/deployments";
    create(setup.client(), deployments, &deployment).await?;
    let path = "/api/v1/namespaces/plain/events?fieldSelector=reason=InjectionSkipped";
    let events = objects
        .until(path, PATIENCE, |events| !events.is_empty())
        .await?;
    assert_eq!(
        events[0]["message"],
        "Linkerd sidecar proxy injection skipped: hostNetwork is enabled"
    );
    assert_eq!(events[0]["involvedObject"]["kind"], "Deployment");
    objects.delete(&format!("{deployments}/host")).await?;

    // Services.
    let service = json!({
        "metadata": {"name": "db", "annotations": {"a": "b"}},
        "spec": {"ports": [{"port": 3306}]},
    });
    let services = "/api/v1/namespaces/plain/services?dryRun=All";
    let stored = create(setup.client(), services, &service).await?.object;
    let annotations = &stored["metadata"]["annotations"];
    assert_eq!(
        annotations,
        &json!({"a": "b", "config.linkerd.io/opaque-ports": "3306"})
    );

    // One that changes its port later keeps what it has (s105).
    let services = "/api/v1/namespaces/plain/services";
    let web = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    create(setup.client(), services, &web).await?;
    let path = format!("{services}/web");
    let ports = json!({"spec": {"ports": [{"port": 3306}]}});
    objects.merge(&path, &ports).await?;
    let stored = objects.get(&path).await?.stored()?.object;
    assert!(stored["metadata"]["annotations"].is_null(), "{stored}");

    // What cannot be read is told, and what contradicts itself refused.
    let key = "config.linkerd.io/proxy-cpu-limit";
    let told = setup
        .dry_run("enabled", &pod("web", &json!({key: "much"})))
        .await?;
    assert!(is_injected(&told.object));
    let warned = told.warnings.iter().any(|warning| warning.contains(key));
    assert!(warned, "{:?}", told.warnings);
    let key = "config.linkerd.io/proxy-log-http-headers";
    let refused = setup
        .dry_run("enabled", &pod("web", &json!({key: "yes"})))
        .await?;
    assert!(refused.message().contains(key), "{refused:?}");

    // Nobody is told of a dry run: a bare pod has no owner either.
    let events = objects.get("/api/v1/namespaces/enabled/events").await?;
    assert_eq!(events.object["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn s77_a_pod_may_be_quicker_than_the_watch_of_its_namespace() -> anyhow::Result<()> {
    let mesh = Mesh::start(&[]).await?;
    let client = mesh.setup.client();
    for number in 0..20 {
        let name = format!("quick-{number}");
        let metadata = json!({"name": name, "annotations": {"linkerd.io/inject": "enabled"}});
        create(client, "/api/v1/namespaces", &json!({"metadata": metadata})).await?;
        // Its service account need not exist for a pod that names none of it.
        let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 3306}]}});
        let path = format!("/api/v1/namespaces/{name}/services?dryRun=All");
        let stored = create(client, &path, &service).await?.object;
        let ports = &stored["metadata"]["annotations"]["config.linkerd.io/opaque-ports"];
        assert_eq!(ports, "3306", "{name}");
    }
    let failed = r#"webhook_requests_total{webhook="proxy-injector",outcome="failed"}"#;
    assert_eq!(mesh.ferrule.metric(failed).await?, Some(0.0));
    Ok(())
}
