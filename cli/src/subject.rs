//! What is asked about: a pod, or a workload whose pods may never have come to be.

use crate::{Error, read::unread};
use ferrule_cluster::object::is_dns_label;
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use std::str::FromStr;

/// A kind that has pods: what people call it, group, version, kind and plural, and where
/// the pod is in it.
type Kind = (
    &'static [&'static str],
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const KINDS: [Kind; 8] = [
    (&["pod", "pods", "po"], "", "v1", "Pod", "pods", ""),
    (
        &["deployment", "deployments", "deploy"],
        "apps",
        "v1",
        "Deployment",
        "deployments",
        "/spec/template",
    ),
    (
        &["statefulset", "statefulsets", "sts"],
        "apps",
        "v1",
        "StatefulSet",
        "statefulsets",
        "/spec/template",
    ),
    (
        &["daemonset", "daemonsets", "ds"],
        "apps",
        "v1",
        "DaemonSet",
        "daemonsets",
        "/spec/template",
    ),
    (
        &["replicaset", "replicasets", "rs"],
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        "/spec/template",
    ),
    (
        &["replicationcontroller", "replicationcontrollers", "rc"],
        "",
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        "/spec/template",
    ),
    (
        &["job", "jobs"],
        "batch",
        "v1",
        "Job",
        "jobs",
        "/spec/template",
    ),
    (
        &["cronjob", "cronjobs", "cj"],
        "batch",
        "v1",
        "CronJob",
        "cronjobs",
        "/spec/jobTemplate/spec/template",
    ),
];

/// `[KIND/]NAME`; a pod's name stands alone.
#[derive(Clone, Debug)]
pub(crate) struct SubjectName {
    kind: &'static Kind,
    name: String,
}

impl FromStr for SubjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("pod", text));
        let lower = kind.to_ascii_lowercase();
        let kind = KINDS.iter().find(|of| of.0.contains(&&*lower));
        let kind = kind.ok_or_else(|| {
            let names: Vec<_> = KINDS.iter().map(|of| of.0[0]).collect();
            format!(
                "expected the name of a pod, or KIND/NAME of one of {}",
                names.join(", ")
            )
        })?;
        if !name.split('.').all(is_dns_label) {
            return Err(format!("{name:?} is no name of a {}", kind.0[0]));
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

/// It, as the cluster has it.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Such as `deployment shop/web`.
    pub(crate) title: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// As it is stored; of a pod the same as `pod`.
    pub(crate) object: Value,
    /// The pod as it is, or as it is to be created.
    pub(crate) pod: Value,
    pub(crate) is_pod: bool,
}

impl Subject {
    /// Reads it.
    ///
    /// # Errors
    /// If it is not there, or cannot be read.
    pub(crate) async fn read(
        client: &Client,
        name: &SubjectName,
        namespace: &str,
    ) -> Result<Self, Error> {
        let (names, group, version, kind, plural, _) = *name.kind;
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let found = api.get_opt(&name.name).await;
        let found = found.map_err(unread("get", &crate::read::resource(group, plural)))?;
        let missing = || {
            let what = format!("{} {namespace}/{}", names[0], name.name);
            Error::NoSubject(match kind {
                "Pod" => format!(
                    "there is no {what}; of one that was never created ask about its workload, \
                     such as deploy/NAME"
                ),
                _ => format!("there is no {what}"),
            })
        };
        let found = found.ok_or_else(missing)?;
        let object = serde_json::to_value(found).unwrap_or_default();
        Ok(Self::of(name, namespace, object))
    }

    fn of(name: &SubjectName, namespace: &str, object: Value) -> Self {
        let (names, _, _, kind, _, template) = *name.kind;
        let template = object.pointer(template).cloned().unwrap_or_default();
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod"});
        pod["metadata"] = match &template["metadata"] {
            Value::Null => json!({}),
            metadata => metadata.clone(),
        };
        pod["spec"] = template["spec"].clone();
        Self {
            title: format!("{} {namespace}/{}", names[0], name.name),
            namespace: namespace.to_owned(),
            name: name.name.clone(),
            is_pod: kind == "Pod",
            object,
            pod,
        }
    }

    /// What makes its pods anew.
    pub(crate) fn restart(&self) -> String {
        let namespace = &self.namespace;
        let kind = self.object["kind"].as_str().unwrap_or_default();
        match kind {
            "Deployment" | "StatefulSet" | "DaemonSet" => format!(
                "kubectl rollout restart -n {namespace} {}/{}",
                kind.to_lowercase(),
                self.name
            ),
            "Pod" => {
                let owners = &self.object["metadata"]["ownerReferences"];
                match owners[0]["kind"].as_str() {
                    Some(owner) => format!(
                        "kubectl delete pod -n {namespace} {} (its {owner} makes another)",
                        self.name
                    ),
                    None => format!("delete pod {namespace}/{} and create it again", self.name),
                }
            }
            _ => format!("create the pods of {} anew", self.title),
        }
    }
}

#[cfg(test)]
impl Subject {
    pub(crate) fn for_test(name: &str, namespace: &str, object: Value) -> Self {
        Self::of(&name.parse().unwrap(), namespace, object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_named_alone_and_a_workload_with_its_kind() {
        for (text, kind) in [
            ("web-5d4-x", Some("Pod")),
            ("po/web.1", Some("Pod")),
            ("Deploy/web", Some("Deployment")),
            ("sts/db", Some("StatefulSet")),
            ("cronjob/nightly", Some("CronJob")),
            ("svc/web", None),
            ("deploy/", None),
            ("Web", None),
        ] {
            let parsed: Result<SubjectName, _> = text.parse();
            assert_eq!(parsed.ok().map(|name| name.kind.3), kind, "{text}");
        }
    }

    #[test]
    fn a_workloads_pod_is_its_template() {
        let spec = json!({"containers": [{"name": "web"}]});
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": spec});
        let deploy = json!({"kind": "Deployment", "spec": {"template": template}});
        let subject = Subject::for_test("deploy/web", "shop", deploy);
        assert_eq!(subject.title, "deployment shop/web");
        assert_eq!(subject.pod["metadata"], template["metadata"]);
        assert_eq!(subject.pod["spec"], spec);
        let cron = json!({
            "kind": "CronJob",
            "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}},
        });
        let subject = Subject::for_test("cj/nightly", "shop", cron);
        assert_eq!(subject.pod["metadata"], json!({}));
        assert_eq!(subject.pod["spec"], spec);
    }
}
