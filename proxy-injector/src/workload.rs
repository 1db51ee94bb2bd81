//! What the injector reads of a workload. Everything else of it stays unread, and a
//! patch only adds, so that whatever it is survives.

use crate::annotations::Annotations;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value;

/// Names of the containers that the mesh adds to a pod.
pub(crate) const MESH_CONTAINERS: [&str; 4] = [
    crate::PROXY_CONTAINER,
    crate::INIT_CONTAINER,
    crate::VALIDATOR_CONTAINER,
    crate::DEBUG_CONTAINER,
];

/// A kind of object that has a pod template, or is a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadKind {
    /// `v1` Pod.
    Pod,
    /// `apps` Deployment.
    Deployment,
    /// `apps` StatefulSet.
    StatefulSet,
    /// `apps` DaemonSet.
    DaemonSet,
    /// `apps` ReplicaSet.
    ReplicaSet,
    /// `v1` ReplicationController.
    ReplicationController,
    /// `batch` Job.
    Job,
    /// `batch` CronJob.
    CronJob,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Pod,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::Job,
        Self::CronJob,
    ];

    /// The kind that an [`Owner`](crate::Owner) has, if it is one of these.
    pub fn of_owner(owner: &str) -> Option<Self> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.lower_case() == owner)
    }

    /// `kind`, and the API group that it is of.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Pod => ("Pod", ""),
            Self::Deployment => ("Deployment", "apps"),
            Self::StatefulSet => ("StatefulSet", "apps"),
            Self::DaemonSet => ("DaemonSet", "apps"),
            Self::ReplicaSet => ("ReplicaSet", "apps"),
            Self::ReplicationController => ("ReplicationController", ""),
            Self::Job => ("Job", "batch"),
            Self::CronJob => ("CronJob", "batch"),
        }
    }

    /// The kind as objects spell it.
    pub const fn as_str(self) -> &'static str {
        self.names().0
    }

    /// The kind as owners, labels and metrics spell it.
    pub const fn lower_case(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::ReplicaSet => "replicaset",
            Self::ReplicationController => "replicationcontroller",
            Self::Job => "job",
            Self::CronJob => "cronjob",
        }
    }

    /// The kind of an object, where it is one of these.
    pub fn of(object: &Value) -> Option<Self> {
        let kind = object.get("kind")?.as_str()?;
        let version = object.get("apiVersion").and_then(Value::as_str);
        let group = version.and_then(|version| Some(version.split_once('/')?.0));
        let group = group.unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|known| known.names() == (kind, group))
    }

    /// Where in the object its pod template is: the keys that lead there.
    pub const fn template_path(self) -> &'static [&'static str] {
        match self {
            Self::Pod => &[],
            Self::CronJob => &["spec", "jobTemplate", "spec", "template"],
            _ => &["spec", "template"],
        }
    }

    /// The pod template of an object of this kind.
    pub fn template(self, object: &Value) -> Option<&Value> {
        let mut path = self.template_path().iter();
        path.try_fold(object, |value, key| value.get(key))
    }

    /// The label that tells a pod's owner, where this kind has one.
    pub(crate) fn owner_label(self) -> Option<&'static str> {
        Some(match self {
            Self::Pod => return None,
            Self::Deployment => "linkerd.io/proxy-deployment",
            Self::StatefulSet => "linkerd.io/proxy-statefulset",
            Self::DaemonSet => "linkerd.io/proxy-daemonset",
            Self::ReplicaSet => "linkerd.io/proxy-replicaset",
            Self::ReplicationController => "linkerd.io/proxy-replicationcontroller",
            Self::Job => "linkerd.io/proxy-job",
            Self::CronJob => "linkerd.io/proxy-cronjob",
        })
    }
}

