use super::{
    Reader, Watched,
    bounded::Tree,
    field::{Field, Shape, object_shapes},
    metadata::Metadata,
};
use crate::object::{
    self, GoDuration, Kind, Match, Object, ObjectKey, Override, ProfileRoute, Quantity,
    ResponseClass, RetryBudget, Test,
};
use serde::Deserialize;
use std::fmt;

/// `linkerd.io` ServiceProfile, any version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceProfile {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

/// `opaquePorts` is not read (D28).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    routes: Field<Vec<Field<WireRoute>>>,
    retry_budget: Field<WireBudget>,
    dst_overrides: Field<Vec<Field<WireOverride>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireRoute {
    name: Field<Box<str>>,
    condition: Field<Tree>,
    response_classes: Field<Vec<Field<WireClass>>>,
    is_retryable: Field<bool>,
    timeout: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireClass {
    condition: Field<Tree>,
    is_failure: Field<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireBudget {
    retry_ratio: Field<Ratio>,
    min_retries_per_second: Field<Count>,
    ttl: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WireOverride {
    authority: Field<Box<str>>,
    weight: Field<Weight>,
}

object_shapes!(
    ServiceProfile,
    Spec,
    WireRoute,
    WireClass,
    WireBudget,
    WireOverride
);

/// A weight in thousandths.
#[derive(Clone, Copy, Debug)]
struct Weight(u64);

impl Shape for Weight {
    const EXPECTED: &'static str = "a weight such as 1 or 500m";

    fn from_text(text: &str) -> Option<Self> {
        let quantity: Quantity = text.parse().ok()?;
        // Proxies take none that is negative.
        let weight = u64::try_from(quantity.thousandths()).unwrap_or(0);
        Some(Self(weight))
    }

    fn from_integer(number: i64) -> Option<Self> {
        Self::from_text(&number.to_string())
    }

    fn from_float(number: f64) -> Option<Self> {
        Self::from_text(&number.to_string())
    }
}

#[derive(Clone, Copy, Debug)]
struct Ratio(f32);

impl Shape for Ratio {
    const EXPECTED: &'static str = "a number";

    #[allow(
        clippy::cast_precision_loss,
        reason = "proxies are told it in single precision"
    )]
    fn from_integer(number: i64) -> Option<Self> {
        Some(Self(number as f32))
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "proxies are told it in single precision"
    )]
    fn from_float(number: f64) -> Option<Self> {
        Some(Self(number as f32))
    }
}

#[derive(Clone, Copy, Debug)]
struct Count(u32);

impl Shape for Count {
    const EXPECTED: &'static str = "a number that is not negative";

    fn from_integer(number: i64) -> Option<Self> {
        number.try_into().ok().map(Self)
    }
}

/// Something in the object cannot be told, and leaving it out would change what
/// the rest means. It is among the problems.
struct Untellable;

impl Watched for ServiceProfile {
    const KIND: Kind = Kind::ServiceProfile;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, _: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        Object::ServiceProfile(profile(self.spec, reader).ok())
    }
}

fn profile(
    spec: Field<Spec>,
    reader: &mut Reader<'_>,
) -> Result<object::ServiceProfile, Untellable> {
    let Spec {
        routes,
        retry_budget,
        dst_overrides,
    } = required("spec", spec, reader)?.unwrap_or_default();
    Ok(object::ServiceProfile {
        routes: list("spec.routes", routes, reader, route)?,
        retry_budget: required("spec.retryBudget", retry_budget, reader)?
            .map(|budget| retry_budget_of(budget, reader))
            .transpose()?,
        overrides: list("spec.dstOverrides", dst_overrides, reader, override_of)?,
    })
}

