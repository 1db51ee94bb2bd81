//! The shape of a ServiceProfile, with nothing in it that is not known. Null is as
//! good as nothing, as everywhere in Kubernetes.

use ferrule_cluster::object::Quantity;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{collections::BTreeSet, fmt};

/// Objects whose fields are looked at for being there, once, and of the right
/// type. A list is none, though serde would take it for one.
macro_rules! shapes {
    ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Default, Deserialize)]
        #[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
        #[allow(dead_code, reason = "most need only be readable")]
        pub(super) struct $name {
            $(
                #[serde(default)]
                pub(super) $field: Option<$type>
            ),*
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        $name::deserialize(MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_map(Fields)
            }
        }
    )*};
}

shapes! {
    /// All of it.
    struct Object {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: Spec,
    }

    struct Metadata {
        name: String,
        generate_name: String,
        namespace: String,
        self_link: String,
        uid: String,
        resource_version: String,
        generation: i64,
        creation_timestamp: String,
        deletion_timestamp: String,
        deletion_grace_period_seconds: i64,
        labels: Texts,
        annotations: Texts,
        owner_references: Vec<IgnoredAny>,
        finalizers: Vec<String>,
        managed_fields: Vec<IgnoredAny>,
    }

    struct Spec {
        routes: Vec<Option<Route>>,
        retry_budget: RetryBudget,
        dst_overrides: Vec<Option<Override>>,
        opaque_ports: OpaquePorts,
    }

    struct Route {
        name: String,
        condition: RequestMatch,
        response_classes: Vec<Option<Class>>,
        is_retryable: bool,
        timeout: String,
    }

    struct RequestMatch {
        all: Vec<Option<RequestMatch>>,
        any: Vec<Option<RequestMatch>>,
        not: Box<RequestMatch>,
        path_regex: String,
        method: String,
    }

    struct Class {
        condition: ResponseMatch,
        is_failure: bool,
    }

    struct ResponseMatch {
        all: Vec<Option<ResponseMatch>>,
        any: Vec<Option<ResponseMatch>>,
        not: Box<ResponseMatch>,
        status: Range,
    }

    struct Range {
        min: u32,
        max: u32,
    }

    struct RetryBudget {
        retry_ratio: f32,
        min_retries_per_second: u32,
        ttl: String,
    }

    struct Override {
        authority: String,
        weight: Weight,
    }
}

/// A map of texts, each with a name of its own.
pub(super) struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, _)) = map.next_entry::<String, Option<String>>()? {
            if let Some(name) = names.replace(name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
        }
        Ok(self)
    }
}

/// A quantity, as a text or a number.
pub(super) struct Weight;

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a quantity such as 1 or 500m")]
        enum Written {
            Number(serde_json::Number),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        match text.parse::<Quantity>() {
            Ok(_) => Ok(Self),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

/// The type that the reference's decoder expects, which the CRD does not let
/// through: a list, as the CRD has it, was never allowed and means nothing.
pub(super) struct OpaquePorts;

impl<'de> Deserialize<'de> for OpaquePorts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for OpaquePorts {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "nothing, since it has no effect: annotate the Service with \
             config.linkerd.io/opaque-ports",
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<u32, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}
