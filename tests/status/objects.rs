//! Objects of a namespace, and what is said of them.

use anyhow::{Context as _, ensure};
use ferrule_test_cluster::{Cluster, PATIENCE};
use ferrule_tests::{Ferrule, crds};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio::time::{Instant, sleep};

const POLICY: &str = "policy.linkerd.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// What is said of a Service that is there, and of one that is not.
pub(crate) const ACCEPTED: [&str; 1] = ["web Accepted ResolvedRefs"];
pub(crate) const NO_PARENT: [&str; 1] = ["web !Accepted=NoMatchingParent ResolvedRefs"];

/// A kind, as tests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(&'static str, &'static str);

pub(crate) const SERVICE: Kind = Kind("", "Service");
pub(crate) const SERVER: Kind = Kind(POLICY, "Server");
pub(crate) const EGRESS_NETWORK: Kind = Kind(POLICY, "EgressNetwork");
pub(crate) const RATE_LIMIT: Kind = Kind(POLICY, "HTTPLocalRateLimitPolicy");
pub(crate) const POLICY_HTTP: Kind = Kind(POLICY, "HTTPRoute");
pub(crate) const HTTP: Kind = Kind(GATEWAY, "HTTPRoute");
pub(crate) const GRPC: Kind = Kind(GATEWAY, "GRPCRoute");
pub(crate) const TLS: Kind = Kind(GATEWAY, "TLSRoute");
pub(crate) const TCP: Kind = Kind(GATEWAY, "TCPRoute");
pub(crate) const ROUTES: [Kind; 5] = [POLICY_HTTP, HTTP, GRPC, TLS, TCP];

/// The objects of a namespace.
#[derive(Clone)]
pub(crate) struct Objects {
    client: Client,
    pub(crate) namespace: String,
}

/// All CRDs in the cluster.
pub(crate) async fn install(client: &Client) -> anyhow::Result<()> {
    crds::install(client).await?;
    crds::install_gateway_api(client).await
}

/// A Ferrule that writes statuses; its Lease is in `default`.
pub(crate) async fn start(kubeconfig: &Path, more: &[&str]) -> anyhow::Result<Ferrule> {
    let mut flags = vec![
        "--roles=destination,policy",
        "--policy-addr=127.0.0.1:0",
        "--control-plane-namespace=default",
        "--lease-duration=9s",
        "--drain-delay=0s",
        "--drain-window=0s",
    ];
    flags.extend(more);
    Ferrule::start_with(kubeconfig, &flags).await
}

/// Waits until a replica leads, or does not.
pub(crate) async fn leads(ferrule: &Ferrule, leads: bool) -> anyhow::Result<()> {
    let what = if leads {
        "it leads"
    } else {
        "it does not lead"
    };
    let wanted = f64::from(u8::from(leads));
    let labels = [("lease", "policy-controller-write")];
    ferrule
        .scraped(what, |scrape| scrape.sum("leader", &labels) == Some(wanted))
        .await?;
    Ok(())
}

/// Waits until everything says what it should.
pub(crate) async fn nothing_waits(ferrule: &Ferrule) -> anyhow::Result<()> {
    ferrule
        .scraped("nothing is pending", |scrape| {
            scrape.sum("resource_status_pending", &[]) == Some(0.0)
        })
        .await?;
    Ok(())
}

/// How many statuses a replica has written.
pub(crate) async fn patches(ferrule: &Ferrule) -> anyhow::Result<f64> {
    let scrape = ferrule.scrape().await?;
    let patches = scrape.sum("resource_status_patches_total", &[]);
    patches.context("it counts them")
}

