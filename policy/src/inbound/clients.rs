//! How clients show that they may call.

use crate::PolicySettings;
use ferrule_cluster::object::{ClientIdentity, ObjectKey};
use ferrule_proto::inbound::{
    Identity, IdentitySuffix,
    authn::{
        Permit, PermitMeshTls, PermitUnauthenticated,
        permit_mesh_tls::{Clients, PermitClientIdentities},
    },
};

/// They need not.
pub(super) fn unauthenticated() -> Permit {
    Permit::Unauthenticated(PermitUnauthenticated {})
}

/// By mesh TLS, with or without an identity.
pub(super) fn unauthenticated_tls() -> Permit {
    mesh_tls(Clients::Unauthenticated(PermitUnauthenticated {}))
}

/// By any identity of the mesh.
pub(super) fn any_identity() -> Permit {
    mesh_tls(Clients::Identities(PermitClientIdentities {
        identities: Vec::new(),
        suffixes: vec![suffix("")],
    }))
}

/// By one of these identities; `None` where there is none.
pub(super) fn identities(
    settings: &PolicySettings,
    identities: &[ClientIdentity],
) -> Option<Permit> {
    let mut clients = PermitClientIdentities::default();
    for identity in identities {
        match identity {
            ClientIdentity::Exact(name) => clients.identities.push(exact(name)),
            ClientIdentity::Below(domain) => clients.suffixes.push(suffix(domain)),
            ClientIdentity::ServiceAccount(account) => {
                clients.identities.push(service_account(settings, account));
            }
            ClientIdentity::Namespace(namespace) => {
                let domain = format!("{namespace}.{}", service_accounts(settings));
                clients.suffixes.push(suffix(&domain));
            }
        }
    }
    (!identities.is_empty()).then(|| mesh_tls(Clients::Identities(clients)))
}

/// By the identity of a ServiceAccount.
pub(super) fn service_account(settings: &PolicySettings, account: &ObjectKey) -> Identity {
    let ObjectKey { namespace, name } = account;
    let domain = service_accounts(settings);
    exact(&format!("{name}.{namespace}.{domain}"))
}

/// The domain of all ServiceAccounts' identities (policy.md section 2.5).
fn service_accounts(settings: &PolicySettings) -> String {
    let PolicySettings {
        control_plane_namespace,
        trust_domain,
        ..
    } = settings;
    format!("serviceaccount.identity.{control_plane_namespace}.{trust_domain}")
}

fn exact(name: &str) -> Identity {
    Identity {
        name: name.to_owned(),
    }
}

/// Every name below a domain; below none, every name.
fn suffix(domain: &str) -> IdentitySuffix {
    let labels = domain.split('.').filter(|_| !domain.is_empty());
    IdentitySuffix {
        parts: labels.map(str::to_owned).collect(),
    }
}

fn mesh_tls(clients: Clients) -> Permit {
    Permit::MeshTls(PermitMeshTls {
        clients: Some(clients),
    })
}
