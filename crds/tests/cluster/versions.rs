//! Objects of every served version: written, completed with defaults, read back, and read by our
//! types.

use std::collections::BTreeSet;

use anyhow::Result;
use kube::api::PostParams;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{api, cluster, object};

/// An object as it is written, and what is read back of it.
struct Case {
    api_version: &'static str,
    kind: String,
    spec: Value,
    read: Value,
    /// Reads an object as our type of that version, and writes it again.
    typed: fn(Value) -> Result<Value>,
}

fn through<T: DeserializeOwned + Serialize>(object: Value) -> Result<Value> {
    let typed: T = serde_json::from_value(object)?;
    Ok(serde_json::to_value(typed)?)
}

fn case<T: DeserializeOwned + Serialize + kube::Resource<DynamicType = ()>>(
    api_version: &'static str,
    spec: Value,
    read: Value,
) -> Case {
    Case {
        api_version,
        kind: T::kind(&()).into_owned(),
        spec,
        read,
        typed: through::<T>,
    }
}

/// An object to which nothing is added.
fn plain<T: DeserializeOwned + Serialize + kube::Resource<DynamicType = ()>>(
    api_version: &'static str,
    spec: Value,
) -> Case {
    case::<T>(api_version, spec.clone(), spec)
}

fn cases() -> Vec<Case> {
    let mut cases = policies();
    cases.extend(servers());
    cases.extend(routes());
    cases.extend(others());
    cases
}

fn policies() -> Vec<Case> {
    use ferrule_crds::{
        AuthorizationPolicy, EgressNetwork, HttpLocalRateLimitPolicy, MeshTlsAuthentication,
        NetworkAuthentication, ServerAuthorization,
    };
    let v1alpha1 = "policy.linkerd.io/v1alpha1";
    let authorization = json!({
        "server": { "selector": { "matchLabels": { "app": "web" }, "matchExpressions": [
            { "key": "tier", "operator": "NotIn", "values": ["edge"] },
            { "key": "beta", "operator": "DoesNotExist" },
        ] } },
        "client": {
            "networks": [{ "cidr": "10.0.0.1/24", "except": ["10.0.0.7", "10.0.0.8/31"] }],
            "unauthenticated": false,
            "meshTLS": {
                "identities": ["*.prod.serviceaccount.identity.linkerd.cluster.local", "*"],
                "serviceAccounts": [{ "name": "web" }, { "name": "web", "namespace": "prod" }],
            },
        },
    });
    vec![
        plain::<AuthorizationPolicy>(
            v1alpha1,
            json!({
                "targetRef": { "group": "policy.linkerd.io", "kind": "Server", "name": "web" },
                "requiredAuthenticationRefs": [
                    { "group": "policy.linkerd.io", "kind": "MeshTLSAuthentication", "name": "a" },
                    { "group": "policy.linkerd.io", "kind": "NetworkAuthentication", "name": "b",
                      "namespace": "elsewhere" },
                ],
            }),
        ),
        plain::<MeshTlsAuthentication>(
            v1alpha1,
            json!({ "identities": ["*.a.b", "spiffe://trust/web"] }),
        ),
        plain::<MeshTlsAuthentication>(
            v1alpha1,
            json!({ "identityRefs": [
                { "kind": "ServiceAccount", "name": "web", "namespace": "prod" },
                { "group": "", "kind": "Namespace", "name": "prod" },
            ] }),
        ),
        plain::<NetworkAuthentication>(
            v1alpha1,
            json!({ "networks": [
                { "cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"] }, { "cidr": "fd00::1" },
            ] }),
        ),
        plain::<EgressNetwork>(
            v1alpha1,
            json!({ "trafficPolicy": "Deny", "networks": [{ "cidr": "::/0" }] }),
        ),
        plain::<HttpLocalRateLimitPolicy>(
            v1alpha1,
            json!({
                "targetRef": { "group": "policy.linkerd.io", "kind": "Server", "name": "web" },
                "total": { "requestsPerSecond": 100 },
                "identity": { "requestsPerSecond": 20 },
                "overrides": [{ "requestsPerSecond": 50, "clientRefs": [
                    { "kind": "ServiceAccount", "name": "batch", "namespace": "prod" },
                ] }],
            }),
        ),
        // The types of both versions are one.
        Case {
            typed: |mut object| {
                object["apiVersion"] = json!("policy.linkerd.io/v1beta1");
                let mut object = through::<ServerAuthorization>(object)?;
                object["apiVersion"] = json!("policy.linkerd.io/v1alpha1");
                Ok(object)
            },
            ..plain::<ServerAuthorization>(v1alpha1, authorization.clone())
        },
        plain::<ServerAuthorization>("policy.linkerd.io/v1beta1", authorization),
    ]
}

