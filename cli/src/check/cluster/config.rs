//! The objects that the chart makes.

use super::{
    look::Look,
    presence::there,
    read::get,
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
    webhooks::{INJECTOR, POLICY, PROFILE, Webhook},
};
use k8s_openapi::api::{
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};

/// Who the control plane's pods are.
const ACCOUNTS: [&str; 3] = [
    "linkerd-destination",
    "linkerd-identity",
    "linkerd-proxy-injector",
];

const INSTALL: &str = "apply the chart again (helm upgrade, with the values that it was installed \
                       with): something has been deleted";

const CONFIG: Row = Row {
    category: Category::Config,
    severity: Severity::Fatal,
    after: &["l5d-existence-ns"],
    remedy: INSTALL,
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "l5d-existence-ns",
        title: "the control plane's namespace is there",
        after: ROW.after,
        needs: &[Need("get", "namespaces")],
        remedy: "name the control plane's namespace (-L NAME), or install the chart",
        run: |look| {
            Box::pin(async {
                let name = look.namespace();
                let found = get::<Namespace>(look.everywhere(), name).await?;
                none_of(
                    found
                        .is_none()
                        .then(|| format!("there is no namespace {name}")),
                )
            })
        },
        ..CONFIG
    },
    Row {
        id: "l5d-existence-sa",
        title: "the control plane's ServiceAccounts are there",
        needs: &[Need("get", "serviceaccounts")],
        run: |look| Box::pin(async { there::<ServiceAccount>(look.here(), ACCOUNTS).await }),
        ..CONFIG
    },
    Row {
        id: "l5d-existence-cr",
        title: "the control plane's ClusterRoles are there",
        needs: &[Need("get", "clusterroles.rbac.authorization.k8s.io")],
        run: |look| {
            Box::pin(async { there::<ClusterRole>(look.everywhere(), role_names(look)).await })
        },
        ..CONFIG
    },
    Row {
        id: "l5d-existence-crb",
        title: "the control plane's ClusterRoleBindings are there",
        needs: &[Need("get", "clusterrolebindings.rbac.authorization.k8s.io")],
        run: |look| {
            Box::pin(async {
                there::<ClusterRoleBinding>(look.everywhere(), role_names(look)).await
            })
        },
        ..CONFIG
    },
    Row {
        id: "l5d-existence-mwc",
        title: "the injector's webhook is registered",
        needs: &[Need(
            "get",
            "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        )],
        run: |look| Box::pin(async { registered(look, &[&INJECTOR]).await }),
        ..CONFIG
    },
    Row {
        id: "l5d-existence-vwc",
        title: "the webhooks for ServiceProfiles and policies are registered",
        needs: &[Need(
            "get",
            "validatingwebhookconfigurations.admissionregistration.k8s.io",
        )],
        run: |look| Box::pin(async { registered(look, &[&PROFILE, &POLICY]).await }),
        ..CONFIG
    },
    Row {
        id: "l5d-proxy-init-run-as-root",
        title: "proxy-init runs as root where nodes run Docker",
        severity: Severity::Error,
        after: &["l5d-existence-linkerd-config"],
        needs: &[Need("list", "nodes"), Need("get", "configmaps")],
        remedy: "set proxyInit.runAsRoot: true in the chart's values",
        run: |look| Box::pin(init_as_root(look)),
        ..CONFIG
    },
];

/// What the chart calls ClusterRoles, and their bindings.
fn role_names(look: &Look) -> [String; 4] {
    let namespace = look.namespace();
    let roles = ["destination", "policy", "identity", "proxy-injector"];
    roles.map(|role| format!("linkerd-{namespace}-{role}"))
}

async fn registered(look: &Look, webhooks: &[&Webhook]) -> Answer {
    let mut missing = Vec::new();
    for webhook in webhooks {
        missing.extend(webhook.is_missing(look).await?);
    }
    none_of(missing)
}

async fn init_as_root(look: &Look) -> Answer {
    let Some(settings) = look.settings().await? else {
        return Err(Problem::not_applicable("there is no linkerd-config"));
    };
    if settings.values.cni_enabled || settings.flag("proxyInit.runAsRoot") {
        return Ok(());
    }
    none_of(look.nodes().await?.iter().filter_map(|node| {
        let info = node.status.as_ref()?.node_info.as_ref()?;
        let runtime = &info.container_runtime_version;
        let name = node.metadata.name.as_deref().unwrap_or_default();
        runtime
            .starts_with("docker")
            .then(|| format!("node {name} runs {runtime}"))
    }))
}
