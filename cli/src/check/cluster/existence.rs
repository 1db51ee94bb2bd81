//! Whether the control plane is there, and runs.

use super::{
    look::{COMPONENT, Look},
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use ferrule_cluster::object::parse_net;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use std::net::IpAddr;

/// What the chart deploys.
pub(super) const COMPONENTS: [&str; 3] = ["destination", "identity", "proxy-injector"];

const NETWORKS: &str = "add the network to clusterNetworks of the chart's values: addresses outside \
                        of it are not looked up, and count as outside of the cluster";

const EXISTENCE: Row = Row {
    category: Category::Existence,
    after: &["l5d-existence-linkerd-config"],
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "l5d-existence-linkerd-config",
        title: "ConfigMap linkerd-config is there and can be read",
        severity: Severity::Fatal,
        after: ROW.after,
        needs: &[Need("get", "configmaps")],
        remedy: "name the control plane's namespace (-L NAME), or install the chart",
        run: |look| Box::pin(config(look)),
        ..EXISTENCE
    },
    Row {
        id: "l5d-existence-replicasets",
        title: "the control plane's ReplicaSets can make their pods",
        severity: Severity::Fatal,
        retried: true,
        needs: &[Need("list", "replicasets.apps")],
        remedy: "look at what refuses the pods: a quota, Pod Security, another webhook (kubectl \
                 -n <ns> describe rs)",
        run: |look| Box::pin(replica_sets(look)),
        ..EXISTENCE
    },
    Row {
        id: "l5d-existence-unschedulable-pods",
        title: "every pod of the control plane has a node",
        severity: Severity::Warning,
        retried: true,
        needs: &[Need("list", "pods")],
        remedy: "add nodes, or ask for less: resources, enablePodAntiAffinity (a node for each \
                 replica), nodeSelector, tolerations",
        run: |look| Box::pin(schedulable(look)),
        ..EXISTENCE
    },
    Row {
        id: "l5d-api-control-ready",
        title: "destination, identity and proxy-injector each have a pod that is ready",
        severity: Severity::Fatal,
        retried: true,
        after: &["l5d-existence-linkerd-config", "l5d-existence-replicasets"],
        needs: &[Need("list", "pods")],
        remedy: "ask the pod what it waits for: kubectl -n <ns> logs deploy/linkerd-NAME, and \
                 /ready of its port 9990",
        run: |look| Box::pin(ready(look)),
        ..EXISTENCE
    },
    Row {
        id: "l5d-cluster-networks-cidr",
        title: "the nodes' pod networks are in clusterNetworks",
        needs: &[Need("get", "configmaps"), Need("list", "nodes")],
        remedy: NETWORKS,
        run: |look| Box::pin(node_networks(look)),
        ..EXISTENCE
    },
    Row {
        id: "l5d-cluster-networks-pods",
        title: "all pods' addresses are in clusterNetworks",
        needs: &[Need("get", "configmaps"), Need("list", "pods")],
        remedy: NETWORKS,
        run: |look| Box::pin(pod_addresses(look)),
        ..EXISTENCE
    },
    Row {
        id: "l5d-cluster-networks-services",
        anchor: Some("l5d-cluster-networks-pods"),
        title: "all Services' addresses are in clusterNetworks",
        needs: &[Need("get", "configmaps"), Need("list", "services")],
        remedy: NETWORKS,
        run: |look| Box::pin(service_addresses(look)),
        ..EXISTENCE
    },
];

async fn config(look: &Look) -> Answer {
    let Some(settings) = look.settings().await? else {
        let namespace = look.namespace();
        return Err(Problem::found(format!(
            "there is no ConfigMap {namespace}/linkerd-config"
        )));
    };
    none_of(settings.problems.iter().cloned())
}

async fn replica_sets(look: &Look) -> Answer {
    none_of(look.replica_sets().await?.iter().filter_map(|set| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        let mut failures = conditions.iter();
        let failure = failures.find(|one| one.type_ == "ReplicaFailure" && one.status == "True")?;
        let why = failure.message.as_ref().or(failure.reason.as_ref());
        let why = why.map_or("no reason is given", String::as_str);
        Some(format!("replicaset {}: {why}", set.name_any()))
    }))
}

