//! What a kubelet makes of an injected pod: the proxy's variables with all that they
//! refer to, and the files that are there when it starts.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where the pod came to be.
const PLACED: [(&str, &str); 7] = [
    ("metadata.name", "web-1"),
    ("metadata.namespace", "shop"),
    ("metadata.uid", "741b1af4-63bf-4565-9904-28ced558f5d1"),
    ("spec.nodeName", "node-1"),
    ("spec.serviceAccountName", "web"),
    ("status.podIP", "10.1.2.3"),
    ("status.podIPs", "10.1.2.3,fd00::3"),
];

/// A proxy as its container finds the world.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) variables: BTreeMap<String, String>,
    /// Directories that it may write to.
    pub(crate) writable: BTreeSet<String>,
    /// Files that are there.
    pub(crate) files: BTreeSet<String>,
}

impl Started {
    pub(crate) fn variable(&self, name: &str) -> &str {
        let value = self.variables.get(name);
        value.unwrap_or_else(|| panic!("there is no {name}"))
    }
}

/// Starts a container of a pod.
///
/// # Panics
/// If a kubelet could not, or something would not be what was meant.
pub(crate) fn start(pod: &Value, container: &Value) -> Started {
    let mut variables = BTreeMap::new();
    for variable in list(&container["env"]) {
        let name = text(&variable["name"]);
        let value = match &variable["valueFrom"]["fieldRef"]["fieldPath"] {
            Value::Null => expanded(variable["value"].as_str().unwrap_or_default(), &variables),
            path => field(pod, text(path)),
        };
        variables.insert(name.to_owned(), value);
    }
    let mut started = Started {
        variables,
        writable: BTreeSet::new(),
        files: BTreeSet::new(),
    };
    let mut paths = BTreeSet::new();
    for mount in list(&container["volumeMounts"]) {
        let path = text(&mount["mountPath"]);
        assert!(paths.insert(path), "{path} is mounted twice");
        let named = |volume: &&Value| volume["name"] == mount["name"];
        let volumes: Vec<_> = list(&pod["spec"]["volumes"]).filter(named).collect();
        assert_eq!(volumes.len(), 1, "volumes called {}", mount["name"]);
        if volumes[0]["emptyDir"].is_object() {
            started.writable.insert(path.to_owned());
        }
        let files = files(volumes[0]).into_iter();
        started
            .files
            .extend(files.map(|file| format!("{path}/{file}")));
    }
    started
}

/// The files of a volume.
fn files(volume: &Value) -> Vec<&str> {
    let down = list(&volume["downwardAPI"]["items"]);
    let projected = list(&volume["projected"]["sources"]).flat_map(|source| {
        let items = ["configMap", "downwardAPI"]
            .into_iter()
            .flat_map(|kind| list(&source[kind]["items"]));
        let token = Some(&source["serviceAccountToken"]).filter(|token| token.is_object());
        items.chain(token)
    });
    down.chain(projected)
        .map(|item| text(&item["path"]))
        .collect()
}

/// A field of the pod, as a variable may refer to it.
fn field(pod: &Value, path: &str) -> String {
    for kind in ["labels", "annotations"] {
        let key = path.strip_prefix(&format!("metadata.{kind}['"));
        if let Some(key) = key.and_then(|key| key.strip_suffix("']")) {
            let value = pod["metadata"][kind][key].as_str();
            return value.unwrap_or_default().to_owned();
        }
    }
    let found = PLACED.iter().find(|(known, _)| *known == path);
    found.unwrap_or_else(|| panic!("no field {path}")).1.into()
}

/// The text with `$(NAME)` replaced by variables further up.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("$(");
    let mut value = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(')').expect("a name in brackets");
        let known = variables.get(name);
        value += known.unwrap_or_else(|| panic!("{name} is not set before {text:?}"));
        value += rest;
    }
    value
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}
