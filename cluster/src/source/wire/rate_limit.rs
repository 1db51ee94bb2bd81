use super::{
    Reader, Watched,
    field::{Field, Shape, object_shapes},
    metadata::Metadata,
    reference::Reference,
    status::{Status, conditions_of},
};
use crate::object::{self, Kind, Name, Object, ObjectKey, RateLimits, RateOverride};
use serde::Deserialize;

/// `policy.linkerd.io` HTTPLocalRateLimitPolicy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RateLimit {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
    status: Field<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    target_ref: Field<Reference>,
    total: Field<Limit>,
    identity: Field<Limit>,
    overrides: Field<Vec<Field<Override>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Limit {
    requests_per_second: Field<Rate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Override {
    requests_per_second: Field<Rate>,
    client_refs: Field<Vec<Field<Reference>>>,
}

object_shapes!(RateLimit, Spec, Limit, Override);

#[derive(Clone, Copy, Debug)]
struct Rate(u32);

impl Shape for Rate {
    const EXPECTED: &'static str = "a number of requests (0-4294967295)";

    fn from_integer(number: i64) -> Option<Self> {
        number.try_into().ok().map(Self)
    }
}

impl Watched for RateLimit {
    const KIND: Kind = Kind::RateLimit;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(
        self,
        mut metadata: Metadata,
        key: &ObjectKey,
        reader: &mut Reader<'_>,
    ) -> Object {
        let mut spec = reader.part(self.spec, "spec");
        let server = server(std::mem::take(&mut spec.target_ref), reader);
        Object::RateLimit(object::RateLimit {
            created: metadata.created(reader),
            server,
            limits: limits(spec, key, reader),
            conditions: conditions_of(self.status, reader),
        })
    }
}

fn server(field: Field<Reference>, reader: &mut Reader<'_>) -> Option<Name> {
    const PATH: &str = "spec.targetRef";
    let target = reader.required(field, PATH)?.read(PATH, reader)?;
    if target.is("policy.linkerd.io", "Server") {
        return Some(target.name);
    }
    reader.problems.push(format!(
        "{PATH}: {target} cannot be the target; expected Server of group policy.linkerd.io"
    ));
    None
}

/// All that is said, or nothing: a client whose own limit cannot be read would
/// have another's.
fn limits(spec: Spec, key: &ObjectKey, reader: &mut Reader<'_>) -> Option<RateLimits> {
    let known = reader.problems.len();
    let limits = RateLimits {
        total: limit(spec.total, "spec.total", reader),
        identity: limit(spec.identity, "spec.identity", reader),
        overrides: reader
            .elements(spec.overrides, "spec.overrides")
            .into_iter()
            .filter_map(|wire| {
                const RATE: &str = "spec.overrides[].requestsPerSecond";
                let Rate(rate) = reader.required(wire.requests_per_second, RATE)?;
                let clients = clients(wire.client_refs, key, reader);
                Some(RateOverride { rate, clients })
            })
            .collect(),
    };
    (reader.problems.len() == known).then_some(limits)
}

fn limit(field: Field<Limit>, path: &str, reader: &mut Reader<'_>) -> Option<u32> {
    let limit = field.read(path, &mut reader.problems)?;
    let path = format!("{path}.requestsPerSecond");
    let Rate(rate) = reader.required(limit.requests_per_second, &path)?;
    Some(rate)
}

fn clients(
    list: Field<Vec<Field<Reference>>>,
    key: &ObjectKey,
    reader: &mut Reader<'_>,
) -> Box<[ObjectKey]> {
    const PATH: &str = "spec.overrides[].clientRefs";
    let references = reader.elements(list, PATH).into_iter();
    let clients = references.filter_map(|reference| {
        let client = reference.read(PATH, reader)?;
        if client.is("", "ServiceAccount") {
            return Some(client.key(&key.namespace));
        }
        let problem = format!("{PATH}: {client} is no client; expected ServiceAccount");
        reader.problems.push(problem);
        None
    });
    clients.collect()
}
