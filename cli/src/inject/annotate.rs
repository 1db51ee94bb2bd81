//! What becomes of one object (identity-injector.md section 9.2).

use super::report::{Outcome, Verb};
use ferrule_proxy_injector::{
    INJECT, Injector, OPAQUE_PORTS, SkipReason, Values, WorkloadKind, manifest_reasons,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Label of the control plane's own workloads.
const COMPONENT: &str = "linkerd.io/control-plane-component";

/// What is to be changed.
pub(super) struct Changes {
    /// Whether proxies are to be in ingress mode.
    pub(super) ingress: bool,
    /// More annotations.
    pub(super) overrides: BTreeMap<&'static str, String>,
    /// What puts whole proxies into manifests, where that is asked for.
    pub(super) injector: Option<Injector>,
}

/// What an object is to be, and what is told of it.
pub(super) struct Change {
    pub(super) wanted: Value,
    pub(super) outcome: Outcome,
}

impl Change {
    fn new(wanted: Value, verb: Verb) -> Self {
        Self {
            wanted,
            outcome: Outcome {
                verb,
                warnings: Vec::new(),
            },
        }
    }
}

impl Changes {
    /// The object with a proxy, or with what asks for one.
    pub(super) fn inject(&self, object: &Value) -> Result<Change, String> {
        match (WorkloadKind::of(object), kind(object)) {
            (Some(workload), _) => self.workload(workload, object),
            (None, "Namespace") => Ok(self.namespace(object)),
            (None, "Service") => Ok(self.service(object)),
            _ => Ok(Change::new(object.clone(), Verb::unsupported(object))),
        }
    }

    fn workload(&self, workload: WorkloadKind, object: &Value) -> Result<Change, String> {
        let name = describe(object);
        let template = workload.template(object);
        if template.is_none_or(Value::is_null) {
            let mut change = Change::new(object.clone(), Verb::Skipped);
            let warning = "there is no pod template in it".to_owned();
            change.outcome.warnings.push(warning);
            return Ok(change);
        }
        let component = template
            .is_some_and(|template| template["metadata"]["labels"].get(COMPONENT).is_some());
        if component && self.injector.is_none() {
            return Err(format!(
                "failed to inject {name}: it is of the control plane, which takes --manual"
            ));
        }
        let mut wanted = without_proxy(object);
        let values = Values::default();
        let values = self
            .injector
            .as_ref()
            .map_or(&values, |injector| &injector.values);
        let failed = |error: &dyn std::fmt::Display| format!("failed to inject {name}: {error}");
        let reasons =
            manifest_reasons(values, workload, &wanted).map_err(|error| failed(&error))?;
        if reasons.contains(&SkipReason::InjectDisabled) {
            let mut change = Change::new(object.clone(), Verb::Skipped);
            change
                .outcome
                .warnings
                .push(SkipReason::InjectDisabled.to_string());
            return Ok(change);
        }
        if reasons.iter().any(|reason| *reason != SkipReason::UdpPorts) {
            let texts: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            return Err(failed(&texts.join(", ")));
        }
        let mut warnings: Vec<_> = reasons.iter().map(ToString::to_string).collect();
        match &self.injector {
            None => annotate(&mut wanted, workload.template_path(), &self.annotations()),
            Some(injector) => {
                self.add_settings(&mut wanted, workload);
                let decision = injector
                    .workload(workload, &wanted)
                    .map_err(|error| failed(&error))?;
                if let Some(patch) = &decision.patch {
                    json_patch::patch(&mut wanted, patch).map_err(|error| failed(&error))?;
                }
                warnings.extend(decision.warnings.iter().map(ToString::to_string));
            }
        }
        let mut change = Change::new(wanted, Verb::Injected);
        change.outcome.warnings = warnings;
        Ok(change)
    }

    /// Settings of flags, where the manifest has none of its own.
    fn add_settings(&self, object: &mut Value, workload: WorkloadKind) {
        let own = workload
            .template(object)
            .map(|template| template["metadata"]["annotations"].clone());
        let own = own.unwrap_or_default();
        let new = self
            .overrides
            .iter()
            .filter(|(key, _)| own.get(**key).is_none());
        let new = new.map(|(key, value)| (*key, value.clone())).collect();
        annotate(object, workload.template_path(), &new);
    }

    fn namespace(&self, object: &Value) -> Change {
        if object["metadata"]["annotations"][INJECT] == "disabled" {
            let mut change = Change::new(object.clone(), Verb::Skipped);
            change.outcome.warnings.push(format!(
                "namespace has the annotation \"{INJECT}:disabled\""
            ));
            return change;
        }
        let mut wanted = without_proxy(object);
        annotate(&mut wanted, &[], &self.annotations());
        Change::new(wanted, Verb::Annotated)
    }

    fn service(&self, object: &Value) -> Change {
        let Some(ports) = self.overrides.get(OPAQUE_PORTS) else {
            return Change::new(object.clone(), Verb::Skipped);
        };
        let mut wanted = object.clone();
        let ports = BTreeMap::from([(OPAQUE_PORTS, ports.clone())]);
        annotate(&mut wanted, &[], &ports);
        Change::new(wanted, Verb::Annotated)
    }

    fn annotations(&self) -> BTreeMap<&'static str, String> {
        let mode = if self.ingress { "ingress" } else { "enabled" };
        let mut annotations = self.overrides.clone();
        annotations.insert(INJECT, mode.to_owned());
        annotations
    }
}

/// The object without a proxy and what asks for one.
pub(super) fn uninject(object: &Value) -> Change {
    let supported =
        WorkloadKind::of(object).is_some() || matches!(kind(object), "Namespace" | "Service");
    if !supported {
        return Change::new(object.clone(), Verb::unsupported(object));
    }
    let wanted = without_proxy(object);
    let verb = match wanted == *object {
        true => Verb::Skipped,
        false => Verb::Uninjected,
    };
    Change::new(wanted, verb)
}

fn without_proxy(object: &Value) -> Value {
    let mut wanted = object.clone();
    let patch = ferrule_proxy_injector::uninject(object);
    match json_patch::patch(&mut wanted, &patch) {
        Ok(()) => wanted,
        // It removes what was found there.
        Err(_) => object.clone(),
    }
}

/// Sets annotations of the object that the keys lead to. What is in their way, a
/// null say, goes.
fn annotate(object: &mut Value, path: &[&str], annotations: &BTreeMap<&str, String>) {
    if annotations.is_empty() {
        return;
    }
    let mut at = object;
    for key in path.iter().chain(&["metadata", "annotations"]) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[*key];
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    for (key, value) in annotations {
        at[*key] = value.as_str().into();
    }
}

fn kind(object: &Value) -> &str {
    let is_core = object["apiVersion"] == "v1";
    object["kind"]
        .as_str()
        .filter(|_| is_core)
        .unwrap_or_default()
}

/// `deployment/web`.
fn describe(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{kind}/{name}")
}
