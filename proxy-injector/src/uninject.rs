//! The way back: what injection, or a manifest for it, added is removed
//! (identity-injector.md section 9.3).

use crate::{INJECT, WorkloadKind, volumes, workload::MESH_CONTAINERS};
use json_patch::{Patch, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use serde_json::Value;

/// Volumes that injection adds.
const VOLUMES: [&str; 4] = [
    volumes::END_ENTITY,
    volumes::TOKEN,
    volumes::POD_INFO,
    volumes::LOCK,
];
/// Of whatever carries it, the metadata belongs to the control plane.
const COMPONENT: &str = "linkerd.io/control-plane-component";

/// The patch that removes proxies, and the metadata that goes with them, from an
/// object: containers, volumes, and labels and annotations that start with
/// `linkerd.io`, but for `linkerd.io/inject: disabled`. Settings
/// (`config.linkerd.io/`) stay. Lists and maps that become empty go, too.
pub fn uninject(object: &Value) -> Patch {
    let mut removals = Removals::default();
    let is_component = |metadata: &Value| metadata["labels"].get(COMPONENT).is_some();
    let kind = WorkloadKind::of(object);
    let template = kind.and_then(|kind| Some((kind.template_path(), kind.template(object)?)));
    let component = is_component(&object["metadata"])
        || template.is_some_and(|(_, template)| is_component(&template["metadata"]));
    if !component {
        removals.metadata(&["metadata"], &object["metadata"]);
    }
    if let Some((path, template)) = template {
        let at = |keys: &[&'static str]| [path, keys].concat();
        if !component && !path.is_empty() {
            removals.metadata(&at(&["metadata"]), &template["metadata"]);
        }
        for (list, names) in [
            ("initContainers", &MESH_CONTAINERS[..]),
            ("containers", &MESH_CONTAINERS[..]),
            ("volumes", &VOLUMES[..]),
        ] {
            removals.elements(&at(&["spec", list]), &template["spec"][list], names);
        }
    }
    Patch(removals.0)
}

#[derive(Default)]
struct Removals(Vec<PatchOperation>);

impl Removals {
    fn remove<'a>(&mut self, path: impl IntoIterator<Item = &'a str>) {
        let path = PointerBuf::from_tokens(path);
        self.0
            .push(PatchOperation::Remove(RemoveOperation { path }));
    }

    /// Removes keys of both maps, and what becomes empty.
    fn metadata(&mut self, path: &[&str], metadata: &Value) {
        let Some(fields) = metadata.as_object() else {
            return;
        };
        let mut emptied = 0;
        for map in ["annotations", "labels"] {
            let Some(entries) = fields.get(map).and_then(Value::as_object) else {
                continue;
            };
            let ours = entries.iter().filter(|(key, value)| is_ours(key, value));
            let ours: Vec<_> = ours.map(|(key, _)| &**key).collect();
            if !ours.is_empty() && ours.len() == entries.len() {
                self.remove(path.iter().copied().chain([map]));
                emptied += 1;
                continue;
            }
            for key in ours {
                self.remove(path.iter().copied().chain([map, key]));
            }
        }
        if emptied != 0 && emptied == fields.len() {
            self.remove(path.iter().copied());
        }
    }

    /// Removes the elements of a list that have one of these names.
    fn elements(&mut self, path: &[&str], list: &Value, names: &[&str]) {
        let Some(elements) = list.as_array() else {
            return;
        };
        let is_ours = |element: &Value| {
            element["name"]
                .as_str()
                .is_some_and(|name| names.contains(&name))
        };
        // A pod without containers is none; better to leave it its empty list.
        let may_go = path.last() != Some(&"containers");
        if may_go && !elements.is_empty() && elements.iter().all(is_ours) {
            self.remove(path.iter().copied());
            return;
        }
        // From the end, so that the others keep their places.
        for (index, element) in elements.iter().enumerate().rev() {
            if is_ours(element) {
                self.remove(path.iter().copied().chain([&*index.to_string()]));
            }
        }
    }
}

/// Whether a label or an annotation is of injection.
fn is_ours(key: &str, value: &Value) -> bool {
    key.starts_with("linkerd.io") && !(key == INJECT && *value == "disabled")
}