fn servers() -> Vec<Case> {
    use ferrule_crds::server::{v1alpha1, v1beta1, v1beta2, v1beta3};
    let labels = json!({ "matchLabels": { "app": "web" } });
    vec![
        case::<v1alpha1::Server>(
            "policy.linkerd.io/v1alpha1",
            json!({ "podSelector": labels, "port": 8080 }),
            json!({ "podSelector": labels, "port": 8080, "proxyProtocol": "unknown" }),
        ),
        case::<v1beta1::Server>(
            "policy.linkerd.io/v1beta1",
            json!({ "podSelector": {}, "port": "http" }),
            json!({ "podSelector": {}, "port": "http", "proxyProtocol": "unknown" }),
        ),
        plain::<v1beta2::Server>(
            "policy.linkerd.io/v1beta2",
            json!({ "externalWorkloadSelector": labels, "port": "8080", "proxyProtocol": "gRPC" }),
        ),
        case::<v1beta3::Server>(
            "policy.linkerd.io/v1beta3",
            json!({ "podSelector": labels, "port": 65535, "proxyProtocol": "HTTP/2" }),
            json!({ "podSelector": labels, "port": 65535, "proxyProtocol": "HTTP/2",
                    "accessPolicy": "deny" }),
        ),
    ]
}

fn routes() -> Vec<Case> {
    use ferrule_crds::http_route::{v1beta1, v1beta2, v1beta3};
    let all = json!([{ "path": { "type": "PathPrefix", "value": "/" } }]);
    let parent = json!({ "group": "policy.linkerd.io", "kind": "Server", "name": "web" });
    let old = json!({
        "parentRefs": [parent],
        "rules": [{ "backendRefs": [{ "name": "web", "port": 80 }, { "namespace": "b" }] }],
    });
    let old_read = json!({
        "parentRefs": [parent],
        "rules": [{ "matches": all, "backendRefs": [
            { "name": "web", "port": 80, "namespace": "default" }, { "namespace": "b" },
        ] }],
    });
    let mut rule = json!({
        "matches": [
            { "path": { "type": "RegularExpression", "value": "/a.*" }, "method": "GET" },
            { "headers": [{ "name": "x-a", "value": "1" }],
              "queryParams": [{ "type": "RegularExpression", "name": "q", "value": ".*" }] },
        ],
        "filters": [
            { "type": "RequestHeaderModifier", "requestHeaderModifier": {
                "set": [{ "name": "a", "value": "b" }], "add": [{ "name": "c", "value": "d" }],
                "remove": ["e"] } },
            { "type": "RequestRedirect", "requestRedirect": { "scheme": "https", "port": 443,
                "hostname": "a.b", "path": { "type": "ReplaceFullPath", "replaceFullPath": "/" } } },
        ],
        "backendRefs": [{ "name": "web", "port": 80, "filters": [
            { "type": "ResponseHeaderModifier", "responseHeaderModifier": { "remove": ["x"] } },
        ] }, { "kind": "EgressNetwork", "group": "policy.linkerd.io", "name": "out", "weight": 0 }],
    });
    let mut rule_read = rule.clone();
    rule_read["matches"][1]["path"] = all[0]["path"].clone();
    rule_read["matches"][1]["headers"][0]["type"] = json!("Exact");
    rule_read["filters"][1]["requestRedirect"]["statusCode"] = json!(302);
    rule_read["backendRefs"][0]["group"] = json!("");
    rule_read["backendRefs"][0]["kind"] = json!("Service");
    rule_read["backendRefs"][0]["weight"] = json!(1);
    let v1beta2 = case::<v1beta2::HttpRoute>(
        "policy.linkerd.io/v1beta2",
        json!({ "hostnames": ["*.a.b"], "rules": [rule] }),
        json!({ "hostnames": ["*.a.b"], "rules": [rule_read] }),
    );
    rule["timeouts"] = json!({ "request": "1m30s", "backendRequest": "10s" });
    rule_read["timeouts"] = rule["timeouts"].clone();
    vec![
        Case {
            typed: |mut object| {
                object["apiVersion"] = json!("policy.linkerd.io/v1beta1");
                let mut object = through::<v1beta1::HttpRoute>(object)?;
                object["apiVersion"] = json!("policy.linkerd.io/v1alpha1");
                Ok(object)
            },
            ..case::<v1beta1::HttpRoute>(
                "policy.linkerd.io/v1alpha1",
                old.clone(),
                old_read.clone(),
            )
        },
        case::<v1beta1::HttpRoute>("policy.linkerd.io/v1beta1", old, old_read),
        v1beta2,
        case::<v1beta3::HttpRoute>(
            "policy.linkerd.io/v1beta3",
            json!({ "rules": [rule] }),
            json!({ "rules": [rule_read] }),
        ),
        // What a user who thinks of a Service gets: neither group nor kind is one of a Service.
        case::<v1beta3::HttpRoute>(
            "policy.linkerd.io/v1beta3",
            json!({ "parentRefs": [{ "name": "web" }] }),
            json!({
                "parentRefs": [{ "group": "policy.linkerd.io", "kind": "Gateway", "name": "web" }],
                "rules": [{ "matches": all }],
            }),
        ),
    ]
}

