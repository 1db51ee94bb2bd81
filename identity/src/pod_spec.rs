//! What of a pod's spec tells what its proxy trusts.

use serde::Deserialize;

const PROXY: &str = "linkerd-proxy";
const ANCHORS: &str = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS";

/// The spec of a pod, or of a pod template, as far as its proxy goes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    env: Vec<Env>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Env {
    name: String,
    value: Option<String>,
}

/// Where a proxy has its trust anchors from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldAnchors<'a> {
    /// This bundle, PEM.
    Bundle(&'a str),
    /// It reads the published bundle when it starts.
    Published,
    /// It has none.
    Nothing,
}

impl PodSpec {
    /// Whether the container of this name is the proxy, which may be an init container.
    pub(crate) fn is_proxy(container: &str) -> bool {
        container == PROXY
    }

    /// What its proxy trusts; `None` if there is no proxy.
    pub(crate) fn anchors(&self) -> Option<HeldAnchors<'_>> {
        let mut all = self.containers.iter().chain(&self.init_containers);
        let proxy = all.find(|container| Self::is_proxy(&container.name))?;
        let anchors = proxy.env.iter().find(|env| env.name == ANCHORS);
        Some(match anchors {
            Some(Env {
                value: Some(bundle),
                ..
            }) => HeldAnchors::Bundle(bundle),
            Some(_) => HeldAnchors::Published,
            None => HeldAnchors::Nothing,
        })
    }

    /// Whether what its proxy trusts stands in it.
    pub fn has_bundle(&self) -> bool {
        matches!(self.anchors(), Some(HeldAnchors::Bundle(_)))
    }
}
