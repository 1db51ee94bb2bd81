//! A JSON patch that only adds (identity-injector.md section 7.1).

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Operations on a pod template that is somewhere in an object.
pub(crate) struct Additions {
    template: &'static [&'static str],
    operations: Vec<PatchOperation>,
}

impl Additions {
    /// On the template that these keys lead to.
    pub(crate) fn to(template: &'static [&'static str]) -> Self {
        Self {
            template,
            operations: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, path: &[&str], value: impl Into<Value>) {
        let path = PointerBuf::from_tokens(self.template.iter().chain(path).copied());
        let value = value.into();
        self.operations
            .push(PatchOperation::Add(AddOperation { path, value }));
    }

    /// Adds to one of `metadata`'s maps, which is made where it is not there.
    pub(crate) fn add_metadata(
        &mut self,
        map: &str,
        exists: bool,
        entries: &BTreeMap<String, String>,
    ) {
        if !exists {
            self.add(&["metadata", map], json!({}));
        }
        for (key, value) in entries {
            self.add(&["metadata", map, key], value.clone());
        }
    }

    pub(crate) fn into_patch(self) -> Patch {
        Patch(self.operations)
    }
}
