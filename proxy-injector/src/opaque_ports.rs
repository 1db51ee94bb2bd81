//! Ports on which the proxy does not look for a protocol
//! (identity-injector.md sections 6.9 and 8.2).

use crate::{
    Namespace, Warning,
    annotations::{self, Annotations, OPAQUE_PORTS},
    settings::Settings,
    warning::Effect,
    workload::PodSpec,
};
use ferrule_cluster::object::{parse_port_range, port_items};
use serde::Deserialize;
use serde_json::Value;

/// What the injector reads of a Service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    metadata: Option<crate::workload::Metadata>,
    spec: Option<ServiceSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceSpec {
    ports: Option<Vec<ServicePort>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServicePort {
    port: u16,
    /// A number, or the name of a port of the pods.
    target_port: Value,
}

impl Service {
    /// Its annotations.
    pub(crate) fn annotations(&self) -> Option<&Annotations> {
        Some(&self.metadata.as_ref()?.annotations)
    }

    /// Those of its ports that are opaque by default: by the number that pods listen
    /// on, where that is known.
    pub(crate) fn default(&self, list: &str) -> Option<String> {
        let ports = self.spec.as_ref().and_then(|spec| spec.ports.as_deref());
        let opaque = ports.unwrap_or_default().iter().filter(|port| {
            match port.target_port {
                Value::Null => is_listed(list, port.port),
                ref target => match target.as_u64().map(u16::try_from) {
                    Some(Ok(0)) => is_listed(list, port.port),
                    Some(Ok(target)) => is_listed(list, target),
                    // A name: only the pods know.
                    _ => false,
                },
            }
        });
        joined(opaque.map(|port| port.port.to_string()))
    }
}

/// The annotation that an object is to get: its namespace's, else what its own ports
/// make of the default list. `None` where it has one, or there is nothing to say.
pub(crate) fn missing(
    own: Option<&Annotations>,
    namespace: Option<&Namespace>,
    default: impl FnOnce() -> Option<String>,
) -> Option<String> {
    if own.is_some_and(|own| own.contains_key(OPAQUE_PORTS)) {
        return None;
    }
    let inherited = namespace.and_then(|namespace| namespace.annotations.get(OPAQUE_PORTS));
    inherited.cloned().or_else(default)
}

/// The ports of a pod's containers that are in the default list, in their order.
/// Ranges of that list never match: it says nothing of a port that nobody named.
pub(crate) fn pod_default(spec: &PodSpec, list: &str) -> Option<String> {
    let ports = spec.ports().map(|port| port.container_port);
    let opaque = ports.filter(|port| is_listed(list, *port));
    joined(opaque.map(|port| port.to_string()))
}

/// The list for the proxy: names of ports are numbers there. What cannot be read is
/// left out and told.
pub(crate) fn for_proxy(
    settings: &Settings,
    spec: &PodSpec,
    namespace: Option<&Namespace>,
) -> (String, Vec<Warning>) {
    let Some(list) = &settings.opaque_ports else {
        return (settings.values.proxy.opaque_ports.clone(), Vec::new());
    };
    let named = |name: &str| {
        let mut ports = spec.ports().filter(|port| !port.name.is_empty());
        ports.find(|port| port.name == name)
    };
    let mut opaque = Vec::new();
    let mut warnings = Vec::new();
    for item in port_items(list) {
        match (named(item), parse_port_range(item)) {
            (Some(port), _) => opaque.push(port.container_port.to_string()),
            (None, Some(_)) => opaque.push(item.to_owned()),
            (None, None) => warnings.push(Warning::annotation(
                OPAQUE_PORTS,
                namespace,
                item,
                Effect::ItemIgnored,
                annotations::expected(OPAQUE_PORTS),
            )),
        }
    }
    (opaque.join(","), warnings)
}

fn is_listed(list: &str, port: u16) -> bool {
    let port = port.to_string();
    list.split(',').any(|item| item.trim() == port)
}

/// Once each; `None` where there is none.
fn joined(ports: impl Iterator<Item = String>) -> Option<String> {
    let mut unique: Vec<String> = Vec::new();
    for port in ports {
        if !unique.contains(&port) {
            unique.push(port);
        }
    }
    (!unique.is_empty()).then(|| unique.join(","))
}
