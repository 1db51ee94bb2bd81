//! The cases of the rules, where these are.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{fs, path::Path};

/// What may be stored, or not.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows.
    pub(crate) claim: String,
    #[serde(default = "policy")]
    pub(crate) group: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) annotations: Map<String, Value>,
    #[serde(default)]
    pub(crate) spec: Option<Value>,
    /// How the message begins, if it is refused.
    pub(crate) refused: Option<String>,
    /// How a warning begins; without this there is none.
    pub(crate) warned: Option<String>,
    /// A definition as installed lets nobody store it.
    #[serde(default)]
    pub(crate) impossible: bool,
}

fn policy() -> String {
    "policy.linkerd.io".to_owned()
}

/// All of them, for this namespace.
pub(crate) fn cases(namespace: &str) -> anyhow::Result<Vec<Case>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/cases");
    let mut all = Vec::new();
    for entry in fs::read_dir(&directory).context("the cases")? {
        let text = fs::read_to_string(entry?.path())?;
        let text = text.replace("NAMESPACE", namespace);
        all.extend(serde_yaml::from_str::<Vec<Case>>(&text)?);
    }
    Ok(all)
}
