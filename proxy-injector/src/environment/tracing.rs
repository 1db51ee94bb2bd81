//! Where the proxy's traces go and what they are called.

use super::{Surroundings, Variables, identity};
use crate::{
    Error, Values, annotations::Annotations, settings::Settings, values::Tracing, volumes,
};
use std::collections::BTreeMap;

pub(super) fn variables(to: &mut Variables, settings: &Settings, surroundings: &Surroundings<'_>) {
    let values = &settings.values;
    let Some(tracing) = &values.proxy.tracing else {
        return;
    };
    let file = |name: &str| format!("{}/{name}", volumes::POD_INFO_PATH);
    to.set("LINKERD2_PROXY_TRACE_ATTRIBUTES_PATH", file("labels"));
    to.set("LINKERD2_PROXY_TRACE_ANNOTATIONS_PATH", file("annotations"));
    to.set("LINKERD2_PROXY_TRACE_PROTOCOL", "opentelemetry");
    to.set("LINKERD2_PROXY_TRACE_SERVICE_NAME", &*tracing.service_name);
    let collector = &tracing.collector;
    to.set(
        "LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR",
        &*collector.endpoint,
    );
    to.set(
        "LINKERD2_PROXY_TRACE_COLLECTOR_SVC_NAME",
        identity::identity(
            values,
            surroundings.control_plane,
            &collector.service_account,
            &collector.namespace,
        ),
    );
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    all.extend(tracing.labels.iter().map(|(key, value)| (&**key, &**value)));
    let own = surroundings.attributes.iter();
    all.extend(own.map(|(key, value)| (&**key, &**value)));
    let lines: String = all
        .iter()
        .map(|(key, value)| format!("{key}={value}\n"))
        .collect();
    to.set("LINKERD2_PROXY_TRACE_EXTRA_ATTRIBUTES", lines);
}

/// What a pod's own labels and annotations add to its traces
/// (identity-injector.md section 8.4).
pub(crate) fn attributes(
    values: &Values,
    labels: &Annotations,
    annotations: &Annotations,
) -> Vec<(String, String)> {
    if values.proxy.tracing.is_none() {
        return Vec::new();
    }
    let name = ["app.kubernetes.io/instance", "app.kubernetes.io/name"]
        .into_iter()
        .find_map(|key| labels.get(key));
    let name = name.map(|name| ("service.name".to_owned(), name.clone()));
    let given = annotations.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("resource.opentelemetry.io/")?;
        Some((name.to_owned(), value.clone()))
    });
    // Later ones count: an annotation may say another service.name.
    name.into_iter().chain(given).collect()
}

/// Whether traces have somewhere to go.
pub(crate) fn check(tracing: Option<&Tracing>) -> Result<(), Error> {
    let Some(tracing) = tracing else {
        return Ok(());
    };
    let collector = &tracing.collector;
    for (path, value) in [
        ("proxy.tracing.collector.endpoint", &collector.endpoint),
        (
            "proxy.tracing.collector.meshIdentity.serviceAccountName",
            &collector.service_account,
        ),
        (
            "proxy.tracing.collector.meshIdentity.namespace",
            &collector.namespace,
        ),
    ] {
        if value.is_empty() {
            return Err(Error::Tracing(path));
        }
    }
    Ok(())
}
