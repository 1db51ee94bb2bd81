use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    metadata::Metadata,
    reference::Reference,
};
use crate::object::{self, ClientIdentity, Kind, Object, ObjectKey};
use serde::Deserialize;

/// `policy.linkerd.io` MeshTLSAuthentication.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MeshTlsAuthentication {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    identities: Field<Vec<Field<Box<str>>>>,
    identity_refs: Field<Vec<Field<Reference>>>,
}

object_shapes!(MeshTlsAuthentication, Spec);

impl Watched for MeshTlsAuthentication {
    const KIND: Kind = Kind::MeshTlsAuthentication;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, _: Metadata, key: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        let path = "spec.identities";
        let mut identities: Vec<_> = reader
            .elements(spec.identities, path)
            .iter()
            .filter_map(|text| identity(text, path, reader))
            .collect();
        let path = "spec.identityRefs";
        for reference in reader.elements(spec.identity_refs, path) {
            identities.extend(referred(reference, path, key, reader));
        }
        if identities.is_empty() {
            reader.problems.push(
                "spec: nobody is named, so nobody is let in; expected identities or identityRefs"
                    .to_owned(),
            );
        }
        Object::MeshTlsAuthentication(object::MeshTlsAuthentication {
            identities: identities.into(),
        })
    }
}

/// An identity, or a pattern of some, as it is written.
pub(super) fn identity(text: &str, path: &str, reader: &mut Reader<'_>) -> Option<ClientIdentity> {
    if text.is_empty() {
        let problem = format!("{path}[]: expected an identity, * or *.DOMAIN, found nothing");
        reader.problems.push(problem);
        return None;
    }
    Some(match ClientIdentity::domain(text) {
        Some(domain) => ClientIdentity::Below(reader.interner.name(domain)),
        None => ClientIdentity::Exact(reader.interner.name(text)),
    })
}

fn referred(
    reference: Reference,
    path: &str,
    key: &ObjectKey,
    reader: &mut Reader<'_>,
) -> Option<ClientIdentity> {
    let referent = reference.read(&format!("{path}[]"), reader)?;
    if referent.is("", "ServiceAccount") {
        let account = referent.key(&key.namespace);
        return Some(ClientIdentity::ServiceAccount(account));
    }
    if referent.is("", "Namespace") {
        return Some(ClientIdentity::Namespace(referent.name));
    }
    reader.problems.push(format!(
        "{path}[]: {referent} has no identity; expected ServiceAccount or Namespace"
    ));
    None
}
