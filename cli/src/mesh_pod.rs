//! What matters of pods with a proxy, in little memory: a cluster has many.

use ferrule_identity::workload_of;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use kube::ResourceExt as _;
use std::{
    collections::{BTreeMap, HashSet},
    rc::Rc,
};

const PROXY: &str = "linkerd-proxy";
const ANCHORS: &str = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS";
const TOKEN: &str = "LINKERD2_PROXY_IDENTITY_TOKEN_FILE";
/// What injection wrote: the SHA-256 of the bundle then.
const HASH: &str = "linkerd.io/trust-root-sha256";

/// A pod that has a proxy.
#[derive(Debug)]
pub(crate) struct MeshPod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Such as `deployment/web`; a pod without an owner is its own.
    pub(crate) owner: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) anchors: HeldAnchors,
    /// The SHA-256 of the bundle at injection.
    pub(crate) bundle_sha256: Option<String>,
    /// The proxy's.
    pub(crate) image: String,
    pub(crate) is_ready: bool,
    pub(crate) token: Token,
    /// Ports of containers by name.
    pub(crate) ports: BTreeMap<String, u16>,
}

/// What a proxy trusts.
#[derive(Clone, Debug)]
pub(crate) enum HeldAnchors {
    /// This bundle, since injection.
    Text(Rc<str>),
    /// What the ConfigMap holds at each start of the container.
    Published,
    /// Nothing tells.
    Unknown,
}

/// What a proxy shows to get a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// One that ends with its pod, for this audience or else the API server.
    Bound(Option<String>),
    /// One in a Secret, which lasts for ever.
    Secret(String),
    /// It has none.
    Missing,
}

/// Reads pods; what thousands of them say is kept once.
#[derive(Debug, Default)]
pub(crate) struct MeshPods {
    texts: HashSet<Rc<str>>,
}

impl MeshPods {
    /// What matters of a pod; `None` if it has no proxy.
    pub(crate) fn read(&mut self, pod: &Pod) -> Option<MeshPod> {
        let proxy = proxy(pod)?;
        let env = |name: &str| proxy.env.iter().flatten().find(|env| env.name == name);
        let anchors = env(ANCHORS);
        let text = anchors.and_then(|env| env.value.as_deref());
        let anchors = match text {
            Some(text) => HeldAnchors::Text(self.text(text)),
            None if anchors.is_some_and(|env| env.value_from.is_some()) => HeldAnchors::Published,
            None => HeldAnchors::Unknown,
        };
        let spec = pod.spec.as_ref()?;
        let ports = spec
            .containers
            .iter()
            .flat_map(|all| all.ports.iter().flatten());
        let ports = ports.filter_map(|port| {
            let number = u16::try_from(port.container_port).ok()?;
            Some((port.name.clone()?, number))
        });
        let statuses = pod.status.iter().flat_map(|status| {
            let init = status.init_container_statuses.iter().flatten();
            init.chain(status.container_statuses.iter().flatten())
        });
        let mut proxies = statuses.filter(|status| status.name == PROXY);
        let file = env(TOKEN).and_then(|env| env.value.as_deref());
        Some(MeshPod {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            owner: workload_of(pod),
            labels: pod.labels().clone(),
            annotations: pod.annotations().clone(),
            anchors,
            bundle_sha256: pod.annotations().get(HASH).cloned(),
            image: proxy.image.clone().unwrap_or_default(),
            is_ready: proxies.any(|status| status.ready),
            token: token(proxy, spec.volumes.as_deref().unwrap_or_default(), file),
            ports: ports.collect(),
        })
    }

    fn text(&mut self, text: &str) -> Rc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new: Rc<str> = text.into();
        self.texts.insert(new.clone());
        new
    }
}

impl MeshPod {
    /// `shop/web-0`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The tag of the proxy's image; `None` where it is named by a digest.
    pub(crate) fn version(&self) -> Option<&str> {
        let (_, last) = self.image.rsplit_once('/').unwrap_or(("", &self.image));
        let (name, tag) = last.rsplit_once(':')?;
        (!name.contains('@')).then_some(tag)
    }
}

