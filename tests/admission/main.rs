//! The admission of policy by a real API server: that every rule is asked, when an
//! object is created and when it is changed, and that what the webhook says reaches
//! whoever wrote the object. The rules themselves are tested with the same cases
//! where they are.

mod cases;
mod definitions;
mod server;

use self::{
    cases::{Case, cases},
    definitions::Definitions,
    server::{Answer, Server},
};
use anyhow::{Context as _, ensure};
use ferrule_test_cluster::{Cluster, PATIENCE};
use ferrule_tests::{Ferrule, WebhookRegistration, certify_webhooks};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const NAME: &str = "linkerd-policy-validator.linkerd.io";

/// As the chart registers it (policy.md section 8.1).
fn rules() -> Value {
    let rule = |group: &str, resources: &[&str]| {
        json!({
            "operations": ["CREATE", "UPDATE"], "apiGroups": [group], "apiVersions": ["*"],
            "resources": resources,
        })
    };
    json!([
        rule(
            "policy.linkerd.io",
            &[
                "authorizationpolicies",
                "httplocalratelimitpolicies",
                "httproutes",
                "networkauthentications",
                "meshtlsauthentications",
                "serverauthorizations",
                "servers",
                "egressnetworks",
            ]
        ),
        rule(
            "gateway.networking.k8s.io",
            &["httproutes", "grpcroutes", "tlsroutes", "tcproutes"]
        ),
    ])
}

/// Whether an answer is what the case expects; with `told` also in the webhook's
/// words.
fn judge(case: &Case, answer: &Answer, told: bool) -> Result<(), String> {
    let prefix = format!("admission webhook {NAME:?} denied the request: ");
    match (&case.refused, answer) {
        (Some(expected), Answer::Refused(message)) => match message.split_once(&prefix) {
            Some((_, said)) if said.starts_with(expected) => Ok(()),
            // The definition has said it before.
            None if !told => Ok(()),
            _ => Err(format!("it is refused with {message}")),
        },
        (Some(_), Answer::Admitted(_)) => Err("it is admitted".to_owned()),
        (None, Answer::Refused(_)) if case.impossible && !told => Ok(()),
        (None, Answer::Refused(message)) => Err(format!("it is refused: {message}")),
        (None, Answer::Admitted(warnings)) => {
            // The API server has warnings of its own.
            let is_ours = |warning: &&String| {
                ["spec", "annotation"]
                    .iter()
                    .any(|start| warning.starts_with(start))
            };
            let ours: Vec<_> = warnings.iter().filter(is_ours).collect();
            let is_told = match &case.warned {
                Some(expected) => ours.iter().any(|warning| warning.starts_with(&**expected)),
                None => ours.is_empty(),
            };
            if is_told {
                Ok(())
            } else {
                Err(format!("the warnings are {warnings:?}"))
            }
        }
    }
}

/// Asks about every case, as something new and as a change; what is not as
/// expected.
async fn ask_all(server: &Server<'_>, told: bool) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for case in cases(server.namespace())? {
        for change in [false, true] {
            let answer = if change {
                server.change(&case).await?
            } else {
                server.create(&case).await?
            };
            if let Err(mistake) = judge(&case, &answer, told) {
                let verb = if change { "changed" } else { "created" };
                wrong.push(format!("{} ({}, {verb}): {mistake}", case.claim, case.kind));
            }
        }
    }
    Ok(wrong)
}

/// Until the API server has heard of what has changed in it.
async fn until_none_is_wrong(server: &Server<'_>, told: bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wrong = ask_all(server, told).await?;
        if wrong.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{}", wrong.join("\n"));
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn every_rule_of_admission_holds_under_a_real_api_server() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let client = cluster.client()?;
    let definitions = Definitions::all();
    definitions.install(&client).await?;
    let namespace = cluster.namespace("admission").await?;
    let server = Server::new(&client, namespace.name(), &definitions);
    server.prepare().await?;

    let files = TempDir::new()?;
    let authority = certify_webhooks(files.path())?;
    let ferrule = Ferrule::start_with(
        cluster.kubeconfig(),
        &[
            "--roles=policy",
            "--policy-addr=127.0.0.1:0",
            "--webhook-addr=127.0.0.1:0",
            &format!("--webhook-tls-dir={}", files.path().display()),
        ],
    )
    .await?;
    let addr = ferrule.address_of("webhooks").await?;
    let at = (addr, "/validate/policy");
    let registration = WebhookRegistration::new(&client, namespace.name(), at, NAME, &rules());
    registration.trust(authority).await?;

    // With the definitions of the chart, which refuse some of it before the webhook
    // is asked.
    until_none_is_wrong(&server, false)
        .await
        .context("as installed")?;
    // A mesh that is taken over has definitions that say less: all of it comes to the
    // webhook.
    definitions.loosened().install(&client).await?;
    until_none_is_wrong(&server, true)
        .await
        .context("loosened")?;

    let refused = cases(namespace.name())?
        .iter()
        .filter(|case| case.refused.is_some())
        .count();
    let denied = r#"webhook_requests_total{webhook="policy-validator",outcome="denied"}"#;
    let denied = ferrule.metric(denied).await?.context("a count")?;
    let refused = u32::try_from(refused)?;
    ensure!(
        denied >= f64::from(2 * refused),
        "{denied} denials of {refused}"
    );
    Ok(())
}
