//! Objects as the API server and manifests spell them, as far as they are read,
//! and their conversion into the types of [`object`](crate::object).
//!
//! Everything else in an object is skipped while parsing: a page of 500 pods
//! costs its text and these structs. Nothing in an object can make it
//! unreadable as a whole except the lack of a name: see [`field`].

mod authorization_policy;
mod bounded;
mod egress_network;
mod endpoint_slice;
mod external_workload;
pub(crate) mod field;
mod last_write;
mod mesh_tls_authentication;
mod metadata;
mod metadata_only;
mod network;
mod network_authentication;
mod pod;
mod probe;
mod rate_limit;
mod received;
mod reference;
mod route;
mod selector;
mod server;
mod server_authorization;
mod service;
mod service_profile;
mod status;
mod traffic;

pub(crate) use self::{
    authorization_policy::AuthorizationPolicy,
    egress_network::EgressNetwork,
    endpoint_slice::EndpointSlice,
    external_workload::ExternalWorkload,
    mesh_tls_authentication::MeshTlsAuthentication,
    metadata_only::{Job, Namespace, Node, ReplicaSet},
    network_authentication::NetworkAuthentication,
    pod::Pod,
    rate_limit::RateLimit,
    received::{ApiVersion, Received, is_metadata_only, reading},
    route::{GrpcRoute, HttpRoute, PolicyHttpRoute, TcpRoute, TlsRoute},
    server::Server,
    server_authorization::ServerAuthorization,
    service::Service,
    service_profile::ServiceProfile,
};

use self::{
    field::{Field, Shape},
    metadata::Metadata,
};
use crate::{
    Interner,
    object::{Kind, Name, Object, ObjectKey},
};
use serde::{Deserialize, Deserializer};
use std::{fmt, net::IpAddr, time::SystemTime};

/// A kind as it is received.
pub(crate) trait Watched: Shape + Clone + fmt::Debug + Send + Sync + 'static {
    const KIND: Kind;
    /// Whether only `metadata` is read, so that no more need be sent.
    const METADATA_ONLY: bool;

    fn metadata(&mut self) -> &mut Field<Metadata>;

    /// What the mesh reads of it. Metadata is handed over apart from the rest.
    fn into_object(self, metadata: Metadata, key: &ObjectKey, reader: &mut Reader<'_>) -> Object;
}

/// An object of a kind as it is written.
#[derive(Clone, Debug)]
pub(crate) struct Wire<T> {
    resource_version: Option<String>,
    metadata: Metadata,
    metadata_problems: Vec<String>,
    object: Field<T>,
}

/// An object ready for the index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Converted {
    pub(crate) key: ObjectKey,
    pub(crate) object: Object,
    pub(crate) problems: Vec<String>,
}

/// What a conversion needs besides the object.
pub(crate) struct Reader<'a> {
    pub(crate) interner: &'a Interner,
    /// `metadata.resourceVersion` as a number, 0 where it is none.
    pub(crate) resource_version: u64,
    pub(crate) problems: Vec<String>,
}

/// Evaluates an expression with the wire type of a kind; a kind that is not here
/// does not compile.
macro_rules! of_kind {
    ($kind:expr, $wire:ident => $body:expr) => {{
        use $crate::{object::Kind, source::wire};
        macro_rules! with {
            ($type:ty) => {{
                type $wire = $type;
                $body
            }};
        }
        match $kind {
            Kind::Service => with!(wire::Service),
            Kind::EndpointSlice => with!(wire::EndpointSlice),
            Kind::Pod => with!(wire::Pod),
            Kind::Node => with!(wire::Node),
            Kind::Namespace => with!(wire::Namespace),
            Kind::ReplicaSet => with!(wire::ReplicaSet),
            Kind::Job => with!(wire::Job),
            Kind::Server => with!(wire::Server),
            Kind::ServiceProfile => with!(wire::ServiceProfile),
            Kind::ExternalWorkload => with!(wire::ExternalWorkload),
            Kind::ServerAuthorization => with!(wire::ServerAuthorization),
            Kind::AuthorizationPolicy => with!(wire::AuthorizationPolicy),
            Kind::MeshTlsAuthentication => with!(wire::MeshTlsAuthentication),
            Kind::NetworkAuthentication => with!(wire::NetworkAuthentication),
            Kind::RateLimit => with!(wire::RateLimit),
            Kind::EgressNetwork => with!(wire::EgressNetwork),
            Kind::PolicyHttpRoute => with!(wire::PolicyHttpRoute),
            Kind::HttpRoute => with!(wire::HttpRoute),
            Kind::GrpcRoute => with!(wire::GrpcRoute),
            Kind::TlsRoute => with!(wire::TlsRoute),
            Kind::TcpRoute => with!(wire::TcpRoute),
        }
    }};
}
pub(crate) use of_kind;

impl<T: Watched> Wire<T> {
    /// When it was last written, where something says so: not of an object on its
    /// way out, since who sent it there is not written on it.
    pub(crate) fn last_write(&self) -> Option<SystemTime> {
        match &self.metadata.managed_fields {
            Field::Is(written) if !self.metadata.is_terminating() => written.time(),
            _ => None,
        }
    }

