//! EndpointSlices of Services that have none in the files, derived from the Pods
//! and ExternalWorkloads in the files as a cluster's endpoint controllers would.

use crate::{
    Interner,
    object::{
        AddressType, Endpoint, EndpointSlice, ExternalWorkload, Labels, Name, ObjectKey, Phase,
        Pod, Service, SlicePort, Target,
    },
    source::wire::field::{Field, Pairs, Shape, object_shapes},
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr};

/// What of a Service decides about its endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ServiceFacts {
    /// `None` where there is no selector, or not a whole one.
    pub(super) selector: Option<Selector>,
    headless: bool,
    publish_not_ready: bool,
    families: Vec<AddressType>,
    ports: Vec<(Name, TargetPort)>,
}

/// What of a Pod decides about its endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodFacts {
    /// The Ready condition, where there is one.
    ready: Option<bool>,
    /// Whether `status.phase` is written.
    pub(super) has_phase: bool,
    hostname: Option<Box<str>>,
    subdomain: Option<Box<str>>,
}

type Selector = BTreeMap<Box<str>, Box<str>>;

/// `targetPort`.
#[derive(Clone, Debug, PartialEq)]
enum TargetPort {
    Number(u16),
    Name(Box<str>),
}

/// What of an ExternalWorkload decides about its endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ExternalFacts {
    /// The Ready condition; whoever writes none means a machine that is there.
    ready: Option<bool>,
}

/// A workload of the files that a Service may select.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) workload: Workload<'a>,
}

/// What it is.
#[derive(Clone, Copy)]
pub(super) enum Workload<'a> {
    Pod(&'a Pod, &'a PodFacts),
    External(&'a ExternalWorkload, &'a ExternalFacts),
}

/// The slices of a Service, by name; none if it has no selector or is no
/// Service with endpoints. `candidates` are those of its namespace, in order.
pub(super) fn derive<'a>(
    key: &ObjectKey,
    service: &Service,
    facts: &ServiceFacts,
    candidates: impl Iterator<Item = Candidate<'a>>,
    zone_of: impl Fn(&Name) -> Option<Name>,
    interner: &Interner,
) -> Vec<(ObjectKey, EndpointSlice)> {
    let Some(selector) = facts.selector.as_ref().filter(|_| !service.external_name) else {
        return Vec::new();
    };
    // By what the endpoints of a slice share; sorted, so that names are stable.
    let mut groups = BTreeMap::<(bool, Option<Vec<(usize, u16)>>), Vec<Endpoint>>::new();
    for candidate in candidates {
        if !candidate.is_backend(selector) {
            continue;
        }
        let ports = resolve_ports(facts, &candidate);
        for family in facts.families(service) {
            let is_v6 = family == AddressType::V6;
            let address = candidate.ips().iter().find(|ip| ip.is_ipv6() == is_v6);
            if let Some(&address) = address {
                let endpoint = candidate.endpoint(address, key, facts, &zone_of, interner);
                groups
                    .entry((is_v6, ports.clone()))
                    .or_default()
                    .push(endpoint);
            }
        }
    }
    groups
        .into_iter()
        .zip(1..)
        .map(|(((is_v6, ports), endpoints), number)| {
            let name = format!("{}-derived-{number}", key.name);
            let slice = EndpointSlice {
                service: Some(key.name.clone()),
                address_type: if is_v6 {
                    AddressType::V6
                } else {
                    AddressType::V4
                },
                ports: ports.map(|ports| facts.slice_ports(&ports)),
                endpoints: endpoints.into(),
                resource_version: 0,
                mirror: None,
            };
            (ObjectKey::new(key.namespace.clone(), name), slice)
        })
        .collect()
}

/// Which of the Service's ports the workload has, and their numbers; `None` for a
/// Service without ports.
fn resolve_ports(facts: &ServiceFacts, candidate: &Candidate<'_>) -> Option<Vec<(usize, u16)>> {
    if facts.ports.is_empty() {
        return None;
    }
    let ports = facts.ports.iter().enumerate();
    let resolved = ports.filter_map(|(index, (_, target))| {
        let number = candidate.port(target);
        Some((index, number?))
    });
    Some(resolved.collect())
}