async fn schedulable(look: &Look) -> Answer {
    none_of(look.control_pods().await?.iter().filter_map(|pod| {
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let mut all = conditions.iter();
        let wants = all.find(|one| {
            one.type_ == "PodScheduled" && one.reason.as_deref() == Some("Unschedulable")
        })?;
        let why = wants.message.as_deref().unwrap_or("unschedulable");
        Some(format!("pod {}: {why}", pod.name_any()))
    }))
}

/// Whether its readiness probes succeed.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut conditions = conditions;
    conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

/// Pods of a component that are not about to go.
pub(super) fn pods_of<'a>(pods: &'a [Pod], component: &str) -> impl Iterator<Item = &'a Pod> {
    pods.iter().filter(move |pod| {
        let is_going = pod.metadata.deletion_timestamp.is_some();
        !is_going
            && pod
                .labels()
                .get(COMPONENT)
                .is_some_and(|of| of == component)
    })
}

async fn ready(look: &Look) -> Answer {
    let pods = look.control_pods().await?;
    none_of(COMPONENTS.into_iter().filter_map(|component| {
        let of: Vec<_> = pods_of(pods, component).collect();
        if of.iter().any(|pod| is_ready(pod)) {
            return None;
        }
        Some(match of.first() {
            None => format!("{component}: there is no pod with {COMPONENT}={component}"),
            Some(pod) => format!(
                "{component}: pod {} is not ready{}",
                pod.name_any(),
                why(pod)
            ),
        })
    }))
}

/// What its containers wait for.
fn why(pod: &Pod) -> String {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let mut reasons = statuses.filter_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        waiting.message.as_ref().or(waiting.reason.as_ref())
    });
    reasons
        .next()
        .map_or_else(String::new, |reason| format!(": {reason}"))
}

/// The networks of the chart's values.
async fn networks(look: &Look) -> Result<Vec<IpNet>, Problem> {
    let Some(settings) = look.settings().await? else {
        return Err(Problem::not_applicable("there is no linkerd-config"));
    };
    let text = &settings.values.cluster_networks;
    let all = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    let all: Result<Vec<_>, _> = all.map(parse_net).collect();
    all.map_err(|error| Problem::found(format!("clusterNetworks: {error}")))
}

fn outside(networks: &[IpNet], ip: IpAddr) -> bool {
    !networks.iter().any(|network| network.contains(&ip))
}

async fn node_networks(look: &Look) -> Answer {
    let networks = networks(look).await?;
    let mut found = Vec::new();
    for node in look.nodes().await? {
        let spec = node.spec.iter();
        let cidrs = spec.flat_map(|spec| spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr));
        found.extend(cidrs.map(|cidr| (node.name_any(), cidr)));
    }
    if found.is_empty() {
        return Err(Problem::not_applicable("no node has a pod network"));
    }
    found.dedup();
    none_of(found.into_iter().filter_map(|(node, cidr)| {
        let net = cidr.parse::<IpNet>().ok()?;
        let is_in = networks.iter().any(|network| network.contains(&net));
        (!is_in).then(|| format!("node {node}: {cidr}"))
    }))
}

async fn pod_addresses(look: &Look) -> Answer {
    let networks = networks(look).await?;
    let pods = &look.pods().await?.addresses;
    let outside = pods.iter().filter(|(ip, _)| outside(&networks, *ip));
    none_of(outside.map(|(ip, name)| format!("pod {name}: {ip}")))
}

async fn service_addresses(look: &Look) -> Answer {
    let networks = networks(look).await?;
    none_of(look.services().await?.iter().flat_map(|service| {
        let namespace = service.namespace().unwrap_or_default();
        let name = format!("Service {namespace}/{}", service.name_any());
        let ips = service
            .spec
            .iter()
            .flat_map(|spec| spec.cluster_ips.iter().flatten());
        let ips = ips.filter_map(|ip| ip.parse().ok());
        let outside: Vec<_> = ips.filter(|ip| outside(&networks, *ip)).collect();
        outside.into_iter().map(move |ip| format!("{name}: {ip}"))
    }))
}