fn proxy(pod: &Pod) -> Option<&Container> {
    let spec = pod.spec.as_ref()?;
    let init = spec.init_containers.iter().flatten();
    let mut all = spec.containers.iter().chain(init);
    all.find(|container| container.name == PROXY)
}

/// Where the file of the token comes from.
fn token(proxy: &Container, volumes: &[Volume], file: Option<&str>) -> Token {
    let Some(file) = file else {
        return Token::Missing;
    };
    let mounts = proxy.volume_mounts.iter().flatten();
    let holds = |path: &str| {
        let below = file.strip_prefix(path.trim_end_matches('/'));
        below.is_some_and(|below| below.starts_with('/'))
    };
    let mount = mounts.filter(|mount| holds(&mount.mount_path));
    let Some(mount) = mount.max_by_key(|mount| mount.mount_path.len()) else {
        return Token::Missing;
    };
    let Some(volume) = volumes.iter().find(|volume| volume.name == mount.name) else {
        return Token::Missing;
    };
    if let Some(secret) = &volume.secret {
        return Token::Secret(secret.secret_name.clone().unwrap_or_default());
    }
    let sources = volume
        .projected
        .iter()
        .flat_map(|projected| projected.sources.iter().flatten());
    for source in sources {
        if let Some(token) = &source.service_account_token {
            return Token::Bound(
                token
                    .audience
                    .clone()
                    .filter(|audience| !audience.is_empty()),
            );
        }
        if let Some(secret) = &source.secret {
            return Token::Secret(secret.name.clone());
        }
    }
    Token::Missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(pod: serde_json::Value) -> Option<MeshPod> {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        MeshPods::default().read(&pod)
    }

    #[test]
    fn a_proxys_version_is_its_images_tag() {
        for (image, version) in [
            ("cr.l5d.io/linkerd/proxy:edge-26.8.3", Some("edge-26.8.3")),
            ("registry:5000/proxy:v1", Some("v1")),
            ("registry:5000/proxy", None),
            ("registry/proxy@sha256:0123", None),
            ("proxy", None),
        ] {
            let pod = read(
                json!({"metadata": {}, "spec": {"containers": [{"name": PROXY, "image": image}]}}),
            );
            assert_eq!(pod.unwrap().version(), version, "{image}");
        }
    }

    #[test]
    fn a_pods_owner_is_what_can_be_restarted() {
        let owned = |kind: &str, name: &str| {
            read(json!({
                "metadata": {
                    "name": "web-5d4c-x2v8q", "labels": {"pod-template-hash": "5d4c"},
                    "ownerReferences": [{
                        "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "1",
                    }],
                },
                "spec": {"containers": [{"name": PROXY}]},
            }))
        };
        for (kind, name, owner) in [
            ("ReplicaSet", "web-5d4c", "deployment/web"),
            ("ReplicaSet", "by-hand", "replicaset/by-hand"),
            ("StatefulSet", "web", "statefulset/web"),
        ] {
            assert_eq!(owned(kind, name).unwrap().owner, owner);
        }
    }

    #[test]
    fn a_token_is_told_by_the_volume_that_its_file_is_in() {
        let projected = |audience| json!({"projected": {"sources": [{"serviceAccountToken": {"audience": audience, "path": "t"}}]}});
        for (volume, token) in [
            (
                projected("identity.l5d.io"),
                Token::Bound(Some("identity.l5d.io".into())),
            ),
            (projected(""), Token::Bound(None)),
            (
                json!({"secret": {"secretName": "web-token"}}),
                Token::Secret("web-token".into()),
            ),
            (json!({"emptyDir": {}}), Token::Missing),
        ] {
            let mut volume = volume;
            volume["name"] = "tokens".into();
            let pod = read(json!({"metadata": {}, "spec": {
                "containers": [{"name": "web"}],
                "initContainers": [{
                    "name": PROXY,
                    "env": [{"name": TOKEN, "value": "/var/run/secrets/tokens/t"}],
                    "volumeMounts": [
                        {"name": "other", "mountPath": "/var/run/secrets/tok"},
                        {"name": "tokens", "mountPath": "/var/run/secrets/tokens"},
                    ],
                }],
                "volumes": [{"name": "other", "emptyDir": {}}, volume],
            }}));
            assert_eq!(pod.unwrap().token, token);
        }
    }
}
