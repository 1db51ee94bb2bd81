//! An object in, a decision and a patch out.

use crate::{
    AnnotationAt, Error, Namespace, Owner, SkipReason, TrustAnchors, Values, Warning, WorkloadKind,
    annotations::{self, Annotations, INJECT, OPAQUE_PORTS},
    opaque_ports::{self, Service},
    patch::Additions,
    sidecar::Subject,
    skip,
    warning::Effect,
    workload::Template,
};
use json_patch::Patch;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Puts proxies into pods. A function of what it holds and what it is given: it
/// reads nothing else, and equal inputs have equal answers.
#[derive(Clone, Debug)]
pub struct Injector {
    /// The chart's values.
    pub values: Values,
    /// What proxies are to trust.
    pub trust_anchors: TrustAnchors,
    /// Namespace of the control plane, such as `linkerd`.
    pub control_plane_namespace: String,
    /// Who injects, such as `ferrule/proxy-injector 1.0.0`.
    pub created_by: String,
}

/// What is to become of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Why it gets no proxy, in a fixed order; empty where it does.
    pub skipped: Vec<SkipReason>,
    /// Whose annotation decided.
    pub annotation_at: Option<AnnotationAt>,
    /// The changes to make; `None` where there are none. Also what gets no proxy may
    /// be told its opaque ports.
    pub patch: Option<Patch>,
    /// What those who wrote annotations should know.
    pub warnings: Vec<Warning>,
}

impl Decision {
    /// Whether it gets a proxy.
    pub fn is_injected(&self) -> bool {
        self.skipped.is_empty()
    }

    fn skipped(reasons: Vec<SkipReason>, annotation_at: Option<AnnotationAt>) -> Self {
        Self {
            skipped: reasons,
            annotation_at,
            patch: None,
            warnings: Vec::new(),
        }
    }
}

impl Injector {
    /// Decides about an object that is being created: a Pod, a Service, or what has
    /// no proxy whatever it says. `owner` is a Pod's.
    ///
    /// # Errors
    /// When the object is not what its kind says, or annotations or values contradict
    /// themselves; the object is then to be refused with that text.
    pub fn review(
        &self,
        kind: &str,
        object: &Value,
        namespace: &Namespace,
        owner: Option<&Owner>,
    ) -> Result<Decision, Error> {
        if kind.eq_ignore_ascii_case("pod") {
            self.pod(object, namespace, owner)
        } else if kind.eq_ignore_ascii_case("service") {
            self.service(object, namespace)
        } else {
            let reasons = vec![SkipReason::UnsupportedResource];
            Ok(Decision::skipped(reasons, None))
        }
    }

    /// Decides about a workload of a manifest. Its namespace's annotations are not
    /// known, and it gets a proxy unless it says not to
    /// (identity-injector.md section 9.2).
    ///
    /// # Errors
    /// As for [`Injector::review`].
    pub fn workload(&self, kind: WorkloadKind, object: &Value) -> Result<Decision, Error> {
        let template = read(kind, object)?;
        let reasons = blocking(&self.values, &template);
        if !reasons.is_empty() {
            return Ok(Decision::skipped(reasons, None));
        }
        let name = object["metadata"]["name"].as_str();
        let namespace = object["metadata"]["namespace"].as_str();
        let subject = Subject {
            kind,
            template: &template,
            namespace: None,
            namespace_name: namespace.filter(|name| !name.is_empty()),
            owner: kind.owner_label().zip(name),
        };
        let (patch, warnings) = self.patch(&subject)?;
        Ok(Decision {
            skipped: Vec::new(),
            annotation_at: None,
            patch: Some(patch),
            warnings,
        })
    }

    fn pod(
        &self,
        pod: &Value,
        namespace: &Namespace,
        owner: Option<&Owner>,
    ) -> Result<Decision, Error> {
        let template = read(WorkloadKind::Pod, pod)?;
        let annotations = template.annotations();
        let (not_asked, annotation_at) = skip::asked(annotations, namespace);
        let spec = &template.spec;
        let reasons: Vec<_> = skip::in_pod(spec)
            .chain(not_asked)
            .chain(skip::token(spec, &self.values, true))
            .collect();
        if !reasons.is_empty() {
            let mut decision = Decision::skipped(reasons, annotation_at);
            decision.patch =
                self.opaque_ports(template.metadata.is_some(), annotations, namespace, || {
                    opaque_ports::pod_default(spec, &self.values.proxy.opaque_ports)
                });
            decision
                .warnings
                .extend(inject_warning(&decision.skipped, annotations, namespace));
            return Ok(decision);
        }
        let owner_kind = owner.and_then(|owner| {
            // A CronJob's pods are told apart by their Job, as the reference does.
            WorkloadKind::of_owner(&owner.kind).filter(|kind| *kind != WorkloadKind::CronJob)
        });
        let label = owner_kind.and_then(WorkloadKind::owner_label);
        let subject = Subject {
            kind: WorkloadKind::Pod,
            template: &template,
            namespace: Some(namespace),
            namespace_name: Some(&namespace.name),
            owner: label.zip(owner.map(|owner| &*owner.name)),
        };
        let (patch, warnings) = self.patch(&subject)?;
        Ok(Decision {
            skipped: Vec::new(),
            annotation_at,
            patch: Some(patch),
            warnings,
        })
    }

