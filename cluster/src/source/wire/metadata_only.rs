//! The kinds of which only `metadata` is read.

use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    metadata::{Mark, Metadata},
};
use crate::object::{self, Kind, Object, ObjectKey};
use serde::Deserialize;

macro_rules! metadata_only {
    ($($(#[$doc:meta])* $name:ident: $read:expr;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, Deserialize)]
            #[serde(default)]
            pub(crate) struct $name {
                metadata: Field<Metadata>,
            }

            impl Watched for $name {
                const KIND: Kind = Kind::$name;
                const METADATA_ONLY: bool = true;

                fn metadata(&mut self) -> &mut Field<Metadata> {
                    &mut self.metadata
                }

                fn into_object(
                    self,
                    mut metadata: Metadata,
                    _: &ObjectKey,
                    reader: &mut Reader<'_>,
                ) -> Object {
                    let read: fn(&mut Metadata, &mut Reader<'_>) -> _ = $read;
                    Object::$name(read(&mut metadata, reader))
                }
            }
        )+
        object_shapes!($($name),+);
    };
}

metadata_only! {
    /// A Node: its zone.
    Node: |metadata, reader| object::Node {
        zone: metadata.label_name(Mark::Zone, reader),
    };
    /// A Namespace: its opaque ports.
    Namespace: |metadata, reader| object::Namespace {
        opaque_ports: metadata
            .annotation(Mark::OpaquePorts, reader)
            .map(|text| reader.interner.name(&text)),
    };
    /// A ReplicaSet: its owner.
    ReplicaSet: |metadata, reader| metadata.owner(reader);
    /// A Job: its owner.
    Job: |metadata, reader| metadata.owner(reader);
}
