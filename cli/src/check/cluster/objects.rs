//! What is stored and would not be understood, by what `check --manifests` says of it.

use super::{
    definitions::own_kinds,
    look::Look,
    read::{Read, resource, unread},
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use crate::check::manifests::{Object, Severity as Badness};
use ferrule_cluster::object::Kind;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// How many objects are listed at once.
const PAGE: u32 = 500;

const OBJECTS: Row = Row {
    category: Category::Config,
    severity: Severity::Warning,
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "ferrule-namespace-annotations",
        anchor: Some("ferrule-annotations"),
        title: "annotations of namespaces are understood",
        needs: &[Need("list", "namespaces")],
        remedy: "change the annotation, or remove it: the names and what they may be are in \
                 docs/annotations.md. New pods go by it at once, others when they are restarted",
        run: |look| Box::pin(namespaces(look)),
        ..OBJECTS
    },
    Row {
        id: "ferrule-stored-objects",
        title: "policies and ServiceProfiles that are stored are understood",
        needs: &[
            Need("list", "servers.policy.linkerd.io"),
            Need("list", "serviceprofiles.linkerd.io"),
            Need("list", "externalworkloads.workload.linkerd.io"),
            Need("list", "serverauthorizations.policy.linkerd.io"),
            Need("list", "authorizationpolicies.policy.linkerd.io"),
            Need("list", "meshtlsauthentications.policy.linkerd.io"),
            Need("list", "networkauthentications.policy.linkerd.io"),
            Need("list", "httplocalratelimitpolicies.policy.linkerd.io"),
            Need("list", "egressnetworks.policy.linkerd.io"),
            Need("list", "httproutes.policy.linkerd.io"),
        ],
        remedy: "write the object again: the webhook refuses such ones today. They were stored \
                 before it was there, or while it was away",
        run: |look| Box::pin(stored(look)),
        ..OBJECTS
    },
];

/// What is wrong with an object.
fn mistakes(value: &Value) -> Vec<(Badness, String)> {
    let objects = Object::all(value).unwrap_or_default();
    let found = objects.iter().flat_map(|object| {
        let name = match object.namespace {
            Some(namespace) => format!("{} {namespace}/", object.kind),
            None => format!("{} ", object.kind),
        };
        let name = name + object.name.unwrap_or_default();
        let findings = object.findings().unwrap_or_default().into_iter();
        findings.map(move |finding| (finding.severity, format!("{name}: {}", finding.text)))
    });
    found.collect()
}

async fn namespaces(look: &Look) -> Answer {
    none_of(look.namespaces().await?.iter().flat_map(|namespace| {
        let mut value = json!(namespace);
        value["apiVersion"] = "v1".into();
        value["kind"] = "Namespace".into();
        mistakes(&value).into_iter().map(|(_, text)| text)
    }))
}

async fn stored(look: &Look) -> Answer {
    let mut wrong = Vec::new();
    let scope = look.scope.data_plane.as_deref();
    let mut is_served = false;
    for kind in own_kinds() {
        is_served |= each(look, kind, scope, |value| {
            let refused = mistakes(value).into_iter();
            wrong.extend(refused.map(|(_, text)| text));
        })
        .await?;
    }
    if !is_served {
        return Err(Problem::not_applicable("none of the kinds is installed"));
    }
    none_of(wrong)
}

/// Hands every object of a kind to `take`; whether there is such a kind.
async fn each(
    look: &Look,
    kind: Kind,
    namespace: Option<&str>,
    mut take: impl FnMut(&Value),
) -> Read<bool> {
    let resource = resource(kind.group(), kind.plural());
    let cannot = || unread("list", &resource);
    'versions: for version in kind.versions() {
        let gvk = GroupVersionKind::gvk(kind.group(), version, kind.manifest_name());
        let known = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
        let client = look.client.clone();
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &known),
            None => Api::all_with(client, &known),
        };
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = match api.list(&params).await {
                Err(kube::Error::Api(status)) if status.code == 404 => continue 'versions,
                page => page.map_err(cannot())?,
            };
            for object in page.items {
                let mut value = json!(object);
                value["apiVersion"] = known.api_version.clone().into();
                value["kind"] = known.kind.clone().into();
                take(&value);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(true),
            }
        }
    }
    Ok(false)
}
