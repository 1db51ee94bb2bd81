//! Pods, and what becomes of them.

use ferrule_proxy_injector::{Decision, Error, Injector, Namespace, Owner, TrustAnchors, Values};
use serde_json::{Value, json};

pub(crate) const ANCHORS: &str =
    "-----BEGIN CERTIFICATE-----\nnot really\n-----END CERTIFICATE-----\n";

/// An injector with these values, in one of which nothing may be unreadable.
pub(crate) fn injector(values: &Value) -> Injector {
    let (values, problems) = Values::from_value(values);
    assert_eq!(problems, []);
    Injector {
        values,
        trust_anchors: TrustAnchors::new(ANCHORS),
        control_plane_namespace: "linkerd".into(),
        created_by: "ferrule/proxy-injector test".into(),
    }
}

/// The namespace `shop`.
pub(crate) fn shop(annotations: &[(&str, &str)]) -> Namespace {
    Namespace {
        name: "shop".into(),
        annotations: pairs(annotations),
    }
}

/// `shop`, where injection is enabled.
pub(crate) fn enabled() -> Namespace {
    shop(&[("linkerd.io/inject", "enabled")])
}

pub(crate) fn pairs<T: FromIterator<(String, V)>, V: From<String>>(entries: &[(&str, &str)]) -> T {
    let entries = entries.iter();
    entries
        .map(|(key, value)| ((*key).into(), (*value).to_owned().into()))
        .collect()
}

pub(crate) fn deployment() -> Owner {
    Owner {
        kind: "deployment".into(),
        name: "web".into(),
        reference: None,
    }
}

/// A pod with one container that listens on 80.
pub(crate) fn pod() -> Value {
    annotated(&[])
}

/// The same with annotations.
pub(crate) fn annotated(annotations: &[(&str, &str)]) -> Value {
    with_ports(annotations, &json!([{"containerPort": 80}]))
}

/// The same with other ports.
pub(crate) fn with_ports(annotations: &[(&str, &str)], ports: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": pairs::<serde_json::Map<_, _>, _>(annotations),
        },
        "spec": {"containers": [{"name": "web", "image": "web:1", "ports": ports}]},
    })
}

/// A decision, and the object after its patch.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
    pub(crate) object: Value,
}

/// What is decided about a pod of the Deployment `web`.
pub(crate) fn review(injector: &Injector, pod: &Value, namespace: &Namespace) -> Outcome {
    try_review(injector, pod, namespace).unwrap()
}

pub(crate) fn try_review(
    injector: &Injector,
    pod: &Value,
    namespace: &Namespace,
) -> Result<Outcome, Error> {
    let decision = injector.review("Pod", pod, namespace, Some(&deployment()))?;
    let object = patched(pod, &decision);
    Ok(Outcome { decision, object })
}

/// What becomes of a pod in an enabled namespace, with the chart's defaults.
pub(crate) fn inject(pod: &Value) -> Outcome {
    let outcome = review(&injector(&Value::Null), pod, &enabled());
    assert!(outcome.decision.is_injected(), "{:?}", outcome.decision);
    outcome
}

/// The same with other values.
pub(crate) fn inject_with(values: &Value, pod: &Value) -> Outcome {
    let outcome = review(&injector(values), pod, &enabled());
    assert!(outcome.decision.is_injected(), "{:?}", outcome.decision);
    outcome
}

/// Why a pod is refused.
pub(crate) fn refusal(values: &Value, pod: &Value) -> String {
    try_review(&injector(values), pod, &enabled())
        .unwrap_err()
        .to_string()
}

pub(crate) fn patched(object: &Value, decision: &Decision) -> Value {
    let mut object = object.clone();
    if let Some(patch) = &decision.patch {
        json_patch::patch(&mut object, patch).unwrap();
    }
    object
}

impl Outcome {
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.decision
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    pub(crate) fn reasons(&self) -> Vec<&'static str> {
        self.decision
            .skipped
            .iter()
            .map(|reason| reason.code())
            .collect()
    }

    /// Names of the containers of a list, in order.
    pub(crate) fn names(&self, list: &str) -> Vec<&str> {
        let list = self.object["spec"][list].as_array();
        let names = list.into_iter().flatten();
        names
            .map(|element| element["name"].as_str().unwrap())
            .collect()
    }

    pub(crate) fn container(&self, name: &str) -> &Value {
        ["initContainers", "containers"]
            .into_iter()
            .flat_map(|list| self.object["spec"][list].as_array().into_iter().flatten())
            .find(|container| container["name"] == name)
            .unwrap_or_else(|| panic!("there is no container {name}: {:#}", self.object))
    }

    pub(crate) fn proxy(&self) -> &Value {
        self.container("linkerd-proxy")
    }

    pub(crate) fn init(&self) -> &Value {
        self.container("linkerd-init")
    }

    /// A variable of the proxy; the last of its name, as kubelets have it.
    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        let variables = self.proxy()["env"].as_array().unwrap();
        let mut variables = variables.iter().rev();
        variables.find(|variable| variable["name"] == name)?["value"].as_str()
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.object["metadata"]["annotations"][key].as_str()
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.object["metadata"]["labels"][key].as_str()
    }

    /// Arguments of the init container, with blanks between them.
    pub(crate) fn arguments(&self) -> String {
        let arguments = self.init()["args"].as_array().unwrap();
        let arguments: Vec<_> = arguments.iter().map(|one| one.as_str().unwrap()).collect();
        arguments.join(" ")
    }
}
