//! The kinds, versions and names that clusters have, against what the types say. Each row is
//! written by hand from the contract (operations.md 2.2, policy.md 3).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// `*` is stored, `!` is deprecated, `/` has a status subresource.
#[rustfmt::skip]
const KINDS: [(&str, &str, &str, &str, &str); 11] = [
    ("authorizationpolicies.policy.linkerd.io", "AuthorizationPolicy", "v1alpha1*", "authzpolicy", ""),
    ("egressnetworks.policy.linkerd.io", "EgressNetwork", "v1alpha1*/", "", "policy"),
    ("externalworkloads.workload.linkerd.io", "ExternalWorkload", "v1alpha1 v1beta1*/", "", "external"),
    ("httplocalratelimitpolicies.policy.linkerd.io", "HTTPLocalRateLimitPolicy", "v1alpha1*/", "", ""),
    ("httproutes.policy.linkerd.io", "HTTPRoute", "v1alpha1/ v1beta1/ v1beta2/ v1beta3*/", "", ""),
    ("links.multicluster.linkerd.io", "Link", "v1alpha1 v1alpha2/ v1alpha3*/", "", ""),
    ("meshtlsauthentications.policy.linkerd.io", "MeshTLSAuthentication", "v1alpha1*", "meshtlsauthn", ""),
    ("networkauthentications.policy.linkerd.io", "NetworkAuthentication", "v1alpha1*", "netauthn networkauthn", ""),
    ("serverauthorizations.policy.linkerd.io", "ServerAuthorization", "v1alpha1! v1beta1*", "saz serverauthz srvauthz", ""),
    ("servers.policy.linkerd.io", "Server", "v1alpha1! v1beta1! v1beta2 v1beta3*", "srv", ""),
    ("serviceprofiles.linkerd.io", "ServiceProfile", "v1alpha1 v1alpha2*", "sp", ""),
];

#[test]
fn kinds_versions_and_names_are_those_that_clusters_have() {
    let ours: Vec<_> = ferrule_crds::all()
        .into_iter()
        .map(|crd| {
            let spec = crd.spec;
            assert_eq!(spec.scope, "Namespaced");
            let versions: Vec<String> = spec
                .versions
                .iter()
                .map(|version| {
                    assert!(version.served);
                    let subresources = version.subresources.as_ref();
                    let mut text = version.name.clone();
                    let marks = [
                        (version.storage, '*'),
                        (version.deprecated == Some(true), '!'),
                        (subresources.is_some_and(|it| it.status.is_some()), '/'),
                    ];
                    text.extend(marks.iter().filter(|(set, _)| *set).map(|(_, mark)| mark));
                    text
                })
                .collect();
            (
                crd.metadata.name.unwrap(),
                spec.names.kind,
                versions.join(" "),
                spec.names.short_names.unwrap_or_default().join(" "),
                spec.names.categories.unwrap_or_default().join(" "),
            )
        })
        .collect();
    let expected: Vec<_> = KINDS
        .iter()
        .map(|(name, kind, versions, short, categories)| {
            (
                (*name).to_owned(),
                (*kind).to_owned(),
                (*versions).to_owned(),
                (*short).to_owned(),
                (*categories).to_owned(),
            )
        })
        .collect();
    assert_eq!(ours, expected);
}

/// A field without a description is a gap in `kubectl explain`.
#[test]
fn every_field_is_described() {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        JSONSchemaProps, JSONSchemaPropsOrArray,
    };
    fn check(path: &str, schema: &JSONSchemaProps) {
        for (name, property) in schema.properties.iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(property.description.is_some(), "{path} is not described");
            check(&path, property);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
            check(path, item);
        }
    }
    for crd in ferrule_crds::all() {
        for version in crd.spec.versions {
            let root = version.schema.unwrap().open_api_v3_schema.unwrap();
            check(&format!("{} {}", crd.spec.names.kind, version.name), &root);
        }
    }
}
