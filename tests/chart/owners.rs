//! Who has written which field of what the chart renders. A field that Helm and a
//! controller both write is never left alone by either.

use crate::{
    helm::{NAMESPACE, ask, pipe},
    roles::{inject, rotate, write_statuses},
    running::{Instead, Running, WEBHOOK_CA, leads, serve_the_webhooks, until},
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster};
use k8s_openapi::ByteString;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

const RELEASE: &str = "ferrule-control-plane";
const INJECTOR: &str = "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config";
/// What others write of objects that Helm has made. The name is how a webhook is found.
const OTHERS: [&str; 2] = ["webhooks/*/clientConfig/caBundle", "webhooks/*/name"];

#[tokio::test]
async fn helm_and_controllers_write_different_fields() -> Result<()> {
    let values = [
        // Both are replaced while this runs.
        "--set=webhookTLS.certLifetime=15s",
        "--set=webhookTLS.caLifetime=45s",
    ];
    let running = Running::start(TempDir::new()?, &values, Instead::default()).await?;
    let cluster = &running.cluster;
    leads(&running.injector, WEBHOOK_CA).await?;
    serve_the_webhooks(&running).await?;
    let before = Rendered::of(cluster).await?;
    inject(&running).await?;
    write_statuses(&running).await?;
    rotate(&running).await?;
    rotate_the_anchor(cluster).await?;
    let bundle = "--output=jsonpath={.webhooks[0].clientConfig.caBundle}";
    // The next authority is beside the one that signs.
    until(cluster, &[INJECTOR, bundle], |bundle| {
        let pem = serde_json::from_value::<ByteString>(bundle.into());
        let pem = pem.map(|pem| String::from_utf8_lossy(&pem.0).into_owned());
        pem.is_ok_and(|pem| pem.matches("BEGIN CERTIFICATE").count() == 2)
    })
    .await?;

    let after = Rendered::of(cluster).await?;
    ensure!(after.by_helm() == before.by_helm(), "only Helm has written");
    let theirs = after.fields_of_others();
    let unknown: Vec<_> = theirs
        .iter()
        .filter(|(_, _, field)| !OTHERS.contains(&field.as_str()))
        .collect();
    ensure!(unknown.is_empty(), "{unknown:#?}");
    let written: BTreeSet<_> = theirs.iter().map(|(_, _, field)| field.as_str()).collect();
    ensure!(written == OTHERS.into(), "{written:?}");

    // Nobody is in Helm's way, and it writes nothing that it has written before.
    let upgrade = [
        "upgrade",
        RELEASE,
        crate::helm::CHART,
        "--reuse-values",
        "--namespace",
        NAMESPACE,
    ];
    ask(cluster, Helm, &upgrade).await?;
    let last = Rendered::of(cluster).await?;
    ensure!(last.by_helm() == after.by_helm(), "it has written again");
    let bundle = ask(cluster, Kubectl, &["get", INJECTOR, bundle]).await?;
    ensure!(!bundle.is_empty());
    Ok(())
}

async fn rotate_the_anchor(cluster: &Cluster) -> Result<()> {
    let in_namespace = ["--namespace", NAMESPACE];
    let asked = [
        "annotate",
        "secret/ferrule-trust-anchor",
        "ferrule.io/rotate-trust-anchor=now",
    ];
    ask(cluster, Kubectl, &[&asked[..], &in_namespace].concat()).await?;
    let roots = "configmap/linkerd-identity-trust-roots";
    let bundle = "--output=jsonpath={.data.ca-bundle\\.crt}";
    let bundle = [&[roots, bundle][..], &in_namespace].concat();
    until(cluster, &bundle, |text| {
        text.matches("BEGIN CERTIFICATE").count() == 2
    })
    .await
}

/// What is rendered, as the API server has it, by kind and name.
struct Rendered(BTreeMap<String, Value>);

impl Rendered {
    async fn of(cluster: &Cluster) -> Result<Self> {
        let manifest = ["get", "manifest", RELEASE, "--namespace", NAMESPACE];
        let manifest = ask(cluster, Helm, &manifest).await?;
        let get = [
            "get",
            "--filename=-",
            "--namespace",
            NAMESPACE,
            "--output=json",
            "--show-managed-fields",
        ];
        let found = pipe(cluster, &get, &manifest).await?.succeeded(&get)?;
        let found: Value = serde_json::from_str(&found)?;
        let items = found["items"].as_array().context("objects")?;
        let named = items.iter().map(|object| {
            let name = object["metadata"]["name"].as_str().context("a name")?;
            let kind = object["kind"].as_str().context("a kind")?;
            Ok((format!("{kind} {name}"), object.clone()))
        });
        let named: BTreeMap<_, _> = named.collect::<Result<_>>()?;
        ensure!(named.len() > 25, "only {}", named.len());
        Ok(Self(named))
    }

    /// What each object says that Helm has written, and when it did.
    fn by_helm(&self) -> BTreeMap<&str, Vec<&Value>> {
        let all = self.0.iter().map(|(name, object)| {
            let by_helm = entries(object).filter(|entry| entry["manager"] == "helm");
            (name.as_str(), by_helm.collect())
        });
        all.collect()
    }

    /// Object, manager and field of what others have written, statuses aside.
    fn fields_of_others(&self) -> BTreeSet<(String, String, String)> {
        let mut all = BTreeSet::new();
        for (name, object) in &self.0 {
            for entry in entries(object) {
                if entry["manager"] == "helm" || entry["subresource"] == "status" {
                    continue;
                }
                let mut fields = Vec::new();
                flatten(&entry["fieldsV1"], "", &mut fields);
                for field in fields {
                    all.insert((name.clone(), entry["manager"].to_string(), field));
                }
            }
        }
        all
    }
}

fn entries(object: &Value) -> impl Iterator<Item = &Value> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten()
}

/// Paths such as `webhooks/*/name`.
fn flatten(fields: &Value, path: &str, into: &mut Vec<String>) {
    let within = fields.as_object().into_iter().flatten();
    let mut within = within.filter(|(key, _)| *key != ".").peekable();
    if within.peek().is_none() {
        into.push(path.to_owned());
    }
    for (key, fields) in within {
        let key = key.strip_prefix("f:").unwrap_or("*");
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}/{key}")
        };
        flatten(fields, &path, into);
    }
}
