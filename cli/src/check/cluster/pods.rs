//! The pods of a cluster, as far as checks go.

use super::look::COMPONENT;
use crate::mesh_pod::{MeshPod, MeshPods};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use std::net::IpAddr;

/// Labels that the injector writes.
const WRITTEN: [&str; 3] = [
    "linkerd.io/control-plane-ns",
    "linkerd.io/workload-ns",
    "linkerd.io/proxy-",
];
/// What ended pods say that have not failed.
const ENDED: [&str; 5] = [
    "Completed",
    "NodeShutdown",
    "Shutdown",
    "Terminated",
    "Evicted",
];

/// All pods, made small.
#[derive(Debug)]
pub(super) struct Pods {
    namespace: String,
    reader: MeshPods,
    /// Addresses of pods that have their own network, with their names.
    pub(super) addresses: Vec<(IpAddr, String)>,
    /// Those with a proxy, but for those of the control plane and those that have ended.
    pub(super) meshed: Vec<MeshPod>,
    /// Labels and annotations that are not as they should be: namespace, and what to say.
    pub(super) mislabelled: Vec<(String, String)>,
}

impl Pods {
    /// None yet; the control plane is in this namespace.
    pub(super) fn of(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            reader: MeshPods::default(),
            addresses: Vec::new(),
            meshed: Vec::new(),
            mislabelled: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, pod: &Pod) {
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        let full_name = || format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
        let text = |field: Option<&String>| field.cloned().unwrap_or_default();
        let phase = text(status.and_then(|status| status.phase.as_ref()));
        let reason = text(status.and_then(|status| status.reason.as_ref()));
        let has_ended = ["Succeeded", "Failed"].contains(&&*phase) || ENDED.contains(&&*reason);
        let is_host = spec.and_then(|spec| spec.host_network).unwrap_or_default();
        if !is_host && !has_ended {
            let ips = status
                .iter()
                .flat_map(|status| status.pod_ips.iter().flatten());
            let ips = ips.filter_map(|ip| ip.ip.parse().ok());
            self.addresses.extend(ips.map(|ip| (ip, full_name())));
        }
        if pod.labels().contains_key(COMPONENT) {
            return;
        }
        let meshed = self.reader.read(pod);
        for key in pod.labels().keys() {
            let is_annotation = key.starts_with("config.linkerd.io/") || key == "linkerd.io/inject";
            let is_written = WRITTEN.iter().any(|start| key.starts_with(start));
            let problem = if is_annotation {
                "is an annotation, and means nothing as a label"
            } else if is_written && meshed.is_none() {
                "is a label that the injector writes, and the pod has no proxy"
            } else {
                continue;
            };
            let namespace = pod.namespace().unwrap_or_default();
            let text = format!("pod {}: {key} {problem}", full_name());
            self.mislabelled.push((namespace, text));
        }
        let ours = pod.labels().get(super::look::CONTROL_PLANE);
        let is_ours = ours.is_some_and(|of| *of == self.namespace);
        if let Some(meshed) = meshed.filter(|_| is_ours && !has_ended) {
            self.meshed.push(meshed);
        }
    }
}
