//! Alerts and dashboards are about metrics, and labels, that there are.

mod expressions;

use crate::helm::{find, objects, root};
use anyhow::{Context as _, Result};
use expressions::{GROUPING, Metrics, WORKLOADS, regex};
use ferrule_cluster::object::Kind;
use regex::Regex;
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, sync::LazyLock};

static KINDS: LazyLock<Regex> = LazyLock::new(|| regex(r#"kind=~"([^"]*)""#));
static ABSENT: LazyLock<Regex> = LazyLock::new(|| regex(r"absent\(([^)]*)\)"));

fn metrics() -> Result<Metrics> {
    let page = std::fs::read_to_string(root().join("docs/metrics.md"))?;
    let metrics = Metrics::of_page(&page);
    anyhow::ensure!(metrics.len() > 100, "only {} metrics", metrics.len());
    Ok(metrics)
}

#[tokio::test]
async fn alerts_are_about_metrics_that_there_are() -> Result<()> {
    let metrics = metrics()?;
    let rendered = objects(&ALERTS).await?;
    let rules = find(&rendered, "PrometheusRule", "ferrule-control-plane")?;
    let mut count = 0;
    for group in rules["spec"]["groups"].as_array().context("groups")? {
        for rule in group["rules"].as_array().context("rules")? {
            let expression = rule["expr"].as_str().context("an expression")?;
            let unknown = metrics.unknown(expression);
            assert!(unknown.is_empty(), "{}: {unknown:?}", rule["alert"]);
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
    Ok(())
}

/// Who is woken by one has to know what to do, in a page that can be found.
#[tokio::test]
async fn every_alert_says_what_to_do_and_where_that_is_told() -> Result<()> {
    let args = [
        &ALERTS[..],
        &["--set=alerts.runbookURL=https://docs/alerts"],
    ]
    .concat();
    let rendered = objects(&args).await?;
    let rules = find(&rendered, "PrometheusRule", "ferrule-control-plane")?;
    let groups = rules["spec"]["groups"].as_array().context("groups")?;
    let rules = groups.iter().flat_map(|group| group["rules"].as_array());
    let mut alerts = BTreeSet::new();
    for rule in rules.flatten() {
        let name = rule["alert"].as_str().context("a name")?;
        let says = &rule["annotations"];
        let url = format!("https://docs/alerts#{}", name.to_lowercase());
        assert_eq!(says["runbook_url"], url);
        for part in ["summary", "description"] {
            let text = says[part].as_str().context(part)?;
            assert!(text.len() > 10 && !text.contains("{{"), "{name}: {text}");
        }
        alerts.insert(name.to_owned());
    }
    let page = std::fs::read_to_string(root().join("docs/alerts.md"))?;
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let headings: BTreeSet<_> = headings.map(ToOwned::to_owned).collect();
    assert_eq!(alerts, headings);
    Ok(())
}

/// All of them.
const ALERTS: [&str; 5] = [
    "--set=podMonitor.enabled=true",
    "--set=identity.trustAnchorRotation.restartWorkloads=true",
    "--set=alerts.enabled=true",
    "--set=alerts.proxies.enabled=true",
    "--set=destinationResources.memory.limit=250Mi",
];

#[test]
fn dashboards_are_of_metrics_that_there_are() -> Result<()> {
    let metrics = metrics()?;
    let dashboards = root().join("charts/ferrule-control-plane/dashboards");
    for name in ["control-plane.json", "proxies.json"] {
        let queries = queries(&dashboards.join(name))?;
        assert!(queries.len() > 8, "{name}");
        for query in queries {
            let query = query.replace("$__rate_interval", "1m");
            let unknown = metrics.unknown(&query);
            assert!(unknown.is_empty(), "{name}: {query}: {unknown:?}");
        }
    }
    Ok(())
}

/// A workload whose requests all fail has no series of successes, and most workloads are
/// not Deployments somewhere.
#[tokio::test]
async fn failures_of_every_kind_of_workload_are_counted_as_failures() -> Result<()> {
    let rendered = objects(&ALERTS).await?;
    let rules = find(&rendered, "PrometheusRule", "ferrule-control-plane")?;
    let dashboards = root().join("charts/ferrule-control-plane/dashboards");
    let mut expressions = queries(&dashboards.join("proxies.json"))?;
    expressions.extend(rule(rules, "FerruleWorkloadFails")?);
    for expression in expressions {
        assert!(!expression.contains("\"success\""), "{expression}");
        for grouping in GROUPING.captures_iter(&expression) {
            for label in WORKLOADS {
                let mut labels = grouping[2].split(", ");
                assert!(labels.any(|of| of == label), "{expression}: {label}");
            }
        }
    }
    Ok(())
}

/// Certificates of an hour have less than an hour left all their life.
#[tokio::test]
async fn a_certificate_is_overdue_by_its_own_lifetime() -> Result<()> {
    let own = "FerruleOwnCertificateExpires";
    let proxies = "FerruleProxyCertificateExpires";
    let webhooks = "FerruleWebhookCertificateExpires";
    for (value, alert, seconds) in [
        ("", own, 10_800),
        ("", proxies, 10_800),
        ("", webhooks, 86_400),
        ("identity.issuer.issuanceLifetime=1h", own, 450),
        ("identity.issuer.issuanceLifetime=1h", proxies, 450),
        ("identity.issuer.issuanceLifetime=1h30m20.5s", own, 677),
        ("identity.issuer.issuanceLifetime=.5h", own, 225),
        ("webhookTLS.certLifetime=2h", webhooks, 900),
        ("webhookTLS.mode=helm", webhooks, 1_209_600),
    ] {
        let value = format!("--set={value}");
        let args = [&ALERTS[..], &[&value]].concat();
        let rendered = objects(&args).await?;
        let rules = find(&rendered, "PrometheusRule", "ferrule-control-plane")?;
        let [expression] = &rule(rules, alert)?[..] else {
            panic!("{alert}");
        };
        let limit = format!("- time() < {seconds}");
        let (_, rest) = expression.split_once(&limit).context(expression.clone())?;
        assert!(!rest.starts_with(char::is_alphanumeric), "{expression}");
    }
    Ok(())
}

/// By the names that the metrics have for them. Who does without the Gateway API is not
/// told of it.
#[tokio::test]
async fn a_broken_watch_of_any_kind_is_told_unless_nobody_installed_it() -> Result<()> {
    let rendered = objects(&ALERTS).await?;
    let rules = find(&rendered, "PrometheusRule", "ferrule-control-plane")?;
    let (broken, stale) = (
        rule(rules, "FerruleWatchBroken")?,
        rule(rules, "FerruleStale")?,
    );
    let kinds = |expression: &str| -> Result<Vec<Regex>> {
        let matchers = KINDS.captures_iter(expression);
        let matchers = matchers.map(|kinds| Ok(Regex::new(&format!("^({})$", &kinds[1]))?));
        matchers.collect()
    };
    let (broken, stale) = (kinds(&broken[0])?, kinds(&stale[0])?);
    let [always, if_served] = &broken[..] else {
        panic!("{broken:?}");
    };
    for kind in Kind::ALL {
        let definition = format!("{}.{}.yaml", kind.plural(), kind.group());
        let definition = root()
            .join("charts/ferrule-crds/templates")
            .join(definition);
        let is_there = !kind.is_custom() || definition.is_file();
        assert_eq!(always.is_match(kind.as_str()), is_there, "{kind}");
        assert_eq!(if_served.is_match(kind.as_str()), !is_there, "{kind}");
        let is_vital = kind.is_required() || kind.is_custom() && is_there;
        assert_eq!(stale[0].is_match(kind.as_str()), is_vital, "{kind}");
    }
    assert!(rule(rules, "FerruleWatchBroken")?[0].contains("reason=\"not_found\""));
    Ok(())
}

/// A control plane that is gone has no metrics: only their absence tells of it, and only
/// where there should be some.
#[tokio::test]
async fn what_is_gone_is_missed_where_it_is_scraped() -> Result<()> {
    let missed = [
        "up{namespace=\"linkerd\",component=\"destination\"}",
        "up{namespace=\"linkerd\",component=\"identity\"}",
        "up{namespace=\"linkerd\",component=\"proxy-injector\"}",
        "leader{namespace=\"linkerd\",lease=\"policy-controller-write\"}",
        "leader{namespace=\"linkerd\",lease=\"ferrule-ca\"}",
        "leader{namespace=\"linkerd\",lease=\"ferrule-webhook-ca\"}",
        "leader{namespace=\"linkerd\",lease=\"ferrule-restarts\"}",
    ];
    let external = [
        "--set=identity.externalCA=true",
        "--set=identity.issuer.scheme=kubernetes.io/tls",
        "--set=webhookTLS.mode=helm",
        "--set=identity.trustAnchorRotation.restartWorkloads=false",
    ];
    for (further, missed) in [
        (&[][..], &missed[..]),
        // Nobody keeps what others make.
        (&external[..], &missed[..4]),
        (&["--set=podMonitor.enabled=false"][..], &[][..]),
        (&["--set=podMonitor.controller.enabled=false"][..], &[][..]),
    ] {
        let args = [&ALERTS[..], further].concat();
        let rendered = objects(&args).await?;
        let rules = find(&rendered, "PrometheusRule", "ferrule-control-plane")?;
        let found = ABSENT
            .captures_iter(&rules.to_string().replace("\\\"", "\""))
            .map(|found| found[1].to_owned())
            .collect::<BTreeSet<_>>();
        let missed = missed.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(found, missed, "{further:?}");
    }
    Ok(())
}

/// The expressions of alerts of this name.
fn rule(rules: &Value, alert: &str) -> Result<Vec<String>> {
    let groups = rules["spec"]["groups"].as_array().context("groups")?;
    let rules = groups.iter().flat_map(|group| group["rules"].as_array());
    let rules = rules.flatten().filter(|rule| rule["alert"] == alert);
    let expressions: Vec<_> = rules
        .filter_map(|rule| rule["expr"].as_str().map(ToOwned::to_owned))
        .collect();
    anyhow::ensure!(!expressions.is_empty(), "there is no {alert}");
    Ok(expressions)
}

fn queries(dashboard: &Path) -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(dashboard)?)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array());
    let queries = targets
        .flatten()
        .map(|target| target["expr"].as_str().map(ToOwned::to_owned));
    queries.collect::<Option<_>>().context("queries")
}

/// Blocks of the page without a language, or of PromQL, are expressions, one a line.
#[test]
fn expressions_of_the_page_are_of_metrics_that_there_are() -> Result<()> {
    let metrics = metrics()?;
    let page = std::fs::read_to_string(root().join("docs/metrics.md"))?;
    let blocks = page.split("```").skip(1).step_by(2);
    let mut count = 0;
    for line in blocks.flat_map(|block| block.lines().skip(1)) {
        let unknown = metrics.unknown(line);
        assert!(unknown.is_empty(), "{line}: {unknown:?}");
        count += 1;
    }
    assert!(count > 20, "{count}");
    Ok(())
}