impl Objects {
    pub(crate) fn of(client: &Client, namespace: &str) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
        }
    }

    pub(crate) fn api(&self, kind: Kind) -> anyhow::Result<Api<DynamicObject>> {
        let Kind(group, name) = kind;
        let resource = match group {
            "" => ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", name)),
            _ => crds::resource(group, name)?,
        };
        let client = self.client.clone();
        Ok(Api::namespaced_with(client, &self.namespace, &resource))
    }

    /// Makes an object, or makes it so.
    pub(crate) async fn put(&self, kind: Kind, name: &str, spec: Value) -> anyhow::Result<()> {
        let api = self.api(kind)?;
        let Kind(group, kind_name) = kind;
        let version = match group {
            "" => "v1".to_owned(),
            _ => crds::resource(group, kind_name)?.api_version,
        };
        let object = json!({
            "apiVersion": version, "kind": kind_name, "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        let put = api.patch(name, &params, &Patch::Apply(&object)).await;
        put.with_context(|| format!("putting {kind:?} {name}"))?;
        Ok(())
    }

    pub(crate) async fn service(&self, name: &str) -> anyhow::Result<()> {
        let spec = json!({"ports": [{"port": 80}]});
        self.put(SERVICE, name, spec).await
    }

    pub(crate) async fn server(&self, name: &str) -> anyhow::Result<()> {
        let spec = json!({"podSelector": {}, "port": 80});
        self.put(SERVER, name, spec).await
    }

    /// A route on these parents that leads to `web`.
    pub(crate) async fn route(
        &self,
        kind: Kind,
        name: &str,
        parents: &[Value],
    ) -> anyhow::Result<()> {
        let mut spec = json!({
            "parentRefs": parents,
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        });
        if kind == TLS {
            spec["hostnames"] = json!(["web.example.com"]);
        }
        self.put(kind, name, spec).await
    }

    pub(crate) async fn delete(&self, kind: Kind, name: &str) -> anyhow::Result<()> {
        let params = DeleteParams::default();
        self.api(kind)?.delete(name, &params).await?;
        Ok(())
    }

    /// Writes a status as another controller would: all of `parents`.
    pub(crate) async fn write_parents(
        &self,
        kind: Kind,
        name: &str,
        parents: &[Value],
    ) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"status": {"parents": parents}}));
        let params = PatchParams::default();
        self.api(kind)?.patch_status(name, &params, &patch).await?;
        Ok(())
    }

    pub(crate) async fn version(&self, kind: Kind, name: &str) -> anyhow::Result<String> {
        let object = self.api(kind)?.get(name).await?;
        object.resource_version().context("a version")
    }

    pub(crate) async fn status(&self, kind: Kind, name: &str) -> anyhow::Result<Value> {
        let object = self.api(kind)?.get(name).await?;
        Ok(object.data["status"].clone())
    }

    /// Waits until this is said of an object; what it looks like is for
    /// [`said`] to tell.
    pub(crate) async fn until(
        &self,
        kind: Kind,
        name: &str,
        expected: &[&str],
    ) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status(kind, name).await?;
            let found = said(&status);
            if found == expected {
                return Ok(status);
            }
            ensure!(
                Instant::now() < deadline,
                "{kind:?} {}/{name}: {found:#?} instead of {expected:#?}",
                self.namespace
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn parent(kind: Kind, name: &str) -> Value {
    let Kind(group, kind) = kind;
    json!({"group": group, "kind": kind, "name": name})
}

pub(crate) fn web() -> Value {
    parent(SERVICE, "web")
}

/// `PARENT[:PORT] CONDITIONS` for each parent of a route, after its controller where
/// that is another; the conditions of other objects. One that does not hold is
/// `!TYPE=REASON`.
fn said(status: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let conditions = |of: &Value| -> Vec<String> {
        let conditions = list(&of["conditions"]);
        let said = conditions.iter().map(|condition| {
            let text = |field: &str| condition[field].as_str().unwrap_or_default();
            match text("status") {
                "True" => text("type").to_owned(),
                _ => format!("!{}={}", text("type"), text("reason")),
            }
        });
        said.collect()
    };
    if status["parents"].is_null() {
        return conditions(status);
    }
    let parents = list(&status["parents"]);
    let parents = parents.iter().map(|entry| {
        let reference = &entry["parentRef"];
        let mut parent = reference["name"].as_str().unwrap_or_default().to_owned();
        if let Some(port) = reference["port"].as_u64() {
            parent = format!("{parent}:{port}");
        }
        if entry["controllerName"] != "linkerd.io/policy-controller" {
            parent = format!("{} {parent}", entry["controllerName"]);
        }
        let words = [parent].into_iter().chain(conditions(entry));
        words.collect::<Vec<_>>().join(" ")
    });
    parents.collect()
}

/// A namespace of its own in a cluster.
pub(crate) async fn namespace(
    cluster: &Cluster,
    prefix: &str,
) -> anyhow::Result<(ferrule_test_cluster::TestNamespace, Objects)> {
    let namespace = cluster.namespace(prefix).await?;
    let objects = Objects::of(&cluster.client()?, namespace.name());
    Ok((namespace, objects))
}
