use super::known_kind;
use ferrule_proxy_injector::{AnnotationAt, Decision, Owner, SkipReason};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// How many series there may be: a few for each namespace. What would be one more is
/// not counted.
const SERIES: usize = 16_384;

/// What was asked and answered, by the labels that dashboards know
/// (identity-injector.md 6.10; without one for each annotation, as operations.md 13.2
/// has it).
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: Mutex<HashMap<Labels, u64>>,
    responses: Mutex<HashMap<(Labels, Skipped), u64>>,
}

/// What a review was about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    /// Empty where the kind is not one that has pods.
    pub(crate) owner_kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) annotation_at: Option<AnnotationAt>,
}

/// Why there was nothing to do; empty where there was.
type Skipped = Vec<SkipReason>;

/// A number for each set of labels.
type Counted<L> = Vec<(L, u64)>;

impl Labels {
    pub(super) fn new(owner: Option<&Owner>, namespace: &str) -> Self {
        let kind = owner.and_then(known_kind);
        Self {
            owner_kind: kind.map_or("", |kind| kind.lower_case()),
            namespace: namespace.to_owned(),
            annotation_at: None,
        }
    }
}

impl Counts {
    pub(super) fn request(&self, labels: Labels) {
        count(&self.requests, labels);
    }

    /// A pod is always answered; anything else only with a change.
    pub(super) fn response(&self, labels: Labels, decision: &Decision, is_pod: bool) {
        let skipped = match decision.patch {
            Some(_) => Vec::new(),
            None if is_pod => decision.skipped.clone(),
            None => return,
        };
        count(&self.responses, (labels, skipped));
    }

    /// Reviews that were asked for.
    pub(crate) fn requests(&self) -> Counted<Labels> {
        counted(&self.requests)
    }

    /// Reviews that were answered, and why with no change.
    pub(crate) fn responses(&self) -> Counted<(Labels, Skipped)> {
        counted(&self.responses)
    }
}

fn count<L: Eq + Hash>(counts: &Mutex<HashMap<L, u64>>, labels: L) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(count) = counts.get_mut(&labels) {
        *count += 1;
    } else if counts.len() < SERIES {
        counts.insert(labels, 1);
    }
}

fn counted<L: Clone>(counts: &Mutex<HashMap<L, u64>>) -> Counted<L> {
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = counts.iter();
    counts
        .map(|(labels, count)| (labels.clone(), *count))
        .collect()
}
