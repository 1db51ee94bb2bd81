//! What the API server refuses by itself, in which words, and what it must not refuse.

use anyhow::Result;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::support::{api, cluster, object};

const V1ALPHA1: &str = "policy.linkerd.io/v1alpha1";
const V1BETA1: &str = "policy.linkerd.io/v1beta1";
const V1BETA2: &str = "policy.linkerd.io/v1beta2";
const V1BETA3: &str = "policy.linkerd.io/v1beta3";

/// An object that is refused, and a part of what the API server says.
type Refusal = (&'static str, &'static str, Value, &'static str);

fn server(changes: &Value) -> Value {
    let mut spec = json!({ "podSelector": {}, "port": 80 });
    merge(&mut spec, changes);
    spec
}

fn merge(spec: &mut Value, changes: &Value) {
    for (key, value) in changes.as_object().expect("changes are fields") {
        spec[key] = value.clone();
    }
}

#[rustfmt::skip]
fn servers() -> Vec<Refusal> {
    let selectors = "set exactly one of podSelector and externalWorkloadSelector";
    vec![
        (V1BETA3, "Server", server(&json!({ "port": 0 })), "spec.port: Invalid value: 0: must be a port from 1 to 65535, or the name of a port"),
        (V1ALPHA1, "Server", json!({ "podSelector": { "matchLabels": {} }, "port": 65536 }), "must be a port from 1 to 65535"),
        (V1BETA3, "Server", server(&json!({ "proxyProtocol": "garbanzo" })), "spec.proxyProtocol: Invalid value: \"garbanzo\": must be unknown, HTTP/1, HTTP/2, gRPC, opaque or TLS"),
        (V1BETA1, "Server", server(&json!({ "proxyProtocol": "http/2" })), "must be unknown, HTTP/1, HTTP/2"),
        (V1BETA3, "Server", server(&json!({ "accessPolicy": "foobar" })), "spec.accessPolicy: Invalid value: \"foobar\": must be deny, audit, all-unauthenticated"),
        (V1BETA3, "Server", json!({ "port": 80 }), selectors),
        (V1BETA2, "Server", server(&json!({ "externalWorkloadSelector": {} })), selectors),
        (V1BETA1, "Server", json!({ "port": 80 }), "spec.podSelector: Required value"),
        (V1ALPHA1, "Server", server(&json!({})), "spec.podSelector: Invalid value: set exactly one of matchLabels and matchExpressions"),
        (V1BETA3, "Server", server(&json!({ "podSelector": { "matchLabels": { "a": 1 } } })), "spec.podSelector.matchLabels.a: Invalid value: \"integer\""),
        (V1BETA3, "Server", server(&json!({ "podSelector": { "matchExpressions": [{ "key": "a", "operator": "in" }] } })), "supported values: \"In\", \"NotIn\", \"Exists\", \"DoesNotExist\""),
        (V1BETA3, "Server", Value::Null, "spec: Required value"),
    ]
}

#[rustfmt::skip]
fn authorizations() -> Vec<Refusal> {
    let target = json!({ "group": "policy.linkerd.io", "kind": "Server", "name": "web" });
    let policy = |refs: Value| json!({ "targetRef": target, "requiredAuthenticationRefs": refs });
    let mesh = json!({ "group": "policy.linkerd.io", "kind": "MeshTLSAuthentication", "name": "a" });
    let network = json!({ "group": "policy.linkerd.io", "kind": "NetworkAuthentication", "name": "a" });
    let account = json!({ "kind": "serviceaccount", "name": "a" });
    let on = |target: Value| json!({ "targetRef": target, "requiredAuthenticationRefs": [] });
    let target_message = "spec.targetRef: Invalid value: must be a Server or HTTPRoute of policy.linkerd.io";
    let one_identity = "at most one may be a MeshTLSAuthentication or a ServiceAccount";
    let client = |client: Value| json!({ "server": { "name": "web" }, "client": client });
    vec![
        (V1ALPHA1, "AuthorizationPolicy", on(json!({ "group": "apps", "kind": "Deployment", "name": "a" })), target_message),
        (V1ALPHA1, "AuthorizationPolicy", on(json!({ "kind": "Server", "name": "a" })), target_message),
        (V1ALPHA1, "AuthorizationPolicy", on(json!({ "group": "policy.linkerd.io", "kind": "GRPCRoute", "name": "a" })), target_message),
        (V1ALPHA1, "AuthorizationPolicy", json!({ "targetRef": target }), "spec.requiredAuthenticationRefs: Required value"),
        (V1ALPHA1, "AuthorizationPolicy", policy(json!([mesh, mesh])), one_identity),
        (V1ALPHA1, "AuthorizationPolicy", policy(json!([mesh, account])), one_identity),
        (V1ALPHA1, "AuthorizationPolicy", policy(json!([account, account])), one_identity),
        (V1ALPHA1, "AuthorizationPolicy", policy(json!([network, mesh, network])), "at most one may be a NetworkAuthentication"),
        (V1ALPHA1, "AuthorizationPolicy", policy(json!([{ "kind": "Pod", "name": "a" }])), "spec.requiredAuthenticationRefs[0]: Invalid value: kind must be MeshTLSAuthentication, NetworkAuthentication or ServiceAccount"),
        (V1ALPHA1, "AuthorizationPolicy", policy(json!([{ "kind": "NetworkAuthentication", "name": "a" }])), "group must be policy.linkerd.io, or empty for a ServiceAccount"),
        (V1ALPHA1, "MeshTLSAuthentication", json!({}), "set exactly one of identities and identityRefs"),
        (V1ALPHA1, "MeshTLSAuthentication", json!({ "identities": ["*"], "identityRefs": [{ "kind": "Namespace", "name": "a" }] }), "set exactly one of identities and identityRefs"),
        (V1ALPHA1, "MeshTLSAuthentication", json!({ "identities": [] }), "spec.identities in body should have at least 1 items"),
        (V1ALPHA1, "MeshTLSAuthentication", json!({ "identityRefs": [{ "kind": "Pod", "name": "a" }] }), "spec.identityRefs[0]: Invalid value: kind must be ServiceAccount or Namespace"),
        (V1ALPHA1, "MeshTLSAuthentication", json!({ "identityRefs": [{ "kind": "ServiceAccount" }] }), "spec.identityRefs[0].name: Required value"),
        (V1ALPHA1, "MeshTLSAuthentication", json!({ "identityRefs": [{ "kind": "Namespace", "name": "a", "namespace": "a" }] }), "a Namespace is not in a namespace: remove the field namespace"),
        (V1ALPHA1, "NetworkAuthentication", json!({ "networks": [] }), "spec.networks in body should have at least 1 items"),
        (V1ALPHA1, "NetworkAuthentication", json!({ "networks": [{ "cidr": "10.0.0.0/64" }] }), "spec.networks[0].cidr in body must be of type cidr"),
        (V1ALPHA1, "NetworkAuthentication", json!({ "networks": [{ "cidr": "::/0", "except": ["10.0"] }] }), "spec.networks[0].except[0] in body must be of type cidr"),
        (V1BETA1, "ServerAuthorization", json!({ "server": {}, "client": {} }), "spec.server: Invalid value: set exactly one of name and selector"),
        (V1BETA1, "ServerAuthorization", client(json!({ "unauthenticated": true, "meshTLS": {} })), "unauthenticated must not be true beside meshTLS"),
        (V1ALPHA1, "ServerAuthorization", client(json!({ "meshTLS": { "unauthenticatedTLS": true, "identities": ["*"] } })), "unauthenticatedTLS must not be true beside identities or serviceAccounts"),
        (V1BETA1, "ServerAuthorization", client(json!({ "meshTLS": { "identities": ["a..b"] } })), "spec.client.meshTLS.identities[0]"),
    ]
}

#[rustfmt::skip]
fn limits_and_routes() -> Vec<Refusal> {
    let limit = |changes: Value| {
        let mut spec = json!({ "targetRef": { "group": "policy.linkerd.io", "kind": "Server", "name": "web" } });
        merge(&mut spec, &changes);
        spec
    };
    let rps = |rps: i64| json!({ "requestsPerSecond": rps });
    let rule = |rule: Value| json!({ "rules": [rule] });
    let path = |path: Value| rule(json!({ "matches": [{ "path": path }] }));
    let redirect = |path: Value| {
        rule(json!({ "filters": [{ "type": "RequestRedirect", "requestRedirect": { "path": path } }] }))
    };
    let egress = json!({ "parentRefs": [{ "kind": "EgressNetwork", "name": "out" }] });
    let port_message = "spec.parentRefs: Invalid value: an EgressNetwork as a parent needs a port";
    let redirect_message = "set replaceFullPath or replacePrefixMatch, to a path that starts with /";
    vec![
        (V1ALPHA1, "EgressNetwork", json!({ "trafficPolicy": "allow" }), "supported values: \"Allow\", \"Deny\""),
        (V1ALPHA1, "EgressNetwork", json!({ "trafficPolicy": "Deny", "networks": [] }), "spec.networks in body should have at least 1 items"),
        (V1ALPHA1, "HTTPLocalRateLimitPolicy", json!({ "targetRef": { "kind": "Deployment", "group": "apps", "name": "web" } }), "spec.targetRef: Invalid value: must be a Server of policy.linkerd.io"),
        (V1ALPHA1, "HTTPLocalRateLimitPolicy", limit(json!({ "total": rps(0) })), "spec.total.requestsPerSecond in body should be greater than or equal to 1"),
        (V1ALPHA1, "HTTPLocalRateLimitPolicy", limit(json!({ "total": rps(4_294_967_296) })), "spec.total.requestsPerSecond in body should be less than or equal to"),
        (V1ALPHA1, "HTTPLocalRateLimitPolicy", limit(json!({ "total": rps(10), "identity": rps(11) })), "identity.requestsPerSecond must not be more than total.requestsPerSecond"),
        (V1ALPHA1, "HTTPLocalRateLimitPolicy", limit(json!({ "total": rps(10), "overrides": [{ "requestsPerSecond": 11, "clientRefs": [] }] })), "an override's requestsPerSecond must not be more than total.requestsPerSecond"),
        (V1BETA3, "HTTPRoute", egress.clone(), port_message),
        (V1ALPHA1, "HTTPRoute", egress, port_message),
        (V1BETA3, "HTTPRoute", path(json!({ "value": "a" })), "spec.rules[0].matches[0].path: Invalid value: value must start with /"),
        (V1BETA2, "HTTPRoute", path(json!({ "type": "Exact", "value": "" })), "value must start with /"),
        (V1BETA3, "HTTPRoute", redirect(json!({ "type": "ReplaceFullPath" })), redirect_message),
        (V1BETA3, "HTTPRoute", redirect(json!({ "type": "ReplaceFullPath", "replaceFullPath": "a" })), redirect_message),
        (V1BETA3, "HTTPRoute", rule(json!({ "filters": [{ "type": "RequestRedirect" }] })), "a filter of type RequestRedirect needs requestRedirect"),
        (V1BETA3, "HTTPRoute", rule(json!({ "filters": [{ "type": "ResponseHeaderModifier" }] })), "supported values: \"RequestHeaderModifier\", \"RequestRedirect\""),
        (V1BETA3, "HTTPRoute", rule(json!({ "backendRefs": [{ "name": "a", "filters": [{ "type": "ResponseHeaderModifier" }] }] })), "set requestHeaderModifier, responseHeaderModifier or requestRedirect"),
        (V1BETA3, "HTTPRoute", rule(json!({ "timeouts": { "request": "-1s" } })), "spec.rules[0].timeouts: Invalid value: request must not be negative"),
        (V1BETA3, "HTTPRoute", rule(json!({ "timeouts": { "backendRequest": "-1ms" } })), "backendRequest must not be negative"),
        (V1BETA3, "HTTPRoute", rule(json!({ "timeouts": { "request": "5s", "backendRequest": "10s" } })), "backendRequest must not be more than request"),
        (V1BETA3, "HTTPRoute", rule(json!({ "timeouts": { "request": "soon" } })), "spec.rules[0].timeouts.request in body must be of type duration"),
        (V1BETA3, "HTTPRoute", json!({ "hostnames": ["a_b"] }), "spec.hostnames[0]"),
    ]
}

#[rustfmt::skip]
fn others() -> Vec<Refusal> {
    let budget = |ratio: f64, minimum: i32, ttl: &str| {
        json!({ "retryBudget": { "retryRatio": ratio, "minRetriesPerSecond": minimum, "ttl": ttl } })
    };
    let profile = "linkerd.io/v1alpha2";
    let tls = json!({ "identity": "vm", "serverName": "vm" });
    let three = json!([{ "ip": "192.0.2.1" }, { "ip": "192.0.2.2" }, { "ip": "::1" }]);
    vec![
        (profile, "ServiceProfile", json!({ "routes": [{ "name": "", "condition": { "method": "GET" } }] }), "spec.routes[0].name in body should be at least 1 chars long"),
        (profile, "ServiceProfile", json!({ "routes": [{ "name": "a" }] }), "spec.routes[0].condition: Required value"),
        (profile, "ServiceProfile", json!({ "routes": [{ "name": "a", "condition": {} }] }), "spec.routes[0].condition: Invalid value: set at least one of pathRegex, method, all, any and not"),
        (profile, "ServiceProfile", budget(-0.1, 0, "10s"), "spec.retryBudget.retryRatio in body should be greater than or equal to 0"),
        (profile, "ServiceProfile", budget(0.1, -1, "10s"), "spec.retryBudget.minRetriesPerSecond in body should be greater than or equal to 0"),
        (profile, "ServiceProfile", budget(0.1, 0, ""), "spec.retryBudget.ttl in body should be at least 1 chars long"),
        (profile, "ServiceProfile", json!({ "dstOverrides": [{ "weight": "lots" }] }), "spec.dstOverrides[0].weight"),
        ("linkerd.io/v1alpha1", "ServiceProfile", json!({}), "spec.routes: Required value"),
        ("workload.linkerd.io/v1beta1", "ExternalWorkload", json!({ "meshTls": tls }), "spec.meshTLS: Required value"),
        ("workload.linkerd.io/v1beta1", "ExternalWorkload", json!({ "meshTLS": { "identity": "", "serverName": "vm" } }), "spec.meshTLS.identity in body should be at least 1 chars long"),
        ("workload.linkerd.io/v1beta1", "ExternalWorkload", json!({ "meshTLS": tls, "workloadIPs": three }), "spec.workloadIPs: Too many: 3: must have at most 2 items"),
        ("workload.linkerd.io/v1alpha1", "ExternalWorkload", json!({ "meshTls": tls, "workloadIPs": [{}, {}] }), "must have at most 1 item"),
        ("multicluster.linkerd.io/v1alpha3", "Link", json!({ "probeSpec": { "timeout": "long" } }), "spec.probeSpec.timeout in body must be of type duration"),
    ]
}

#[tokio::test]
async fn what_cannot_work_is_refused_in_words_that_say_what_to_change() -> Result<()> {
    let cluster = cluster().await?;
    let namespace = cluster.namespace("refused").await?;
    let client = cluster.client()?;
    let mut wrong = Vec::new();
    let refusals = [servers(), authorizations(), limits_and_routes(), others()].concat();
    for (number, (api_version, kind, spec, message)) in refusals.into_iter().enumerate() {
        let object = object(api_version, kind, &format!("case-{number}"), &spec);
        let created = api(&client, namespace.name(), api_version, kind)
            .create(&PostParams::default(), &object)
            .await;
        match created {
            Err(kube::Error::Api(status))
                if status.code == 422 && status.message.contains(message) => {}
            Err(error) => wrong.push(format!(
                "{kind} {spec}\n  expected: {message}\n  is: {error}"
            )),
            Ok(_) => wrong.push(format!("{kind} {spec}\n  is not refused")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Odd, and in somebody's cluster: Linkerd's definitions and its webhook let it pass.
#[rustfmt::skip]
fn accepted() -> Vec<(&'static str, &'static str, Value)> {
    let selector = json!({ "matchExpressions": [{ "key": "a", "operator": "Exists", "values": ["b"] }] });
    let target = json!({ "group": "policy.linkerd.io", "kind": "server", "name": "web" });
    let many: Vec<Value> = (0..9000)
        .map(|number| json!({ "cidr": format!("10.{}.{}.0/24", number / 256, number % 256) }))
        .collect();
    vec![
        (V1BETA3, "Server", json!({ "podSelector": selector, "port": "" })),
        (V1ALPHA1, "AuthorizationPolicy", json!({ "targetRef": target, "requiredAuthenticationRefs": [] })),
        (V1ALPHA1, "AuthorizationPolicy", json!({ "targetRef": { "group": "core", "kind": "namespace", "name": "a" }, "requiredAuthenticationRefs": [{ "group": "core", "kind": "serviceAccount", "name": "a", "namespace": "" }] })),
        (V1ALPHA1, "AuthorizationPolicy", json!({ "targetRef": { "group": "gateway.networking.k8s.io", "kind": "GRPCRoute", "name": "a" }, "requiredAuthenticationRefs": [] })),
        (V1ALPHA1, "MeshTLSAuthentication", json!({ "identityRefs": [{ "group": "core", "kind": "SERVICEACCOUNT", "name": "a", "namespace": "" }] })),
        (V1ALPHA1, "NetworkAuthentication", json!({ "networks": [{ "cidr": "::ffff:10.0.0.0/104", "except": ["::ffff:10.0.0.1"] }] })),
        (V1ALPHA1, "NetworkAuthentication", json!({ "networks": many })),
        (V1BETA1, "ServerAuthorization", json!({ "server": { "selector": {} }, "client": {} })),
        (V1BETA1, "ServerAuthorization", json!({ "server": { "name": "a" }, "client": { "networks": [], "unauthenticated": true } })),
        (V1BETA1, "ServerAuthorization", json!({ "server": { "name": "a" }, "client": { "meshTLS": { "unauthenticatedTLS": true, "identities": [], "serviceAccounts": [] } } })),
        (V1ALPHA1, "HTTPLocalRateLimitPolicy", json!({ "targetRef": target, "identity": { "requestsPerSecond": 1 } })),
        (V1BETA3, "HTTPRoute", json!({ "rules": [] })),
        (V1BETA3, "HTTPRoute", json!({ "rules": [{ "backendRefs": [{ "name": "a", "filters": [{ "type": "RequestHeaderModifier", "requestRedirect": {} }] }] }] })),
        (V1BETA3, "HTTPRoute", json!({ "parentRefs": [{ "group": "", "kind": "Service", "name": "a" }, { "kind": "EgressNetwork", "group": "", "name": "not-ours" }] })),
        (V1BETA3, "HTTPRoute", json!({ "rules": [{ "matches": [{ "path": { "type": "RegularExpression", "value": "a" } }], "timeouts": { "request": "0s", "backendRequest": "0s" } }] })),
        (V1BETA1, "HTTPRoute", json!({ "parentRefs": [{ "name": "a", "port": 70000 }] })),
        ("linkerd.io/v1alpha2", "ServiceProfile", Value::Null),
        ("linkerd.io/v1alpha2", "ServiceProfile", json!({ "opaquePorts": ["25"], "dstOverrides": [{}], "routes": [{ "name": "a", "condition": { "not": [] }, "timeout": "" }] })),
        ("workload.linkerd.io/v1beta1", "ExternalWorkload", json!({ "meshTLS": { "identity": "a", "serverName": "b" }, "workloadIPs": [{ "ip": "not an address" }], "ports": [{ "port": 1, "protocol": "SCTP" }] })),
        ("multicluster.linkerd.io/v1alpha3", "Link", Value::Null),
        ("multicluster.linkerd.io/v1alpha3", "Link", json!({ "gatewayPort": "many" })),
    ]
}

#[tokio::test]
async fn what_clusters_have_today_is_accepted() -> Result<()> {
    let cluster = cluster().await?;
    let namespace = cluster.namespace("accepted").await?;
    let client = cluster.client()?;
    for (number, (api_version, kind, spec)) in accepted().into_iter().enumerate() {
        let object = object(api_version, kind, &format!("case-{number}"), &spec);
        if let Err(error) = api(&client, namespace.name(), api_version, kind)
            .create(&PostParams::default(), &object)
            .await
        {
            panic!("{kind} {spec}: {error}");
        }
    }
    Ok(())
}
