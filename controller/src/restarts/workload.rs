//! What a restart depends on, of a Deployment, a StatefulSet or a DaemonSet.

use ferrule_identity::PodSpec;
use k8s_openapi::{
    api::apps::v1::{DaemonSet, Deployment, StatefulSet},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use kube::core::{ApiResource, Object};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// On a pod template: the bundle for which its workload was restarted last.
pub(super) const RESTARTED_FOR: &str = "ferrule.io/restarted-for-trust-bundle";

/// What Kubernetes takes where a Deployment does not say.
const PROGRESS_DEADLINE: u32 = 600;
/// How much later than Kubernetes we give up waiting.
const MARGIN: Duration = Duration::from_secs(60);

/// The kinds that are restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// As Kubernetes writes it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// As it is in the name of an owner, such as `deployment/web`, and in metrics.
    pub(super) fn lower_case(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }

    /// The kind and the name of an owner, if it is of one of these.
    pub(super) fn of_owner(owner: &str) -> Option<(Self, &str)> {
        let (kind, name) = owner.split_once('/')?;
        let kind = Self::ALL.into_iter().find(|one| one.lower_case() == kind)?;
        Some((kind, name))
    }

    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
        }
    }
}

/// All three kinds as one: what one of them lacks is at its default.
pub(super) type Workload = Object<Spec, Status>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) replicas: Option<u32>,
    pub(super) paused: bool,
    progress_deadline_seconds: Option<u32>,
    pub(super) selector: Option<LabelSelector>,
    template: Template,
    #[serde(alias = "updateStrategy")]
    strategy: Strategy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    metadata: TemplateMetadata,
    spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TemplateMetadata {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Strategy {
    #[serde(rename = "type")]
    kind: String,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingUpdate {
    max_unavailable: Option<IntOrString>,
    max_surge: Option<IntOrString>,
    partition: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    observed_generation: Option<i64>,
    replicas: u32,
    updated_replicas: u32,
    available_replicas: u32,
    desired_number_scheduled: u32,
    current_number_scheduled: u32,
    updated_number_scheduled: u32,
    number_available: u32,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
}

/// How many pods there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// That there should be.
    pub(super) wanted: u32,
    there: u32,
    /// Of the template as it is now.
    updated: u32,
    available: u32,
}

/// How far the rollout of a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All pods are of the template as it is, and ready for long enough.
    Complete,
    /// They are not yet.
    Underway,
    /// Kubernetes has given up waiting.
    Failed,
}

/// What a rollout does to the pods that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// So many of them at most are away at a time.
    Away(u32),
    /// All of them are.
    AllAway,
    /// It is begun and ended by hand.
    ByHand,
}

/// What there is to know of it, with what kind it is.
pub(super) trait Look {
    fn numbers(&self, kind: Kind) -> Numbers;
    fn progress(&self, kind: Kind) -> Progress;
    fn rollout(&self, kind: Kind) -> Rollout;
    /// For how long it may not get on before it counts as failed.
    fn patience(&self) -> Duration;
    /// The bundle that it was restarted for last.
    fn restarted_for(&self) -> Option<&str>;
    /// Whether its pods' proxies are written into its template, with what they trust.
    fn is_injected_by_hand(&self) -> bool;
    /// The labels of its pods.
    fn pod_labels(&self) -> &BTreeMap<String, String>;
}

impl Look for Workload {
    fn numbers(&self, kind: Kind) -> Numbers {
        let status = self.status.clone().unwrap_or_default();
        match kind {
            Kind::DaemonSet => Numbers {
                wanted: status.desired_number_scheduled,
                there: status.current_number_scheduled,
                updated: status.updated_number_scheduled,
                available: status.number_available,
            },
            Kind::Deployment | Kind::StatefulSet => Numbers {
                wanted: self.spec.replicas.unwrap_or(1),
                there: status.replicas,
                updated: status.updated_replicas,
                available: status.available_replicas,
            },
        }
    }

