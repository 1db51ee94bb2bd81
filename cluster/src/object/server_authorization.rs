use super::{ClientIdentity, LabelSelector, Name, Network};

/// What the mesh reads of a ServerAuthorization: whom some Servers of its
/// namespace let in (policy.md section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAuthorization {
    /// Which Servers. `None` where that cannot be read: none.
    pub servers: Option<ServerSelector>,
    /// Which clients. `None` where nobody is named, or that cannot be read:
    /// nobody.
    pub clients: Option<Clients>,
    /// From where. `None` where nothing is said: from the cluster's networks.
    pub networks: Option<Box<[Network]>>,
}

/// Which Servers a [`ServerAuthorization`] is for, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerSelector {
    /// The one of this name.
    Name(Name),
    /// Those with such labels.
    Labels(LabelSelector),
}

/// Which clients are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Anybody.
    Unauthenticated,
    /// Anybody who speaks mesh TLS, with or without an identity.
    UnauthenticatedTls,
    /// Those with one of these identities; never empty.
    Identities(Box<[ClientIdentity]>),
}
