//! The webhook as an API server calls it: whether its answers are understood, and
//! whether a certificate that is renewed on disk is the one that is verified.

use crate::service_profile::{ServiceProfiles, route};
use anyhow::Context as _;
use ferrule_test_cluster::{Cluster, PATIENCE};
use ferrule_tests::{Ferrule, WebhookRegistration, certify_webhooks, crds::install_kind};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// What the API server says when it is asked to store this; `None` if it would.
async fn said(
    profiles: &ServiceProfiles,
    name: &str,
    spec: &Value,
) -> anyhow::Result<Option<String>> {
    match profiles.create(name, spec, true).await {
        Ok(()) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the webhook is called and answers: API servers learn of a
/// registration after a while.
async fn until_denied(profiles: &ServiceProfiles) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = said(profiles, "web", &route("r", "5")).await?;
        if said
            .as_ref()
            .is_some_and(|said| said.contains("invalid timeout"))
        {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "it is not denied: {said:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn s134_an_api_server_asks_the_webhook_and_tells_what_it_says() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let client = cluster.client()?;
    install_kind(&client, "ServiceProfile").await?;
    let namespace = cluster.namespace("webhook").await?;
    let files = TempDir::new()?;
    let authority = certify_webhooks(files.path())?;
    let ferrule = Ferrule::start_with(
        cluster.kubeconfig(),
        &[
            "--roles=destination",
            "--webhook-addr=127.0.0.1:0",
            &format!("--webhook-tls-dir={}", files.path().display()),
        ],
    )
    .await?;
    let addr = ferrule.address_of("webhooks").await?;
    let registration = WebhookRegistration::new(
        &client,
        namespace.name(),
        (addr, "/validate/profile"),
        "linkerd-sp-validator.linkerd.io",
        &json!([{
            "operations": ["CREATE", "UPDATE"], "apiGroups": ["linkerd.io"],
            "apiVersions": ["v1alpha1", "v1alpha2"], "resources": ["serviceprofiles"],
        }]),
    );
    registration.trust(authority).await?;
    let profiles = ServiceProfiles::of(&client, namespace.name());
    until_denied(&profiles).await?;

    let name = format!("web.{namespace}.svc.cluster.local");
    let with = |condition: Value, response: Value| {
        json!({"routes": [{
            "name": "r", "condition": condition, "responseClasses": [{"condition": response}],
        }]})
    };
    let (request, response) = (|| json!({"method": "GET"}), || json!({"status": {}}));
    let of_name = |told: &str| format!("ServiceProfile {name:?} {told}");
    let of_class = |told| {
        of_name(&format!(
            "has a response class with an invalid condition: {told}"
        ))
    };
    // What the CRD's schema lets through, or cannot know of.
    for (spec, told) in [
        (
            with(json!({"all": [{"foo": 1}]}), response()),
            "failed to validate ServiceProfile: spec.routes[0].condition.all[0].foo: unknown field \
             `foo`"
                .to_owned(),
        ),
        (
            json!({"opaquePorts": ["80"]}),
            "failed to validate ServiceProfile: spec.opaquePorts: ".to_owned(),
        ),
        (
            route("r", "5"),
            of_name("has a route with an invalid timeout: missing unit in duration \"5\""),
        ),
        (
            with(json!({"any": [{}]}), response()),
            of_name("has a route with an invalid condition: A request match must have a field set"),
        ),
        (
            with(request(), json!({"status": {"min": 1}})),
            of_class("Range minimum must be between 100 and 599, inclusive"),
        ),
        (
            with(request(), json!({"status": {"min": 300, "max": 200}})),
            of_class("Range maximum cannot be smaller than minimum"),
        ),
        (
            json!({"retryBudget": {
                "retryRatio": 0.2, "minRetriesPerSecond": 1, "ttl": "foo",
            }}),
            of_name("RetryBudget: invalid duration \"foo\""),
        ),
    ] {
        let said = said(&profiles, &name, &spec).await?;
        let said = said.with_context(|| format!("{spec} is allowed"))?;
        let prefix = "admission webhook \"linkerd-sp-validator.linkerd.io\" denied the request: ";
        let answer = said.split_once(prefix).with_context(|| said.clone())?.1;
        assert!(answer.starts_with(&told), "{spec}: {answer}");
    }
    assert_eq!(said(&profiles, &name, &route("r", "1ns")).await?, None);
    profiles.create(&name, &route("r", "1s"), false).await?;
    let refused = profiles.edit(&name, &route("r", "soon")).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("invalid timeout")));
    profiles.delete(&name).await?;

    // Renewed under another authority, which alone is trusted from now on.
    let renewed = certify_webhooks(files.path())?;
    registration.trust(renewed.clone()).await?;
    // An API server that has not heard of it yet asks on by the connection it has.
    ferrule
        .scraped("the certificate is reloaded once", |scrape| {
            scrape.sum("webhook_cert_reloads_total", &[]) == Some(1.0)
        })
        .await?;
    until_denied(&profiles).await?;

    // A bad one is not served, to new connections either.
    std::fs::write(files.path().join("tls.key"), "nonsense")?;
    ferrule
        .logged("the last good certificate of the webhooks stays in use")
        .await?;
    assert_eq!(ferrule.metric("webhook_cert_files_bad").await?, Some(1.0));
    // Another bundle, so that nothing of the connections before is used again.
    registration
        .trust([renewed, b"\n".to_vec()].concat())
        .await?;
    until_denied(&profiles).await?;
    assert_eq!(said(&profiles, &name, &route("r", "1s")).await?, None);
    let denied = r#"webhook_requests_total{webhook="profile-validator",outcome="denied"}"#;
    assert!(
        ferrule
            .metric(denied)
            .await?
            .is_some_and(|count| count >= 10.0)
    );
    Ok(())
}
