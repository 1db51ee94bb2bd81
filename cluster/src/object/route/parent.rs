use crate::object::{Kind, ObjectKey, StatusCondition};
use std::fmt;

/// A kind of object that routes are attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ParentKind {
    /// `policy.linkerd.io` Server: what comes in.
    Server,
    /// `v1` Service: what goes out to it.
    Service,
    /// `policy.linkerd.io` EgressNetwork: what leaves the cluster.
    EgressNetwork,
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParentKey {
    /// Its kind.
    pub kind: ParentKind,
    /// Where it is.
    pub key: ObjectKey,
}

/// A parent of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parent {
    /// The object.
    pub key: ParentKey,
    /// Which port of it, or all; always all of a Server.
    pub port: Option<u16>,
    /// A port or section of a Server is named: no Server has such parts, and the
    /// route is not for what comes in.
    pub is_part: bool,
}

/// What a controller wrote about a route and one of its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    /// The parent.
    pub parent: ParentKey,
    /// The port of it that the route names.
    pub port: Option<u16>,
    /// What holds.
    pub conditions: Box<[StatusCondition]>,
}

impl ParentKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Server, Self::Service, Self::EgressNetwork];

    /// The group as references and metrics have it; that of Services is `core`.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Service => "core",
            Self::Server | Self::EgressNetwork => "policy.linkerd.io",
        }
    }

    /// As an object of the cluster.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Server => Kind::Server,
            Self::Service => Kind::Service,
            Self::EgressNetwork => Kind::EgressNetwork,
        }
    }

    /// The kind as manifests spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Service => "Service",
            Self::EgressNetwork => "EgressNetwork",
        }
    }
}

impl ParentKey {
    /// The object of this kind.
    pub const fn new(kind: ParentKind, key: ObjectKey) -> Self {
        Self { kind, key }
    }
}

impl fmt::Display for ParentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.key)
    }
}

impl ParentStatus {
    /// Whether the condition of this type is True.
    pub fn is(&self, kind: &str) -> bool {
        StatusCondition::holds(&self.conditions, kind)
    }
}
