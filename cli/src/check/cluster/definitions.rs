//! The definitions of kinds: the mesh's own and the Gateway API's.

use super::{
    look::Look,
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use ferrule_cluster::object::Kind;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Definition;
use kube::ResourceExt as _;

const GATEWAY: &str = "gateway.networking.k8s.io";
/// Groups whose definitions our chart installs.
const GROUPS: [&str; 3] = ["policy.linkerd.io", "linkerd.io", "workload.linkerd.io"];

const READ: &[Need] = &[Need(
    "get",
    "customresourcedefinitions.apiextensions.k8s.io",
)];
const INSTALL: &str = "install the chart of CRDs: helm upgrade --install ferrule-crds \
                       charts/ferrule-crds -n <ns>";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "gateway-api-crd",
        category: Category::GatewayApi,
        title: "HTTPRoute and GRPCRoute of the Gateway API are installed in a version that is read",
        severity: Severity::Warning,
        needs: READ,
        remedy: "install the standard channel of the Gateway API, v1.1.1 or later (kubectl apply \
                 -f .../standard-install.yaml of its release), or do without: routes of \
                 policy.linkerd.io and ServiceProfiles work. No restart is needed",
        run: |look| Box::pin(gateway(look)),
        ..ROW
    },
    Row {
        id: "gateway-api-crd-stored-versions",
        anchor: Some("gateway-api-crd"),
        category: Category::GatewayApi,
        title: "no definition has stored versions that it does not know any more",
        severity: Severity::Warning,
        needs: READ,
        remedy: "have all objects of the kind written again (kubectl get KIND -A -o json | kubectl \
                 replace -f -), then take the version out of status.storedVersions: kubectl \
                 patch crd NAME --subresource status",
        run: |look| Box::pin(stored(look)),
        ..ROW
    },
    Row {
        id: "l5d-existence-crd",
        category: Category::Definitions,
        title: "all CRDs of the mesh are installed, with the newest version",
        severity: Severity::Fatal,
        retried: true,
        needs: READ,
        remedy: INSTALL,
        run: |look| Box::pin(ours(look)),
        ..ROW
    },
    Row {
        id: "l5d-existence-crd-config",
        anchor: Some("l5d-existence-crd"),
        category: Category::Config,
        title: "all CRDs of the mesh are installed, with the newest version",
        severity: Severity::Fatal,
        needs: READ,
        remedy: INSTALL,
        run: |look| Box::pin(ours(look)),
        ..ROW
    },
];

fn name(kind: Kind) -> String {
    format!("{}.{}", kind.plural(), kind.group())
}

/// Kinds of the mesh that have definitions.
pub(super) fn own_kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL
        .into_iter()
        .filter(|kind| GROUPS.contains(&kind.group()))
}

/// Their definitions.
pub(crate) fn own_names() -> impl Iterator<Item = String> {
    own_kinds().map(name)
}

/// Definitions that are looked at.
pub(super) fn names() -> impl Iterator<Item = String> {
    let gateway = Kind::ALL.into_iter().filter(|kind| kind.group() == GATEWAY);
    own_names().chain(gateway.map(name))
}

fn serves(definition: &Definition, version: &str) -> bool {
    let mut versions = definition.spec.versions.iter();
    versions.any(|of| of.name == version && of.served)
}

async fn gateway(look: &Look) -> Answer {
    let found = look.definitions().await?;
    none_of(
        [Kind::HttpRoute, Kind::GrpcRoute]
            .into_iter()
            .filter_map(|kind| {
                let name = name(kind);
                match found.get(&name) {
                    None => Some(format!("there is no {name}")),
                    Some(definition) => {
                        let known = kind
                            .versions()
                            .iter()
                            .any(|version| serves(definition, version));
                        let wanted = kind.versions().join(" or ");
                        (!known).then(|| format!("{name} does not serve {wanted}"))
                    }
                }
            }),
    )
}

async fn stored(look: &Look) -> Answer {
    let found = look.definitions().await?;
    if found.is_empty() {
        return Err(Problem::not_applicable("there is no such definition"));
    }
    none_of(found.values().filter_map(left_over))
}

/// What is wrong with stored versions of a definition.
fn left_over(definition: &Definition) -> Option<String> {
    let stored = definition.status.as_ref()?.stored_versions.as_ref()?;
    let unknown = stored.iter().filter(|stored| {
        let mut versions = definition.spec.versions.iter();
        !versions.any(|version| version.name == **stored && version.served)
    });
    let unknown: Vec<_> = unknown.map(String::as_str).collect();
    let name = definition.name_any();
    (!unknown.is_empty()).then(|| {
        let unknown = unknown.join(", ");
        format!("{name}: status.storedVersions has {unknown}, which it does not serve")
    })
}

async fn ours(look: &Look) -> Answer {
    let found = look.definitions().await?;
    none_of(own_kinds().filter_map(|kind| {
        let name = name(kind);
        let newest = kind.versions()[0];
        match found.get(&name) {
            None => Some(format!("there is no {name}")),
            Some(definition) if serves(definition, newest) => None,
            Some(_) => Some(format!("{name} does not serve {newest}")),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stored_version_that_is_not_served_is_told() {
        for (served, stored, told) in [
            (
                json!([["v1", true], ["v1beta1", true]]),
                json!(["v1beta1", "v1"]),
                None,
            ),
            (
                json!([["v1", true], ["v1beta1", false]]),
                json!(["v1beta1", "v1"]),
                Some("v1beta1"),
            ),
            (
                json!([["v1", true]]),
                json!(["v1alpha2", "v1"]),
                Some("v1alpha2"),
            ),
        ] {
            let versions =
                served.as_array().unwrap().iter().map(
                    |version| json!({"name": version[0], "served": version[1], "storage": false}),
                );
            let definition: Definition = serde_json::from_value(json!({
                "metadata": {"name": "httproutes.gateway.networking.k8s.io"},
                "spec": {
                    "group": GATEWAY, "names": {"kind": "HTTPRoute", "plural": "httproutes"},
                    "scope": "Namespaced", "versions": versions.collect::<Vec<_>>(),
                },
                "status": {"storedVersions": stored},
            }))
            .unwrap();
            let found = left_over(&definition);
            assert_eq!(found.is_some(), told.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(told.unwrap_or_default()));
        }
    }
}
