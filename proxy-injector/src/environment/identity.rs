//! Who the proxy is, whom it trusts, and by which names it knows the control plane.

use super::{Surroundings, Variables};
use crate::{Values, volumes};

pub(super) fn variables(to: &mut Variables, values: &Values, surroundings: &Surroundings<'_>) {
    let control_plane = surroundings.control_plane;
    let name = |service_account: &str, namespace: &str| {
        identity(values, control_plane, service_account, namespace)
    };
    to.field("_pod_sa", "spec.serviceAccountName");
    to.set("_l5d_ns", control_plane);
    to.set("_l5d_trustdomain", &*values.trust_domain);
    to.set("LINKERD2_PROXY_IDENTITY_DIR", volumes::END_ENTITY_PATH);
    to.set(
        "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS",
        format!("{}\n", surroundings.trust_anchors.trim()),
    );
    let token = if values.token_projection {
        format!("{}/{}", volumes::TOKEN_PATH, volumes::TOKEN)
    } else {
        format!("{}/token", volumes::SERVICE_ACCOUNT_PATH)
    };
    to.set("LINKERD2_PROXY_IDENTITY_TOKEN_FILE", token);
    to.set(
        "LINKERD2_PROXY_IDENTITY_SVC_ADDR",
        format!(
            "linkerd-identity-headless.{control_plane}.svc.{}.:8080",
            values.cluster_domain
        ),
    );
    to.set(
        "LINKERD2_PROXY_IDENTITY_LOCAL_NAME",
        name("$(_pod_sa)", "$(_pod_ns)"),
    );
    to.set(
        "LINKERD2_PROXY_IDENTITY_SVC_NAME",
        name("linkerd-identity", control_plane),
    );
    // One process is both, under one service account.
    let destination = name("linkerd-destination", control_plane);
    to.set("LINKERD2_PROXY_DESTINATION_SVC_NAME", &*destination);
    to.set("LINKERD2_PROXY_POLICY_SVC_NAME", destination);
}

/// The name in a certificate of this mesh.
pub(super) fn identity(
    values: &Values,
    control_plane: &str,
    service_account: &str,
    namespace: &str,
) -> String {
    let domain = &values.trust_domain;
    format!("{service_account}.{namespace}.serviceaccount.identity.{control_plane}.{domain}")
}
