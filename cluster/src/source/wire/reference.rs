//! References to other objects.

use super::{
    Reader,
    field::{Field, object_shapes},
};
use crate::object::{Name, ObjectKey};
use serde::Deserialize;
use std::fmt;

/// A reference as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    group: Field<Box<str>>,
    kind: Field<Box<str>>,
    namespace: Field<Box<str>>,
    name: Field<Box<str>>,
}

object_shapes!(Reference);

/// A reference that can be read. Its display form is how a problem calls it.
#[derive(Debug)]
pub(super) struct Referent {
    group: Box<str>,
    kind: Box<str>,
    namespace: Option<Name>,
    pub(super) name: Name,
}

impl Reference {
    /// The reference, unless any part of it cannot be read: without that part it
    /// would mean something else.
    pub(super) fn read(self, path: &str, reader: &mut Reader<'_>) -> Option<Referent> {
        let known = reader.problems.len();
        let group = reader.text(self.group, format_args!("{path}.group"));
        let kind = reader.text(self.kind, format_args!("{path}.kind"));
        let namespace = reader.some_name(self.namespace, format_args!("{path}.namespace"));
        let name = reader.some_name(self.name, format_args!("{path}.name"));
        if name.is_none() && reader.problems.len() == known {
            reader.problems.push(format!("{path}: no name"));
        }
        let referent = Referent {
            group,
            kind,
            namespace,
            name: name?,
        };
        (reader.problems.len() == known).then_some(referent)
    }
}

impl Referent {
    /// Whether it is of this kind (policy.md section 2.1). The core group is
    /// empty, whether that is written as none, as empty or as `core`.
    pub(super) fn is(&self, group: &str, kind: &str) -> bool {
        let own = match &*self.group {
            core if core.eq_ignore_ascii_case("core") => "",
            own => own,
        };
        own.eq_ignore_ascii_case(group) && self.kind.eq_ignore_ascii_case(kind)
    }

    /// The object, in `namespace` unless another is written.
    pub(super) fn key(self, namespace: &Name) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace.unwrap_or_else(|| namespace.clone()),
            name: self.name,
        }
    }
}

impl fmt::Display for Referent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => write!(f, "{:?}", self.kind),
            group => write!(f, "{:?} of group {group:?}", self.kind),
        }
    }
}
