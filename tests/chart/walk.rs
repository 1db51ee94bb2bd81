//! Every value does something, but for those that say that they do nothing.

use crate::{
    cases::{Cases, texts},
    helm::{find, objects, root},
};
use anyhow::{Context as _, Result};
use ferrule_charts::values::{Row, Tag};
use ferrule_proxy_injector::Values;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Renderings at a time.
const AT_ONCE: usize = 3;

/// What the chart makes of values: the objects, and what of ConfigMap `linkerd-config`
/// the injector reads.
#[derive(Clone, PartialEq)]
struct Effect {
    objects: Vec<Value>,
    injector: Values,
}

/// What became of a value.
#[derive(PartialEq)]
enum Outcome {
    /// Something else is rendered.
    Changed,
    /// It is refused by its name: it goes only with others.
    Refused,
    Nothing,
}

impl Effect {
    async fn of(args: &[String]) -> Result<Self> {
        let mut objects = objects(&texts(args)).await?;
        let config = find(&objects, "ConfigMap", "linkerd-config")?;
        let text = config["data"]["values"].as_str().context("values")?;
        let (injector, problems) = Values::parse(text)?;
        anyhow::ensure!(problems.is_empty(), "{problems:?}");
        for object in &mut objects {
            if object["metadata"]["name"] == "linkerd-config" {
                object["data"] = Value::Null;
            }
        }
        Ok(Self { objects, injector })
    }
}

fn rows() -> Result<Vec<Row>> {
    let rows = ferrule_charts::generated::values(&root(), "ferrule-control-plane")?;
    anyhow::ensure!(rows.len() > 150, "only {} values", rows.len());
    Ok(rows)
}

#[tokio::test]
async fn every_value_changes_what_is_rendered() -> Result<()> {
    let cases = Cases::new()?;
    let mut before = BTreeMap::new();
    for (case, args) in &cases.all {
        before.insert(*case, Effect::of(args).await?);
    }
    let rows = rows()?;
    let rows = rows
        .iter()
        .filter(|row| row.ignored().is_none() && row.config().is_none());
    let idle = stream::iter(rows.map(|row| outcome(row, &cases, &before)))
        .buffer_unordered(AT_ONCE)
        .try_filter_map(
            async |(row, outcome)| Ok((outcome == Outcome::Nothing).then(|| row.name())),
        )
        .try_collect::<Vec<_>>()
        .await?;
    assert!(
        idle.is_empty(),
        "these change nothing, and do not say so: {idle:#?}"
    );
    Ok(())
}

async fn outcome<'r>(
    row: &'r Row,
    cases: &Cases,
    before: &BTreeMap<&str, Effect>,
) -> Result<(&'r Row, Outcome)> {
    let mut outcome = Outcome::Nothing;
    for (case, before) in before {
        let args = cases.with(case, &other(row))?;
        match Effect::of(&args).await {
            Ok(after) if after != *before => return Ok((row, Outcome::Changed)),
            Ok(_) => {}
            Err(error) if error.to_string().contains(&row.name()) => outcome = Outcome::Refused,
            // It does not go with this case.
            Err(_) => {}
        }
    }
    Ok((row, outcome))
}

#[tokio::test]
async fn ignored_values_change_nothing() -> Result<()> {
    let cases = Cases::new()?;
    let before = Effect::of(&[]).await?;
    let args = cases.with("default", &ignored()?)?;
    let after = Effect::of(&args).await?;
    assert_eq!(after.objects, before.objects);
    assert_eq!(after.injector, before.injector);
    Ok(())
}

/// All that are ignored, with other values than by default.
pub(crate) fn ignored() -> Result<Value> {
    let mut all = json!({});
    for row in rows()?.iter().filter(|row| row.ignored().is_some()) {
        merge(&mut all, other(row));
    }
    Ok(all)
}

/// The values with this one other than by default.
fn other(row: &Row) -> Value {
    let value = match &*row.name() {
        "clusterNetworks" => json!("10.0.0.0/8"),
        "podMonitor.controller.namespaceSelector" => json!("any: true"),
        _ => tagged(row).unwrap_or_else(|| match &row.default {
            Some(Value::Bool(flag)) => json!(!flag),
            Some(Value::Number(number)) => json!(number.as_i64().unwrap_or_default() + 1),
            Some(Value::Object(_)) => json!({"x": "y"}),
            _ => json!("changed"),
        }),
    };
    let keys = row.path.iter().rev();
    keys.fold(value, |value, key| json!({ key.as_str(): value }))
}

fn tagged(row: &Row) -> Option<Value> {
    row.tags.iter().find_map(|tag| match tag {
        Tag::Enum(texts) => {
            let mut others = texts.iter().map(|text| json!(text));
            others.find(|text| Some(text) != row.default.as_ref())
        }
        Tag::Resources => Some(json!({"cpu": {"request": "7m"}})),
        Tag::Items(kind) if kind == "object" => Some(json!([{"name": "x", "namespace": "y"}])),
        Tag::Items(_) => Some(json!(["x"])),
        _ => None,
    })
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
