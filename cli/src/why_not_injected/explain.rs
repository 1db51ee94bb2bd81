//! Why a pod has no proxy, or not the one that it would get: from what was read to reasons,
//! by the injector's own decision.

use super::registration::{About, Registration, texts};
use crate::subject::Subject;
use ferrule_proxy_injector::{
    Error, INJECT, Injector, Namespace, PROXY_CONTAINER, SkipReason, nearest, uninject,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CONTROL_PLANE: &str = "linkerd.io/control-plane-ns";
const PROXY_VERSION: &str = "linkerd.io/proxy-version";
const BUNDLE: &str = "linkerd.io/trust-root-sha256";

/// All that was read.
pub(super) struct Facts {
    pub(super) subject: Subject,
    /// `None` if there is no such namespace.
    pub(super) namespace: Option<Value>,
    pub(super) registration: Registration,
    /// `None` where there is no control plane: its namespace.
    pub(super) injector: Result<Injector, String>,
    /// The ConfigMap of the trust anchors.
    pub(super) trust_roots: String,
    /// Why pods of the workload could not be created lately.
    pub(super) refusals: Vec<String>,
}

/// Something that is so, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    /// Stable.
    pub(super) code: &'static str,
    pub(super) cause: String,
    pub(super) remedy: String,
}

impl Reason {
    pub(super) fn new(
        code: &'static str,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (cause, remedy) = (cause.into(), remedy.into());
        Self {
            code,
            cause,
            remedy,
        }
    }
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    pub(super) subject: String,
    pub(super) state: State,
    pub(super) reasons: Vec<Reason>,
    /// What else its owner should know.
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// It has a proxy.
    Injected,
    /// It has none, and would get one if it were created now.
    WouldBeInjected,
    /// It has none, and would get none.
    NotInjected,
    /// It would be refused.
    Refused,
}

/// Explains.
pub(super) fn explain(facts: &Facts) -> Explanation {
    let subject = &facts.subject;
    let told = |state, reasons, notes| Explanation {
        subject: subject.title.clone(),
        state,
        reasons,
        notes,
    };
    let Some(namespace) = &facts.namespace else {
        let name = &subject.namespace;
        let reason = Reason::new(
            "no-namespace",
            format!("there is no namespace {name}"),
            format!("kubectl create namespace {name}"),
        );
        return told(State::NotInjected, vec![reason], Vec::new());
    };
    let annotations = texts(&namespace["metadata"]["annotations"]);
    let of = Namespace {
        name: subject.namespace.clone(),
        annotations,
    };
    if subject.is_pod && has_proxy(&subject.pod) {
        let reasons = outdated(facts, &of);
        return told(State::Injected, reasons, Vec::new());
    }
    let labels = texts(&namespace["metadata"]["labels"]);
    let about = About {
        namespace: &subject.namespace,
        namespace_labels: &labels,
        pod: &subject.pod,
    };
    let mut reasons = facts.registration.reasons(&about);
    let mut notes = Vec::new();
    let mut state = State::NotInjected;
    match &facts.injector {
        Err(missing) => reasons.push(Reason::new(
            "no-control-plane",
            missing,
            "name the control plane's namespace (-L NAME), or: ferrule install | kubectl apply -f -",
        )),
        Ok(injector) => match injector.review("Pod", &subject.pod, &of, None) {
            Err(error) => {
                if reasons.is_empty() {
                    state = State::Refused;
                }
                reasons.push(refused(&error, &facts.trust_roots));
            }
            Ok(decision) => {
                let skipped = decision.skipped.iter();
                let context = Context {
                    subject,
                    namespace,
                    annotations: &of.annotations,
                };
                reasons.extend(skipped.map(|reason| context.reason(*reason)));
                notes.extend(decision.warnings.iter().map(ToString::to_string));
            }
        },
    }
    for refusal in &facts.refusals {
        reasons.push(Reason::new(
            "not-created",
            format!("pods of it could not be created: {refusal}"),
            "mend what is named; the workload's controller then tries again by itself",
        ));
    }
    if reasons.is_empty() {
        state = State::WouldBeInjected;
        if subject.is_pod {
            reasons.push(missed(facts, namespace));
        }
    }
    told(state, reasons, notes)
}

