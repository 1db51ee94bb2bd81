//! How the control plane fares: who writes, its version, its replicas.

use super::{
    existence::COMPONENTS,
    identity::ours,
    look::{COMPONENT, Look},
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use crate::output::span;
use ferrule_cluster::object::DefaultPolicy;
use ferrule_identity::RESTARTS_LEASE;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use std::collections::BTreeMap;

/// Charts label what they deploy with their version.
const VERSION: &str = "app.kubernetes.io/version";
const EXTENSION: &str = "linkerd.io/extension";
/// Clocks differ, and our look takes time.
const LENIENCE: SignedDuration = SignedDuration::from_secs(10);
/// Anti-affinity wants a node for each replica.
const HA_NODES: usize = 3;

const CONTROL_PLANE: Row = Row {
    category: Category::ControlPlane,
    severity: Severity::Warning,
    after: &["l5d-existence-ns"],
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "l5d-version-control",
        category: Category::Version,
        title: "the control plane's version is known",
        severity: Severity::Fatal,
        retried: true,
        needs: &[Need("list", "deployments.apps")],
        remedy: "its Deployments carry it as the label app.kubernetes.io/version: apply the chart \
                 again",
        run: |look| Box::pin(async { versions(look).await.map(drop) }),
        ..CONTROL_PLANE
    },
    Row {
        id: "l5d-version-control-mismatched",
        category: Category::Version,
        title: "the control plane's version is this command's, or the one that is expected",
        after: &["l5d-version-control"],
        needs: &[Need("list", "deployments.apps")],
        remedy: "upgrade the older one: helm upgrade for the control plane; the command is in the \
                 release",
        run: |look| {
            Box::pin(async {
                let (wanted, whose) = look.scope.versions.wanted();
                let versions = versions(look).await?.into_iter();
                none_of(
                    versions
                        .filter(|(_, version)| version != wanted)
                        .map(|(name, version)| {
                            format!("Deployment {name} is version {version}, {whose} {wanted}")
                        }),
                )
            })
        },
        ..CONTROL_PLANE
    },
    Row {
        id: "ferrule-write-leases",
        title: "for all that is written one replica holds the Lease, and renews it",
        retried: true,
        after: &["l5d-api-control-ready"],
        needs: &[
            Need("list", "leases.coordination.k8s.io"),
            Need("get", "configmaps"),
            Need("get", "secrets"),
        ],
        remedy: "a Lease that nobody renews: see that a pod of its role runs and may patch it \
                 (kubectl -n <ns> get leases, and the logs). Until then statuses of routes, \
                 certificates of webhooks or the issuer are not written, and no workload is \
                 restarted",
        run: |look| Box::pin(leases(look)),
        ..CONTROL_PLANE
    },
    Row {
        id: "ferrule-default-deny-probes",
        title: "where not everybody may call by default, probes may",
        after: &["l5d-existence-linkerd-config"],
        needs: &[Need("get", "configmaps"), Need("list", "namespaces")],
        remedy: "set policyController.probeNetworks to the networks of the nodes (0.0.0.0/0 and \
                 ::/0 by default), or let kubelets in by policies for each port: else pods with \
                 probes are never ready",
        run: |look| Box::pin(default_deny(look)),
        ..CONTROL_PLANE
    },
    Row {
        id: "ferrule-token-projection",
        anchor: Some("ferrule-bound-tokens"),
        title: "proxies are given tokens that end with their pods, and are good for identity alone",
        after: &["l5d-existence-linkerd-config"],
        needs: &[Need("get", "configmaps")],
        remedy: "set identity.serviceAccountTokenProjection: true in the chart's values and restart \
                 the workloads",
        run: |look| {
            Box::pin(async {
                let settings = look.settings().await?;
                let is_off = settings.is_some_and(|settings| !settings.values.token_projection);
                none_of(is_off.then(|| {
                    "identity.serviceAccountTokenProjection is false: proxies show the tokens that \
                 their pods use with the API server"
                        .to_owned()
                }))
            })
        },
        ..CONTROL_PLANE
    },
    Row {
        id: "l5d-control-plane-replicas",
        category: Category::HighAvailability,
        title: "in high availability each component has several replicas that are available",
        retried: true,
        after: &["l5d-existence-linkerd-config"],
        needs: &[Need("get", "configmaps"), Need("list", "deployments.apps")],
        remedy: "set controllerReplicas to 3, and see that there are nodes for them",
        run: |look| Box::pin(replicas(look)),
        ..CONTROL_PLANE
    },
    Row {
        id: "l5d-ha-nodes",
        category: Category::HighAvailability,
        title: "in high availability there are at least three nodes",
        after: &["l5d-existence-linkerd-config"],
        needs: &[Need("get", "configmaps"), Need("list", "nodes")],
        remedy: "add nodes: replicas do not share one, and an upgrade needs one to spare",
        run: |look| Box::pin(nodes(look)),
        ..CONTROL_PLANE
    },
    Row {
        id: "l5d-extension-namespaces",
        category: Category::Extensions,
        title: "no extension is in two namespaces",
        after: ROW.after,
        needs: &[Need("list", "namespaces")],
        remedy: "take the label linkerd.io/extension off the namespace that is not the extension's",
        run: |look| Box::pin(extensions(look)),
        ..CONTROL_PLANE
    },
];

