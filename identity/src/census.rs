//! Which pods trust what: a proxy keeps the bundle that it was injected with.

use crate::{Issuer, PodSpec, TrustAnchors, pod_spec::HeldAnchors};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ApiResource, ListParams},
    core::Object,
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::SystemTime,
};

/// Which control plane a pod's proxy belongs to.
const CONTROL_PLANE: &str = "linkerd.io/control-plane-ns";
/// What a Deployment adds to its name for its ReplicaSets.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Pods are large: this many are a few megabytes.
const PAGE: u32 = 250;
/// How many workloads a text names.
const NAMED: usize = 3;

/// Workloads that do not trust what they should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many pods with a proxy there are.
    pub pods: usize,
    /// By namespace and owner (such as `deployment/web`, with the group for kinds that
    /// are not Kubernetes' own; a pod without an owner is its own), how many of its pods
    /// do not.
    pub laggards: BTreeMap<(String, String), usize>,
}

/// What all should trust.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What that is.
    pub trusts: Trusts<'a>,
    /// Since when the anchors for it are published: who read the bundle later trusts it.
    pub published: Option<Timestamp>,
    /// Whether pods count that are about to end.
    pub ending: bool,
}

/// What a proxy's trust anchors are to be good for.
#[derive(Clone, Copy, Debug)]
pub enum Trusts<'a> {
    /// All anchors with these SHA-256 are among them.
    Anchors(&'a [String]),
    /// What this issuer signs verifies by one of them.
    Issuer(&'a Issuer),
}

/// The pods that are asked about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Among<'a> {
    /// Those of this namespace; of all without one.
    pub namespace: Option<&'a str>,
    /// Those that this label selector selects, as it is written in a request.
    pub labels: Option<&'a str>,
}

impl Census {
    /// Asks the API server for all pods with a proxy of this control plane, as they are
    /// now: none that is there is missing.
    ///
    /// # Errors
    /// The API server's.
    pub async fn take(
        client: &Client,
        control_plane: &str,
        wanted: Wanted<'_>,
    ) -> kube::Result<Self> {
        Self::take_among(client, control_plane, wanted, Among::default()).await
    }

    /// The same of some of the pods.
    ///
    /// # Errors
    /// The API server's.
    pub async fn take_among(
        client: &Client,
        control_plane: &str,
        wanted: Wanted<'_>,
        among: Among<'_>,
    ) -> kube::Result<Self> {
        let resource = ApiResource::erase::<Pod>(&());
        let pods: Api<MeshPod> = match among.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let mut selector = format!("{CONTROL_PLANE}={control_plane}");
        if let Some(labels) = among.labels.filter(|labels| !labels.is_empty()) {
            selector = format!("{selector},{labels}");
        }
        let mut params = ListParams::default().labels(&selector).limit(PAGE);
        let mut bundles = Bundles::default();
        let mut census = Self::default();
        loop {
            let page = pods.list(&params).await?;
            for pod in &page.items {
                census.count(pod, wanted, &mut bundles);
            }
            match page.metadata.continue_ {
                Some(next) if !next.is_empty() => params = params.continue_token(&next),
                _ => return Ok(census),
            }
        }
    }

    /// How many pods do not trust what they should.
    pub fn behind(&self) -> usize {
        self.laggards.values().sum()
    }

    fn count(&mut self, pod: &MeshPod, wanted: Wanted<'_>, bundles: &mut Bundles) {
        let Some(anchors) = anchors(pod) else {
            return;
        };
        if !wanted.ending && pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        self.pods += 1;
        let trusts = match anchors {
            HeldAnchors::Bundle(bundle) => bundles.trust(bundle, wanted.trusts),
            HeldAnchors::Published => wanted
                .published
                .zip(started(pod))
                .is_some_and(|(published, started)| published < started),
            HeldAnchors::Nothing => false,
        };
        if !trusts {
            let workload = (pod.namespace().unwrap_or_default(), workload_of(pod));
            *self.laggards.entry(workload).or_default() += 1;
        }
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pods, workloads) = (self.behind(), self.laggards.len());
        let (pods_s, workloads_s) = (plural(pods), plural(workloads));
        write!(
            f,
            "{pods} pod{pods_s} of {workloads} workload{workloads_s}: "
        )?;
        for (n, ((namespace, owner), _)) in self.laggards.iter().take(NAMED).enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{namespace}/{owner}")?;
        }
        match workloads.saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Thousands of pods have the same bundle: each is read once.
