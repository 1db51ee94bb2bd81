use super::{
    super::{
        Reader,
        field::{Field, object_shapes},
        status::{Condition, conditions},
    },
    parent::ParentRef,
};
use crate::object::{
    Name,
    route::{CONTROLLER_NAME, ParentStatus},
};
use serde::Deserialize;

/// `status` of a route.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RouteStatus {
    parents: Field<Vec<Field<StoredParent>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StoredParent {
    parent_ref: Field<ParentRef>,
    controller_name: Field<Box<str>>,
    conditions: Field<Vec<Field<Condition>>>,
}

object_shapes!(RouteStatus, StoredParent);

/// What this controller wrote; others' entries are theirs.
pub(super) fn read(
    status: Field<RouteStatus>,
    namespace: &Name,
    reader: &mut Reader<'_>,
) -> Box<[ParentStatus]> {
    const PATH: &str = "status.parents";
    let status = reader.part(status, "status");
    let parents = reader.elements(status.parents, PATH).into_iter();
    let parents = parents.filter_map(|parent| {
        let path = format!("{PATH}[].controllerName");
        if *reader.text(parent.controller_name, path) != *CONTROLLER_NAME {
            return None;
        }
        let path = format!("{PATH}[].parentRef");
        let reference = reader.part(parent.parent_ref, &path);
        let (key, port) = reference.stored(namespace, &path, reader)?;
        Some(ParentStatus {
            parent: key,
            port,
            conditions: conditions(parent.conditions, "status.parents[].conditions", reader),
        })
    });
    parents.collect()
}
