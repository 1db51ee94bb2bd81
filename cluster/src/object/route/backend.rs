use super::{Filter, ParentKey, ParentKind};
use crate::object::{Name, ObjectKey};

/// Where a rule leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// To what.
    pub target: BackendTarget,
    /// How much of the rule's traffic, beside the other backends' weights.
    pub weight: u32,
    /// What is done to requests that go there, or what of it no proxy can do:
    /// nothing goes there then.
    pub filters: Result<Box<[Filter]>, Name>,
}

/// What a rule leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendTarget {
    /// A Service or an EgressNetwork, there or not.
    Object {
        /// Which of the two.
        kind: ParentKind,
        /// Its namespace, if one is written.
        namespace: Option<Name>,
        /// Its name.
        name: Name,
        /// `port`, if one is written; never 0.
        port: Option<u16>,
    },
    /// Something that the mesh cannot send to.
    Unsupported {
        /// The group as it is written, `core` where none is.
        group: Name,
        /// The kind.
        kind: Name,
    },
}

impl BackendTarget {
    /// The object, in `namespace` unless another is written.
    pub fn key(&self, namespace: &Name) -> Option<ParentKey> {
        match self {
            Self::Unsupported { .. } => None,
            Self::Object {
                kind,
                namespace: own,
                name,
                ..
            } => Some(ParentKey {
                kind: *kind,
                key: ObjectKey {
                    namespace: own.as_ref().unwrap_or(namespace).clone(),
                    name: name.clone(),
                },
            }),
        }
    }
}