/// Of each of the control plane's Deployments.
async fn versions(look: &Look) -> Result<BTreeMap<String, String>, Problem> {
    let deployments = look.deployments().await?;
    if deployments.is_empty() {
        return Err(Problem::found(format!(
            "there is no Deployment with the label {COMPONENT}"
        )));
    }
    let mut versions = BTreeMap::new();
    for deployment in deployments {
        let name = deployment.name_any();
        let Some(version) = deployment.labels().get(VERSION) else {
            return Err(Problem::found(format!(
                "Deployment {name} has no label {VERSION}"
            )));
        };
        versions.insert(name, version.clone());
    }
    Ok(versions)
}

async fn leases(look: &Look) -> Answer {
    let leases = look.leases().await?;
    let is_managed =
        async |secret: &'static str| Ok::<_, Problem>(look.secret(secret).await?.is_some());
    let settings = look.settings().await?;
    let restarts = settings
        .is_some_and(|settings| settings.flag("identity.trustAnchorRotation.restartWorkloads"));
    let mut wanted = vec!["policy-controller-write"];
    if is_managed("ferrule-webhook-ca").await? {
        wanted.push("ferrule-webhook-ca");
    }
    if ours(look).await? {
        wanted.push("ferrule-ca");
    }
    if restarts {
        wanted.push(RESTARTS_LEASE);
    }
    none_of(wanted.into_iter().filter_map(|name| {
        let lease = leases.iter().find(|lease| lease.name_any() == name);
        let problem = match lease {
            None => Some("nobody has made it".to_owned()),
            Some(lease) => stale(lease, look.now),
        };
        problem.map(|problem| format!("Lease {name}: {problem}"))
    }))
}

/// Why nobody holds it now.
fn stale(lease: &Lease, now: Timestamp) -> Option<String> {
    let nobody = || Some("nobody holds it".to_owned());
    let Some(spec) = &lease.spec else {
        return nobody();
    };
    let Some(holder) = spec
        .holder_identity
        .as_ref()
        .filter(|holder| !holder.is_empty())
    else {
        return nobody();
    };
    let Some(renewed) = &spec.renew_time else {
        return Some(format!("{holder} holds it and has never renewed it"));
    };
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(0).into());
    let age = now.duration_since(renewed.0);
    (age > lasts + LENIENCE).then(|| {
        let (ago, lasts) = (span(age.as_secs()), span(lasts.as_secs()));
        format!("{holder} has not renewed it for {ago}; it lasts {lasts}")
    })
}

