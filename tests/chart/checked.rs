//! What `ferrule check` asks of the rights of the control plane is what the chart grants, with
//! each of its options.

use crate::{
    cases::{Cases, texts},
    helm::{NAMESPACE, find, objects},
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What the rules of roles come to, as `ferrule_cli::checked_rights` writes it.
fn granted(objects: &[Value]) -> Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    let is_binding = |of: &&Value| {
        of["kind"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("Binding"))
    };
    for binding in objects.iter().filter(is_binding) {
        let account = &binding["subjects"][0];
        let name = text(&account["name"])?;
        if account["namespace"] != NAMESPACE {
            // People and extensions read the configuration.
            continue;
        }
        let of = &binding["roleRef"];
        let role = find(objects, text(&of["kind"])?, text(&of["name"])?)?;
        let place = if role["kind"] == "Role" { " here" } else { "" };
        let all = |rule: &Value, list: &str| -> Vec<String> {
            let list = rule[list].as_array().into_iter().flatten();
            list.filter_map(Value::as_str)
                .map(ToOwned::to_owned)
                .collect()
        };
        for rule in role["rules"].as_array().context("rules")? {
            let mut names = all(rule, "resourceNames");
            if names.is_empty() {
                names.push(String::new());
            }
            for verb in all(rule, "verbs") {
                for group in all(rule, "apiGroups") {
                    for resource in all(rule, "resources") {
                        let what = match &*group {
                            "" => resource.clone(),
                            group => format!("{resource}.{group}"),
                        };
                        lines.extend(names.iter().map(|one| {
                            let one = if one.is_empty() {
                                String::new()
                            } else {
                                format!(" {one}")
                            };
                            format!("{name} {verb} {what}{one}{place}")
                        }));
                    }
                }
            }
        }
    }
    Ok(lines)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("a text")
}

#[tokio::test]
async fn the_check_asks_for_the_rights_that_the_chart_grants() -> Result<()> {
    let cases = Cases::new()?;
    let mut all = cases.all.clone();
    for (name, values) in [
        (
            "an option each",
            json!({"identity": {
                "tokenReview": "local", "eventPolicy": "none",
                "trustAnchorRotation": {"restartWorkloads": true},
            }}),
        ),
        ("all events", json!({"identity": {"eventPolicy": "all"}})),
        ("webhooks by Helm", json!({"webhookTLS": {"mode": "helm"}})),
        (
            "values that count for nothing",
            json!({"profileValidator": {"externalSecret": true}}),
        ),
        (
            "names of one's own",
            json!({"identity": {
                "externalCA": true, "trustRootsConfigMapName": "my-roots",
                "trustAnchorRotation": {"restartWorkloads": true},
                "issuer": {"scheme": "kubernetes.io/tls", "secretName": "my-issuer"},
            }}),
        ),
    ] {
        all.push((name, cases.with("default", &values)?));
    }
    for (name, args) in &all {
        let objects = objects(&texts(args)).await?;
        let config = find(&objects, "ConfigMap", "linkerd-config")?;
        let asked = ferrule_cli::checked_rights(text(&config["data"]["values"])?);
        let granted = granted(&objects)?;
        let unasked: Vec<_> = granted.difference(&asked).collect();
        let ungranted: Vec<_> = asked.difference(&granted).collect();
        assert!(
            unasked.is_empty() && ungranted.is_empty(),
            "{name}: the check does not ask for {unasked:#?}, and the chart does not grant \
             {ungranted:#?}"
        );
        assert!(granted.len() > 40, "{name}: {granted:#?}");
    }
    Ok(())
}
