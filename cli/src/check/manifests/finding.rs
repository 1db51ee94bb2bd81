//! What is wrong with one object.

use super::object::Object;
use ferrule_cluster::{object::Kind, source::manifests::problems};
use ferrule_destination::validation::validate_value;
use ferrule_policy::validation::{is_validated, validate};
use ferrule_proxy_injector::{INJECT, OPAQUE_PORTS, WorkloadKind, is_read, nearest, setting};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What annotations start with that are about proxies.
const PREFIXES: [&str; 3] = [
    "config.linkerd.io/",
    "config.beta.linkerd.io/",
    "config.alpha.linkerd.io/",
];

/// Keys that begin like [`INJECT`] and mean something else are others' business; so only
/// what looks like it is told.
const INJECT_PREFIX: &str = "linkerd.io/";

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::check) struct Finding {
    pub(in crate::check) severity: Severity,
    /// The field, what was found and what to change.
    pub(in crate::check) text: String,
    /// Whether it is about the pod template of the object.
    pub(super) in_template: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::check) enum Severity {
    /// It would not be stored, or cannot be read.
    Error,
    /// It would be stored and not be understood.
    Warning,
}

impl Finding {
    pub(super) fn error(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            text: text.into(),
            in_template: false,
        }
    }

    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(text)
        }
    }
}

/// What is wrong with an object; `None` if the mesh does not read its kind.
pub(super) fn findings(object: &Object<'_>) -> Option<Vec<Finding>> {
    let (group, kind) = (object.group, object.kind);
    let warnings = |texts: Vec<String>| texts.into_iter().map(Finding::warning).collect();
    let mut kinds = Kind::ALL.into_iter();
    let known = kinds.find(|known| known.manifest_name() == kind && known.group() == group);
    if let Some(mistake) = known.and_then(|known| version_mistake(object, known)) {
        return Some(vec![Finding::error(mistake)]);
    }
    if is_validated(group, kind) {
        return Some(
            match validate(group, kind, object.namespace, object.value) {
                Ok(odd) => warnings(odd),
                Err(refusal) => vec![Finding::error(refusal.to_string())],
            },
        );
    }
    if known == Some(Kind::ServiceProfile)
        && let Err(refusal) = validate_value(object.value)
    {
        return Some(vec![Finding::error(refusal.to_string())]);
    }
    if let Some(workload) = WorkloadKind::of(object.value) {
        return Some(of_workload(object.value, workload));
    }
    let known = known?;
    let mut found: Vec<_> = warnings(problems(known, object.value));
    if known == Kind::Namespace {
        found.extend(of_annotations(object.value, &[]));
    }
    Some(found)
}

/// A version that nothing reads.
fn version_mistake(object: &Object<'_>, kind: Kind) -> Option<String> {
    let read = kind.versions();
    (!read.contains(&object.version)).then(|| {
        format!(
            "apiVersion: a {kind} of version {:?} is not read: expected {}",
            object.version,
            read.join(" or ")
        )
    })
}

/// What will not be understood of the pods that a workload makes.
fn of_workload(value: &Value, workload: WorkloadKind) -> Vec<Finding> {
    let Some(template) = workload.template(value).filter(|it| it.is_object()) else {
        return Vec::new();
    };
    let mut pod = template.clone();
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    if pod["metadata"]["name"].is_null() {
        pod["metadata"]["name"] = "pod".into();
    }
    let told = problems(Kind::Pod, &pod);
    let mut found = of_annotations(template, &told);
    found.extend(told.into_iter().map(Finding::warning));
    for finding in &mut found {
        finding.in_template = workload != WorkloadKind::Pod;
    }
    found
}

/// What will not be understood of the annotations about proxies, but for what was
/// already `told`.
fn of_annotations(value: &Value, told: &[String]) -> Vec<Finding> {
    let none = Map::new();
    let annotations = value["metadata"]["annotations"].as_object();
    let mut found = Vec::new();
    for (key, text) in annotations.unwrap_or(&none) {
        let of_injection = key
            .strip_prefix(INJECT_PREFIX)
            .filter(|_| key == INJECT || nearest(key).is_some_and(|nearest| nearest == INJECT));
        let known = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix));
        let Some(name) = known.or(of_injection) else {
            continue;
        };
        let start = format!("annotation {key}: ");
        if told.iter().any(|told| told.starts_with(&start)) {
            continue;
        }
        let mistake = match (text.as_str(), setting(name).filter(|_| is_read(key))) {
            // Which names of ports are meant, only a pod says.
            (Some(_), _) if key == OPAQUE_PORTS => None,
            (Some(text), Some(setting)) if setting.key() == INJECT => {
                let is_known = ["enabled", "disabled", "ingress"].contains(&text);
                (!is_known).then(|| {
                    format!(
                        "{text:?} will not be understood: expected enabled, disabled or ingress"
                    )
                })
            }
            (Some(text), Some(setting)) => {
                let expected = setting.check(text).err();
                expected
                    .map(|expected| format!("{text:?} will not be understood: expected {expected}"))
            }
            (Some(_), None) => Some(match nearest(key) {
                Some(nearest) => {
                    format!("nothing reads an annotation of this name; {nearest} is read")
                }
                None => "nothing reads an annotation of this name".to_owned(),
            }),
            (None, _) => Some("expected a text".to_owned()),
        };
        found.extend(mistake.map(|mistake| Finding::warning(format!("{start}{mistake}"))));
    }
    found
}
