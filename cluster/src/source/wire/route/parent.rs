use super::super::{
    Reader,
    field::{Field, object_shapes},
};
use crate::object::{
    Name, ObjectKey,
    route::{Parent, ParentKey, ParentKind, RouteKind},
};
use serde::Deserialize;

/// `parentRefs[]`, in the spec and in the status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ParentRef {
    group: Field<Box<str>>,
    kind: Field<Box<str>>,
    namespace: Field<Box<str>>,
    name: Field<Box<str>>,
    section_name: Field<Box<str>>,
    port: Field<u16>,
}

object_shapes!(ParentRef);

/// The parents that are of a kind that the mesh knows. Gateways and the like are
/// others' to look after.
pub(super) fn parents(
    kind: RouteKind,
    list: Field<Vec<Field<ParentRef>>>,
    namespace: &Name,
    reader: &mut Reader<'_>,
) -> Box<[Parent]> {
    let references = reader.elements(list, "spec.parentRefs").into_iter();
    let parents = references.enumerate().filter_map(|(index, reference)| {
        reference.read(
            kind,
            namespace,
            &format!("spec.parentRefs[{index}]"),
            reader,
        )
    });
    parents.collect()
}

impl ParentRef {
    fn read(
        self,
        route: RouteKind,
        namespace: &Name,
        path: &str,
        reader: &mut Reader<'_>,
    ) -> Option<Parent> {
        // What the CRDs put where no group is written.
        let group = match &self.group {
            Field::Absent => Field::Is(route.group().into()),
            _ => self.group,
        };
        let kind = kind_of(group, self.kind, path, reader)?;
        let parent_namespace = reader.some_name(self.namespace, format_args!("{path}.namespace"));
        let name = reader.some_name(self.name, format_args!("{path}.name"))?;
        let has_port = self.port.is_present();
        let port = self
            .port
            .read(format_args!("{path}.port"), &mut reader.problems);
        let key = ObjectKey {
            namespace: parent_namespace.unwrap_or_else(|| namespace.clone()),
            name,
        };
        Some(match kind {
            ParentKind::Server => Parent {
                key: ParentKey::new(kind, key),
                port: None,
                is_part: has_port || self.section_name.is_present(),
            },
            // One that is no port is no parent: without it the route would be for
            // all of them.
            _ if has_port && port.is_none_or(|port| port == 0) => return None,
            _ => Parent {
                key: ParentKey::new(kind, key),
                port,
                is_part: false,
            },
        })
    }

    /// The parent as a status names it, kinds and groups as they are written
    /// there.
    pub(super) fn stored(
        self,
        namespace: &Name,
        path: &str,
        reader: &mut Reader<'_>,
    ) -> Option<(ParentKey, Option<u16>)> {
        let group = reader.text(self.group, format_args!("{path}.group"));
        let kind = reader.text(self.kind, format_args!("{path}.kind"));
        let group = if group.is_empty() { "core" } else { &*group };
        let mut kinds = ParentKind::ALL.into_iter();
        let kind = kinds.find(|known| known.name() == &*kind && known.group() == group)?;
        let own = reader.some_name(self.namespace, format_args!("{path}.namespace"));
        let key = ObjectKey {
            namespace: own.unwrap_or_else(|| namespace.clone()),
            name: reader.some_name(self.name, format_args!("{path}.name"))?,
        };
        let port = self
            .port
            .read(format_args!("{path}.port"), &mut reader.problems);
        Some((ParentKey::new(kind, key), port))
    }
}

/// The kind of a parent, if it is one that the mesh knows (policy.md section
/// 2.1).
fn kind_of(
    group: Field<Box<str>>,
    kind: Field<Box<str>>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Option<ParentKind> {
    let group = reader.text(group, format_args!("{path}.group"));
    let kind = reader.text(kind, format_args!("{path}.kind"));
    let own = if group.is_empty() { "core" } else { &*group };
    let named = |known: &ParentKind| kind.eq_ignore_ascii_case(known.name());
    let known = ParentKind::ALL.into_iter().find(named)?;
    if own.eq_ignore_ascii_case(known.group()) {
        return Some(known);
    }
    // No gateway is called that: the group was forgotten.
    let (name, expected) = (known.name(), known.group());
    reader.problems.push(format!(
        "{path}: {name} of group {group:?} is no parent that the mesh knows; expected group: \
         {expected}"
    ));
    None
}
