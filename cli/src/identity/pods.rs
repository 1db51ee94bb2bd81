//! Which pods trust what.

use crate::mesh_pod::{HeldAnchors, MeshPod};
use ferrule_identity::TrustAnchors;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

/// The SHA-256 of certificates.
pub(crate) type Fingerprints = BTreeSet<String>;

/// Tells pods that trust the published bundle from others. Bundles are compared as
/// sets of certificates: their order and what is written between them do not matter.
pub(crate) struct Comparison {
    published: Fingerprints,
    sha256: String,
    /// Thousands of pods have the same text.
    known: HashMap<Rc<str>, Option<Fingerprints>>,
    behind: BTreeMap<(String, String), Workload>,
    pods: usize,
}

/// A workload some of whose pods do not trust what is published.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Workload {
    pub(crate) namespace: String,
    /// Such as `deployment/web`; a pod without an owner is its own.
    pub(crate) owner: String,
    pub(crate) pods: Vec<String>,
    /// Anchors that are published and not trusted.
    pub(crate) lacks: Fingerprints,
    /// Anchors that are trusted and not published any more.
    pub(crate) keeps: Fingerprints,
    /// Whether it is known only that the bundle was another.
    pub(crate) unknown: bool,
}

impl Comparison {
    pub(crate) fn with(published: &TrustAnchors) -> Self {
        Self {
            published: fingerprints(published),
            sha256: published.sha256().to_owned(),
            known: HashMap::new(),
            behind: BTreeMap::new(),
            pods: 0,
        }
    }

    /// Takes in a pod.
    pub(crate) fn take(&mut self, pod: &MeshPod) {
        self.pods += 1;
        let held = match &pod.anchors {
            HeldAnchors::Text(text) => self.known.entry(text.clone()).or_insert_with_key(|text| {
                let anchors = TrustAnchors::from_pem(text.as_bytes()).ok()?;
                Some(fingerprints(&anchors))
            }),
            HeldAnchors::Published => return,
            HeldAnchors::Unknown => &None,
        };
        let (lacks, keeps, unknown) = match held {
            Some(held) if *held == self.published => return,
            Some(held) => (
                self.published.difference(held).cloned().collect(),
                held.difference(&self.published).cloned().collect(),
                false,
            ),
            None if pod.bundle_sha256.as_ref() == Some(&self.sha256) => return,
            None => (Fingerprints::new(), Fingerprints::new(), true),
        };
        let (namespace, owner) = (pod.namespace.clone(), pod.owner.clone());
        let workload = self.behind.entry((namespace.clone(), owner.clone()));
        let workload = workload.or_insert_with(|| Workload {
            namespace,
            owner,
            pods: Vec::new(),
            lacks: Fingerprints::new(),
            keeps: Fingerprints::new(),
            unknown: false,
        });
        workload.pods.push(pod.name.clone());
        workload.lacks.extend(lacks);
        workload.keeps.extend(keeps);
        workload.unknown |= unknown;
    }

    /// How many pods have a proxy.
    pub(crate) fn pods(&self) -> usize {
        self.pods
    }

    /// Those that trust something else, by namespace and owner.
    pub(crate) fn behind(self) -> Vec<Workload> {
        self.behind.into_values().collect()
    }
}

fn fingerprints(anchors: &TrustAnchors) -> Fingerprints {
    let all = anchors.certificates().iter();
    all.map(|one| one.fingerprint().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh_pod::MeshPods;
    use ferrule_identity::{IdentityScope, StateDirectory};
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;
    use std::time::SystemTime;

    const PROXY: &str = "linkerd-proxy";
    const ANCHORS: &str = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS";
    const HASH: &str = "linkerd.io/trust-root-sha256";

    fn anchor() -> String {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(folder.path()).unwrap();
        let scope = IdentityScope::new("linkerd", "cluster.local").unwrap();
        let credentials = state.credentials(&scope, SystemTime::now()).unwrap();
        String::from_utf8(credentials.anchors.pem().to_vec()).unwrap()
    }

    fn pod(name: &str, owner: Option<&str>, env: &serde_json::Value, hash: &str) -> Pod {
        let owners = owner.map(|owner| {
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": "1"}])
        });
        serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "namespace": "shop",
                "annotations": {HASH: hash},
                "ownerReferences": owners,
            },
            "spec": {
                "containers": [{"name": "web"}],
                "initContainers": [{"name": PROXY, "env": [env]}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_is_behind_if_it_trusts_other_certificates_not_if_it_writes_them_otherwise() {
        let (old, new) = (anchor(), anchor());
        let published = TrustAnchors::from_pem(format!("{new}{old}").as_bytes()).unwrap();
        let [first, second] = published.certificates() else {
            panic!("two anchors");
        };
        let (new_sha, old_sha) = (first.fingerprint(), second.fingerprint());
        let value = |pem: &str| json!({"name": ANCHORS, "value": pem});
        let mut comparison = Comparison::with(&published);
        let by_map = json!({"name": ANCHORS, "valueFrom": {"configMapKeyRef": {
            "name": "linkerd-identity-trust-roots", "key": "ca-bundle.crt"}}});
        let third = anchor();
        for pod in [
            pod(
                "same",
                Some("web"),
                &value(&format!("\n{old}\n# new\n{new}")),
                "x",
            ),
            pod("web-1", Some("web"), &value(&old), published.sha256()),
            pod("web-2", Some("web"), &value(&old), ""),
            pod("alone", None, &value(&format!("{new}{third}")), ""),
            pod("control-plane", None, &by_map, ""),
            pod(
                "elsewhere",
                None,
                &json!({"name": "X", "value": "y"}),
                "0123",
            ),
            pod(
                "by-hash",
                None,
                &json!({"name": "X", "value": "y"}),
                published.sha256(),
            ),
            serde_json::from_value(json!({"spec": {"containers": [{"name": "unmeshed"}]}}))
                .unwrap(),
        ] {
            if let Some(pod) = MeshPods::default().read(&pod) {
                comparison.take(&pod);
            }
        }
        assert_eq!(comparison.pods(), 7);
        let behind = comparison.behind();
        let owners: Vec<_> = behind.iter().map(|workload| &*workload.owner).collect();
        assert_eq!(owners, ["pod/alone", "pod/elsewhere", "replicaset/web"]);
        assert_eq!(behind[0].lacks, [old_sha.to_owned()].into());
        assert_eq!(behind[0].keeps.len(), 1);
        assert!(behind[1].unknown);
        assert_eq!(behind[2].pods, ["web-1", "web-2"]);
        assert_eq!(behind[2].lacks, [new_sha.to_owned()].into());
        assert!(behind[2].keeps.is_empty());
    }
}
