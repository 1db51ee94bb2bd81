//! What must be the same before, between and after.

use crate::helm::{NAMESPACE, apply, ask};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Objects of users, by kind, name, and what is the same for as long as they live.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot(BTreeMap<String, String>);

const USERS: [&str; 4] = [
    "servers.policy.linkerd.io",
    "authorizationpolicies.policy.linkerd.io",
    "meshtlsauthentications.policy.linkerd.io",
    "serviceprofiles.linkerd.io",
];

/// Of some kinds, an object each in namespace `shop`.
pub(super) async fn create(cluster: &Cluster) -> Result<()> {
    let object = |version: &str, kind: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": version, "kind": kind,
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
        })
    };
    let target = |kind: &str| json!({"group": "policy.linkerd.io", "kind": kind, "name": "web"});
    let profile = json!({"routes": [{"name": "all", "condition": {"pathRegex": "/.*"}}]});
    apply(
        cluster,
        &[
            object(
                "policy.linkerd.io/v1beta3",
                "Server",
                "web",
                json!({"podSelector": {}, "port": 80, "proxyProtocol": "HTTP/1"}),
            ),
            object(
                "policy.linkerd.io/v1alpha1",
                "MeshTLSAuthentication",
                "web",
                json!({"identities": ["*"]}),
            ),
            object(
                "policy.linkerd.io/v1alpha1",
                "AuthorizationPolicy",
                "web",
                json!({
                    "targetRef": target("Server"),
                    "requiredAuthenticationRefs": [target("MeshTLSAuthentication")],
                }),
            ),
            object(
                "linkerd.io/v1alpha2",
                "ServiceProfile",
                "web.shop.svc.cluster.local",
                profile,
            ),
        ],
    )
    .await
}

impl Snapshot {
    pub(super) async fn of(cluster: &Cluster) -> Result<Self> {
        let mut all = BTreeMap::new();
        for kind in USERS {
            for object in list(cluster, kind, "shop").await? {
                all.insert(name(kind, &object)?, told(&object, &["/spec"]));
            }
        }
        for object in list(cluster, "services", NAMESPACE).await? {
            let told = told(&object, &["/spec/clusterIP", "/spec/selector"]);
            all.insert(name("services", &object)?, told);
        }
        for kind in ["deployments", "serviceaccounts"] {
            for object in list(cluster, kind, NAMESPACE).await? {
                if object["metadata"]["name"] != "linkerd-heartbeat" {
                    let told = told(&object, &["/spec/selector"]);
                    all.insert(name(kind, &object)?, told);
                }
            }
        }
        for (kind, of) in [
            ("configmap", "linkerd-identity-trust-roots"),
            ("secret", "linkerd-identity-issuer"),
            ("configmap", "linkerd-config"),
        ] {
            let which = format!("{kind}/{of}");
            let get = ["get", &which, "--namespace", NAMESPACE, "--output=json"];
            let object: Value = serde_json::from_str(&ask(cluster, Kubectl, &get).await?)?;
            // Its values are the chart's.
            let data = if of == "linkerd-config" {
                "/none"
            } else {
                "/data"
            };
            all.insert(which, told(&object, &[data]));
        }
        ensure!(all.len() > 17, "{all:?}");
        Ok(Self(all))
    }

    /// Fails with what differs, if something does.
    pub(super) fn is(&self, other: &Self) -> Result<()> {
        let differ = self
            .0
            .iter()
            .filter(|(key, value)| other.0.get(*key) != Some(*value));
        let differ: Vec<_> = differ
            .map(|(key, value)| (key, value, other.0.get(key)))
            .collect();
        ensure!(differ.is_empty(), "{differ:#?}");
        ensure!(self.0.len() == other.0.len(), "{self:?}, {other:?}");
        Ok(())
    }
}

fn name(kind: &str, object: &Value) -> Result<String> {
    let name = object["metadata"]["name"].as_str().context("a name")?;
    Ok(format!("{kind}/{name}"))
}

fn told(object: &Value, fields: &[&str]) -> String {
    let fields = fields.iter().map(|field| object.pointer(field));
    format!(
        "{} {:?}",
        object["metadata"]["uid"],
        fields.collect::<Vec<_>>()
    )
}

pub(super) async fn list(cluster: &Cluster, kind: &str, namespace: &str) -> Result<Vec<Value>> {
    let args = ["get", kind, "--namespace", namespace, "--output=json"];
    let mut found: Value = serde_json::from_str(&ask(cluster, Kubectl, &args).await?)?;
    Ok(serde_json::from_value(found["items"].take())?)
}

/// What only one of the two charts has, and whether it is there.
pub(super) async fn only(cluster: &Cluster, which: &[&str], there: bool) -> Result<()> {
    for object in which {
        let args = [
            "get",
            object,
            "--namespace",
            NAMESPACE,
            "--ignore-not-found",
        ];
        let found = ask(cluster, Kubectl, &args).await?;
        ensure!(found.is_empty() != there, "{object}: {found}");
    }
    Ok(())
}

pub(super) const LINKERDS: [&str; 9] = [
    "cronjob/linkerd-heartbeat",
    "serviceaccount/linkerd-heartbeat",
    "clusterrole/linkerd-heartbeat",
    "clusterrole/linkerd-policy",
    "clusterrolebinding/linkerd-policy",
    "role/remote-discovery",
    "rolebinding/remote-discovery",
    "secret/linkerd-proxy-injector-k8s-tls",
    "secret/linkerd-sp-validator-k8s-tls",
];
pub(super) const FERRULES: [&str; 5] = [
    "clusterrole/linkerd-linkerd-policy",
    "role/linkerd-destination",
    "role/linkerd-proxy-injector",
    "rolebinding/linkerd-destination",
    "rolebinding/linkerd-proxy-injector",
];
