//! The objects in a document.

use super::endpoints::{ExternalFacts, PodFacts, ServiceFacts};
use crate::{
    Interner,
    object::{Kind, Object, ObjectKey, Phase},
    source::wire::{Converted, Watched, Wire, of_kind},
};
use serde_json::Value;
use tracing::debug;

/// The namespace of objects that name none, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";

/// An object of a file.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) key: ObjectKey,
    pub(super) object: Object,
    pub(super) problems: Vec<String>,
    pub(super) facts: Facts,
    /// The line of its document.
    pub(super) line: usize,
}

/// What endpoints are derived from, besides the object.
#[derive(Clone, Debug)]
pub(super) enum Facts {
    None,
    Service(Box<ServiceFacts>),
    Pod(Box<PodFacts>),
    External(ExternalFacts),
}

impl Item {
    /// What makes it the same object in another version of the file.
    pub(super) fn id(&self) -> (Kind, &ObjectKey) {
        (self.object.kind(), &self.key)
    }
}

/// What a document or an item of a list comes to.
pub(super) type Outcome = Result<Item, String>;

/// The watched objects in a document: itself, or the items of a list.
pub(super) fn items(document: Value, line: usize, interner: &Interner) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut list = match read(document, None, line, interner) {
        Read::Nothing => return outcomes,
        Read::Item(outcome) => return vec![outcome],
        Read::List(list) => list,
    };
    for item in std::mem::take(&mut list.items) {
        match read(item, Some(&list), line, interner) {
            Read::Nothing => {}
            Read::Item(outcome) => outcomes.push(outcome),
            Read::List(_) => outcomes.push(Err("a list in a list".to_owned())),
        }
    }
    outcomes
}

/// What a value comes to.
enum Read {
    /// It is of no kind that is watched.
    Nothing,
    Item(Outcome),
    List(List),
}

/// A `List`, or a `PodList` and its like, whose items need not say what they are.
struct List {
    kind_of_items: Option<String>,
    api_version: Value,
    items: Vec<Value>,
}

/// What the mesh does not understand of an object of this kind; the rest of it
/// holds. What leaves nothing of it is one problem.
pub fn problems(kind: Kind, object: &Value) -> Vec<String> {
    match convert(kind, object, 0, &Interner::new()) {
        Ok(item) => item.problems,
        Err(problem) => vec![problem],
    }
}

fn read(mut value: Value, list: Option<&List>, line: usize, interner: &Interner) -> Read {
    let wrong = |text: String| Read::Item(Err(text));
    let Value::Object(fields) = &mut value else {
        return wrong("not an object with apiVersion and kind".to_owned());
    };
    let implied = list.and_then(|list| Some((list.kind_of_items.as_ref()?, &list.api_version)));
    let kind = match (fields.get("kind"), implied) {
        (Some(Value::String(kind)), _) | (None, Some((kind, _))) => kind.clone(),
        _ => return wrong("an object without kind".to_owned()),
    };
    let api_version = match (fields.get("apiVersion"), implied) {
        (Some(Value::String(version)), _) | (None, Some((_, Value::String(version)))) => {
            version.clone()
        }
        _ => return wrong(format!("a {kind} without apiVersion")),
    };
    if let Some(kind_of_items) = kind.strip_suffix("List")
        && let Some(Value::Array(items)) = fields.get_mut("items").map(Value::take)
    {
        return Read::List(List {
            kind_of_items: Some(kind_of_items.to_owned()).filter(|kind| !kind.is_empty()),
            api_version: api_version.into(),
            items,
        });
    }
    match watched(&api_version, &kind) {
        Some(Ok(kind)) => Read::Item(convert(kind, &value, line, interner)),
        Some(Err(problem)) => wrong(problem),
        None => {
            debug!(line, "{api_version} {kind} is not watched, ignored");
            Read::Nothing
        }
    }
}

/// The kind, if it is one that is watched. A kind of the same name in another
/// group (Knative has a Service) is not; another version of the same group is a
/// mistake worth telling.
fn watched(api_version: &str, kind: &str) -> Option<Result<Kind, String>> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let mut kinds = Kind::ALL.into_iter();
    let kind = kinds.find(|known| known.manifest_name() == kind && known.group() == group)?;
    Some(if kind.versions().contains(&version) {
        Ok(kind)
    } else {
        let read = kind.versions().join(", ");
        Err(format!(
            "a {kind} of {api_version}, of which only {read} is read"
        ))
    })
}