    /// The object's key. `namespace` is that of an object that names none.
    ///
    /// # Errors
    /// Says what is wrong if the object has no name.
    pub(crate) fn key(
        &mut self,
        interner: &Interner,
        namespace: &str,
    ) -> Result<ObjectKey, String> {
        let problems = &mut self.metadata_problems;
        let mut read = |field: &mut Field<Box<str>>, path| {
            std::mem::take(field)
                .read(path, problems)
                .filter(|text| !text.is_empty())
        };
        let name = read(&mut self.metadata.name, "metadata.name");
        let own_namespace = read(&mut self.metadata.namespace, "metadata.namespace");
        let Some(name) = name else {
            problems.push(format!("a {} without metadata.name", T::KIND));
            return Err(problems.join("; "));
        };
        let namespace = match T::KIND {
            Kind::Node | Kind::Namespace => "",
            _ => own_namespace.as_deref().unwrap_or(namespace),
        };
        let name = match T::KIND {
            // Nothing refers to a slice by its name.
            Kind::EndpointSlice => Name::from(name),
            _ => interner.name(&name),
        };
        Ok(ObjectKey {
            namespace: interner.name(namespace),
            name,
        })
    }

    /// What the mesh reads of the object.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub(crate) fn convert(
        mut self,
        interner: &Interner,
        namespace: &str,
    ) -> Result<Converted, String> {
        let key = self.key(interner, namespace)?;
        let mut reader = Reader {
            interner,
            resource_version: self
                .resource_version
                .as_deref()
                .and_then(|version| version.parse().ok())
                .unwrap_or_default(),
            problems: self.metadata_problems,
        };
        // Without a readable object there is no name either.
        let Field::Is(object) = self.object else {
            return Err(reader.problems.join("; "));
        };
        let object = object.into_object(self.metadata, &key, &mut reader);
        Ok(Converted {
            key,
            object,
            problems: reader.problems,
        })
    }
}

impl<'de, T: Watched> Deserialize<'de> for Wire<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Field::<T>::deserialize(deserializer)?;
        let mut problems = Vec::new();
        let mut metadata = match &mut object {
            Field::Is(object) => std::mem::take(object.metadata())
                .read("metadata", &mut problems)
                .unwrap_or_default(),
            Field::Absent => Metadata::default(),
            Field::Wrong(found) => {
                problems.push(format!("expected an object, found {found}"));
                Metadata::default()
            }
        };
        let version = std::mem::take(&mut metadata.resource_version)
            .read("metadata.resourceVersion", &mut problems);
        Ok(Self {
            resource_version: version.map(|version| version.0),
            metadata,
            metadata_problems: problems,
            object,
        })
    }
}

impl Reader<'_> {
    /// A shared name, empty where there is none.
    fn name(&mut self, field: Field<Box<str>>, path: impl fmt::Display) -> Name {
        let text = field.read(path, &mut self.problems).unwrap_or_default();
        self.interner.name(&text)
    }

    /// A shared name where it is not empty.
    fn some_name(&mut self, field: Field<Box<str>>, path: impl fmt::Display) -> Option<Name> {
        let text = field
            .read(path, &mut self.problems)
            .filter(|text| !text.is_empty())?;
        Some(self.interner.name(&text))
    }

    /// A text, empty where there is none.
    fn text(&mut self, field: Field<Box<str>>, path: impl fmt::Display) -> Box<str> {
        field.read(path, &mut self.problems).unwrap_or_default()
    }

    fn flag(&mut self, field: Field<bool>, path: impl fmt::Display) -> Option<bool> {
        field.read(path, &mut self.problems)
    }

    /// A part of the object, empty where there is none.
    fn part<T: Shape + Default>(&mut self, field: Field<T>, path: impl fmt::Display) -> T {
        field.read(path, &mut self.problems).unwrap_or_default()
    }

    /// What must be there.
    fn required<T: Shape>(&mut self, field: Field<T>, path: &str) -> Option<T> {
        if !field.is_present() {
            let expected = T::EXPECTED;
            self.problems
                .push(format!("{path}: expected {expected}, found nothing"));
        }
        field.read(path, &mut self.problems)
    }

    fn elements<T: Shape>(&mut self, field: Field<Vec<Field<T>>>, path: &str) -> Vec<T> {
        field.elements(path, &mut self.problems)
    }

    /// An address; an empty text is none.
    fn address(&mut self, text: &str, path: impl fmt::Display) -> Option<IpAddr> {
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.problems
                    .push(format!("{path}: {text:?} is not an IP address"));
                None
            }
        }
    }

    /// The addresses of a list; where it holds none, the `single` one.
    fn addresses(
        &mut self,
        list: impl IntoIterator<Item = Box<str>>,
        list_path: &str,
        single: Field<Box<str>>,
        single_path: &str,
    ) -> Vec<IpAddr> {
        let addresses: Vec<_> = list
            .into_iter()
            .filter_map(|text| self.address(&text, list_path))
            .collect();
        if !addresses.is_empty() {
            return addresses;
        }
        let single = self.text(single, single_path);
        self.address(&single, single_path).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