impl Candidate<'_> {
    fn is_backend(&self, selector: &Selector) -> bool {
        let has = |labels: &Labels, key: &str, value: &str| {
            labels.get(key).is_some_and(|label| **label == *value)
        };
        let mut wanted = selector.iter();
        match self.workload {
            Workload::Pod(pod, _) => {
                pod.phase != Phase::Finished
                    && wanted.all(|(key, value)| has(&pod.labels, key, value))
            }
            Workload::External(workload, _) => {
                wanted.all(|(key, value)| has(&workload.labels, key, value))
            }
        }
    }

    fn ips(&self) -> &[IpAddr] {
        match self.workload {
            Workload::Pod(pod, _) => &pod.ips,
            Workload::External(workload, _) => &workload.ips,
        }
    }

    /// The number of a port that is meant by a Service. An ExternalWorkload has
    /// to declare it (destination.md section 15).
    fn port(&self, target: &TargetPort) -> Option<u16> {
        match (self.workload, target) {
            (Workload::Pod(..), TargetPort::Number(number)) => Some(*number),
            (Workload::Pod(pod, _), TargetPort::Name(name)) => pod.template.port_named(name),
            (Workload::External(workload, _), TargetPort::Number(number)) => {
                let mut declared = workload.ports.iter().map(|port| port.port);
                declared.find(|port| port == number)
            }
            (Workload::External(workload, _), TargetPort::Name(name)) => workload.port_named(name),
        }
    }

    fn endpoint(
        &self,
        address: IpAddr,
        service: &ObjectKey,
        facts: &ServiceFacts,
        zone_of: impl Fn(&Name) -> Option<Name>,
        interner: &Interner,
    ) -> Endpoint {
        match self.workload {
            Workload::Pod(pod, own) => {
                let is_ready = own.ready.unwrap_or(pod.phase == Phase::Running);
                let is_named = facts.headless && own.subdomain.as_deref() == Some(&*service.name);
                let hostname = own.hostname.as_deref().filter(|_| is_named);
                Endpoint {
                    address,
                    ready: facts.publish_not_ready || (is_ready && !pod.terminating),
                    target: Target::Pod(self.key.clone()),
                    hostname: hostname.map(|hostname| interner.name(hostname)),
                    zone: zone_of(&pod.node),
                    zone_hints: Default::default(),
                }
            }
            Workload::External(workload, own) => Endpoint {
                address,
                ready: own.ready.unwrap_or(true),
                target: Target::ExternalWorkload(self.key.clone()),
                hostname: facts.headless.then(|| self.key.name.clone()),
                zone: workload.zone.clone(),
                zone_hints: Default::default(),
            },
        }
    }
}

impl ServiceFacts {
    /// The families of its endpoints: those it names, else those of its cluster
    /// addresses, else both.
    fn families(&self, service: &Service) -> Vec<AddressType> {
        if !self.families.is_empty() {
            return self.families.clone();
        }
        let has = |is_v6| service.cluster_ips.iter().any(|ip| ip.is_ipv6() == is_v6);
        let all = service.cluster_ips.is_empty();
        [(AddressType::V4, false), (AddressType::V6, true)]
            .into_iter()
            .filter(|(_, is_v6)| all || has(*is_v6))
            .map(|(family, _)| family)
            .collect()
    }

    fn slice_ports(&self, ports: &[(usize, u16)]) -> std::sync::Arc<[SlicePort]> {
        ports
            .iter()
            .map(|&(index, number)| SlicePort {
                name: self.ports[index].0.clone(),
                port: Some(number),
            })
            .collect()
    }

    /// Reads them of a Service. What the conversion of the Service reports
    /// already is not said again.
    pub(super) fn read(value: &Value, interner: &Interner, problems: &mut Vec<String>) -> Self {
        let spec = service::Object::deserialize(value)
            .unwrap_or_default()
            .spec
            .read("", &mut Vec::new())
            .unwrap_or_default();
        let cluster_ips = spec.cluster_ips.elements("", &mut Vec::new());
        let cluster_ip = spec.cluster_ip.read("", &mut Vec::new());
        let families = spec.ip_families.elements("spec.ipFamilies", problems);
        let ports = spec.ports.elements("", &mut Vec::new());
        Self {
            selector: read_selector(spec.selector, problems),
            headless: cluster_ip
                .iter()
                .chain(&cluster_ips)
                .any(|ip| **ip == *"None"),
            publish_not_ready: spec
                .publish_not_ready_addresses
                .read("spec.publishNotReadyAddresses", problems)
                .unwrap_or_default(),
            families: families.into_iter().map(|family| family.0).collect(),
            ports: ports
                .into_iter()
                .filter_map(|port| port.read(interner, problems))
                .collect(),
        }
    }
}

/// A selector of which a part cannot be read would select too much.
fn read_selector(field: Field<Pairs<Box<str>>>, problems: &mut Vec<String>) -> Option<Selector> {
    let texts = field.read("spec.selector", problems)?.0;
    let count = texts.len();
    let readable = texts.into_iter().filter_map(|(key, value)| {
        let value = value.read(format_args!("spec.selector.{key}"), problems)?;
        Some((key, value))
    });
    let selector = readable.collect::<Selector>();
    (count > 0 && selector.len() == count).then_some(selector)
}

