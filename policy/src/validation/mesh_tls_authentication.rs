use super::{Refusal, Subject, identity, reference::Reference};
use ferrule_crds::{IdentityRef, MeshTlsAuthenticationSpec};

pub(super) fn check(subject: &Subject<'_>) -> Result<(), Refusal> {
    let spec: MeshTlsAuthenticationSpec = subject.read()?;
    // As the CRD has it, which is not always there to say so.
    if spec.identities.is_some() == spec.identity_refs.is_some() {
        return Err(Refusal(
            "spec: set exactly one of identities and identityRefs".to_owned(),
        ));
    }
    let identities = spec.identities.unwrap_or_default();
    let references = spec.identity_refs.unwrap_or_default();
    if identities.is_empty() && references.is_empty() {
        return Err(Refusal(
            "spec: nobody is named: list at least one, * in identities for every client of the \
             mesh"
                .to_owned(),
        ));
    }
    for (at, text) in identities.iter().enumerate() {
        if let Some(mistake) = identity::mistake(text) {
            return Err(Refusal(format!("spec.identities[{at}]: {mistake}")));
        }
    }
    for (at, reference) in references.iter().enumerate() {
        check_reference(reference, &format!("spec.identityRefs[{at}]"))?;
    }
    Ok(())
}

fn check_reference(written: &IdentityRef, path: &str) -> Result<(), Refusal> {
    if written.name.as_ref().is_none_or(String::is_empty) {
        return Err(Refusal(format!("{path}: it has no name")));
    }
    let reference = Reference {
        group: written.group.as_deref(),
        kind: &written.kind,
    };
    if reference.is("", "ServiceAccount") {
        return Ok(());
    }
    if !reference.is("", "Namespace") {
        return Err(Refusal(format!(
            "{path}: {reference} has no identity: expected ServiceAccount or Namespace, without a \
             group"
        )));
    }
    if written.namespace.is_some() {
        return Err(Refusal(format!(
            "{path}.namespace: a Namespace is in none: remove the field"
        )));
    }
    Ok(())
}
