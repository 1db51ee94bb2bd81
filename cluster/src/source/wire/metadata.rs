//! `metadata`, without what is not read: above all most of `managedFields`, which
//! is often half of an object.

use super::{
    Reader,
    field::{Field, Pairs, Shape, object_shapes},
    last_write::LastWrite,
    service::port_set,
    traffic::TrafficAnnotations,
};
use crate::object::{DefaultPolicy, Labels, Name, Owner, OwnerRef, PortSet, traffic};
use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess},
};
use smallvec::SmallVec;
use std::sync::Arc;

/// `metadata` of any kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: Field<Box<str>>,
    pub(crate) namespace: Field<Box<str>>,
    pub(crate) resource_version: Field<Version>,
    pub(crate) managed_fields: Field<LastWrite>,
    creation_timestamp: Field<Created>,
    deletion_timestamp: Field<Box<str>>,
    owner_references: Field<Vec<Field<OwnerReference>>>,
    /// All of them: selectors may ask for any.
    labels: Field<Pairs<Box<str>>>,
    annotations: Field<Marks>,
}

/// An owner; `apiVersion` is not read, kinds are told apart by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerReference {
    kind: Field<Box<str>>,
    name: Field<Box<str>>,
}

object_shapes!(Metadata, OwnerReference);

/// `resourceVersion`: a string, but a number is understood too, since without
/// one a watch cannot go on.
#[derive(Clone, Debug)]
pub(crate) struct Version(pub(crate) String);

impl Shape for Version {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn from_integer(number: i64) -> Option<Self> {
        Some(Self(number.to_string()))
    }
}

/// `creationTimestamp`, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Created(i64);

impl Shape for Created {
    const EXPECTED: &'static str = "a time such as 2026-01-31T12:00:00Z";

    fn from_text(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        Some(Self(time.as_second()))
    }
}

/// A label or annotation that the mesh reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    ControlPlane,
    TemplateHash,
    ServiceName,
    MirrorCluster,
    Zone,
    OpaquePorts,
    SkipInboundPorts,
    DefaultPolicy,
    RequireIdentityPorts,
    GatewayIdentity,
    RemoteName,
    RemoteDiscovery,
    RemoteService,
    LocalDiscovery,
}

impl Mark {
    const ALL: [Mark; 14] = [
        Mark::ControlPlane,
        Mark::TemplateHash,
        Mark::ServiceName,
        Mark::MirrorCluster,
        Mark::Zone,
        Mark::OpaquePorts,
        Mark::SkipInboundPorts,
        Mark::DefaultPolicy,
        Mark::RequireIdentityPorts,
        Mark::GatewayIdentity,
        Mark::RemoteName,
        Mark::RemoteDiscovery,
        Mark::RemoteService,
        Mark::LocalDiscovery,
    ];

    /// The key, as the objects of a Linkerd mesh carry it.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Mark::ControlPlane => "linkerd.io/control-plane-ns",
            Mark::TemplateHash => "pod-template-hash",
            Mark::ServiceName => "kubernetes.io/service-name",
            Mark::MirrorCluster => "mirror.linkerd.io/cluster-name",
            Mark::Zone => "topology.kubernetes.io/zone",
            Mark::OpaquePorts => "config.linkerd.io/opaque-ports",
            Mark::SkipInboundPorts => "config.linkerd.io/skip-inbound-ports",
            Mark::DefaultPolicy => "config.linkerd.io/default-inbound-policy",
            Mark::RequireIdentityPorts => "config.linkerd.io/proxy-require-identity-inbound-ports",
            Mark::GatewayIdentity => "mirror.linkerd.io/remote-gateway-identity",
            Mark::RemoteName => "mirror.linkerd.io/remote-svc-fq-name",
            // Both a label and, with another meaning, an annotation.
            Mark::RemoteDiscovery => "multicluster.linkerd.io/remote-discovery",
            Mark::RemoteService => "multicluster.linkerd.io/remote-service",
            Mark::LocalDiscovery => "multicluster.linkerd.io/local-discovery",
        }
    }
}