    fn progress(&self, kind: Kind) -> Progress {
        let Some(status) = &self.status else {
            return Progress::Underway;
        };
        if status.observed_generation < self.metadata.generation {
            return Progress::Underway;
        }
        let is_late = status.conditions.iter().any(|condition| {
            condition.kind == "Progressing"
                && condition.status == "False"
                && condition.reason == "ProgressDeadlineExceeded"
        });
        let Numbers {
            wanted,
            there,
            updated,
            available,
        } = self.numbers(kind);
        if [there, updated, available] == [wanted; 3] {
            Progress::Complete
        } else if is_late {
            Progress::Failed
        } else {
            Progress::Underway
        }
    }

    fn rollout(&self, kind: Kind) -> Rollout {
        let strategy = &self.spec.strategy;
        match &*strategy.kind {
            "RollingUpdate" | "" => {}
            "Recreate" => return Rollout::AllAway,
            _ => return Rollout::ByHand,
        }
        let rolling = strategy.rolling_update.clone().unwrap_or_default();
        // Whoever divides it does the rest by hand.
        if rolling.partition.is_some_and(|partition| partition > 0) {
            return Rollout::ByHand;
        }
        let wanted = self.numbers(kind).wanted;
        let quarter = || IntOrString::String("25%".to_owned());
        let away = match kind {
            Kind::Deployment => {
                let away = rolling.max_unavailable.unwrap_or_else(quarter);
                let surge = rolling.max_surge.unwrap_or_else(quarter);
                let surge = count(&surge, wanted, u64::div_ceil);
                count(&away, wanted, |part, whole| part / whole)
                    .zip(surge)
                    // Neither would never end: Kubernetes takes one away.
                    .map(|(away, surge)| if surge == 0 { away.max(1) } else { away })
            }
            Kind::StatefulSet => {
                let away = rolling.max_unavailable.unwrap_or(IntOrString::Int(1));
                // A pod is only made when the one of its name has gone.
                count(&away, wanted, u64::div_ceil).map(|away| away.max(1))
            }
            Kind::DaemonSet => {
                let surge = rolling.max_surge.unwrap_or(IntOrString::Int(0));
                let default = IntOrString::Int(1);
                let away = rolling.max_unavailable.unwrap_or(default);
                match count(&surge, wanted, u64::div_ceil) {
                    Some(0) => count(&away, wanted, u64::div_ceil).map(|away| away.max(1)),
                    surge => surge.map(|_| 0),
                }
            }
        };
        match away {
            Some(away) if away == 0 || away < wanted => Rollout::Away(away),
            _ => Rollout::AllAway,
        }
    }

    fn patience(&self) -> Duration {
        let seconds = self.spec.progress_deadline_seconds;
        Duration::from_secs(seconds.unwrap_or(PROGRESS_DEADLINE).into()) + MARGIN
    }

    fn restarted_for(&self) -> Option<&str> {
        let annotations = &self.spec.template.metadata.annotations;
        annotations.get(RESTARTED_FOR).map(String::as_str)
    }

    fn is_injected_by_hand(&self) -> bool {
        self.spec.template.spec.has_bundle()
    }

    fn pod_labels(&self) -> &BTreeMap<String, String> {
        &self.spec.template.metadata.labels
    }
}

/// A number of pods, or a share of `wanted` pods as Kubernetes rounds it; `None` if it
/// cannot be read.
fn count(value: &IntOrString, wanted: u32, round: impl Fn(u64, u64) -> u64) -> Option<u32> {
    match value {
        IntOrString::Int(count) => u32::try_from(*count).ok(),
        IntOrString::String(share) => {
            let percent: u32 = share.strip_suffix('%')?.parse().ok()?;
            let part = round(u64::from(percent) * u64::from(wanted), 100);
            u32::try_from(part).ok()
        }
    }
}
