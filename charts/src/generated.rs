//! The files that are made of the charts' `values.yaml`, and of the runbook.
//!
//! `make charts` writes them; a test, and `make lint` through it, compares.

use crate::{
    alerts,
    readme::readme,
    schema::schema,
    values::{Row, ValuesError, rows},
};
use serde_json::{Map, Value, json};
use std::{io, path::Path};
use thiserror::Error;

/// A chart, and what its README says before the values.
const CHARTS: [(&str, &str); 2] = [
    ("ferrule-control-plane", CONTROL_PLANE),
    ("ferrule-crds", CRDS),
];

/// What alerts say.
const RUNBOOK: &str = "charts/ferrule-control-plane/runbook.yaml";

/// A file, and what it must contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is, from the root of the repository.
    pub path: String,
    /// What it contains.
    pub content: String,
}

/// Why a chart's files cannot be made.
#[derive(Debug, Error)]
pub enum ChartError {
    /// Its values cannot be read.
    #[error("charts/{0}/values.yaml: {1}")]
    Unreadable(&'static str, io::Error),
    /// They are not as they should be.
    #[error("charts/{0}/{1}")]
    Wrong(&'static str, ValuesError),
    /// What alerts say cannot be read.
    #[error("{RUNBOOK}: {0}")]
    NoRunbook(io::Error),
    /// It lacks something.
    #[error("{RUNBOOK}: {0}")]
    Runbook(String),
}

/// The values of a chart in the repository at `root`.
///
/// # Errors
/// If they cannot be read, or are not as they should be.
pub fn values(root: &Path, chart: &'static str) -> Result<Vec<Row>, ChartError> {
    let path = root.join("charts").join(chart).join("values.yaml");
    let text =
        std::fs::read_to_string(path).map_err(|error| ChartError::Unreadable(chart, error))?;
    rows(&text).map_err(|error| ChartError::Wrong(chart, error))
}

/// All files that are made of the charts in the repository at `root`.
///
/// # Errors
/// As [`values`].
pub fn files(root: &Path) -> Result<Vec<File>, ChartError> {
    let mut files = Vec::new();
    for (chart, introduction) in CHARTS {
        let rows = values(root, chart)?;
        let mut add = |name: &str, content: String| {
            let path = format!("charts/{chart}/{name}");
            files.push(File { path, content });
        };
        add("README.md", readme(introduction, &rows));
        let title = format!("Values of the chart {chart}");
        add("values.schema.json", pretty(&schema(&title, &rows)));
        // The notes say which of them are set.
        if chart == "ferrule-control-plane" {
            add("ignored.json", pretty(&with_reasons(&rows, Row::ignored)));
            add(
                "deprecated.json",
                pretty(&with_reasons(&rows, Row::deprecated)),
            );
        }
    }
    let runbook = std::fs::read_to_string(root.join(RUNBOOK)).map_err(ChartError::NoRunbook)?;
    files.push(File {
        path: "docs/alerts.md".to_owned(),
        content: alerts::page(&runbook).map_err(ChartError::Runbook)?,
    });
    Ok(files)
}

/// The values that have a reason to be told of, with it and with their defaults.
fn with_reasons(rows: &[Row], reason: fn(&Row) -> Option<&str>) -> Value {
    let told = rows.iter().filter_map(|row| {
        let why = reason(row)?;
        Some((row.name(), json!({"default": row.default, "why": why})))
    });
    Value::Object(told.collect::<Map<_, _>>())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

const CONTROL_PLANE: &str = "\
<!-- Made by `make charts` from values.yaml: do not edit. -->

<!-- commands: cluster -->

# ferrule-control-plane

The control plane: three Deployments of one binary, `linkerd-destination` (discovery,
policy, and the webhooks that look at policy), `linkerd-identity` (certificates) and
`linkerd-proxy-injector`. They have no proxies of their own: mesh TLS is in the process.

```sh
helm install ferrule-crds charts/ferrule-crds --namespace linkerd --create-namespace
helm install ferrule-control-plane charts/ferrule-control-plane --namespace linkerd
```

Then do what the notes say. `--values charts/ferrule-control-plane/values-ha.yaml` is for
a control plane that survives the loss of a node.

Rendering is deterministic: two renderings are the same bytes, without a cluster to look
anything up in, and no key is made in a template (but with `webhookTLS.mode=helm`). What
Ferrule writes while it runs (`caBundle`, its Secrets, Leases) is not rendered, so that
GitOps shows no difference ([installation.md](../../docs/installation.md)). With a cluster,
Helm is asked about two things: what a take-over from Linkerd must not lose, and the trust
anchors that a release may not drop. Values that do not exist are refused.

## Certificates

| who makes the issuer | values |
|---|---|
| Ferrule, and renews it | none of the below |
| you, once | `identityTrustAnchorsPEM`, `identity.issuer.tls.crtPEM`, `identity.issuer.tls.keyPEM` |
| cert-manager, or somebody else, in a Secret | `identity.issuer.scheme=kubernetes.io/tls`, `identityTrustAnchorsPEM` |
| likewise, and trust-manager publishes the trust anchors | `identity.issuer.scheme=kubernetes.io/tls`, `identity.externalCA=true` |

| who makes the webhooks' certificates | values |
|---|---|
| Ferrule, and renews them | none of the below |
| you, once | `crtPEM`, `keyPEM` and `caBundle` of `proxyInjector` and of `policyValidator` |
| cert-manager, or somebody else, in Secrets | `webhookTLS.mode=external`, and one of `caBundle`, `injectCaFrom` and `injectCaFromSecret` of both |
| Helm, in Secrets, for a year at a time | `webhookTLS.mode=helm` |

The objects of the trust anchors and of the issuer outlive the release
(`helm.sh/resource-policy: keep`), and so do those that Ferrule makes.
[docs/certificates.md](../../docs/certificates.md) tells the rest.

## Values

Names and defaults are those of Linkerd's chart wherever the value exists there, so
values that were written for it can be used as they are. Those that do nothing here are
said to be ignored, and the notes list the ones that are set. The whole of the values,
without keys, is in ConfigMap `linkerd-config`, from which the injector takes what it
needs: a change of values under `proxy`, `proxyInit`, `networkValidator` and
`debugContainer` holds for the next pod, and restarts nothing.

Deprecated values count for one minor version more; the notes list those that are set.
";

const CRDS: &str = "\
<!-- Made by `make charts` from values.yaml: do not edit. -->

<!-- commands: cluster -->

# ferrule-crds

The custom resources that Ferrule reads ([docs/crds.md](../../docs/crds.md)).

```sh
helm install ferrule-crds charts/ferrule-crds --namespace linkerd --create-namespace
```

`helm upgrade` brings newer definitions, `helm uninstall` leaves them where they are.

## Values
";
