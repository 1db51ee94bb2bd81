//! Objects as `kube` reads them: of whichever kind the task that reads expects.
//!
//! kube's client and watcher are compiled for each type that they read, a hundred KiB
//! each time, so there is one type for all kinds. They hand nothing to
//! [`Deserialize`]; the kind is therefore told to the task ([`reading`]).

use super::{Converted, Watched, Wire, of_kind};
use crate::{Interner, object::Kind};
use kube::{
    api::ObjectMeta,
    core::{DynamicResourceScope, Resource},
};
use serde::{Deserialize, Deserializer};
use std::{borrow::Cow, time::SystemTime};

tokio::task_local! {
    static EXPECTED: Expected;
}

struct Expected {
    kind: Kind,
    interner: Interner,
}

/// Runs what lists or watches objects of a kind.
pub(crate) async fn reading<F: Future>(kind: Kind, interner: Interner, task: F) -> F::Output {
    EXPECTED.scope(Expected { kind, interner }, task).await
}

/// Whether only `metadata` of this kind is read, so that no more need be sent.
pub(crate) fn is_metadata_only(kind: Kind) -> bool {
    of_kind!(kind, Wire => <Wire as Watched>::METADATA_ONLY)
}

/// An object of the kind that its task is [`reading`].
#[derive(Clone, Debug)]
pub(crate) struct Received<const METADATA_ONLY: bool> {
    /// Holds the resourceVersion alone: all that a watcher asks for.
    meta: ObjectMeta,
    /// When it was last written, where something says so.
    pub(crate) last_write: Option<SystemTime>,
    /// Ready for the index, or what is wrong with it.
    pub(crate) converted: Result<Converted, String>,
}

impl<const METADATA_ONLY: bool> Received<METADATA_ONLY> {
    pub(crate) fn resource_version(&self) -> Option<&str> {
        self.meta.resource_version.as_deref()
    }
}

impl<'de, const METADATA_ONLY: bool> Deserialize<'de> for Received<METADATA_ONLY> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (resource_version, last_write, converted) = EXPECTED.with(|expected| {
            let interner = &expected.interner;
            of_kind!(expected.kind, Wire => read::<Wire, D>(deserializer, interner))
        })?;
        Ok(Self {
            meta: ObjectMeta {
                resource_version,
                ..ObjectMeta::default()
            },
            last_write,
            converted,
        })
    }
}

type Read = (
    Option<String>,
    Option<SystemTime>,
    Result<Converted, String>,
);

fn read<'de, T: Watched, D: Deserializer<'de>>(
    deserializer: D,
    interner: &Interner,
) -> Result<Read, D::Error> {
    let wire = Wire::<T>::deserialize(deserializer)?;
    let (version, last_write) = (wire.resource_version.clone(), wire.last_write());
    Ok((version, last_write, wire.convert(interner, "")))
}

/// A kind in the version that is asked for: an index into its
/// [`versions`](Kind::versions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ApiVersion {
    kind: Kind,
    index: usize,
}

impl ApiVersion {
    /// The one to ask for first.
    pub(crate) fn first(kind: Kind) -> Self {
        Self { kind, index: 0 }
    }

    /// The one to try when a server does not know this one; the first again
    /// after the last.
    pub(crate) fn next(self) -> Self {
        Self {
            index: (self.index + 1) % self.kind.versions().len(),
            ..self
        }
    }

    pub(crate) fn is_first(self) -> bool {
        self.index == 0
    }
}

impl<const METADATA_ONLY: bool> Resource for Received<METADATA_ONLY> {
    type DynamicType = ApiVersion;
    // Only whole-cluster lists and watches are made, for which the scope of the
    // kind does not matter.
    type Scope = DynamicResourceScope;

    fn kind(version: &ApiVersion) -> Cow<'_, str> {
        version.kind.manifest_name().into()
    }

    fn group(version: &ApiVersion) -> Cow<'_, str> {
        version.kind.group().into()
    }

    fn version(version: &ApiVersion) -> Cow<'_, str> {
        version.kind.versions()[version.index].into()
    }

    fn plural(version: &ApiVersion) -> Cow<'_, str> {
        version.kind.plural().into()
    }

    fn metadata_api() -> bool {
        METADATA_ONLY
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}
