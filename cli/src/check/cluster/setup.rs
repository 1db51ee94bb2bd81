//! Before an installation: whether it would succeed.

use super::{
    look::Look,
    read::{ask, get, is_denied},
    row::{Answer, Category, Need, Problem, ROW, Row, none_of},
};
use futures::future::join_all;
use http::StatusCode;
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Namespace,
};
use kube::client::Body;
use serde_json::{Value, json};

const ASK: &[Need] = &[Need(
    "create",
    "selfsubjectaccessreviews.authorization.k8s.io",
)];
const RIGHTS: &str = "install as somebody with the role cluster-admin, or have somebody grant what \
                      is missing";

const SETUP: Row = Row {
    category: Category::Setup,
    anchor: Some("pre-k8s"),
    needs: ASK,
    remedy: RIGHTS,
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "pre-ns",
        anchor: Some("pre-ns"),
        title: "the control plane's namespace has no control plane",
        needs: &[Need("get", "namespaces"), Need("get", "configmaps")],
        remedy: "there is an installation already: upgrade it (helm upgrade), take it over \
                 (docs/takeover.md), or uninstall it first; -L NAME names another namespace",
        run: |look| Box::pin(namespace_is_free(look)),
        ..SETUP
    },
    Row {
        id: "pre-k8s-cluster-k8s",
        anchor: Some("pre-k8s-cluster-k8s"),
        title: "objects that belong to no namespace may be created (tried by a dry run)",
        needs: &[
            Need("create", "namespaces"),
            Need("create", "customresourcedefinitions.apiextensions.k8s.io"),
            Need("create", "clusterroles.rbac.authorization.k8s.io"),
            Need("create", "clusterrolebindings.rbac.authorization.k8s.io"),
            Need(
                "create",
                "mutatingwebhookconfigurations.admissionregistration.k8s.io",
            ),
            Need(
                "create",
                "validatingwebhookconfigurations.admissionregistration.k8s.io",
            ),
        ],
        run: |look| Box::pin(dry_runs(look)),
        ..SETUP
    },
    Row {
        id: "pre-k8s-serviceaccounts",
        title: "ServiceAccounts may be created",
        run: |look| Box::pin(may(look, "create", "", "serviceaccounts")),
        ..SETUP
    },
    Row {
        id: "pre-k8s-services",
        title: "Services may be created",
        run: |look| Box::pin(may(look, "create", "", "services")),
        ..SETUP
    },
    Row {
        id: "pre-k8s-deployments",
        title: "Deployments may be created",
        run: |look| Box::pin(may(look, "create", "apps", "deployments")),
        ..SETUP
    },
    Row {
        id: "pre-k8s-configmaps",
        title: "ConfigMaps may be created",
        run: |look| Box::pin(may(look, "create", "", "configmaps")),
        ..SETUP
    },
    Row {
        id: "pre-k8s-secrets",
        title: "Secrets may be created",
        run: |look| Box::pin(may(look, "create", "", "secrets")),
        ..SETUP
    },
    Row {
        id: "pre-k8s-roles",
        title: "Roles may be created",
        run: |look| Box::pin(may(look, "create", "rbac.authorization.k8s.io", "roles")),
        ..SETUP
    },
    Row {
        id: "pre-k8s-rolebindings",
        title: "RoleBindings may be created",
        run: |look| {
            Box::pin(may(
                look,
                "create",
                "rbac.authorization.k8s.io",
                "rolebindings",
            ))
        },
        ..SETUP
    },
    Row {
        id: "pre-k8s-read-secrets",
        title: "Secrets may be read",
        run: |look| Box::pin(may(look, "get", "", "secrets")),
        ..SETUP
    },
];

async fn namespace_is_free(look: &Look) -> Answer {
    let name = look.namespace();
    if get::<Namespace>(look.everywhere(), name).await?.is_none() {
        return Ok(());
    }
    // Helm's users make it themselves, before.
    match look.settings().await? {
        None => Ok(()),
        Some(_) => Err(Problem::found(format!(
            "there is a ConfigMap {name}/linkerd-config"
        ))),
    }
}

async fn may(look: &Look, verb: &str, group: &str, plural: &str) -> Answer {
    let question = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(look.namespace().to_owned()),
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(plural.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = ask(look.everywhere(), &question).await?;
    if answer.status.is_some_and(|status| status.allowed) {
        return Ok(());
    }
    let namespace = look.namespace();
    Err(Problem::found(format!(
        "you may not {verb} {plural} in namespace {namespace}"
    )))
}

/// One object of each kind that the charts have and that is in no namespace.
fn stand_ins(namespace: &str) -> [(&'static str, &'static str, Value); 6] {
    let name = "ferrule-check";
    let named = || json!({"name": name});
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]);
    let reference = json!({
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view",
    });
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    [
        (
            "Namespace",
            "/api/v1/namespaces",
            json!({"metadata": {"name": namespace}}),
        ),
        (
            "CustomResourceDefinition",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            json!({
                "metadata": {"name": "checks.ferrule.io"},
                "spec": {
                    "group": "ferrule.io", "scope": "Namespaced",
                    "names": {"kind": "Check", "plural": "checks"},
                    "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
                },
            }),
        ),
        (
            "ClusterRole",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            json!({"metadata": named(), "rules": rules}),
        ),
        (
            "ClusterRoleBinding",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            json!({"metadata": named(), "roleRef": reference}),
        ),
        (
            "MutatingWebhookConfiguration",
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            json!({"metadata": named()}),
        ),
        (
            "ValidatingWebhookConfiguration",
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            json!({"metadata": named()}),
        ),
    ]
}

async fn dry_runs(look: &Look) -> Answer {
    let namespace = look.namespace();
    let tries = stand_ins(namespace).map(|(kind, path, object)| async move {
        let refusal = dry_run(look, path, &object).await.err();
        refusal.map(|refusal| format!("{kind}: {refusal}"))
    });
    none_of(join_all(tries).await.into_iter().flatten())
}

/// Whether the API server would create it. That it exists says that it could be.
async fn dry_run(look: &Look, path: &str, object: &Value) -> Result<(), String> {
    let request = http::Request::post(format!("{path}?dryRun=All"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(object.to_string().into_bytes()))
        .map_err(|error| error.to_string())?;
    let answer = look
        .client
        .send(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = answer.status();
    if status.is_success() || status == StatusCode::CONFLICT {
        return Ok(());
    }
    let body = answer.into_body().collect_bytes().await.unwrap_or_default();
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = said["message"]
        .as_str()
        .unwrap_or("no reason is given")
        .to_owned();
    Err(match is_denied(&message) {
        true => "you may not create it".to_owned(),
        false => format!("{status}: {message}"),
    })
}