fn others() -> Vec<Case> {
    use ferrule_crds::{external_workload, link, service_profile};
    let profile = json!({
        "routes": [{
            "name": "GET /", "isRetryable": true, "timeout": "10s",
            "condition": { "method": "GET", "all": [{ "not": { "pathRegex": "/health" } }] },
            "responseClasses": [{ "isFailure": true, "condition": {
                "status": { "min": 500, "max": 599 }, "not": { "status": { "min": 501 } } } }],
        }],
        "retryBudget": { "retryRatio": 0.25, "minRetriesPerSecond": 10, "ttl": "10s" },
        "dstOverrides": [{ "authority": "web.shop:80", "weight": "500m" },
                         { "authority": "web-2.shop:80", "weight": 1 }],
    });
    let tls = json!({ "identity": "vm.example", "serverName": "vm.example" });
    let selector = json!({ "matchLabels": { "mirror.linkerd.io/exported": "true" } });
    let mut link = json!({
        "clusterCredentialsSecret": "cluster-credentials-east", "targetClusterName": "east",
        "targetClusterDomain": "cluster.local", "targetClusterLinkerdNamespace": "linkerd",
        "gatewayAddress": "192.0.2.1", "gatewayIdentity": "gateway.example", "gatewayPort": "4143",
        "probeSpec": { "path": "/ready", "period": "3s", "port": "4191" },
        "selector": selector, "remoteDiscoverySelector": selector,
    });
    let read = |link: &Value| {
        let mut link = link.clone();
        link["probeSpec"]["failureThreshold"] = json!("3");
        link["probeSpec"]["timeout"] = json!("30s");
        link
    };
    let mut first = link.clone();
    // Any text, in this version.
    first["probeSpec"]["period"] = json!("3");
    let mut cases = vec![
        plain::<service_profile::v1alpha1::ServiceProfile>("linkerd.io/v1alpha1", profile.clone()),
        plain::<service_profile::v1alpha2::ServiceProfile>("linkerd.io/v1alpha2", profile),
        plain::<service_profile::v1alpha2::ServiceProfile>("linkerd.io/v1alpha2", json!({})),
        case::<external_workload::v1alpha1::ExternalWorkload>(
            "workload.linkerd.io/v1alpha1",
            json!({ "meshTls": tls, "ports": [{ "port": 80 }],
                    "workloadIPs": [{ "ip": "192.0.2.1" }] }),
            // `v1beta1`, which is stored, spells `meshTLS`.
            json!({ "ports": [{ "port": 80, "protocol": "TCP" }],
                    "workloadIPs": [{ "ip": "192.0.2.1" }] }),
        ),
        plain::<external_workload::v1beta1::ExternalWorkload>(
            "workload.linkerd.io/v1beta1",
            json!({ "meshTLS": tls,
                    "ports": [{ "port": 80, "name": "http", "protocol": "UDP" }],
                    "workloadIPs": [{ "ip": "192.0.2.1" }, { "ip": "2001:db8::1" }] }),
        ),
        case::<link::v1alpha1::Link>(
            "multicluster.linkerd.io/v1alpha1",
            first.clone(),
            read(&first),
        ),
    ];
    link["federatedServiceSelector"] = selector.clone();
    cases.push(case::<link::v1alpha2::Link>(
        "multicluster.linkerd.io/v1alpha2",
        link.clone(),
        read(&link),
    ));
    link["excludedAnnotations"] = json!(["a/*"]);
    link["excludedLabels"] = json!(["b"]);
    cases.push(case::<link::v1alpha3::Link>(
        "multicluster.linkerd.io/v1alpha3",
        link.clone(),
        read(&link),
    ));
    cases
}

