//! `ferrule check` against a real API server: an empty cluster, one with the chart and
//! running roles, and one mishap after another. Each must be told with its cause and
//! what to do; that all is well again afterwards shows that nothing else was told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod control_plane;
mod identity;
mod mesh;
mod objects;
mod registrations;
mod told;
mod upkeep;
mod users;
mod workloads;

use anyhow::{Context as _, Result};
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::Ferrule;
use mesh::Mesh;
use told::Told;

/// Tells stories one after another: all change what is there once in a cluster.
macro_rules! tell {
    ($mesh:expr, $($module:ident :: $story:ident),+ $(,)?) => {
        $({
            $mesh.refresh().await?;
            let story = $module::$story(&$mesh).await;
            story.context(concat!(stringify!($module), "::", stringify!($story)))?;
        })+
    };
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_cause_and_what_to_do() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    users::an_empty_cluster(&cluster)
        .await
        .context("an empty cluster")?;
    let mut mesh = Mesh::install(cluster).await?;
    mesh.is_well().await.context("a good installation")?;
    tell!(
        mesh,
        identity::an_issuer_that_has_expired,
        identity::an_issuer_that_is_due,
        identity::another_meshs_anchors,
        identity::an_anchor_that_proxies_cannot_read,
        identity::keys_of_another_scheme,
        identity::a_key_of_another_certificate,
        identity::no_anchors,
        control_plane::a_missing_definition,
        control_plane::a_version_that_is_stored_and_not_served,
        control_plane::a_missing_binding,
        control_plane::a_role_without_a_verb,
        control_plane::a_missing_account,
        control_plane::values_that_are_none,
        control_plane::another_namespace,
        control_plane::a_network_that_is_too_small,
        control_plane::a_pod_that_is_not_ready,
        control_plane::a_pod_that_becomes_ready,
        control_plane::pods_that_a_quota_forbids,
        control_plane::a_clock_that_is_wrong,
        control_plane::another_version,
        control_plane::too_few_replicas,
        control_plane::probes_that_are_denied,
        control_plane::an_extension_twice,
        control_plane::a_plugin_that_is_not_there,
        registrations::no_configuration,
        registrations::linkerds_configuration,
        registrations::a_service_without_endpoints,
        registrations::an_injector_that_everything_waits_for,
        workloads::a_slip_in_a_namespaces_annotation,
        workloads::a_policy_that_was_stored_without_the_webhook,
        workloads::old_proxies_with_an_old_bundle_and_odd_tokens,
        workloads::labels_and_annotations_in_the_wrong_place,
        workloads::ports_that_are_opaque_on_one_side,
        workloads::a_namespace_that_is_not_there,
        upkeep::a_rotation_that_waits_for_people,
        upkeep::an_issuer_that_is_not_renewed,
        upkeep::restarts_that_are_stuck,
        users::one_who_may_do_nothing,
        users::warnings_may_fail,
        users::what_is_short_is_short,
    );
    mesh.is_well().await.context("mended")?;
    mesh.without_writers().await?;
    tell!(
        mesh,
        registrations::a_bundle_of_somebody_else,
        registrations::a_certificate_of_somebody_else,
        registrations::a_webhook_that_nobody_serves,
        control_plane::leases_that_nobody_renews,
    );
    Ok(())
}

#[tokio::test]
async fn without_a_cluster_it_says_so_and_makes_no_other_check() -> Result<()> {
    let args = ["check", "-o", "json", "--kubeconfig", "/nonexistent/config"];
    let told = Told::of(Ferrule::command(&args).await?)?;
    told.fails("k8s-api-client", &["/nonexistent/config"])?;
    told.was_stopped("l5d-existence-ns", "k8s-api-client")?;
    assert_eq!(told.code, Some(1), "{}", told.json);
    let nobody = tempfile::NamedTempFile::new()?;
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    });
    std::fs::write(nobody.path(), config.to_string())?;
    let path = nobody.path().to_str().context("UTF-8")?;
    let args = ["check", "-o", "json", "--wait", "60s", "--kubeconfig", path];
    let told = Told::of(Ferrule::command(&args).await?)?;
    told.fails("k8s-api-version", &["refused"])?;
    told.was_stopped("l5d-existence-ns", "k8s-api-version")
}
