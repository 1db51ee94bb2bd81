//! What the scenarios say that a proxy is told, as whole messages.

mod inbound;
mod outbound;
mod wire;

pub(crate) use self::{inbound::*, outbound::*, wire::*};

use anyhow::Result;
use ferrule_proto::{
    inbound::{Server, proxy_protocol::Kind},
    meta::{Metadata, Resource, metadata},
    outbound::OutboundPolicy,
};
use ferrule_tests::acceptance;
use std::fmt::Debug;

/// A message of one of the two APIs.
pub(crate) trait Message: Clone + Debug + PartialEq + Send + 'static {
    /// Whether a proxy can use it.
    fn accept(&self) -> Result<()>;

    /// The same with what is in no order in one.
    fn in_order(self) -> Self;
}

impl Message for Server {
    fn accept(&self) -> Result<()> {
        Ok(acceptance::server(self)?)
    }

    fn in_order(mut self) -> Self {
        self.authorizations.sort_by_key(|one| format!("{one:?}"));
        if let Some(Kind::Http1(http)) = self.protocol.as_mut().and_then(|one| one.kind.as_mut()) {
            for route in &mut http.routes {
                route.authorizations.sort_by_key(|one| format!("{one:?}"));
            }
        }
        self
    }
}

impl Message for OutboundPolicy {
    fn accept(&self) -> Result<()> {
        Ok(acceptance::policy(self)?)
    }

    fn in_order(self) -> Self {
        self
    }
}

/// A default's.
pub(crate) fn default(name: &str) -> Option<Metadata> {
    Some(Metadata {
        kind: Some(metadata::Kind::Default(name.into())),
    })
}

/// An object's; `kind` is `KIND.GROUP`.
pub(crate) fn object(kind: &str, namespace: &str, name: &str, port: u32) -> Option<Metadata> {
    let (kind, group) = kind.split_once('.').expect("a literal with a group");
    let resource = Resource {
        group: group.into(),
        kind: kind.into(),
        name: name.into(),
        namespace: namespace.into(),
        section: String::new(),
        port,
    };
    Some(Metadata {
        kind: Some(metadata::Kind::Resource(resource)),
    })
}
