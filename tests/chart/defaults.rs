//! What the API server adds to what the chart says. Tools that compare the two would take
//! it for a difference.

use crate::{
    cases::{Cases, texts},
    helm::{NAMESPACE, apply, documents, pipe, render},
    installation::define_monitors,
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Cluster, Options};
use serde_json::{Value, json};

/// The cluster's, or told by it of every object.
const OF_THE_CLUSTER: [&str; 11] = [
    "/metadata/creationTimestamp",
    "/metadata/generation",
    "/metadata/managedFields",
    "/metadata/namespace",
    "/metadata/resourceVersion",
    "/metadata/uid",
    "/spec/clusterIP",
    "/spec/clusterIPs",
    "/spec/ipFamilies",
    "/spec/ipFamilyPolicy",
    "/status",
];
/// Most of a pod has a default, and tools know them.
const OF_DEPLOYMENTS: [&str; 2] = [
    "/spec",
    "/metadata/annotations/deployment.kubernetes.io~1revision",
];

#[tokio::test]
async fn the_api_server_adds_nothing_of_its_own() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE},
    });
    apply(&cluster, &[namespace]).await?;
    define_monitors(&cluster).await?;
    let mut compared = 0;
    for (name, args) in &Cases::new()?.all {
        let manifests = render(&texts(args)).await?;
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--output=json",
            "--filename=-",
        ];
        let applied = pipe(&cluster, &apply, &manifests).await?.succeeded(name)?;
        let applied: Value = serde_json::from_str(&applied)?;
        let applied = applied["items"].as_array().context("objects")?;
        for said in documents(&manifests)? {
            let is_it = |object: &&Value| {
                object["kind"] == said["kind"]
                    && object["metadata"]["name"] == said["metadata"]["name"]
            };
            let stored = applied.iter().find(is_it).context("it is applied")?;
            let mut added = Vec::new();
            compare(stored, &said, "", &mut added);
            let is_deployment = said["kind"] == "Deployment";
            let known = OF_DEPLOYMENTS.iter().filter(|_| is_deployment);
            let known: Vec<_> = OF_THE_CLUSTER.iter().chain(known).collect();
            added.retain(|path| {
                let is = |known: &&str| path == known || path.starts_with(&format!("{known}/"));
                !known.iter().any(|known| is(known))
            });
            let what = (&said["kind"], &said["metadata"]["name"]);
            ensure!(added.is_empty(), "{name}: {what:?}: {added:#?}");
            compared += 1;
        }
    }
    ensure!(compared > 150, "only {compared}");
    Ok(())
}

/// Pointers to what is stored and was not said.
fn compare(stored: &Value, said: &Value, path: &str, added: &mut Vec<String>) {
    match (stored, said) {
        (Value::Object(fields), Value::Object(_)) => {
            for (key, value) in fields {
                let path = format!("{path}/{}", key.replace('/', "~1"));
                match said.get(key) {
                    Some(said) => compare(value, said, &path, added),
                    None => added.push(path),
                }
            }
        }
        (Value::Array(values), Value::Array(said)) => {
            for (number, value) in values.iter().enumerate() {
                let path = format!("{path}/{number}");
                match said.get(number) {
                    Some(said) => compare(value, said, &path, added),
                    None => added.push(path),
                }
            }
        }
        _ => {}
    }
}