#[derive(Default)]
struct Bundles(HashMap<String, bool>);

impl Bundles {
    fn trust(&mut self, bundle: &str, what: Trusts<'_>) -> bool {
        if let Some(known) = self.0.get(bundle) {
            return *known;
        }
        let anchors = TrustAnchors::from_pem(bundle.as_bytes());
        let trusts = anchors.is_ok_and(|anchors| match what {
            Trusts::Anchors(fingerprints) => {
                let held = anchors.certificates();
                let is_held = |wanted: &String| held.iter().any(|one| one.fingerprint() == wanted);
                fingerprints.iter().all(is_held)
            }
            Trusts::Issuer(issuer) => issuer.verify(&anchors, SystemTime::now()).is_ok(),
        });
        self.0.insert(bundle.to_owned(), trusts);
        trusts
    }
}

type MeshPod = Object<PodSpec, Status>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    state: State,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<Running>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Running {
    started_at: Option<Timestamp>,
}

/// What the proxy of a pod trusts that runs, or is going to.
fn anchors(pod: &MeshPod) -> Option<HeldAnchors<'_>> {
    let status = pod.status.as_ref();
    if status.is_some_and(|status| matches!(&*status.phase, "Succeeded" | "Failed")) {
        return None;
    }
    pod.spec.anchors()
}

/// When the proxy was started.
fn started(pod: &MeshPod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let mut all = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses);
    all.find(|status| PodSpec::is_proxy(&status.name))?
        .state
        .running
        .as_ref()?
        .started_at
}

