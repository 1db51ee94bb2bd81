//! Conditions in the status of objects.

use super::{
    Reader,
    field::{Field, object_shapes},
};
use crate::object::StatusCondition;
use serde::Deserialize;

/// `status` of an object whose conditions are all that is read of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    conditions: Field<Vec<Field<Condition>>>,
}

/// A condition as received.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    r#type: Field<Box<str>>,
    status: Field<Box<str>>,
    reason: Field<Box<str>>,
    message: Field<Box<str>>,
}

object_shapes!(Status, Condition);

/// What an object's status says of it.
pub(super) fn conditions_of(
    status: Field<Status>,
    reader: &mut Reader<'_>,
) -> Box<[StatusCondition]> {
    let status = reader.part(status, "status");
    conditions(status.conditions, "status.conditions", reader)
}

/// The readable conditions of a list.
pub(super) fn conditions(
    list: Field<Vec<Field<Condition>>>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Box<[StatusCondition]> {
    let conditions = reader.elements(list, path).into_iter();
    let conditions = conditions.map(|condition| StatusCondition {
        kind: reader.name(condition.r#type, format_args!("{path}[].type")),
        status: reader.name(condition.status, format_args!("{path}[].status")),
        reason: reader.name(condition.reason, format_args!("{path}[].reason")),
        message: reader.name(condition.message, format_args!("{path}[].message")),
    });
    conditions.collect()
}