fn convert(kind: Kind, value: &Value, line: usize, interner: &Interner) -> Outcome {
    let mut problems = Vec::new();
    let facts = match kind {
        Kind::Service => {
            Facts::Service(Box::new(ServiceFacts::read(value, interner, &mut problems)))
        }
        Kind::Pod => Facts::Pod(Box::new(PodFacts::read(value, &mut problems))),
        Kind::ExternalWorkload => Facts::External(ExternalFacts::read(value, &mut problems)),
        _ => Facts::None,
    };
    let Converted {
        key,
        mut object,
        problems: mut found,
    } = of_kind!(kind, Written => parse::<Written>(value, interner))?;
    found.extend(problems);
    if let (Object::Pod(pod), Facts::Pod(facts)) = (&mut object, &facts)
        && !facts.has_phase
        && !pod.ips.is_empty()
    {
        // Who writes an address by hand means a pod that is there.
        pod.phase = Phase::Running;
    }
    Ok(Item {
        key,
        object,
        problems: found,
        facts,
        line,
    })
}

/// By way of text: what reads an API server's objects reads these, too, without being
/// compiled a second time for values.
fn parse<T: Watched>(value: &Value, interner: &Interner) -> Result<Converted, String> {
    serde_json::from_str::<Wire<T>>(&value.to_string())
        .map_err(|error| error.to_string())?
        .convert(interner, DEFAULT_NAMESPACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(document: Value) -> Vec<Result<String, String>> {
        items(document, 1, &Interner::new())
            .into_iter()
            .map(|item| item.map(|item| format!("{} {}", item.object.kind(), item.key)))
            .collect()
    }

    fn meta(name: &str) -> Value {
        json!({"name": name})
    }

    #[test]
    fn what_is_not_watched_is_ignored() {
        for (version, kind) in [
            ("apps/v1", "Deployment"),
            ("serving.knative.dev/v1", "Service"),
            ("v1", "ConfigMapList"),
        ] {
            assert_eq!(
                names(json!({"apiVersion": version, "kind": kind, "metadata": meta("x")})),
                [],
                "{version} {kind}"
            );
        }
    }

    #[test]
    fn lists_are_expanded() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Service", "metadata": meta("a")},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("a")},
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "namespace": "x"}},
            {"apiVersion": "v1", "kind": "Pod"},
            {"apiVersion": "v1", "kind": "List", "items": []},
        ]});
        assert_eq!(
            names(list),
            [
                Ok("Service default/a".to_owned()),
                Ok("Node n".to_owned()),
                Err("a Pod without metadata.name".to_owned()),
                Err("a list in a list".to_owned()),
            ]
        );
        let list = json!({"apiVersion": "v1", "kind": "PodList", "items": [
            {"metadata": {"name": "p", "namespace": "ns"}},
        ]});
        assert_eq!(names(list), [Ok("Pod ns/p".to_owned())]);
    }

    #[test]
    fn what_cannot_be_an_object_is_said() {
        for (document, text) in [
            (json!("text"), "not an object with apiVersion and kind"),
            (json!({"a": 1}), "an object without kind"),
            (json!({"kind": "Pod"}), "a Pod without apiVersion"),
            (
                json!({"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice"}),
                "a EndpointSlice of discovery.k8s.io/v1beta1, of which only v1 is read",
            ),
        ] {
            assert_eq!(names(document), [Err(text.to_owned())]);
        }
    }

    #[test]
    fn a_pod_with_an_address_and_no_phase_runs() {
        for (status, phase) in [
            (json!({"podIP": "10.0.0.1"}), Phase::Running),
            (
                json!({"podIP": "10.0.0.1", "phase": "Pending"}),
                Phase::Pending,
            ),
            (json!({}), Phase::Pending),
        ] {
            let pod =
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("p"), "status": status});
            let item = items(pod, 1, &Interner::new()).remove(0).unwrap();
            let Object::Pod(pod) = item.object else {
                panic!()
            };
            assert_eq!(pod.phase, phase, "{status}");
        }
    }
}