impl PodFacts {
    /// Reads them of a Pod; as [`ServiceFacts::read`].
    pub(super) fn read(value: &Value, problems: &mut Vec<String>) -> Self {
        let silent = &mut Vec::new();
        let pod = pod::Object::deserialize(value).unwrap_or_default();
        let spec = pod.spec.read("", silent).unwrap_or_default();
        let status = pod.status.read("", silent).unwrap_or_default();
        let ready = is_ready(status.conditions, problems);
        let mut text = |field: Field<Box<str>>, path| {
            field.read(path, problems).filter(|text| !text.is_empty())
        };
        Self {
            ready,
            has_phase: status.phase.is_present(),
            hostname: text(spec.hostname, "spec.hostname"),
            subdomain: text(spec.subdomain, "spec.subdomain"),
        }
    }
}

impl ExternalFacts {
    /// Reads them of an ExternalWorkload; as [`ServiceFacts::read`].
    pub(super) fn read(value: &Value, problems: &mut Vec<String>) -> Self {
        let workload = pod::Object::deserialize(value).unwrap_or_default();
        let status = workload
            .status
            .read("", &mut Vec::new())
            .unwrap_or_default();
        Self {
            ready: is_ready(status.conditions, problems),
        }
    }
}

/// What the Ready condition says, where there is one.
fn is_ready(
    conditions: Field<Vec<Field<pod::Condition>>>,
    problems: &mut Vec<String>,
) -> Option<bool> {
    conditions
        .elements("status.conditions", problems)
        .into_iter()
        .find_map(|condition| {
            let kind = condition.r#type.read("", &mut Vec::new())?;
            let status = condition
                .status
                .read("status.conditions[].status", problems);
            (*kind == *"Ready").then(|| status.as_deref() == Some("True"))
        })
}

impl Shape for TargetPort {
    const EXPECTED: &'static str = "a port number or name";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::Name(text.into()))
    }

    fn from_integer(number: i64) -> Option<Self> {
        number.try_into().ok().map(Self::Number)
    }
}

#[derive(Debug)]
struct Family(AddressType);

impl Shape for Family {
    const EXPECTED: &'static str = "IPv4 or IPv6";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "IPv4" => Some(Self(AddressType::V4)),
            "IPv6" => Some(Self(AddressType::V6)),
            _ => None,
        }
    }
}

/// A Service as far as it is read here.
mod service {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    pub(super) struct Object {
        pub(super) spec: Field<Spec>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    pub(super) struct Spec {
        pub(super) selector: Field<Pairs<Box<str>>>,
        #[serde(rename = "clusterIP")]
        pub(super) cluster_ip: Field<Box<str>>,
        #[serde(rename = "clusterIPs")]
        pub(super) cluster_ips: Field<Vec<Field<Box<str>>>>,
        pub(super) ip_families: Field<Vec<Field<Family>>>,
        pub(super) publish_not_ready_addresses: Field<bool>,
        pub(super) ports: Field<Vec<Field<Port>>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    pub(super) struct Port {
        name: Field<Box<str>>,
        port: Field<u16>,
        target_port: Field<TargetPort>,
    }

    object_shapes!(Spec, Port);

    impl Port {
        pub(super) fn read(
            self,
            interner: &Interner,
            problems: &mut Vec<String>,
        ) -> Option<(Name, TargetPort)> {
            let silent = &mut Vec::new();
            let number = self.port.read("", silent)?;
            let name = self.name.read("", silent).unwrap_or_default();
            let target = if self.target_port.is_present() {
                self.target_port.read("spec.ports[].targetPort", problems)?
            } else {
                TargetPort::Number(number)
            };
            Some((interner.name(&name), target))
        }
    }
}

/// A Pod as far as it is read here.
mod pod {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    pub(super) struct Object {
        pub(super) spec: Field<Spec>,
        pub(super) status: Field<Status>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    pub(super) struct Spec {
        pub(super) hostname: Field<Box<str>>,
        pub(super) subdomain: Field<Box<str>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    pub(super) struct Status {
        pub(super) phase: Field<Box<str>>,
        pub(super) conditions: Field<Vec<Field<Condition>>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    pub(super) struct Condition {
        pub(super) r#type: Field<Box<str>>,
        pub(super) status: Field<Box<str>>,
    }

    object_shapes!(Spec, Status, Condition);
}

#[cfg(test)]
mod tests;