/// What the injector cannot make sense of.
fn refused(error: &Error, trust_roots: &str) -> Reason {
    match error {
        Error::NoTrustAnchors => Reason::new(
            "no-trust-anchors",
            format!(
                "there is nothing for a proxy to trust: ConfigMap {trust_roots} is missing, or empty"
            ),
            "the identity role makes it, unless trust-manager does: see that its pod runs; ferrule \
             check says what is wrong",
        ),
        error => Reason::new(
            "refused",
            format!("the injector refuses it: {error}"),
            "mend the annotation or value that is named, then let its pods be created again",
        ),
    }
}

fn has_proxy(pod: &Value) -> bool {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    let mut containers = lists.into_iter().flatten().flatten();
    containers.any(|container| container["name"] == PROXY_CONTAINER)
}

/// What an injected pod has that it would not get today.
fn outdated(facts: &Facts, namespace: &Namespace) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let (subject, metadata) = (&facts.subject, &facts.subject.pod["metadata"]);
    let Ok(injector) = &facts.injector else {
        return reasons;
    };
    let home = metadata["labels"][CONTROL_PLANE]
        .as_str()
        .unwrap_or_default();
    let ours = &injector.control_plane_namespace;
    if home != ours {
        reasons.push(Reason::new(
            "another-control-plane",
            format!("its proxy is of the control plane in namespace {home:?}, not in {ours}"),
            format!(
                "name that (-L NAME), or move it over: {}",
                subject.restart()
            ),
        ));
        return reasons;
    }
    let Some(today) = anew(injector, &subject.pod, namespace) else {
        return reasons;
    };
    for (code, key, what) in [
        (
            "older-proxy",
            PROXY_VERSION,
            "its proxy is of another version",
        ),
        (
            "older-anchors",
            BUNDLE,
            "it was injected with other trust anchors",
        ),
    ] {
        let (old, new) = (
            &metadata["annotations"][key],
            &today["metadata"]["annotations"][key],
        );
        if let (Some(old), Some(new)) = (old.as_str(), new.as_str())
            && old != new
        {
            reasons.push(Reason::new(
                code,
                format!("{what}: {old}; today it would be {new}"),
                subject.restart(),
            ));
        }
    }
    reasons
}

/// A pod as it would be injected today.
fn anew(injector: &Injector, pod: &Value, namespace: &Namespace) -> Option<Value> {
    let mut pod = pod.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    let without = uninject(&pod);
    json_patch::patch(&mut pod, &without).ok()?;
    if !pod["metadata"]["annotations"].is_object() {
        pod["metadata"]["annotations"] = json!({});
    }
    pod["metadata"]["annotations"][INJECT] = "enabled".into();
    let decision = injector.review("Pod", &pod, namespace, None).ok()?;
    json_patch::patch(&mut pod, &decision.patch?).ok()?;
    Some(pod)
}

/// Why a pod has no proxy that would get one now.
fn missed(facts: &Facts, namespace: &Value) -> Reason {
    let subject = &facts.subject;
    let seconds = |time: &Value| {
        let time: jiff::Timestamp = time.as_str()?.parse().ok()?;
        Some(time.as_second())
    };
    let created = seconds(&subject.pod["metadata"]["creationTimestamp"]);
    let is_later = |other: Option<i64>| {
        created
            .zip(other)
            .is_some_and(|(created, other)| created < other)
    };
    let managers = namespace["metadata"]["managedFields"].as_array();
    let annotated = managers.into_iter().flatten().filter(|manager| {
        let path = format!(
            "/fieldsV1/f:metadata/f:annotations/f:{}",
            INJECT.replace('/', "~1")
        );
        manager.pointer(&path).is_some()
    });
    let annotated = annotated
        .filter_map(|manager| seconds(&manager["time"]))
        .max();
    let cause = if is_later(annotated) {
        "it was created before its namespace was annotated"
    } else if is_later(facts.registration.since()) {
        "it was created before the injector was registered"
    } else if facts.registration.lets_through() {
        "nothing keeps it from having one: the injector was away when it was created, and its \
         failurePolicy is Ignore; or a setting was another then"
    } else {
        "nothing keeps it from having one: a setting was another when it was created"
    };
    Reason::new("created-before", cause, subject.restart())
}

struct Context<'a> {
    subject: &'a Subject,
    namespace: &'a Value,
    annotations: &'a BTreeMap<String, String>,
}

