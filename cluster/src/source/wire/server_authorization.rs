use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    mesh_tls_authentication::identity,
    metadata::Metadata,
    network::{Cidr, networks},
    selector::Selector,
};
use crate::object::{self, ClientIdentity, Clients, Kind, Object, ObjectKey, ServerSelector};
use serde::Deserialize;

/// `policy.linkerd.io` ServerAuthorization, any version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServerAuthorization {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    server: Field<ServerRef>,
    client: Field<Client>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ServerRef {
    name: Field<Box<str>>,
    selector: Field<Selector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Client {
    networks: Field<Vec<Field<Cidr>>>,
    unauthenticated: Field<bool>,
    #[serde(rename = "meshTLS")]
    mesh_tls: Field<MeshTls>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MeshTls {
    #[serde(rename = "unauthenticatedTLS")]
    unauthenticated_tls: Field<bool>,
    identities: Field<Vec<Field<Box<str>>>>,
    service_accounts: Field<Vec<Field<ServiceAccount>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceAccount {
    name: Field<Box<str>>,
    namespace: Field<Box<str>>,
}

object_shapes!(
    ServerAuthorization,
    Spec,
    ServerRef,
    Client,
    MeshTls,
    ServiceAccount
);

impl Watched for ServerAuthorization {
    const KIND: Kind = Kind::ServerAuthorization;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, _: Metadata, key: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        let server = reader.part(spec.server, "spec.server");
        let client = reader.part(spec.client, "spec.client");
        Object::ServerAuthorization(object::ServerAuthorization {
            servers: servers(server, reader),
            clients: clients(client.unauthenticated, client.mesh_tls, key, reader),
            networks: networks(client.networks, "spec.client.networks", reader),
        })
    }
}

fn servers(server: ServerRef, reader: &mut Reader<'_>) -> Option<ServerSelector> {
    const SELECTOR: &str = "spec.server.selector";
    if server.name.is_present() {
        let name = reader.some_name(server.name, "spec.server.name")?;
        return Some(ServerSelector::Name(name));
    }
    if !server.selector.is_present() {
        let problem = "spec.server: expected the name or a selector of Servers".to_owned();
        reader.problems.push(problem);
    }
    server
        .selector
        .read(SELECTOR, &mut reader.problems)?
        .read(SELECTOR, reader)
        .map(ServerSelector::Labels)
}

/// The first of these that is said (policy.md section 5.8).
fn clients(
    unauthenticated: Field<bool>,
    mesh_tls: Field<MeshTls>,
    key: &ObjectKey,
    reader: &mut Reader<'_>,
) -> Option<Clients> {
    if reader.flag(unauthenticated, "spec.client.unauthenticated") == Some(true) {
        return Some(Clients::Unauthenticated);
    }
    let mesh_tls = reader.part(mesh_tls, "spec.client.meshTLS");
    let path = "spec.client.meshTLS.unauthenticatedTLS";
    if reader.flag(mesh_tls.unauthenticated_tls, path) == Some(true) {
        return Some(Clients::UnauthenticatedTls);
    }
    let path = "spec.client.meshTLS.identities";
    let mut identities: Vec<_> = reader
        .elements(mesh_tls.identities, path)
        .iter()
        .filter_map(|text| identity(text, path, reader))
        .collect();
    let path = "spec.client.meshTLS.serviceAccounts";
    for account in reader.elements(mesh_tls.service_accounts, path) {
        identities.extend(account.read(path, key, reader));
    }
    if identities.is_empty() {
        reader.problems.push(
            "spec.client: nobody is let in; expected unauthenticated: true, or meshTLS with \
             unauthenticatedTLS: true, identities or serviceAccounts"
                .to_owned(),
        );
        return None;
    }
    Some(Clients::Identities(identities.into()))
}

impl ServiceAccount {
    fn read(self, path: &str, key: &ObjectKey, reader: &mut Reader<'_>) -> Option<ClientIdentity> {
        let has_namespace = self.namespace.is_present();
        let namespace = reader.some_name(self.namespace, format_args!("{path}[].namespace"));
        let name = reader.some_name(self.name, format_args!("{path}[].name"));
        if name.is_none() {
            reader.problems.push(format!("{path}[]: no name"));
        }
        let namespace = match (namespace, has_namespace) {
            (None, false) => key.namespace.clone(),
            // Written, but empty or not to be read.
            (namespace, _) => namespace?,
        };
        Some(ClientIdentity::ServiceAccount(ObjectKey {
            namespace,
            name: name?,
        }))
    }
}
