//! How many pods may be away at a time, as their owners say.

use k8s_openapi::{
    api::policy::v1::PodDisruptionBudget, apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::core::{ApiResource, Object, Selector, SelectorExt as _};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A PodDisruptionBudget.
pub(super) type Budget = Object<Spec, Status>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    selector: Option<LabelSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    observed_generation: Option<i64>,
    disruptions_allowed: i64,
}

pub(super) fn resource() -> ApiResource {
    ApiResource::erase::<PodDisruptionBudget>(&())
}

/// Whether it is about pods with these labels. One whose selector cannot be read may
/// be.
pub(super) fn selects(budget: &Budget, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = budget.spec.selector.clone() else {
        return false;
    };
    match Selector::try_from(selector) {
        Ok(selector) => selector.matches(labels),
        Err(_) => true,
    }
}

/// Whether it lets a pod go now.
pub(super) fn allows(budget: &Budget) -> bool {
    budget.status.as_ref().is_some_and(|status| {
        status.observed_generation >= budget.metadata.generation && status.disruptions_allowed > 0
    })
}
