//! Servers and ExternalWorkloads for tests.

use crate::support::*;
use ferrule_cluster::object::{
    Condition, Endpoint, ExternalWorkload, LabelSelector, Labels, Name, ObjectKey, Owner, Pod,
    PortSet, ProxyProtocol, Requirement, Server, ServerPort, Target, WorkloadPort,
    WorkloadSelector,
};
use std::sync::Arc;

/// A selector of these labels; of all objects where there are none.
pub(crate) fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector::new(pairs.iter().map(|(key, value)| Requirement {
        key: (*key).into(),
        condition: Condition::In([Name::from(*value)].into()),
    }))
}

/// A Server about the pods with label `app: web`.
pub(crate) fn server(port: ServerPort, protocol: ProxyProtocol) -> Server {
    Server {
        workloads: Some(WorkloadSelector::Pods(selector(&[("app", "web")]))),
        port: Some(port),
        protocol,
        ..Server::default()
    }
}

/// The same about ExternalWorkloads.
pub(crate) fn external_server(port: ServerPort, protocol: ProxyProtocol) -> Server {
    Server {
        workloads: Some(WorkloadSelector::ExternalWorkloads(selector(&[(
            "app", "web",
        )]))),
        ..server(port, protocol)
    }
}

pub(crate) fn named(port: &str) -> ServerPort {
    ServerPort::Name(port.into())
}

pub(crate) fn labelled(pod: Pod, pairs: &[(&str, &str)]) -> Pod {
    Pod {
        labels: labels_of(pairs),
        ..pod
    }
}

pub(crate) fn labels_of(pairs: &[(&str, &str)]) -> Arc<Labels> {
    let pairs = pairs.iter();
    Arc::new(Labels::new(
        pairs.map(|&(key, value)| (key.into(), value.into())),
    ))
}

/// A machine outside of the cluster with label `app: web` and port `http` 8080.
pub(crate) fn external(ips: &[&str]) -> ExternalWorkload {
    ExternalWorkload {
        labels: labels_of(&[("app", "web")]),
        owner: Owner::Unclear,
        zone: None,
        identity: "spiffe://x/y".into(),
        server_name: "s".into(),
        ips: ips.iter().map(|text| ip(text)).collect(),
        ports: [WorkloadPort {
            name: "http".into(),
            port: 8080,
            is_tcp: true,
        }]
        .into(),
        opaque_ports: None,
        default_policy: None,
        require_identity_ports: PortSet::default(),
    }
}

pub(crate) fn external_endpoint(name: &str, address: &str) -> Endpoint {
    Endpoint {
        target: Target::ExternalWorkload(ObjectKey::new(NS, name)),
        ..endpoint("-", address)
    }
}
