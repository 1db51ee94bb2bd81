use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    metadata::Metadata,
    reference::Reference,
};
use crate::object::{
    self, IdentitySource, Kind, Object, ObjectKey, PolicyTarget, RequiredAuthentications,
    route::RouteKind,
};
use serde::Deserialize;

/// `policy.linkerd.io` AuthorizationPolicy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuthorizationPolicy {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    target_ref: Field<Reference>,
    required_authentication_refs: Field<Vec<Field<Reference>>>,
}

object_shapes!(AuthorizationPolicy, Spec);

impl Watched for AuthorizationPolicy {
    const KIND: Kind = Kind::AuthorizationPolicy;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, _: Metadata, key: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        Object::AuthorizationPolicy(object::AuthorizationPolicy {
            target: target(spec.target_ref, reader),
            required: required(spec.required_authentication_refs, key, reader),
        })
    }
}

fn target(field: Field<Reference>, reader: &mut Reader<'_>) -> Option<PolicyTarget> {
    const PATH: &str = "spec.targetRef";
    let target = reader.required(field, PATH)?.read(PATH, reader)?;
    if target.is("policy.linkerd.io", "Server") {
        return Some(PolicyTarget::Server(target.name));
    }
    if target.is("", "Namespace") {
        return Some(PolicyTarget::Namespace);
    }
    let mut kinds = [RouteKind::PolicyHttp, RouteKind::Http, RouteKind::Grpc].into_iter();
    if let Some(kind) = kinds.find(|kind| target.is(kind.group(), kind.name())) {
        let name = reader.interner.name(&target.name.to_ascii_lowercase());
        return Some(PolicyTarget::Route { kind, name });
    }
    reader.problems.push(format!(
        "{PATH}: {target} cannot be the target; expected Server or HTTPRoute of group \
         policy.linkerd.io, HTTPRoute or GRPCRoute of group gateway.networking.k8s.io, or Namespace"
    ));
    None
}

/// All that is required, or nothing: a policy of which a part cannot be read
/// would let in more without it.
fn required(
    field: Field<Vec<Field<Reference>>>,
    key: &ObjectKey,
    reader: &mut Reader<'_>,
) -> Option<RequiredAuthentications> {
    const PATH: &str = "spec.requiredAuthenticationRefs";
    let list = reader.required(field, PATH)?;
    let mut all = RequiredAuthentications::default();
    for (index, reference) in list.into_iter().enumerate() {
        let path = format!("{PATH}[{index}]");
        let referent = reader.required(reference, &path)?.read(&path, reader)?;
        let repeated = if referent.is("policy.linkerd.io", "NetworkAuthentication") {
            all.network.replace(referent.key(&key.namespace)).is_some()
        } else {
            let source = if referent.is("policy.linkerd.io", "MeshTLSAuthentication") {
                IdentitySource::MeshTls
            } else if referent.is("", "ServiceAccount") {
                IdentitySource::ServiceAccount
            } else {
                reader.problems.push(format!(
                    "{path}: {referent} authenticates nobody; expected MeshTLSAuthentication or \
                     NetworkAuthentication of group policy.linkerd.io, or ServiceAccount; nobody \
                     is let in"
                ));
                return None;
            };
            let identity = source(referent.key(&key.namespace));
            all.identity.replace(identity).is_some()
        };
        if repeated {
            reader.problems.push(format!(
                "{PATH}: expected at most one NetworkAuthentication, and one of \
                 MeshTLSAuthentication and ServiceAccount; nobody is let in"
            ));
            return None;
        }
    }
    Some(all)
}
