use super::{
    Reader, Watched,
    field::{Field, Shape, object_shapes},
    metadata::Metadata,
};
use crate::object::{self, Kind, Object, ObjectKey, Override};
use serde::Deserialize;

/// `linkerd.io` ServiceProfile, any version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceProfile {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    dst_overrides: Field<Vec<Field<DstOverride>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct DstOverride {
    authority: Field<Box<str>>,
    weight: Field<Weight>,
}

object_shapes!(ServiceProfile, Spec, DstOverride);

/// A quantity without a unit larger than one (`1`, `500m`), in thousandths.
#[derive(Clone, Copy, Debug)]
struct Weight(u32);

impl Shape for Weight {
    const EXPECTED: &'static str = "a weight such as 1 or 500m";

    fn from_text(text: &str) -> Option<Self> {
        match text.strip_suffix('m') {
            Some(thousandths) => thousandths.parse().ok().map(Self),
            None => Self::from_integer(text.parse().ok()?),
        }
    }

    fn from_integer(number: i64) -> Option<Self> {
        u32::try_from(number).ok()?.checked_mul(1_000).map(Self)
    }
}

impl Watched for ServiceProfile {
    const KIND: Kind = Kind::ServiceProfile;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, _: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        let overrides = reader
            .elements(spec.dst_overrides, "spec.dstOverrides")
            .into_iter()
            .filter_map(|entry| {
                let weight = entry
                    .weight
                    .read("spec.dstOverrides[].weight", &mut reader.problems)?;
                Some(Override {
                    authority: reader.name(entry.authority, "spec.dstOverrides[].authority"),
                    weight: weight.0,
                })
            })
            .collect();
        Object::ServiceProfile(object::ServiceProfile { overrides })
    }
}
