//! The proxy's environment (identity-injector.md section 7.10, api.md section 4).
//!
//! The order counts: `$(NAME)` in a value stands for a variable further up.

mod identity;
mod listeners;
mod parameters;
pub(crate) mod tracing;

use crate::{
    settings::Settings,
    workload::{Container, PodSpec},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a proxy is told besides its settings.
pub(crate) struct Surroundings<'a> {
    /// Namespace of the control plane.
    pub(crate) control_plane: &'a str,
    /// Trust anchors, PEM.
    pub(crate) trust_anchors: &'a str,
    /// The ports on which no protocol is detected.
    pub(crate) opaque_ports: &'a str,
    /// The ports that the pod's containers listen on.
    pub(crate) inbound_ports: &'a str,
    /// Attributes of traces that the pod itself adds.
    pub(crate) attributes: &'a [(String, String)],
}

/// Every variable, in order.
pub(crate) fn variables(settings: &Settings, surroundings: &Surroundings<'_>) -> Vec<Value> {
    let values = &settings.values;
    let proxy = &values.proxy;
    let mut to = Variables::default();
    to.field("_pod_name", "metadata.name");
    to.field("_pod_ns", "metadata.namespace");
    to.field("_pod_uid", "metadata.uid");
    to.field("_pod_ip", "status.podIP");
    to.field("_pod_nodeName", "spec.nodeName");
    to.set("_pod_containerName", crate::PROXY_CONTAINER);
    workers(&mut to, settings);
    to.set_some(
        "LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_IDENTITY",
        &proxy.require_identity_ports,
    );
    to.set_some(
        "LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_TLS",
        &proxy.require_tls_ports,
    );
    to.set(
        "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED",
        proxy.shutdown_endpoint.to_string(),
    );
    to.set("LINKERD2_PROXY_LOG", log_filter(settings));
    to.set("LINKERD2_PROXY_LOG_FORMAT", &*proxy.log_format);
    listeners::variables(&mut to, settings, surroundings);
    tracing::variables(&mut to, settings, surroundings);
    parameters::variables(&mut to, proxy);
    to.set_some(
        "LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION",
        surroundings.opaque_ports,
    );
    to.set(
        "LINKERD2_PROXY_DESTINATION_CONTEXT",
        "{\"ns\":\"$(_pod_ns)\", \"nodeName\":\"$(_pod_nodeName)\", \"pod\":\"$(_pod_name)\"}\n",
    );
    identity::variables(&mut to, values, surroundings);
    to.set_some("LINKERD2_PROXY_ACCESS_LOG", &proxy.access_log);
    to.set_some(
        "LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD",
        &proxy.shutdown_grace_period,
    );
    // Of two variables of one name a kubelet takes the later.
    to.0.extend(proxy.additional_env.iter().cloned());
    to.0.extend(proxy.experimental_env.iter().cloned());
    to.0
}

/// Variables in the form that containers have them.
#[derive(Default)]
struct Variables(Vec<Value>);

impl Variables {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.push(json!({"name": name, "value": value.into()}));
    }

    /// Sets what is not empty.
    fn set_some(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.set(name, value);
        }
    }

    /// What the kubelet fills in.
    fn field(&mut self, name: &str, path: &str) {
        let source = json!({"fieldRef": {"fieldPath": path}});
        self.0.push(json!({"name": name, "valueFrom": source}));
    }
}

/// How many threads: a fixed number, or bounds.
fn workers(to: &mut Variables, settings: &Settings) {
    let proxy = &settings.values.proxy;
    let minimum = proxy.cores.unwrap_or(proxy.workers.minimum).max(1);
    to.set("LINKERD2_PROXY_CORES", minimum.to_string());
    to.set("LINKERD2_PROXY_CORES_MIN", minimum.to_string());
    if proxy.cores.is_some() {
        return;
    }
    if let Some(maximum) = proxy.workers.maximum {
        to.set("LINKERD2_PROXY_CORES_MAX", maximum.to_string());
    }
    to.set_some(
        "LINKERD2_PROXY_CORES_MAX_RATIO",
        &proxy.workers.maximum_cpu_ratio,
    );
}

/// Headers, which may hold secrets, are logged only where that is asked for.
fn log_filter(settings: &Settings) -> String {
    let proxy = &settings.values.proxy;
    if proxy.log_http_headers == "insecure" {
        return proxy.log_level.clone();
    }
    format!("{},[{{headers}}]=off,[{{request}}]=off", proxy.log_level)
}

/// The ports of a pod's own containers and of their HTTP probes, sorted as texts
/// (identity-injector.md section 7.11).
pub(crate) fn inbound_ports(spec: &PodSpec) -> String {
    let declared = spec.ports().map(|port| port.container_port);
    let probed = spec.own_containers().flat_map(Container::probe_ports);
    let ports: BTreeSet<_> = declared
        .chain(probed)
        .map(|port| port.to_string())
        .collect();
    Vec::from_iter(ports).join(",")
}
