use crate::{
    mesh::{CONFIGURATION, CONFIGURATIONS, Mesh},
    objects::{is_injected, pod},
};
use anyhow::ensure;
use ferrule_test_cluster::PATIENCE;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test]
async fn s75_s76_the_control_planes_and_kube_systems_pods_are_never_blocked() -> anyhow::Result<()>
{
    let mesh = Mesh::start(&[]).await?;
    let setup = &mesh.setup;
    let enabled = json!({"linkerd.io/inject": "enabled"});
    let closed = json!({"config.linkerd.io/admission-webhooks": "disabled"});
    setup.objects.namespace("closed", &enabled, &closed).await?;
    let labelled = |label: &str| {
        let mut pod = pod("web", &enabled);
        pod["metadata"]["labels"] = json!({label: "destination"});
        pod
    };
    let exempt = [
        ("kube-system", pod("web", &enabled)),
        ("canary", labelled("linkerd.io/control-plane-component")),
        ("canary", labelled("linkerd.io/cni-resource")),
    ];
    for (namespace, pod) in &exempt {
        let stored = setup.dry_run(namespace, pod).await?.stored()?.object;
        assert!(!is_injected(&stored), "{namespace}");
    }
    let stored = setup.dry_run("closed", &pod("web", &enabled)).await?;
    assert!(!is_injected(&stored.stored()?.object));

    // Also if the selectors are lost and it is asked.
    let path = format!("{CONFIGURATIONS}/{CONFIGURATION}");
    let widen = json!([
        {"op": "remove", "path": "/webhooks/0/namespaceSelector"},
        {"op": "remove", "path": "/webhooks/0/objectSelector"},
    ]);
    let json_patch = "application/json-patch+json";
    let widened = crate::objects::ask(setup.client(), "PATCH", &path, json_patch, &widen).await?;
    widened.stored()?;
    let deadline = Instant::now() + PATIENCE;
    // It is asked about the closed namespace now.
    loop {
        let stored = setup.dry_run("closed", &pod("web", &enabled)).await?;
        if is_injected(&stored.stored()?.object) {
            break;
        }
        ensure!(Instant::now() < deadline, "the selectors are still there");
        sleep(Duration::from_millis(50)).await;
    }
    for (namespace, pod) in &exempt {
        let mut pod: Value = pod.clone();
        // Refused anywhere else.
        let key = "config.linkerd.io/proxy-log-http-headers";
        pod["metadata"]["annotations"][key] = json!("yes");
        let stored = setup.dry_run(namespace, &pod).await?.stored()?.object;
        assert!(!is_injected(&stored), "{namespace}");
    }

    Ok(())
}
