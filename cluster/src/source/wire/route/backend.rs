use super::{
    super::field::{Field, object_shapes},
    SpecReader,
    filter::WireFilter,
    group_or,
};
use crate::object::route::{Backend, BackendTarget, ParentKind};
use serde::Deserialize;

/// `backendRefs[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BackendRef {
    group: Field<Box<str>>,
    kind: Field<Box<str>>,
    namespace: Field<Box<str>>,
    name: Field<Box<str>>,
    port: Field<u16>,
    weight: Field<u32>,
    filters: Field<Vec<Field<WireFilter>>>,
}

object_shapes!(BackendRef);

impl SpecReader<'_, '_> {
    pub(super) fn backends(
        &mut self,
        list: Field<Vec<Field<BackendRef>>>,
        path: &str,
    ) -> Box<[Backend]> {
        let list = self.reader.elements(list, path).into_iter().enumerate();
        let backends = list.filter_map(|(index, reference)| {
            let path = format!("{path}[{index}]");
            let filters = format!("{path}.filters");
            let weight = format!("{path}.weight");
            let weight = reference
                .weight
                .clone()
                .read(weight, &mut self.reader.problems);
            Some(Backend {
                filters: self.backend_filters(reference.filters.clone(), &filters),
                weight: weight.unwrap_or(1),
                target: self.target(reference, &path)?,
            })
        });
        backends.collect()
    }

    fn target(&mut self, reference: BackendRef, path: &str) -> Option<BackendTarget> {
        let group = self.some_text(reference.group, path, "group");
        let kind = self.some_text(reference.kind, path, "kind");
        let namespace = format!("{path}.namespace");
        let namespace = self.reader.some_name(reference.namespace, namespace);
        let name = self.required_text(reference.name, path, "name")?;
        let name = self.reader.interner.name(&name);
        let port = format!("{path}.port");
        let port = reference.port.read(port, &mut self.reader.problems);
        let port = port.filter(|port| *port != 0);
        let is = |known: ParentKind| {
            let kind = kind.as_deref().unwrap_or("Service");
            let group = group_or(group.as_deref().unwrap_or_default(), "core");
            kind.eq_ignore_ascii_case(known.name()) && group.eq_ignore_ascii_case(known.group())
        };
        let kinds = [ParentKind::Service, ParentKind::EgressNetwork];
        Some(match kinds.into_iter().find(|known| is(*known)) {
            Some(kind) => BackendTarget::Object {
                kind,
                namespace,
                name,
                port,
            },
            None => BackendTarget::Unsupported {
                group: group.as_deref().unwrap_or("core").into(),
                kind: kind.as_deref().unwrap_or("Service").into(),
            },
        })
    }
}
