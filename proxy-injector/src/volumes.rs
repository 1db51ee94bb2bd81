//! Volumes that injected containers mount (identity-injector.md section 7.3).

use crate::Values;
use serde_json::{Value, json};

/// Where Kubernetes mounts a service account's token.
pub(crate) const SERVICE_ACCOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where the proxy keeps its key and signing request.
pub(crate) const END_ENTITY_PATH: &str = "/var/run/linkerd/identity/end-entity";
/// Where the token is with which the proxy is certified.
pub(crate) const TOKEN_PATH: &str = "/var/run/secrets/tokens";
/// Where the pod's labels and annotations are.
pub(crate) const POD_INFO_PATH: &str = "/var/run/linkerd/podinfo";

pub(crate) const END_ENTITY: &str = "linkerd-identity-end-entity";
pub(crate) const TOKEN: &str = "linkerd-identity-token";
pub(crate) const POD_INFO: &str = "linkerd-podinfo";
/// The default name of the volume of the lock of iptables.
pub(crate) const LOCK: &str = "linkerd-proxy-init-xtables-lock";

/// The lock of iptables, which the init container takes.
pub(crate) fn lock(values: &Values) -> Value {
    json!({"name": values.proxy_init.lock_volume, "emptyDir": {}})
}

/// What the proxy mounts, in order.
pub(crate) fn proxy(values: &Values) -> Vec<Value> {
    let mut volumes = vec![json!({"name": END_ENTITY, "emptyDir": {"medium": "Memory"}})];
    if values.proxy.tracing.is_some() {
        let file = |path: &str| json!({"path": path, "fieldRef": {"fieldPath": format!("metadata.{path}")}});
        let items = [file("labels"), file("annotations")];
        volumes.push(json!({"name": POD_INFO, "downwardAPI": {"items": items}}));
    }
    if values.token_projection {
        let token = json!({
            "path": TOKEN,
            "expirationSeconds": 86400,
            "audience": "identity.l5d.io",
        });
        let sources = [json!({"serviceAccountToken": token})];
        volumes.push(json!({"name": TOKEN, "projected": {"sources": sources}}));
    }
    volumes
}

/// Where the proxy mounts them.
pub(crate) fn proxy_mounts(values: &Values) -> Vec<Value> {
    let mount = |path: &str, name: &str| json!({"mountPath": path, "name": name});
    let mut mounts = vec![mount(END_ENTITY_PATH, END_ENTITY)];
    if values.proxy.tracing.is_some() {
        mounts.push(mount(POD_INFO_PATH, POD_INFO));
    }
    if values.token_projection {
        mounts.push(mount(TOKEN_PATH, TOKEN));
    }
    mounts
}