impl Context<'_> {
    fn reason(&self, reason: SkipReason) -> Reason {
        let (cause, remedy) = match reason {
            SkipReason::InjectEnableAbsent => return self.unasked(),
            SkipReason::HostNetwork => (
                "it shares the network of its node (hostNetwork), where traffic cannot be \
                 redirected"
                    .to_owned(),
                "take hostNetwork out of its spec, or do without a proxy".to_owned(),
            ),
            SkipReason::SidecarExists => (
                "a sidecar of a mesh is in it already".to_owned(),
                "take it out of the manifest (ferrule uninject, or the other mesh's way)"
                    .to_owned(),
            ),
            SkipReason::InjectDisabled => (
                format!("the pod itself says {INJECT}: disabled"),
                "take the annotation out of the pod template".to_owned(),
            ),
            SkipReason::InvalidInjectAtNamespace => (
                format!(
                    "namespace {} says {INJECT}: {:?}, which means nothing: no pod in it gets a \
                     proxy",
                    self.subject.namespace,
                    self.annotations.get(INJECT).map_or("", String::as_str)
                ),
                format!(
                    "kubectl annotate --overwrite namespace {} {INJECT}=enabled",
                    self.subject.namespace
                ),
            ),
            SkipReason::InvalidInjectAtWorkload => (
                format!(
                    "the pod says {INJECT}: {}, which means nothing",
                    self.subject.pod["metadata"]["annotations"][INJECT]
                ),
                "write enabled, disabled or ingress into the pod template".to_owned(),
            ),
            SkipReason::NoServiceAccountToken => (
                "it has no token of its service account (automountServiceAccountToken: false), \
                 and the chart's identity.serviceAccountTokenProjection is off"
                    .to_owned(),
                "set identity.serviceAccountTokenProjection: true, or let the token be mounted"
                    .to_owned(),
            ),
            SkipReason::UnsupportedResource | SkipReason::UdpPorts => (
                reason.text().to_owned(),
                "nothing can be done about it".to_owned(),
            ),
        };
        Reason::new(reason.code(), cause, remedy)
    }

    /// Nobody asks for a proxy; what looks as if somebody meant to is named.
    fn unasked(&self) -> Reason {
        let code = SkipReason::InjectEnableAbsent.code();
        let name = &self.subject.namespace;
        let annotate = format!(
            "kubectl annotate namespace {name} {INJECT}=enabled (or annotate the pod template), \
             then {}",
            self.subject.restart()
        );
        let pod = &self.subject.pod["metadata"];
        let places = [
            (format!("namespace {name}"), &self.namespace["metadata"]),
            ("the pod".to_owned(), pod),
        ];
        for (place, metadata) in &places {
            let annotations = texts(&metadata["annotations"]);
            let mut keys = annotations.keys();
            if let Some(key) = keys.find(|key| nearest(key) == Some(INJECT)) {
                let cause = format!("{place} has the annotation {key}, which nobody reads");
                let remedy = format!("did you mean {INJECT}? {annotate}");
                return Reason::new("misspelt-annotation", cause, remedy);
            }
            let label = metadata["labels"]
                .get(INJECT)
                .filter(|_| !annotations.contains_key(INJECT));
            if label.is_some() {
                let cause = format!("{place} has {INJECT} as a label; it is to be an annotation");
                return Reason::new("label-not-annotation", cause, annotate);
            }
        }
        let own = &self.subject.object["metadata"]["annotations"][INJECT];
        if !self.subject.is_pod && own.is_string() {
            let path = match self.subject.object["kind"].as_str() {
                Some("CronJob") => "spec.jobTemplate.spec.template.metadata.annotations",
                _ => "spec.template.metadata.annotations",
            };
            return Reason::new(
                "annotation-not-on-template",
                format!(
                    "{INJECT} is on {} itself, where no pod inherits it",
                    self.subject.title
                ),
                format!("write it into {path}"),
            );
        }
        if self
            .annotations
            .get(INJECT)
            .is_some_and(|value| value == "disabled")
        {
            let cause = format!(
                "namespace {name} says {INJECT}: disabled, and the pod does not say otherwise"
            );
            return Reason::new(
                code,
                cause,
                annotate.replace("namespace ", "--overwrite namespace "),
            );
        }
        let cause =
            format!("neither namespace {name} nor the pod asks for one ({INJECT}: enabled)");
        Reason::new(code, cause, annotate)
    }
}

#[cfg(test)]
mod tests;