/// A pod template, or a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Template {
    pub(crate) metadata: Option<Metadata>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) spec: PodSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    #[serde(deserialize_with = "or_default")]
    pub(crate) annotations: Annotations,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: Annotations,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    #[serde(deserialize_with = "or_default")]
    pub(crate) containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) init_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) volumes: Vec<IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) host_network: bool,
    pub(crate) automount_service_account_token: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) service_account_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Container {
    #[serde(deserialize_with = "or_default")]
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) image: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) ports: Vec<ContainerPort>,
    pub(crate) liveness_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
    pub(crate) security_context: Option<SecurityContext>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) volume_mounts: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ContainerPort {
    #[serde(deserialize_with = "or_default")]
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) container_port: u16,
    #[serde(deserialize_with = "or_default")]
    pub(crate) protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Probe {
    http_get: Option<HttpGet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HttpGet {
    /// A number, or the name of a port.
    port: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SecurityContext {
    pub(crate) capabilities: Option<Capabilities>,
}

/// What a container may do beyond, or not even, what is usual.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Capabilities {
    #[serde(deserialize_with = "or_default")]
    pub(crate) add: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) drop: Vec<String>,
}

impl Template {
    /// Its annotations.
    pub(crate) fn annotations(&self) -> &Annotations {
        static NONE: Annotations = Annotations::new();
        let metadata = self.metadata.as_ref();
        metadata.map_or(&NONE, |metadata| &metadata.annotations)
    }

    /// Its labels.
    pub(crate) fn labels(&self) -> &Annotations {
        static NONE: Annotations = Annotations::new();
        let metadata = self.metadata.as_ref();
        metadata.map_or(&NONE, |metadata| &metadata.labels)
    }
}

impl PodSpec {
    /// Every container, the initial ones first.
    pub(crate) fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// Every container that is not one of the mesh.
    pub(crate) fn own_containers(&self) -> impl Iterator<Item = &Container> {
        self.all_containers()
            .filter(|container| !MESH_CONTAINERS.contains(&&*container.name))
    }

    /// The ports of the pod's own containers, in their order.
    pub(crate) fn ports(&self) -> impl Iterator<Item = &ContainerPort> {
        self.own_containers().flat_map(|container| &container.ports)
    }

    /// How the first regular container mounts its service account.
    pub(crate) fn service_account_mount(&self) -> Option<&Value> {
        let mounts = &self.containers.first()?.volume_mounts;
        mounts
            .iter()
            .find(|mount| mount["mountPath"] == crate::volumes::SERVICE_ACCOUNT_PATH)
    }

    /// The capabilities of the first regular container.
    pub(crate) fn capabilities(&self) -> Option<&Capabilities> {
        let context = self.containers.first()?.security_context.as_ref()?;
        context.capabilities.as_ref()
    }
}

impl Container {
    /// The ports that kubelets ask by HTTP whether it lives and is ready.
    pub(crate) fn probe_ports(&self) -> impl Iterator<Item = u16> {
        let probes = [&self.liveness_probe, &self.readiness_probe];
        probes.into_iter().filter_map(|probe| {
            let port = &probe.as_ref()?.http_get.as_ref()?.port;
            u16::try_from(port.as_u64()?).ok()
        })
    }
}

/// A null is as good as nothing.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_kind_is_one_of_its_group() {
        for kind in WorkloadKind::ALL {
            let (name, group) = kind.names();
            let version = match group {
                "" => "v1".to_owned(),
                group => format!("{group}/v1"),
            };
            let object = json!({"apiVersion": version, "kind": name});
            assert_eq!(WorkloadKind::of(&object), Some(kind));
        }
        for (version, kind) in [
            ("batch.volcano.sh/v1alpha1", "Job"),
            ("v1", "Service"),
            ("apps/v1", "Pod"),
        ] {
            let object = json!({"apiVersion": version, "kind": kind});
            assert_eq!(WorkloadKind::of(&object), None, "{object}");
        }
        assert_eq!(WorkloadKind::of(&json!({"kind": 5})), None);
    }

    #[test]
    fn nulls_are_as_good_as_nothing() {
        let template = Template::deserialize(json!({
            "metadata": {"annotations": null, "creationTimestamp": null},
            "spec": {"containers": [{"name": "web", "ports": null, "image": null}], "volumes": null},
        }));
        let template = template.unwrap();
        assert_eq!(template.spec.containers.len(), 1);
        assert_eq!(template.spec.ports().count(), 0);
    }
}