/// A key of annotations.
enum Key {
    Mark(Mark),
    Traffic(&'static str),
    /// One that is not read.
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl serde::de::Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                if let Some(mark) = Mark::ALL.into_iter().find(|mark| mark.key() == text) {
                    return Ok(Key::Mark(mark));
                }
                let mut traffic = traffic::KEYS.into_iter();
                Ok(traffic
                    .find(|key| *key == text)
                    .map_or(Key::Other, Key::Traffic))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The annotations that are read.
#[derive(Clone, Debug, Default)]
struct Marks {
    marks: SmallVec<[(Mark, Field<Box<str>>); 2]>,
    traffic: Vec<(&'static str, Field<Box<str>>)>,
}

impl Shape for Marks {
    const EXPECTED: &'static str = "an object";

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        let mut marks = Self::default();
        while let Some(key) = object.next_key()? {
            match key {
                Key::Mark(mark) => marks.marks.push((mark, object.next_value()?)),
                Key::Traffic(key) => marks.traffic.push((key, object.next_value()?)),
                Key::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(marks))
    }
}

impl Metadata {
    /// When the object was made, in seconds since 1970.
    pub(crate) fn created(&mut self, reader: &mut Reader<'_>) -> Option<i64> {
        let created = std::mem::take(&mut self.creation_timestamp);
        let created = created.read("metadata.creationTimestamp", &mut reader.problems);
        created.map(|created| created.0)
    }

    /// Whether the object is on its way out.
    pub(crate) fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_present()
    }

    pub(crate) fn label(&mut self, mark: Mark, reader: &mut Reader<'_>) -> Option<Box<str>> {
        let pairs = self.pairs(reader)?;
        let (_, value) = pairs.0.iter_mut().find(|(key, _)| **key == *mark.key())?;
        match value {
            Field::Absent => None,
            Field::Is(text) => Some(text.clone()),
            wrong @ Field::Wrong(_) => {
                // Once: it may be asked for again.
                let path = format_args!("label {}", mark.key());
                std::mem::take(wrong).read(path, &mut reader.problems)
            }
        }
    }

    pub(crate) fn annotation(&mut self, mark: Mark, reader: &mut Reader<'_>) -> Option<Box<str>> {
        let marks = self.marks(reader)?;
        let at = marks.marks.iter().position(|(found, _)| *found == mark)?;
        let (_, value) = marks.marks.swap_remove(at);
        let path = format_args!("annotation {}", mark.key());
        value.read(path, &mut reader.problems)
    }

    /// What is said of retries, timeouts and the like.
    pub(super) fn traffic(&mut self, reader: &mut Reader<'_>) -> TrafficAnnotations {
        let traffic = self
            .marks(reader)
            .map(|marks| std::mem::take(&mut marks.traffic));
        let traffic = traffic.unwrap_or_default().into_iter();
        let readable = traffic.filter_map(|(key, value)| {
            let path = format_args!("annotation {key}");
            Some((key, value.read(path, &mut reader.problems)?))
        });
        TrafficAnnotations(readable.collect())
    }

    fn marks(&mut self, reader: &mut Reader<'_>) -> Option<&mut Marks> {
        if let Field::Wrong(_) = self.annotations {
            let wrong = std::mem::take(&mut self.annotations);
            wrong.read("metadata.annotations", &mut reader.problems);
        }
        match &mut self.annotations {
            Field::Is(marks) => Some(marks),
            _ => None,
        }
    }

    /// All labels, shared with the objects that have the same.
    pub(crate) fn labels(&mut self, reader: &mut Reader<'_>) -> Arc<Labels> {
        let pairs = self.pairs(reader).map(std::mem::take).unwrap_or_default();
        let mut labels = Vec::with_capacity(pairs.0.len());
        for (key, value) in pairs.0 {
            let path = format_args!("label {key}");
            if let Some(value) = value.read(path, &mut reader.problems) {
                let interner = reader.interner;
                labels.push((interner.name(&key), interner.name(&value)));
            }
        }
        reader.interner.labels(Labels::new(labels))
    }

    fn pairs(&mut self, reader: &mut Reader<'_>) -> Option<&mut Pairs<Box<str>>> {
        if let Field::Wrong(_) = self.labels {
            let wrong = std::mem::take(&mut self.labels);
            wrong.read("metadata.labels", &mut reader.problems);
        }
        match &mut self.labels {
            Field::Is(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The label, where it is not empty.
    pub(crate) fn label_name(&mut self, mark: Mark, reader: &mut Reader<'_>) -> Option<Name> {
        let text = self.label(mark, reader).filter(|text| !text.is_empty())?;
        Some(reader.interner.name(&text))
    }

    /// `ownerReferences`, where there is exactly one.
    pub(crate) fn owner(&mut self, reader: &mut Reader<'_>) -> Owner {
        let mut owners = self.owners(reader);
        match (owners.pop(), owners.is_empty()) {
            (Some(owner), true) => Owner::One(owner),
            _ => Owner::Unclear,
        }
    }

    /// All owners whose kind and name can be read.
    pub(crate) fn owners(&mut self, reader: &mut Reader<'_>) -> Vec<OwnerRef> {
        const PATH: &str = "metadata.ownerReferences";
        std::mem::take(&mut self.owner_references)
            .elements(PATH, &mut reader.problems)
            .into_iter()
            .map(|owner| OwnerRef {
                kind: reader.name(owner.kind, format_args!("{PATH}[].kind")),
                name: reader.name(owner.name, format_args!("{PATH}[].name")),
            })
            .collect()
    }
}

/// A port list that knows no names, empty where there is none.
pub(super) fn port_numbers(
    metadata: &mut Metadata,
    mark: Mark,
    reader: &mut Reader<'_>,
) -> PortSet {
    some_port_numbers(metadata, mark, reader).unwrap_or_default()
}

/// A port list that knows no names, where there is one.
pub(super) fn some_port_numbers(
    metadata: &mut Metadata,
    mark: Mark,
    reader: &mut Reader<'_>,
) -> Option<PortSet> {
    let text = metadata.annotation(mark, reader)?;
    Some(port_set(mark, &text, |_| None, reader))
}

/// The annotation of who is let in, where it says so.
pub(super) fn default_policy(
    metadata: &mut Metadata,
    reader: &mut Reader<'_>,
) -> Option<DefaultPolicy> {
    let text = metadata.annotation(Mark::DefaultPolicy, reader)?;
    let read = text.parse();
    if let Err(error) = &read {
        let key = Mark::DefaultPolicy.key();
        reader.problems.push(format!("annotation {key}: {error}"));
    }
    read.ok()
}
