//! What says who may call, and where calls go.

use super::{Objects, SERVERS, SERVICES, opaque_ports};
use crate::{
    api::{apply, delete, send},
    dice::Dice,
};
use http::Method;
use serde_json::{Value, json};

/// Of each kind, in each namespace.
const POLICIES: usize = 4;
const AUTHENTICATIONS: usize = 2;
const ROUTES: usize = 4;
const NETWORKS: usize = 2;
/// Addresses that EgressNetworks are about: one outside of the cluster's networks,
/// one of a network that some are about alone, and one inside.
pub(crate) const OUTSIDE: [&str; 3] = ["192.0.2.1", "198.51.100.1", "10.9.9.9"];

/// What of it can be changed.
#[derive(Clone, Copy)]
pub(super) enum Policy {
    Authorization,
    NoAuthorization,
    Authentication,
    NoAuthentication,
    Route,
    NoRoute,
    Network,
    NoNetwork,
}

impl Objects {
    pub(super) async fn policy(
        &self,
        change: Policy,
        namespace: &str,
        dice: &mut Dice,
    ) -> anyhow::Result<()> {
        match change {
            Policy::Authorization => self.authorization(namespace, dice).await,
            Policy::NoAuthorization => {
                let number = dice.below(POLICIES);
                delete(&self.client, &authorization_path(namespace, number)).await
            }
            Policy::Authentication => self.authentication(namespace, dice).await,
            Policy::NoAuthentication => {
                let number = dice.below(AUTHENTICATIONS);
                delete(&self.client, &authentication_path(namespace, number)).await
            }
            Policy::Route => self.route(namespace, dice).await,
            Policy::NoRoute => {
                let number = dice.below(ROUTES);
                delete(&self.client, &route_path(namespace, number)).await
            }
            Policy::Network => self.network(namespace, dice).await,
            Policy::NoNetwork => {
                let number = dice.below(NETWORKS);
                delete(&self.client, &network_path(namespace, number)).await
            }
        }
    }

    async fn authorization(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(POLICIES);
        let target = match dice.below(4) {
            0 => json!({"kind": "Namespace", "name": namespace}),
            1 => ours("HTTPRoute", &format!("route-{}", dice.below(ROUTES))),
            _ => ours("Server", &format!("server-{}", dice.below(SERVERS))),
        };
        let required = match dice.below(4) {
            0 => json!([]),
            1 => json!([{"kind": "ServiceAccount", "name": "default"}]),
            _ => {
                let name = format!("authn-{}", dice.below(AUTHENTICATIONS));
                let mut reference = ours("MeshTLSAuthentication", &name);
                reference["namespace"] = json!(dice.pick(&self.namespaces()));
                json!([reference])
            }
        };
        let spec = json!({"targetRef": target, "requiredAuthenticationRefs": required});
        let path = authorization_path(namespace, number);
        self.write(&path, "AuthorizationPolicy", &json!({}), &spec)
            .await
    }

    async fn authentication(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(AUTHENTICATIONS);
        let spec = json!({"identities": [dice.pick(&["*", "*.a.b", "one", "other"])]});
        let path = authentication_path(namespace, number);
        self.write(&path, "MeshTLSAuthentication", &json!({}), &spec)
            .await
    }

    /// Of a Service of either namespace, a Server or an EgressNetwork, which has
    /// accepted it or not: nothing else writes that here.
    async fn route(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(ROUTES);
        let mut parent = match dice.below(4) {
            0 => ours("Server", &format!("server-{}", dice.below(SERVERS))),
            1 => ours(
                "EgressNetwork",
                &format!("network-{}", dice.below(NETWORKS)),
            ),
            _ => json!({
                "group": "core", "kind": "Service", "name": dice.pick(&SERVICES),
                "namespace": dice.pick(&self.namespaces()),
            }),
        };
        let needs_port = parent["kind"] == "EgressNetwork";
        if needs_port || (parent["kind"] == "Service" && dice.one_in(2)) {
            parent["port"] = json!(80);
        }
        let mut backends = vec![];
        for _ in 0..dice.below(3) {
            backends.push(json!({
                "name": dice.pick(&SERVICES), "port": 80, "weight": dice.pick(&[1, 1, 9]),
            }));
        }
        if dice.one_in(4) {
            backends.push(ours(
                "EgressNetwork",
                &format!("network-{}", dice.below(NETWORKS)),
            ));
        }
        let path = dice.pick(&["/", "/a", "/b"]);
        let spec = json!({
            "parentRefs": [parent],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": path}}],
                "backendRefs": backends,
            }],
        });
        let path = route_path(namespace, number);
        self.write(&path, "HTTPRoute", &json!({}), &spec).await?;
        if parent["namespace"].is_null() {
            parent["namespace"] = json!(namespace);
        }
        let is_accepted = if dice.one_in(5) { "False" } else { "True" };
        let status = json!({"status": {"parents": [{
            "parentRef": parent, "controllerName": "linkerd.io/policy-controller",
            "conditions": [{
                "type": "Accepted", "status": is_accepted, "reason": "Accepted", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }]}});
        send(
            &self.client,
            Method::PATCH,
            &format!("{path}/status"),
            "application/merge-patch+json",
            &status,
        )
        .await
    }

    async fn network(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(NETWORKS);
        let mut spec = json!({"trafficPolicy": dice.pick(&["Allow", "Deny"])});
        let cidr = dice.pick(&["", "", "198.51.100.0/24", "0.0.0.0/0"]);
        if !cidr.is_empty() {
            spec["networks"] = json!([{"cidr": cidr}]);
        }
        let path = network_path(namespace, number);
        self.write(&path, "EgressNetwork", &opaque_ports(dice), &spec)
            .await
    }

    /// Makes what is at a path this, with annotations.
    async fn write(
        &self,
        path: &str,
        kind: &str,
        annotations: &Value,
        spec: &Value,
    ) -> anyhow::Result<()> {
        let parts: Vec<_> = path.split('/').collect();
        let [_, _, group, version, .., name] = parts[..] else {
            anyhow::bail!("{path} is no object's");
        };
        let object = json!({
            "apiVersion": format!("{group}/{version}"), "kind": kind,
            "metadata": {"name": name, "annotations": annotations}, "spec": spec,
        });
        apply(&self.client, path, &object).await
    }
}

fn ours(kind: &str, name: &str) -> Value {
    json!({"group": "policy.linkerd.io", "kind": kind, "name": name})
}

fn path(version: &str, namespace: &str, plural: &str, name: &str) -> String {
    format!("/apis/policy.linkerd.io/{version}/namespaces/{namespace}/{plural}/{name}")
}

fn authorization_path(namespace: &str, number: usize) -> String {
    let name = format!("policy-{number}");
    path("v1alpha1", namespace, "authorizationpolicies", &name)
}

fn authentication_path(namespace: &str, number: usize) -> String {
    let name = format!("authn-{number}");
    path("v1alpha1", namespace, "meshtlsauthentications", &name)
}

fn route_path(namespace: &str, number: usize) -> String {
    path(
        "v1beta3",
        namespace,
        "httproutes",
        &format!("route-{number}"),
    )
}

fn network_path(namespace: &str, number: usize) -> String {
    let name = format!("network-{number}");
    path("v1alpha1", namespace, "egressnetworks", &name)
}
