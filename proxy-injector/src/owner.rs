//! Whose a pod is, which its labels, events and metrics tell
//! (identity-injector.md section 6.7).

use serde::Deserialize;
use serde_json::Value;

/// The workload that a pod belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its kind in lower case, such as `deployment`; `pod` for one of its own.
    pub kind: String,
    /// Its name; empty for a pod that has none yet.
    pub name: String,
    /// How it is referred to; `None` for a pod of its own, which does not exist yet.
    pub reference: Option<OwnerReference>,
}

/// One of an object's `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    /// `apiVersion`; empty where there is none.
    #[serde(default)]
    pub api_version: String,
    /// `kind` as written.
    pub kind: String,
    /// `name`.
    pub name: String,
    /// `uid`; empty where there is none.
    #[serde(default)]
    pub uid: String,
}

/// What a pod itself says of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectOwner {
    /// That is all there is to know.
    Known(Owner),
    /// The owner may itself have one, which is the one that people know: a
    /// ReplicaSet or a Job of the pod's namespace.
    LookUp(OwnerReference),
}

impl DirectOwner {
    /// Reads a pod.
    pub fn of(pod: &Value) -> Self {
        let references = pod["metadata"].get("ownerReferences");
        let references = references.and_then(|list| Vec::<OwnerReference>::deserialize(list).ok());
        match references.as_deref() {
            Some([one]) if matches!(&*one.kind, "Job" | "ReplicaSet") => Self::LookUp(one.clone()),
            Some([one]) => Self::Known(Owner::from(one)),
            _ => {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                Self::Known(Owner {
                    kind: "pod".into(),
                    name: name.into(),
                    reference: None,
                })
            }
        }
    }

    /// The owner, given the owner references of what was to be looked up; `None`
    /// where that is not to be found.
    pub fn resolve(self, references: Option<&[OwnerReference]>) -> Owner {
        let direct = match self {
            Self::Known(owner) => return owner,
            Self::LookUp(direct) => direct,
        };
        match references {
            Some([above]) if direct.kind == "Job" || is_built_in(above) => Owner::from(above),
            _ => Owner::from(&direct),
        }
    }
}

/// ReplicaSets of other kinds, such as those of Argo Rollouts, count themselves.
fn is_built_in(above: &OwnerReference) -> bool {
    matches!(
        &*above.kind,
        "Job" | "StatefulSet" | "DaemonSet" | "Deployment"
    )
}

impl From<&OwnerReference> for Owner {
    fn from(reference: &OwnerReference) -> Self {
        Self {
            kind: reference.kind.to_lowercase(),
            name: reference.name.clone(),
            reference: Some(reference.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference(kind: &str, name: &str) -> OwnerReference {
        OwnerReference {
            api_version: String::new(),
            kind: kind.into(),
            name: name.into(),
            uid: "1".into(),
        }
    }

    #[test]
    fn s78_s79_the_owner_is_the_workload_that_people_know() {
        let deployment = [reference("Deployment", "web")];
        let rollout = [reference("Rollout", "web")];
        let cron = [reference("CronJob", "nightly")];
        let two = [reference("Deployment", "a"), reference("Deployment", "b")];
        for (pod, above, expected) in [
            (vec![], None, ("pod", "web-1")),
            (
                vec![reference("ReplicaSet", "a"), reference("Job", "b")],
                None,
                ("pod", "web-1"),
            ),
            (
                vec![reference("ReplicaSet", "web-x")],
                Some(&deployment[..]),
                ("deployment", "web"),
            ),
            (
                vec![reference("ReplicaSet", "web-x")],
                Some(&rollout),
                ("replicaset", "web-x"),
            ),
            (
                vec![reference("ReplicaSet", "web-x")],
                Some(&two),
                ("replicaset", "web-x"),
            ),
            (
                vec![reference("ReplicaSet", "web-x")],
                None,
                ("replicaset", "web-x"),
            ),
            (
                vec![reference("Job", "nightly-1")],
                Some(&cron),
                ("cronjob", "nightly"),
            ),
            (vec![reference("Job", "once")], Some(&[]), ("job", "once")),
            (
                vec![reference("StatefulSet", "db")],
                None,
                ("statefulset", "db"),
            ),
            (vec![reference("Kiosk", "k")], None, ("kiosk", "k")),
        ] {
            let references: Vec<_> = pod
                .iter()
                .map(|owner| json!({"kind": owner.kind, "name": owner.name, "uid": "1"}))
                .collect();
            let pod = json!({"metadata": {"name": "web-1", "ownerReferences": references}});
            let owner = DirectOwner::of(&pod).resolve(above);
            assert_eq!((&*owner.kind, &*owner.name), expected, "{pod}");
            let kind = owner
                .reference
                .map(|reference| reference.kind.to_lowercase());
            let referred = Some(expected.0).filter(|kind| *kind != "pod");
            assert_eq!(kind.as_deref(), referred, "{pod}");
        }
    }

    #[test]
    fn a_bare_pod_may_have_no_name_yet() {
        let pod = json!({"metadata": {"generateName": "web-"}});
        let owner = DirectOwner::of(&pod).resolve(None);
        assert_eq!((&*owner.kind, &*owner.name), ("pod", ""));
    }
}