    fn service(&self, object: &Value, namespace: &Namespace) -> Result<Decision, Error> {
        let error = |reason: String| Error::Object {
            kind: "Service",
            reason,
        };
        if !object.is_object() || !is_map(&object["metadata"]) {
            return Err(error("it, or its metadata, is not an object".to_owned()));
        }
        let service = Service::deserialize(object).map_err(|reason| error(reason.to_string()))?;
        let mut decision = Decision::skipped(vec![SkipReason::UnsupportedResource], None);
        let none = Annotations::new();
        decision.patch = self.opaque_ports(
            service.annotations().is_some(),
            service.annotations().unwrap_or(&none),
            namespace,
            || service.default(&self.values.proxy.opaque_ports),
        );
        Ok(decision)
    }

    /// The patch that only tells opaque ports.
    fn opaque_ports(
        &self,
        has_metadata: bool,
        annotations: &Annotations,
        namespace: &Namespace,
        default: impl FnOnce() -> Option<String>,
    ) -> Option<Patch> {
        let ports = opaque_ports::missing(Some(annotations), Some(namespace), default)?;
        let mut patch = Additions::to(&[]);
        if !has_metadata {
            patch.add(&["metadata"], json!({}));
        }
        let entries = BTreeMap::from([(OPAQUE_PORTS.to_owned(), ports)]);
        patch.add_metadata("annotations", !annotations.is_empty(), &entries);
        Some(patch.into_patch())
    }
}

/// What keeps a workload of a manifest from getting a proxy, and last, where it is
/// so, that it has ports that speak UDP, which keeps it from nothing.
///
/// # Errors
/// When the object is not what its kind says.
pub fn manifest_reasons(
    values: &Values,
    kind: WorkloadKind,
    object: &Value,
) -> Result<Vec<SkipReason>, Error> {
    let template = read(kind, object)?;
    let mut reasons = blocking(values, &template);
    reasons.extend(skip::udp(&template.spec));
    Ok(reasons)
}

fn blocking(values: &Values, template: &Template) -> Vec<SkipReason> {
    let spec = &template.spec;
    let disabled = template
        .annotations()
        .get(INJECT)
        .is_some_and(|value| value == "disabled");
    skip::in_pod(spec)
        .chain(disabled.then_some(SkipReason::InjectDisabled))
        .chain(skip::token(spec, values, false))
        .collect()
}

fn read(kind: WorkloadKind, object: &Value) -> Result<Template, Error> {
    let error = |reason: String| Error::Object {
        kind: kind.as_str(),
        reason,
    };
    let template = kind
        .template(object)
        .filter(|template| template.is_object());
    let template = template.ok_or_else(|| {
        let path = kind.template_path().join(".");
        error(match &*path {
            "" => "it is not an object".to_owned(),
            path => format!("{path} is not an object"),
        })
    })?;
    // A derived Deserialize takes a list for a struct.
    if !is_map(&template["metadata"]) {
        return Err(error("metadata is not an object".to_owned()));
    }
    let read = Template::deserialize(template).map_err(|reason| error(reason.to_string()))?;
    if !template["spec"]["containers"].is_array() {
        return Err(error("spec.containers is not a list".to_owned()));
    }
    Ok(read)
}

/// An `inject` annotation that means nothing keeps a pod from being injected, which
/// nobody wanted.
fn inject_warning(
    reasons: &[SkipReason],
    annotations: &Annotations,
    namespace: &Namespace,
) -> Option<Warning> {
    let (from, annotations) = if reasons.contains(&SkipReason::InvalidInjectAtNamespace) {
        (Some(namespace), &namespace.annotations)
    } else if reasons.contains(&SkipReason::InvalidInjectAtWorkload) {
        (None, annotations)
    } else {
        return None;
    };
    let value = annotations.get(INJECT).map_or("", String::as_str);
    let expected = annotations::expected(INJECT);
    Some(Warning::annotation(
        INJECT,
        from,
        value,
        Effect::NoInjection,
        expected,
    ))
}

/// Whether something is an object, or not there.
fn is_map(value: &Value) -> bool {
    value.is_object() || value.is_null()
}