fn route(path: &str, wire: WireRoute, reader: &mut Reader<'_>) -> Result<ProfileRoute, Untellable> {
    let timeout = reader.text(wire.timeout, format_args!("{path}.timeout"));
    let timeout = match timeout.parse::<GoDuration>() {
        _ if timeout.is_empty() => None,
        Ok(timeout) => Some(timeout).filter(|timeout| !timeout.is_zero()),
        // The one mistake that is done without (section 11.3).
        Err(error) => {
            reader.problems.push(format!("{path}.timeout: {error}"));
            None
        }
    };
    Ok(ProfileRoute {
        name: reader.text(wire.name, format_args!("{path}.name")),
        condition: condition(path, wire.condition, reader)?,
        response_classes: list(
            &format!("{path}.responseClasses"),
            wire.response_classes,
            reader,
            response_class,
        )?,
        retryable: reader
            .flag(wire.is_retryable, format_args!("{path}.isRetryable"))
            .unwrap_or_default(),
        timeout,
    })
}

fn response_class(
    path: &str,
    wire: WireClass,
    reader: &mut Reader<'_>,
) -> Result<ResponseClass, Untellable> {
    Ok(ResponseClass {
        condition: condition(path, wire.condition, reader)?,
        failure: reader
            .flag(wire.is_failure, format_args!("{path}.isFailure"))
            .unwrap_or_default(),
    })
}

fn condition<T: Test>(
    parent: &str,
    wire: Field<Tree>,
    reader: &mut Reader<'_>,
) -> Result<Match<T>, Untellable> {
    let path = format_args!("{parent}.condition");
    let Some(Tree(value)) = required(path, wire, reader)? else {
        return Err(untellable(path, "missing", reader));
    };
    Match::read(&value).map_err(|error| untellable(path, error, reader))
}

fn retry_budget_of(wire: WireBudget, reader: &mut Reader<'_>) -> Result<RetryBudget, Untellable> {
    let ttl = reader.text(wire.ttl, "spec.retryBudget.ttl");
    let ttl = ttl
        .parse()
        .map_err(|error| untellable("spec.retryBudget.ttl", error, reader))?;
    let ratio = required("spec.retryBudget.retryRatio", wire.retry_ratio, reader)?;
    let least = "spec.retryBudget.minRetriesPerSecond";
    let min_per_second = required(least, wire.min_retries_per_second, reader)?;
    Ok(RetryBudget {
        ratio: ratio.map_or(0.0, |ratio| ratio.0),
        min_per_second: min_per_second.map_or(0, |count| count.0),
        ttl,
    })
}

fn override_of(
    path: &str,
    wire: WireOverride,
    reader: &mut Reader<'_>,
) -> Result<Override, Untellable> {
    let authority = required(format_args!("{path}.authority"), wire.authority, reader)?;
    let weight = required(format_args!("{path}.weight"), wire.weight, reader)?;
    Ok(Override {
        authority: reader.interner.name(&authority.unwrap_or_default()),
        weight: weight.map_or(0, |weight| weight.0),
    })
}

/// The elements of a list; null ones are left out.
fn list<W: Shape, T>(
    path: &str,
    field: Field<Vec<Field<W>>>,
    reader: &mut Reader<'_>,
    mut read: impl FnMut(&str, W, &mut Reader<'_>) -> Result<T, Untellable>,
) -> Result<Box<[T]>, Untellable> {
    let elements = required(path, field, reader)?.unwrap_or_default();
    let elements = elements
        .into_iter()
        .enumerate()
        .filter_map(|(at, element)| {
            let path = format!("{path}[{at}]");
            match required(&path, element, reader) {
                Ok(None) => None,
                Ok(Some(element)) => Some(read(&path, element, reader)),
                Err(error) => Some(Err(error)),
            }
        });
    elements.collect()
}

/// What is there, if anything is; something else must not count as nothing.
fn required<T: Shape>(
    path: impl fmt::Display,
    field: Field<T>,
    reader: &mut Reader<'_>,
) -> Result<Option<T>, Untellable> {
    match field {
        Field::Absent => Ok(None),
        Field::Is(value) => Ok(Some(value)),
        Field::Wrong(found) => {
            let problem = format!("expected {}, found {found}", T::EXPECTED);
            Err(untellable(path, problem, reader))
        }
    }
}

fn untellable(
    path: impl fmt::Display,
    problem: impl fmt::Display,
    reader: &mut Reader<'_>,
) -> Untellable {
    reader.problems.push(format!(
        "{path}: {problem}; until this is mended, the last version of the object that could be \
         told stays in force"
    ));
    Untellable
}