#[tokio::test]
async fn objects_of_every_served_version_are_read_as_they_were_written() -> Result<()> {
    let cluster = cluster().await?;
    let namespace = cluster.namespace("versions").await?;
    let client = cluster.client()?;
    for (number, case) in cases().into_iter().enumerate() {
        let what = format!("{} {} (case {number})", case.api_version, case.kind);
        let name = format!("case-{number}");
        let api = api(&client, namespace.name(), case.api_version, &case.kind);
        api.create(
            &PostParams::default(),
            &object(case.api_version, &case.kind, &name, &case.spec),
        )
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
        let read = serde_json::to_value(api.get(&name).await?)?;
        assert_eq!(read["spec"], case.read, "{what}");
        let again = (case.typed)(read.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(again["spec"], case.read, "{what}: as our type");
        assert_eq!(again["apiVersion"], case.api_version);
        assert_eq!(again["kind"], case.kind);
    }
    Ok(())
}

#[test]
fn no_served_version_is_left_out_here() {
    let tried: BTreeSet<(String, String)> = cases()
        .into_iter()
        .map(|case| (case.api_version.to_owned(), case.kind))
        .collect();
    let served: BTreeSet<(String, String)> = ferrule_crds::all()
        .into_iter()
        .flat_map(|crd| {
            let spec = crd.spec;
            spec.versions
                .into_iter()
                .filter(|version| version.served)
                .map(move |version| {
                    (
                        format!("{}/{}", spec.group, version.name),
                        spec.names.kind.clone(),
                    )
                })
        })
        .collect();
    assert_eq!(tried, served);
}

/// One object that a type cannot read makes a list of all unreadable.
#[tokio::test]
async fn every_type_reads_what_was_written_through_any_other_version() -> Result<()> {
    let cluster = cluster().await?;
    let namespace = cluster.namespace("any-version").await?;
    let client = cluster.client()?;
    for (number, written) in cases().into_iter().enumerate() {
        let name = format!("case-{number}");
        api(
            &client,
            namespace.name(),
            written.api_version,
            &written.kind,
        )
        .create(
            &PostParams::default(),
            &object(written.api_version, &written.kind, &name, &written.spec),
        )
        .await?;
        let group = written.api_version.split_once('/').unwrap().0;
        for reader in cases() {
            let same_group = reader.api_version.split_once('/').unwrap().0 == group;
            if !same_group || reader.kind != written.kind {
                continue;
            }
            let api = api(&client, namespace.name(), reader.api_version, &reader.kind);
            let read = serde_json::to_value(api.get(&name).await?)?;
            if let Err(error) = (reader.typed)(read.clone()) {
                panic!(
                    "{} written as {}, read as {}: {error}: {read:#}",
                    written.kind, written.api_version, reader.api_version
                );
            }
        }
    }
    Ok(())
}

/// All versions are one object, and each shows of it what its schema has.
#[tokio::test]
async fn an_older_version_is_the_newer_one_without_what_it_lacks() -> Result<()> {
    let cluster = cluster().await?;
    let namespace = cluster.namespace("one-object").await?;
    let client = cluster.client()?;
    let of = |version: &str| {
        let version = format!("policy.linkerd.io/{version}");
        api(&client, namespace.name(), &version, "Server")
    };
    let spec = json!({ "podSelector": {}, "port": 80, "accessPolicy": "audit" });
    let server = object("policy.linkerd.io/v1beta3", "Server", "web", &spec);
    of("v1beta3")
        .create(&PostParams::default(), &server)
        .await?;
    for (version, access_policy) in [
        ("v1alpha1", Value::Null),
        ("v1beta1", Value::Null),
        ("v1beta2", Value::Null),
        ("v1beta3", json!("audit")),
    ] {
        let read = of(version).get("web").await?;
        assert_eq!(read.data["spec"]["port"], 80, "{version}");
        assert_eq!(
            read.data["spec"]["accessPolicy"], access_policy,
            "{version}"
        );
    }
    Ok(())
}
