//! Workloads and their proxies.

use super::{
    look::Look,
    read::get,
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use crate::{
    identity::Comparison,
    mesh_pod::{MeshPod, Token},
};
use ferrule_cluster::object::{DEFAULT_OPAQUE_PORTS, PortSet};
use ferrule_identity::TOKEN_AUDIENCE;
use ferrule_proxy_injector::OPAQUE_PORTS;
use k8s_openapi::{
    api::core::v1::{Namespace, Service, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt as _;
use std::collections::{BTreeMap, BTreeSet};

const PODS: &[Need] = &[Need("list", "pods")];
const RESTART: &str = "restart the workloads: kubectl rollout restart -n NAMESPACE KIND/NAME";
/// Labels of Services that were mirrored from other clusters.
const MIRRORED: &str = "mirror.linkerd.io/mirrored-service";
const MIRROR_LABELS: [&str; 2] = [
    "mirror.linkerd.io/mirrored-gateway",
    "mirror.linkerd.io/cluster-name",
];

const DATA_PLANE: Row = Row {
    category: Category::DataPlane,
    severity: Severity::Warning,
    after: &["l5d-data-plane-exists"],
    needs: PODS,
    remedy: RESTART,
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "l5d-identity-data-plane-proxies-certs-match-ca",
        category: Category::DataPlaneIdentity,
        title: "proxies trust what is published now",
        after: &["l5d-identity-trust-roots-valid"],
        needs: &[Need("get", "configmaps"), Need("list", "pods")],
        run: |look| Box::pin(bundles(look)),
        ..DATA_PLANE
    },
    Row {
        id: "ferrule-bound-tokens",
        category: Category::DataPlaneIdentity,
        title: "proxies show tokens that end with their pods, and are good for identity alone",
        after: ROW.after,
        remedy: "restart the workloads: since identity.serviceAccountTokenProjection is on, which \
                 is the default, they get others. A token in a Secret lasts for ever; delete the \
                 Secret then",
        run: |look| {
            Box::pin(async {
                let pods = meshed(look).await?;
                none_of(by_owner(pods.filter_map(|pod| Some((pod, unbound(pod)?)))))
            })
        },
        ..DATA_PLANE
    },
    Row {
        id: "l5d-data-plane-exists",
        title: "the namespace that was named is there",
        severity: Severity::Fatal,
        after: ROW.after,
        needs: &[Need("get", "namespaces")],
        remedy: "see that -n names a namespace of workloads",
        run: |look| {
            Box::pin(async {
                let Some(name) = look.scope.data_plane.as_deref() else {
                    return Err(Problem::not_applicable("all namespaces are looked at"));
                };
                let found = get::<Namespace>(look.everywhere(), name).await?;
                none_of(
                    found
                        .is_none()
                        .then(|| format!("there is no namespace {name}")),
                )
            })
        },
        ..DATA_PLANE
    },
    Row {
        id: "l5d-data-plane-ready",
        title: "all proxies are ready",
        severity: Severity::Fatal,
        retried: true,
        remedy: "ask the proxy what it waits for: kubectl logs -n NAMESPACE POD -c linkerd-proxy. \
                 Without a certificate it is never ready: see that it reaches identity",
        run: |look| {
            Box::pin(async {
                let pods = meshed(look).await?.filter(|pod| !pod.is_ready);
                none_of(pods.map(|pod| format!("pod {}: its proxy is not ready", pod.full_name())))
            })
        },
        ..DATA_PLANE
    },
    Row {
        id: "l5d-data-plane-version",
        title: "proxies are of the version that is injected now",
        needs: &[Need("list", "pods"), Need("get", "configmaps")],
        run: |look| Box::pin(versions(look)),
        ..DATA_PLANE
    },
    Row {
        id: "l5d-data-plane-pod-labels",
        title: "pods have no labels that only the injector writes, or that are annotations",
        remedy: "remove the label from the pod template; what the mesh reads of a pod is in \
                 docs/annotations.md",
        run: |look| {
            Box::pin(async {
                let scope = look.scope.data_plane.as_deref();
                let all = look.pods().await?.mislabelled.iter();
                let all = all.filter(|(namespace, _)| scope.is_none_or(|scope| scope == namespace));
                none_of(all.map(|(_, text)| text.clone()))
            })
        },
        ..DATA_PLANE
    },
    Row {
        id: "l5d-data-plane-services-labels",
        title: "only Services that are mirrors have labels of mirrors",
        needs: &[Need("list", "services")],
        remedy: "remove the label",
        run: |look| {
            Box::pin(async {
                none_of(services(look).await?.flat_map(|service| {
                    let labels = service.labels();
                    let is_mirror = labels.contains_key(MIRRORED);
                    let wrong = MIRROR_LABELS
                        .iter()
                        .filter(|key| !is_mirror && labels.contains_key(**key));
                    let name = full_name(service);
                    let wrong: Vec<_> = wrong.map(|key| format!("Service {name}: {key}")).collect();
                    wrong
                }))
            })
        },
        ..DATA_PLANE
    },
    Row {
        id: "l5d-data-plane-services-annotations",
        title: "no Service asks for a proxy",
        needs: &[Need("list", "services")],
        remedy: "put linkerd.io/inject on the pod template or the namespace: on a Service it means \
                 nothing",
        run: |look| {
            Box::pin(async {
                let asking = services(look).await?;
                let asking = asking.filter(|of| of.annotations().contains_key("linkerd.io/inject"));
                none_of(asking.map(|of| format!("Service {}: linkerd.io/inject", full_name(of))))
            })
        },
        ..DATA_PLANE
    },
    Row {
        id: "linkerd-opaque-ports-definition",
        title: "Services and their pods agree on which ports are opaque",
        needs: &[Need("list", "pods"), Need("list", "services")],
        remedy: "write the same config.linkerd.io/opaque-ports on the Service and on the pod \
                 template, or on the namespace; ports of the Service there, of containers here",
        run: |look| Box::pin(opaque_ports(look)),
        ..DATA_PLANE
    },
];

/// Meshed pods where workloads are looked at.
async fn meshed(look: &Look) -> super::read::Read<impl Iterator<Item = &MeshPod>> {
    let scope = look.scope.data_plane.as_deref();
    let pods = look.pods().await?.meshed.iter();
    Ok(pods.filter(move |pod| scope.is_none_or(|scope| scope == pod.namespace)))
}

async fn services(look: &Look) -> super::read::Read<impl Iterator<Item = &Service>> {
    let scope = look.scope.data_plane.as_deref();
    let services = look.services().await?.iter();
    Ok(services.filter(move |of| {
        scope.is_none_or(|scope| of.metadata.namespace.as_deref() == Some(scope))
    }))
}

fn full_name(service: &Service) -> String {
    format!(
        "{}/{}",
        service.namespace().unwrap_or_default(),
        service.name_any()
    )
}

/// A line for each workload and what is to be said of its pods.
fn by_owner<'p>(pods: impl Iterator<Item = (&'p MeshPod, String)>) -> Vec<String> {
    let mut lines: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
    for (pod, said) in pods {
        *lines.entry((&pod.namespace, &pod.owner, said)).or_default() += 1;
    }
    let lines = lines.into_iter().map(|((namespace, owner, said), count)| {
        let pods = counted(count);
        format!("{owner} in namespace {namespace} ({pods}): {said}")
    });
    lines.collect()
}

