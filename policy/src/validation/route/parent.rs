//! What routes are attached to.

use super::{
    super::{Refusal, reference::Reference},
    shape::ParentRef,
};
use ferrule_cluster::object::route::ParentKind;
use serde_json::Value;

/// What a reference says, with the group that the CRD puts where none is written.
fn reference<'a>(parent: &'a ParentRef, group: &'a str) -> Reference<'a> {
    Reference {
        group: Some(parent.group.as_deref().unwrap_or(group)),
        kind: parent.kind.as_deref().unwrap_or_default(),
    }
}

fn is(parent: &ParentRef, group: &str, kind: ParentKind) -> bool {
    let of = match kind {
        ParentKind::Service => "",
        ParentKind::Server | ParentKind::EgressNetwork => kind.group(),
    };
    reference(parent, group).is(of, kind.name())
}

/// An EgressNetwork has no ports of its own that could be meant. `group` is the
/// route's.
pub(super) fn check(parents: &[ParentRef], group: &str) -> Result<(), Refusal> {
    let mut parents = parents.iter().enumerate();
    let without = parents
        .find(|(_, parent)| is(parent, group, ParentKind::EgressNetwork) && parent.port.is_none());
    match without {
        None => Ok(()),
        Some((at, _)) => Err(Refusal(format!(
            "spec.parentRefs[{at}].port: an EgressNetwork as a parent needs a port"
        ))),
    }
}

/// Whether something that clients call is among the parents.
pub(super) fn has_clients(parents: &[ParentRef], group: &str) -> bool {
    let called = [ParentKind::Service, ParentKind::EgressNetwork];
    let mut parents = parents.iter();
    parents.any(|parent| called.into_iter().any(|kind| is(parent, group, kind)))
}

/// Whether parents that may not be readable may be of the mesh.
pub(super) fn may_be_of_the_mesh(parents: &Value) -> bool {
    let Some(parents) = parents.as_array() else {
        return true;
    };
    parents.iter().any(|parent| match parent["kind"].as_str() {
        Some(kind) => {
            let mut known = ParentKind::ALL.into_iter();
            known.any(|known| known.name().eq_ignore_ascii_case(kind))
        }
        None => !parent.is_object() || !parent["kind"].is_null(),
    })
}