/// The workload of a pod, such as `deployment/web`, with the group for kinds that are not
/// Kubernetes' own; a pod without an owner is its own.
pub fn workload_of(pod: &impl Resource) -> String {
    let Some(owner) = pod.owner_references().first() else {
        return format!("pod/{}", pod.name_any());
    };
    let hash = pod.labels().get(TEMPLATE_HASH);
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    let (group, _) = owner.api_version.split_once('/').unwrap_or_default();
    let kind = owner.kind.to_lowercase();
    match (deployment, group) {
        (Some(name), "apps") if owner.kind == "ReplicaSet" => format!("deployment/{name}"),
        (_, "" | "apps" | "batch") => format!("{kind}/{}", owner.name),
        // There are others with kinds of the same names.
        _ => format!("{kind}.{group}/{}", owner.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdentityScope, StateDirectory};
    use serde_json::{Value, json};

    const PROXY: &str = "linkerd-proxy";
    const ANCHORS: &str = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS";

    fn anchor() -> TrustAnchors {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(folder.path()).unwrap();
        let scope = IdentityScope::new("linkerd", "cluster.local").unwrap();
        state
            .credentials(&scope, SystemTime::now())
            .unwrap()
            .anchors
    }

    fn pod(name: &str, env: &Value, more: &Value) -> MeshPod {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {
                "containers": [{"name": "web"}],
                "initContainers": [{"name": PROXY, "env": [env]}],
            },
            "status": {"phase": "Running"},
        });
        for (key, value) in more.as_object().unwrap() {
            for (field, value) in value.as_object().unwrap() {
                pod[key][field] = value.clone();
            }
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn who_does_not_hold_the_anchor_is_behind_by_its_workload() {
        let (old, new) = (anchor(), anchor());
        let pem = |anchors: &[&TrustAnchors]| -> Value {
            let all = anchors.iter();
            let text: Vec<_> = all
                .map(|anchors| String::from_utf8_lossy(anchors.pem()).into_owned())
                .collect();
            json!({"name": ANCHORS, "value": text.join("\n")})
        };
        let by_map = json!({"name": ANCHORS, "valueFrom": {"configMapKeyRef": {"name": "x"}}});
        let started = |at: &str| {
            json!({"status": {"initContainerStatuses": [
                {"name": PROXY, "state": {"running": {"startedAt": at}}}]}})
        };
        let of_web = json!({"metadata": {
            "labels": {TEMPLATE_HASH: "5d4"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "uid": "1"}],
        }});
        let none = json!({});
        let fingerprints = [new.certificates()[0].fingerprint().to_owned()];
        let wanted = Wanted {
            trusts: Trusts::Anchors(&fingerprints),
            published: Some("2026-01-01T12:00:00Z".parse().unwrap()),
            ending: true,
        };
        let mut census = Census::default();
        let mut bundles = Bundles::default();
        for pod in [
            pod("both", &pem(&[&old, &new]), &none),
            pod("new", &pem(&[&new]), &none),
            pod("web-1", &pem(&[&old]), &of_web),
            pod("web-2", &pem(&[&old]), &of_web),
            pod(
                "done",
                &pem(&[&old]),
                &json!({"status": {"phase": "Succeeded"}}),
            ),
            pod("alone", &json!({"name": "OTHER", "value": "x"}), &none),
            pod("late", &by_map, &started("2026-01-01T12:00:01Z")),
            pod("early", &by_map, &started("2026-01-01T11:59:59Z")),
            pod(
                "unmeshed",
                &pem(&[&old]),
                &json!({"spec": {"initContainers": []}}),
            ),
        ] {
            census.count(&pod, wanted, &mut bundles);
        }
        assert_eq!(census.pods, 7);
        assert_eq!(census.behind(), 4);
        assert_eq!(
            census.to_string(),
            "4 pods of 3 workloads: shop/deployment/web, shop/pod/alone, shop/pod/early"
        );
    }

    #[test]
    fn each_anchor_counts_and_who_ends_need_not() {
        let (old, new) = (anchor(), anchor());
        let sha256 = |anchors: &TrustAnchors| anchors.certificates()[0].fingerprint().to_owned();
        let both = [sha256(&old), sha256(&new)];
        let pem = |anchors: &TrustAnchors| {
            let text = String::from_utf8_lossy(anchors.pem()).into_owned();
            json!({"name": ANCHORS, "value": text})
        };
        let ends = json!({"metadata": {"deletionTimestamp": "2026-01-01T12:00:00Z"}});
        let pods = [
            pod("old", &pem(&old), &json!({})),
            pod("new", &pem(&new), &json!({})),
            pod("ends", &pem(&old), &ends),
        ];
        for (fingerprints, ending, behind) in [
            (&both[..], true, 3),
            (&both[..], false, 2),
            (&both[1..], false, 1),
            (&both[1..], true, 2),
            (&both[..0], true, 0),
        ] {
            let wanted = Wanted {
                trusts: Trusts::Anchors(fingerprints),
                published: None,
                ending,
            };
            let (mut census, mut bundles) = (Census::default(), Bundles::default());
            for pod in &pods {
                census.count(pod, wanted, &mut bundles);
            }
            assert_eq!(census.behind(), behind, "{fingerprints:?} {ending}");
        }
    }

    #[test]
    fn kinds_of_others_are_told_from_kubernetes_own() {
        for (api_version, kind, hash, expected) in [
            ("apps/v1", "ReplicaSet", "5d4", "deployment/web"),
            ("apps/v1", "ReplicaSet", "other", "replicaset/web-5d4"),
            ("apps/v1", "StatefulSet", "5d4", "statefulset/web-5d4"),
            ("batch/v1", "Job", "5d4", "job/web-5d4"),
            (
                "apps.kruise.io/v1beta1",
                "StatefulSet",
                "5d4",
                "statefulset.apps.kruise.io/web-5d4",
            ),
        ] {
            let owned = json!({"metadata": {
                "labels": {TEMPLATE_HASH: hash},
                "ownerReferences": [
                    {"apiVersion": api_version, "kind": kind, "name": "web-5d4", "uid": "1"}],
            }});
            let pod = pod("p", &json!({"name": "X"}), &owned);
            assert_eq!(workload_of(&pod), expected);
        }
    }
}