async fn bundles(look: &Look) -> Answer {
    let mut comparison = Comparison::with(&look.anchors().await?);
    meshed(look).await?.for_each(|pod| comparison.take(pod));
    none_of(comparison.behind().into_iter().map(|workload| {
        let (owner, namespace) = (&workload.owner, &workload.namespace);
        let anchors = |all: usize| match all {
            1 => "an anchor that is".to_owned(),
            all => format!("{all} anchors that are"),
        };
        let mut what = Vec::new();
        if !workload.lacks.is_empty() {
            what.push(format!("lacks {} published", anchors(workload.lacks.len())));
        }
        if !workload.keeps.is_empty() {
            let still = anchors(workload.keeps.len());
            what.push(format!("trusts {still} not published any more"));
        }
        if what.is_empty() {
            what.push("another bundle was injected".to_owned());
        }
        let pods = counted(workload.pods.len());
        format!(
            "{owner} in namespace {namespace} ({pods}): {}",
            what.join(", ")
        )
    }))
}

fn counted(pods: usize) -> String {
    match pods {
        1 => "1 pod".to_owned(),
        pods => format!("{pods} pods"),
    }
}

/// What is wrong with a proxy's token.
fn unbound(pod: &MeshPod) -> Option<String> {
    match &pod.token {
        Token::Bound(Some(audience)) if audience == TOKEN_AUDIENCE => None,
        Token::Bound(Some(audience)) => Some(format!(
            "its token is for {audience}, expected {TOKEN_AUDIENCE}"
        )),
        Token::Bound(None) => {
            Some("it shows the token that its pod uses with the API server".to_owned())
        }
        Token::Secret(name) => Some(format!("its token is in Secret {name}, and lasts for ever")),
        Token::Missing => Some("it has no token".to_owned()),
    }
}