async fn default_deny(look: &Look) -> Answer {
    const POLICY: &str = "config.linkerd.io/default-inbound-policy";
    let Some(settings) = look.settings().await? else {
        return Err(Problem::not_applicable("there is no linkerd-config"));
    };
    let networks = settings.at("policyController.probeNetworks").as_array();
    if networks.is_none_or(|networks| !networks.is_empty()) {
        return Ok(());
    }
    let denied = |who: String, policy: Option<&str>| {
        let policy = policy.filter(|policy| refuses_kubelets(policy))?;
        Some(format!(
            "{who} is {policy} and policyController.probeNetworks is empty"
        ))
    };
    let default = settings.text("proxy.defaultInboundPolicy");
    let default = denied("proxy.defaultInboundPolicy".to_owned(), default);
    let of_namespaces = look.namespaces().await?.iter().filter_map(|of| {
        let policy = of.annotations().get(POLICY).map(String::as_str);
        denied(format!("namespace {}: {POLICY}", of.name_any()), policy)
    });
    none_of(default.into_iter().chain(of_namespaces))
}

/// Whether a policy lets in nobody without an identity of the mesh: kubelets have none. What
/// lets anybody in from the cluster's networks lets in the nodes that are there.
fn refuses_kubelets(policy: &str) -> bool {
    match policy.parse() {
        Ok(
            DefaultPolicy::AllAuthenticated
            | DefaultPolicy::ClusterAuthenticated
            | DefaultPolicy::Deny,
        ) => true,
        Ok(
            DefaultPolicy::AllUnauthenticated
            | DefaultPolicy::ClusterUnauthenticated
            | DefaultPolicy::Audit,
        )
        // Nobody understands it, which others say.
        | Err(_) => false,
    }
}

/// Goes on only where the chart was installed with several replicas in mind.
async fn is_ha(look: &Look) -> Result<(), Problem> {
    let settings = look.settings().await?;
    match settings.is_some_and(|settings| settings.flag("highAvailability")) {
        true => Ok(()),
        false => Err(Problem::not_applicable("highAvailability is not set")),
    }
}

async fn replicas(look: &Look) -> Answer {
    is_ha(look).await?;
    let deployments = look.deployments().await?;
    none_of(COMPONENTS.into_iter().filter_map(|component| {
        let of = deployments.iter().find(|deployment| {
            deployment
                .labels()
                .get(COMPONENT)
                .is_some_and(|of| of == component)
        });
        let status = of.and_then(|of| of.status.as_ref());
        let available = status
            .and_then(|status| status.available_replicas)
            .unwrap_or(0);
        (available < 2).then(|| format!("{component}: {available} available, expected at least 2"))
    }))
}

async fn nodes(look: &Look) -> Answer {
    is_ha(look).await?;
    let nodes = look.nodes().await?.iter();
    let usable = nodes.filter(|node| {
        let spec = node.spec.as_ref();
        !spec.and_then(|spec| spec.unschedulable).unwrap_or_default()
    });
    let count = usable.count();
    none_of((count < HA_NODES).then(|| format!("there are {count} that pods may be put on")))
}

async fn extensions(look: &Look) -> Answer {
    let mut of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for namespace in look.namespaces().await? {
        if let Some(extension) = namespace.labels().get(EXTENSION) {
            of.entry(extension).or_default().push(namespace.name_any());
        }
    }
    let doubled = of
        .into_iter()
        .filter(|(_, namespaces)| namespaces.len() > 1);
    none_of(doubled.map(|(extension, namespaces)| {
        format!("{extension} is in namespaces {}", namespaces.join(", "))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_lease_is_stale_when_its_time_is_over() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for (holder, renewed, told) in [
            (json!("a"), json!("2026-01-01T11:59:40.000000Z"), None),
            (
                json!("a"),
                json!("2026-01-01T11:57:00.000000Z"),
                Some("for 3m; it lasts 30s"),
            ),
            (
                json!(null),
                json!("2026-01-01T11:59:50.000000Z"),
                Some("nobody holds it"),
            ),
            (json!(""), json!(null), Some("nobody holds it")),
            (json!("a"), json!(null), Some("never renewed")),
        ] {
            let lease: Lease = serde_json::from_value(json!({
                "metadata": {"name": "ferrule-ca"},
                "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 30},
            }))
            .unwrap();
            let found = stale(&lease, now);
            assert_eq!(found.is_some(), told.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(told.unwrap_or_default()));
        }
    }
}
