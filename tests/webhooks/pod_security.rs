use crate::{
    mesh::Mesh,
    objects::{create, init_containers},
};
use ferrule_test_cluster::PATIENCE;
use serde_json::{Value, json};

/// A Deployment whose pods the level `restricted` admits.
fn deployment() -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "web", "image": "web:1", "ports": [{"containerPort": 80}],
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }],
                },
            },
        },
    })
}

#[tokio::test]
async fn with_the_plugin_pods_stay_restricted_and_without_it_linkerd_init_is_beyond_baseline()
-> anyhow::Result<()> {
    let mesh = Mesh::start(&[]).await?;
    let (setup, objects) = (&mesh.setup, &mesh.setup.objects);
    let enabled = json!({"linkerd.io/inject": "enabled"});
    for (values, plugin) in [("{}", "without"), ("cniEnabled: true", "with")] {
        setup.write("values", values)?;
        let reloads = f64::from(u8::from(plugin == "with"));
        mesh.ferrule
            .scraped("the values are in force", |scrape| {
                scrape.sum("injector_settings_reloads_total", &[]) == Some(reloads)
            })
            .await?;
        for level in ["privileged", "baseline", "restricted"] {
            let namespace = format!("{plugin}-{level}");
            let enforced = json!({"pod-security.kubernetes.io/enforce": level});
            objects.namespace(&namespace, &enabled, &enforced).await?;
            let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
            create(setup.client(), &path, &deployment()).await?;
            if plugin == "without" && level != "privileged" {
                let failed = "reason=FailedCreate";
                let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector={failed}");
                let events = objects
                    .until(&path, PATIENCE, |events| !events.is_empty())
                    .await?;
                let message = events[0]["message"].as_str().expect("a message");
                assert!(message.contains("PodSecurity"), "{message}");
                assert!(message.contains("linkerd-init"), "{message}");
                assert!(!message.contains("\"linkerd-proxy\""), "{message}");
            } else {
                let path = format!("/api/v1/namespaces/{namespace}/pods");
                let pods = objects
                    .until(&path, PATIENCE, |pods| !pods.is_empty())
                    .await?;
                let first = match plugin {
                    "with" => "linkerd-network-validator",
                    _ => "linkerd-init",
                };
                assert_eq!(init_containers(&pods[0]), [first, "linkerd-proxy"]);
            }
        }
    }
    Ok(())
}
