//! What `kubectl get` shows.

use anyhow::Result;
use ferrule_test_cluster::Binary;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::support::{api, cluster, object, run};

/// A kind by the name that a user types, and its heading and one line, without the age.
type Listing = (
    &'static str,
    &'static str,
    &'static str,
    Value,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
fn listings() -> Vec<Listing> {
    let target = json!({ "group": "policy.linkerd.io", "kind": "Server", "name": "web" });
    vec![
        ("srv", "policy.linkerd.io/v1beta3", "Server", json!({ "podSelector": {}, "port": 80, "proxyProtocol": "HTTP/2" }), "NAME PORT PROTOCOL ACCESS POLICY", "it 80 HTTP/2 deny"),
        ("servers.v1beta2.policy.linkerd.io", "policy.linkerd.io/v1beta3", "Server", Value::Null, "NAME PORT PROTOCOL", "it 80 HTTP/2"),
        ("servers.v1alpha1.policy.linkerd.io", "policy.linkerd.io/v1beta3", "Server", Value::Null, "NAME AGE", "it"),
        ("saz", "policy.linkerd.io/v1beta1", "ServerAuthorization", json!({ "server": { "name": "web" }, "client": {} }), "NAME SERVER", "it web"),
        ("serverauthz", "policy.linkerd.io/v1beta1", "ServerAuthorization", Value::Null, "NAME SERVER", "it web"),
        ("srvauthz", "policy.linkerd.io/v1beta1", "ServerAuthorization", Value::Null, "NAME SERVER", "it web"),
        ("authzpolicy", "policy.linkerd.io/v1alpha1", "AuthorizationPolicy", json!({ "targetRef": target, "requiredAuthenticationRefs": [] }), "NAME AGE", "it"),
        ("meshtlsauthn", "policy.linkerd.io/v1alpha1", "MeshTLSAuthentication", json!({ "identities": ["*"] }), "NAME AGE", "it"),
        ("netauthn", "policy.linkerd.io/v1alpha1", "NetworkAuthentication", json!({ "networks": [{ "cidr": "::/0" }] }), "NAME AGE", "it"),
        ("networkauthn", "policy.linkerd.io/v1alpha1", "NetworkAuthentication", Value::Null, "NAME AGE", "it"),
        ("policy", "policy.linkerd.io/v1alpha1", "EgressNetwork", json!({ "trafficPolicy": "Allow" }), "NAME AGE", "it"),
        ("httplocalratelimitpolicy", "policy.linkerd.io/v1alpha1", "HTTPLocalRateLimitPolicy", json!({ "targetRef": target, "total": { "requestsPerSecond": 7 } }), "NAME TARGET_KIND TARGET_NAME TOTAL_RPS IDENTITY_RPS", "it Server web 7"),
        ("httproutes.policy.linkerd.io", "policy.linkerd.io/v1beta3", "HTTPRoute", json!({ "hostnames": ["a.b"] }), "NAME HOSTNAMES AGE", "it [\"a.b\"]"),
        ("sp", "linkerd.io/v1alpha2", "ServiceProfile", json!({}), "NAME AGE", "it"),
        ("external", "workload.linkerd.io/v1beta1", "ExternalWorkload", json!({ "meshTLS": { "identity": "vm", "serverName": "vm" } }), "NAME IDENTITY AGE", "it vm"),
        ("link", "multicluster.linkerd.io/v1alpha3", "Link", json!({}), "NAME AGE", "it"),
    ]
}

#[tokio::test]
async fn kubectl_get_by_short_name_shows_the_columns() -> Result<()> {
    let cluster = cluster().await?;
    let namespace = cluster.namespace("columns").await?;
    let client = cluster.client()?;
    // Other tests' kubectl keeps what it discovered before the kinds were there.
    let cache = tempfile::tempdir()?;
    for (name, api_version, kind, spec, heading, line) in listings() {
        if !spec.is_null() {
            api(&client, namespace.name(), api_version, kind)
                .create(
                    &PostParams::default(),
                    &object(api_version, kind, "it", &spec),
                )
                .await?;
        }
        let mut kubectl = cluster.command(Binary::Kubectl).await?;
        kubectl.args(["get", name, "--namespace", namespace.name(), "--cache-dir"]);
        let shown = run(kubectl.arg(cache.path()))?;
        let mut lines = shown
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(lines.next().as_deref(), Some(heading), "{name}");
        let found = lines.next().unwrap_or_default();
        assert!(
            found == line || found.starts_with(&format!("{line} ")),
            "{name}: {found}"
        );
    }
    Ok(())
}
