//! Labels and annotations that both the chart and its user have.

use crate::{
    cases::{Cases, texts},
    helm::objects,
};
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What a user says in place of everything.
const THEIRS: &str = "theirs";

/// YAML with a key twice is an error to all but Helm. Users may replace what is only said,
/// and nothing that selectors, tools and processes know objects by.
#[tokio::test]
async fn what_the_chart_and_its_user_say_is_there_once() -> Result<()> {
    let cases = Cases::new()?;
    let rendered = objects(&texts(&cases.with("everything", &json!({}))?)).await?;
    let keys = |part: &str| -> Result<Value> {
        let mut keys = BTreeSet::new();
        for metadata in rendered.iter().flat_map(metadata) {
            keys.extend(metadata[part].as_object().into_iter().flat_map(Map::keys));
        }
        anyhow::ensure!(keys.len() > 3, "{part}: {keys:?}");
        let keys = keys.into_iter().map(|key| (key.clone(), json!(THEIRS)));
        Ok(Value::Object(keys.collect()))
    };
    let (labels, annotations) = (keys("labels")?, keys("annotations")?);
    let both = json!({"labels": labels});
    for values in [
        json!({"commonLabels": labels}),
        json!({"podLabels": labels}),
        json!({"podAnnotations": annotations}),
        json!({"identity": {"podAnnotations": annotations}}),
        json!({"destinationController": {"podAnnotations": annotations}}),
        json!({"proxyInjector": {"podAnnotations": annotations}}),
        json!({"podMonitor": both}),
        json!({"dashboards": both}),
        json!({"alerts": {"labels": labels, "alertLabels": {"severity": THEIRS}}}),
    ] {
        let args = cases.with("everything", &values)?;
        let theirs = objects(&texts(&args)).await.context(values.to_string())?;
        assert_eq!(theirs.len(), rendered.len());
        assert!(
            json!(theirs).to_string().contains("\":\"theirs\""),
            "{values}"
        );
        for (theirs, ours) in theirs.iter().zip(&rendered) {
            for (theirs, ours) in metadata(theirs).into_iter().zip(metadata(ours)) {
                same_where_it_matters(theirs, ours).context(values.to_string())?;
            }
            assert_eq!(
                theirs["spec"]["selector"], ours["spec"]["selector"],
                "{values}"
            );
        }
    }
    Ok(())
}

/// What replaces the chart's, by the values that people would use for it.
#[tokio::test]
async fn users_replace_what_is_theirs_to_choose() -> Result<()> {
    let evictable = "cluster-autoscaler.kubernetes.io/safe-to-evict";
    let part_of = "app.kubernetes.io/part-of";
    let cases = Cases::new()?;
    let values = json!({
        "podAnnotations": {evictable: "false"}, "commonLabels": {part_of: "platform"},
        "proxyInjector": {"podAnnotations": {evictable: true}},
    });
    let args = cases.with("default", &values)?;
    for object in objects(&texts(&args)).await? {
        assert_eq!(object["metadata"]["labels"][part_of], "platform");
        if object["kind"] == "Deployment" {
            let pod = &object["spec"]["template"]["metadata"];
            let is_injector = object["metadata"]["name"] == "linkerd-proxy-injector";
            let expected = if is_injector { "true" } else { "false" };
            assert_eq!(pod["annotations"][evictable], expected, "{object}");
            assert_eq!(pod["labels"][part_of], "platform");
        }
    }
    Ok(())
}

/// That of an object, and of its pods.
fn metadata(object: &Value) -> Vec<&Value> {
    let pods = &object["spec"]["template"]["metadata"];
    let all = [&object["metadata"], pods];
    all.into_iter().filter(|of| of.is_object()).collect()
}

fn same_where_it_matters(theirs: &Value, ours: &Value) -> Result<()> {
    for (part, is_ours) in [
        (
            "labels",
            (|key: &str| key.starts_with("linkerd.io/")) as fn(&str) -> bool,
        ),
        ("annotations", |key| key == "linkerd.io/created-by"),
    ] {
        for (key, value) in ours[part].as_object().into_iter().flatten() {
            if is_ours(key) {
                let said = &theirs[part][key];
                anyhow::ensure!(said == value, "{part}: {key}: {said}");
            }
        }
    }
    Ok(())
}
