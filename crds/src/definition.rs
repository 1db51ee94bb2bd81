//! From what is derived for each version of a kind to one CustomResourceDefinition.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionVersion,
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::{
    authorization_policy, egress_network, external_workload, http_route, link,
    mesh_tls_authentication, network_authentication, rate_limit, server, server_authorization,
    service_profile,
};

/// Formats that the API server checks; it warns of others, such as `uint32`.
const FORMATS: [&str; 6] = ["int32", "int64", "float", "double", "date-time", "duration"];

/// A kind, with its versions from oldest to newest.
#[derive(Debug)]
pub(crate) struct Definition {
    crd: CustomResourceDefinition,
    /// What the kind is for, in one sentence.
    pub(crate) purpose: &'static str,
    /// The chart's value without which the kind is not installed.
    pub(crate) switch: Option<&'static str>,
}

/// All kinds of this crate, in the order of their names.
pub(crate) fn all() -> Vec<Definition> {
    let mut all = vec![
        Definition::of::<authorization_policy::AuthorizationPolicy>(
            "which clients may use a Server, a route, or all of a namespace",
        ),
        Definition::of::<egress_network::EgressNetwork>(
            "networks outside of the cluster, and whether traffic may go there",
        ),
        Definition::of::<external_workload::v1alpha1::ExternalWorkload>(
            "a machine outside of the cluster that is part of the mesh",
        )
        .without_status_subresource()
        .and::<external_workload::v1beta1::ExternalWorkload>(),
        Definition::of::<http_route::v1beta1::HttpRoute>(
            "which requests to a Server, Service or EgressNetwork go where, and how",
        )
        .named("v1alpha1")
        .and::<http_route::v1beta1::HttpRoute>()
        .and::<http_route::v1beta2::HttpRoute>()
        .and::<http_route::v1beta3::HttpRoute>(),
        Definition::of::<link::v1alpha1::Link>(
            "another cluster whose Services can be used from this one",
        )
        .and::<link::v1alpha2::Link>()
        .and::<link::v1alpha3::Link>()
        .with_optional_spec()
        .installed_by("installLink"),
        Definition::of::<mesh_tls_authentication::MeshTlsAuthentication>(
            "clients, by the identity that they prove",
        ),
        Definition::of::<network_authentication::NetworkAuthentication>(
            "clients, by the networks that they call from",
        ),
        Definition::of::<rate_limit::HttpLocalRateLimitPolicy>(
            "how many requests a second each pod behind a Server takes",
        ),
        Definition::of::<server::v1alpha1::Server>(
            "a port of some workloads, which protocol is spoken there, and who may call",
        )
        .and::<server::v1beta1::Server>()
        .and::<server::v1beta2::Server>()
        .and::<server::v1beta3::Server>(),
        Definition::of::<server_authorization::ServerAuthorization>(
            "which clients may use which Servers; AuthorizationPolicy is its successor",
        )
        .named("v1alpha1")
        .stored(false)
        .without_columns()
        .deprecated(
            "policy.linkerd.io/v1alpha1 ServerAuthorization is deprecated: use \
             policy.linkerd.io/v1beta1",
        )
        .and::<server_authorization::ServerAuthorization>(),
        Definition::of::<service_profile::v1alpha1::ServiceProfile>(
            "routes of a Service, with their metrics, retries, timeouts and traffic splits",
        )
        .and::<service_profile::v1alpha2::ServiceProfile>()
        .with_optional_spec(),
    ];
    all.sort_by(|a, b| a.crd.metadata.name.cmp(&b.crd.metadata.name));
    all
}

impl Definition {
    fn of<K: CustomResourceExt>(purpose: &'static str) -> Self {
        let mut crd = K::crd();
        let names = &mut crd.spec.names;
        // What the API server would fill in, so that a tool which compares finds no difference.
        names.list_kind = Some(format!("{}List", names.kind));
        crd.spec.conversion = Some(CustomResourceConversion {
            strategy: "None".to_owned(),
            webhook: None,
        });
        names.short_names = names.short_names.take().filter(|names| !names.is_empty());
        names.categories = names.categories.take().filter(|names| !names.is_empty());
        crd.spec.versions = versions::<K>();
        Self {
            crd,
            purpose,
            switch: None,
        }
    }

    /// The next newer version.
    ///
    /// # Panics
    ///
    /// When it is one of another kind.
    fn and<K: CustomResourceExt>(mut self) -> Self {
        let name = self.crd.metadata.name.as_deref();
        assert_eq!(name, Some(K::crd_name()), "versions are of one kind");
        self.crd.spec.versions.extend(versions::<K>());
        self
    }

    /// The version before this call, with another name: a version of the same schema.
    fn named(self, name: &str) -> Self {
        self.change_last(|version| version.name = name.to_owned())
    }

    fn stored(self, stored: bool) -> Self {
        self.change_last(|version| version.storage = stored)
    }

    fn deprecated(self, warning: &str) -> Self {
        self.change_last(|version| {
            version.deprecated = Some(true);
            version.deprecation_warning = Some(warning.to_owned());
        })
    }

    fn without_columns(self) -> Self {
        self.change_last(|version| version.additional_printer_columns = None)
    }

    fn without_status_subresource(self) -> Self {
        self.change_last(|version| version.subresources = None)
    }

    fn change_last(mut self, change: impl FnOnce(&mut CustomResourceDefinitionVersion)) -> Self {
        change(
            self.crd
                .spec
                .versions
                .last_mut()
                .expect("`of` made the first version"),
        );
        self
    }

    /// Accepts objects without `spec`, in all versions.
    fn with_optional_spec(mut self) -> Self {
        for version in &mut self.crd.spec.versions {
            root(version).required = None;
        }
        self
    }

    fn installed_by(mut self, switch: &'static str) -> Self {
        self.switch = Some(switch);
        self
    }

    pub(crate) fn crd(&self) -> &CustomResourceDefinition {
        &self.crd
    }

    pub(crate) fn into_crd(self) -> CustomResourceDefinition {
        self.crd
    }
}

fn versions<K: CustomResourceExt>() -> Vec<CustomResourceDefinitionVersion> {
    let mut versions = K::crd().spec.versions;
    for version in &mut versions {
        version.additional_printer_columns = version
            .additional_printer_columns
            .take()
            .filter(|columns| !columns.is_empty());
        version.selectable_fields = None;
        version.subresources = version
            .subresources
            .take()
            .filter(|subresources| subresources.status.is_some());
        tidy(root(version));
    }
    versions
}

fn root(version: &mut CustomResourceDefinitionVersion) -> &mut JSONSchemaProps {
    version
        .schema
        .as_mut()
        .and_then(|schema| schema.open_api_v3_schema.as_mut())
        .expect("the derive makes a schema for each version")
}

/// Takes out what the derive says of Rust types and the API server should not hear: that an
/// `Option` may be `null` (it may be absent), names of types, widths of integers.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    schema.title = None;
    schema.format = schema
        .format
        .take()
        .filter(|format| FORMATS.contains(&format.as_str()));
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|map| map.values_mut())
    {
        tidy(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => tidy(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        tidy(value);
    }
}
