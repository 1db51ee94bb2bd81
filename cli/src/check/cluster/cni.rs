//! The CNI plugin, where it redirects traffic.

use super::{
    look::Look,
    presence::there,
    read::{get, of},
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{ConfigMap, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};

const NAME: &str = "linkerd-cni";
const CONFIG: &str = "linkerd-cni-config";

const CNI: Row = Row {
    category: Category::Cni,
    severity: Severity::Fatal,
    remedy: "install the chart of the CNI plugin (linkerd2-cni), or set cniEnabled: false; \
             --cni-namespace NAME says where it is",
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "cni-plugin-cm-exists",
        title: "ConfigMap linkerd-cni-config is there",
        needs: &[Need("get", "configmaps")],
        run: |look| {
            Box::pin(async {
                there::<ConfigMap>(of(&look.client, wanted(look).await?), [CONFIG]).await
            })
        },
        ..CNI
    },
    Row {
        id: "cni-plugin-cr-exists",
        title: "ClusterRole linkerd-cni is there",
        needs: &[
            Need("get", "configmaps"),
            Need("get", "clusterroles.rbac.authorization.k8s.io"),
        ],
        run: |look| {
            Box::pin(async {
                wanted(look).await?;
                there::<ClusterRole>(look.everywhere(), [NAME]).await
            })
        },
        ..CNI
    },
    Row {
        id: "cni-plugin-crb-exists",
        title: "ClusterRoleBinding linkerd-cni is there",
        needs: &[
            Need("get", "configmaps"),
            Need("get", "clusterrolebindings.rbac.authorization.k8s.io"),
        ],
        run: |look| {
            Box::pin(async {
                wanted(look).await?;
                there::<ClusterRoleBinding>(look.everywhere(), [NAME]).await
            })
        },
        ..CNI
    },
    Row {
        id: "cni-plugin-sa-exists",
        title: "ServiceAccount linkerd-cni is there",
        needs: &[Need("get", "configmaps"), Need("get", "serviceaccounts")],
        run: |look| {
            Box::pin(async {
                there::<ServiceAccount>(of(&look.client, wanted(look).await?), [NAME]).await
            })
        },
        ..CNI
    },
    Row {
        id: "cni-plugin-ds-exists",
        title: "DaemonSet linkerd-cni is there",
        needs: &[Need("get", "configmaps"), Need("get", "daemonsets.apps")],
        run: |look| {
            Box::pin(async {
                there::<DaemonSet>(of(&look.client, wanted(look).await?), [NAME]).await
            })
        },
        ..CNI
    },
    Row {
        id: "cni-plugin-ready",
        title: "the CNI plugin is ready on every node that it is for",
        retried: true,
        after: &["cni-plugin-ds-exists"],
        needs: &[Need("get", "configmaps"), Need("get", "daemonsets.apps")],
        remedy: "look at its pods: kubectl -n linkerd-cni get pods -o wide, and their logs; pods \
                 on such nodes do not start",
        run: |look| Box::pin(ready(look)),
        ..CNI
    },
];

/// The plugin's namespace, if it is to be there at all.
async fn wanted(look: &Look) -> Result<&str, Problem> {
    let is_set = async || {
        let settings = look.settings().await?;
        Ok::<_, Problem>(settings.is_some_and(|settings| settings.values.cni_enabled))
    };
    match look.scope.wants_cni || is_set().await? {
        true => Ok(&look.scope.cni_namespace),
        false => Err(Problem::not_applicable("cniEnabled is not set")),
    }
}

async fn ready(look: &Look) -> Answer {
    let found = get::<DaemonSet>(of(&look.client, wanted(look).await?), NAME).await?;
    let status = found.and_then(|found| found.status).unwrap_or_default();
    let (ready, wanted) = (status.number_ready, status.desired_number_scheduled);
    none_of((ready < wanted).then(|| format!("it is ready on {ready} of {wanted} nodes")))
}
