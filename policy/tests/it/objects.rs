//! Servers, authorizations and workloads for tests.

use crate::support::*;
use ferrule_cluster::object::{
    AuthorizationPolicy, ClientIdentity, Clients, Condition, ContainerPort, ExternalWorkload,
    IdentitySource, LabelSelector, Labels, MeshTlsAuthentication, Name, Network,
    NetworkAuthentication, ObjectKey, Owner, Pod, PodTemplate, PolicyTarget, PortSet,
    ProxyProtocol, RequiredAuthentications, Requirement, Server, ServerAuthorization, ServerPort,
    ServerSelector, WorkloadPort, WorkloadSelector,
};
use std::sync::Arc;

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Arc<Labels> {
    let pairs = pairs.iter();
    Arc::new(Labels::new(
        pairs.map(|&(key, value)| (key.into(), value.into())),
    ))
}

/// A selector of these labels; of all objects where there are none.
pub(crate) fn selector(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector::new(pairs.iter().map(|(key, value)| Requirement {
        key: (*key).into(),
        condition: Condition::In([Name::from(*value)].into()),
    }))
}

pub(crate) fn labelled(pod: Pod, pairs: &[(&str, &str)]) -> Pod {
    Pod {
        labels: labels(pairs),
        ..pod
    }
}

pub(crate) fn container_port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: name.into(),
        port,
        host_port: None,
        is_tcp: true,
    }
}

pub(crate) fn with_ports(ports: &[(&str, u16)]) -> PodTemplate {
    let ports = ports.iter();
    PodTemplate {
        ports: ports
            .map(|(name, port)| container_port(name, *port))
            .collect(),
        ..template()
    }
}

pub(crate) fn external() -> ExternalWorkload {
    ExternalWorkload {
        labels: Arc::default(),
        owner: Owner::Unclear,
        zone: None,
        identity: "spiffe://x/y".into(),
        server_name: "vm".into(),
        ips: Default::default(),
        ports: [WorkloadPort {
            name: "http".into(),
            port: 80,
            is_tcp: true,
        }]
        .into(),
        opaque_ports: None,
        default_policy: None,
        require_identity_ports: PortSet::default(),
    }
}

/// A Server about a port of all pods of the namespace, that nobody may call.
pub(crate) fn server(port: u16, protocol: ProxyProtocol) -> Server {
    Server {
        workloads: Some(WorkloadSelector::Pods(selector(&[]))),
        port: Some(ServerPort::Number(port)),
        protocol,
        ..Server::default()
    }
}

pub(crate) fn named_port(name: &str) -> Option<ServerPort> {
    Some(ServerPort::Name(name.into()))
}

/// Who may call a Server, from the cluster's networks.
pub(crate) fn server_authorization(server: &str, clients: Clients) -> ServerAuthorization {
    ServerAuthorization {
        servers: Some(ServerSelector::Name(server.into())),
        clients: Some(clients),
        networks: None,
    }
}

pub(crate) fn at_server(name: &str) -> Option<PolicyTarget> {
    Some(PolicyTarget::Server(name.into()))
}

/// A policy for a Server that requires nothing.
pub(crate) fn policy(server: &str) -> AuthorizationPolicy {
    AuthorizationPolicy {
        target: at_server(server),
        required: Some(RequiredAuthentications::default()),
    }
}

/// A policy for a Server that requires a MeshTLSAuthentication.
pub(crate) fn mesh_tls_policy(server: &str, namespace: &str, name: &str) -> AuthorizationPolicy {
    AuthorizationPolicy {
        required: Some(RequiredAuthentications {
            identity: Some(IdentitySource::MeshTls(ObjectKey::new(namespace, name))),
            network: None,
        }),
        ..policy(server)
    }
}

/// A policy for a Server that requires a NetworkAuthentication of its namespace.
pub(crate) fn network_policy(server: &str, name: &str) -> AuthorizationPolicy {
    AuthorizationPolicy {
        required: Some(RequiredAuthentications {
            identity: None,
            network: Some(ObjectKey::new(NS, name)),
        }),
        ..policy(server)
    }
}

/// As they are written: `*` begins a pattern.
pub(crate) fn identities(texts: &[&str]) -> Box<[ClientIdentity]> {
    let identities = texts.iter().map(|text| match ClientIdentity::domain(text) {
        Some(domain) => ClientIdentity::Below(domain.into()),
        None => ClientIdentity::Exact((*text).into()),
    });
    identities.collect()
}

pub(crate) fn mesh_tls(texts: &[&str]) -> MeshTlsAuthentication {
    MeshTlsAuthentication {
        identities: identities(texts),
    }
}

pub(crate) fn network(cidr: &str, except: &[&str]) -> Network {
    Network {
        cidr: cidr.parse().expect("literal"),
        except: except
            .iter()
            .map(|text| text.parse().expect("literal"))
            .collect(),
    }
}

pub(crate) fn network_authentication(cidrs: &[&str]) -> NetworkAuthentication {
    NetworkAuthentication {
        networks: cidrs.iter().map(|cidr| network(cidr, &[])).collect(),
    }
}