async fn versions(look: &Look) -> Answer {
    let Some(settings) = look.settings().await? else {
        return Err(Problem::not_applicable("there is no linkerd-config"));
    };
    let current = settings.proxy_version();
    none_of(by_owner(meshed(look).await?.filter_map(|pod| {
        // Of an image that is named by its digest nothing can be told.
        let version = pod.version().filter(|version| *version != current)?;
        let pinned = match pod
            .annotations
            .contains_key("config.linkerd.io/proxy-version")
        {
            true => ", pinned by config.linkerd.io/proxy-version",
            false => "",
        };
        Some((
            pod,
            format!("version {version}{pinned}; {current} is injected now"),
        ))
    })))
}

async fn opaque_ports(look: &Look) -> Answer {
    let mut of_namespace: BTreeMap<&str, Vec<&MeshPod>> = BTreeMap::new();
    for pod in meshed(look).await? {
        of_namespace.entry(&pod.namespace).or_default().push(pod);
    }
    let mut told = BTreeSet::new();
    for service in services(look).await? {
        let Some(spec) = &service.spec else { continue };
        let selector = spec
            .selector
            .as_ref()
            .filter(|selector| !selector.is_empty());
        let is_headless = spec.cluster_ip.as_deref() == Some("None");
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let (Some(selector), false) = (selector, is_headless) else {
            continue;
        };
        let pods = of_namespace.get(namespace).into_iter().flatten();
        let selected = pods.filter(|pod| {
            selector
                .iter()
                .all(|(key, value)| pod.labels.get(key) == Some(value))
        });
        for pod in selected {
            for port in spec.ports.iter().flatten() {
                told.extend(disagreement(service, port, pod));
            }
        }
    }
    none_of(told)
}

/// What a Service's port and the pod's port behind it say differently.
fn disagreement(service: &Service, port: &ServicePort, pod: &MeshPod) -> Option<String> {
    let number = u16::try_from(port.port).ok()?;
    let target = match &port.target_port {
        None => number,
        Some(IntOrString::Int(target)) => u16::try_from(*target).ok()?,
        Some(IntOrString::String(name)) => *pod.ports.get(name)?,
    };
    let service_says = service.annotations().get(OPAQUE_PORTS);
    let pod_says = pod.annotations.get(OPAQUE_PORTS);
    // Both go by the default then, or by the namespace.
    if service_says.is_none() && pod_says.is_none() {
        return None;
    }
    let of_service = |name: &str| {
        let ports = service
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten());
        let mut named = ports.filter(|port| port.name.as_deref() == Some(name));
        named.find_map(|port| u16::try_from(port.port).ok())
    };
    let set = |text: Option<&String>, named: &dyn Fn(&str) -> Option<u16>| {
        PortSet::parse(text.map_or(DEFAULT_OPAQUE_PORTS, String::as_str), named).0
    };
    let by_service = set(service_says, &of_service).contains(number);
    let by_pod = set(pod_says, &|name: &str| pod.ports.get(name).copied()).contains(target);
    let (service, owner) = (full_name(service), &pod.owner);
    match (by_service, by_pod) {
        (true, false) => Some(format!(
            "Service {service} says that port {number} is opaque, {owner} does not of its {target}"
        )),
        (false, true) => Some(format!(
            "{owner} says that port {target} is opaque, Service {service} does not of its {number}"
        )),
        _ => None,
    }
}
