//! The files that are made from this crate: the chart's templates and the page of the docs.
//!
//! `make crds` writes them; a test, and `make lint` through it, compares.

use std::fmt::Write as _;

use serde_json::Value;

use crate::definition::{self, Definition};

/// The folder of the templates, from the root of the repository.
pub const TEMPLATES: &str = "charts/ferrule-crds/templates";
const PAGE: &str = "docs/crds.md";

/// A file, and what it must contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is, from the root of the repository.
    pub path: String,
    /// What it contains.
    pub content: String,
}

/// All files that are made from this crate.
///
/// Each template is a valid manifest as it is: what only Helm understands stands in comments, so
/// `kubectl apply -f` of the folder works, too.
#[must_use]
pub fn files() -> Vec<File> {
    let all = definition::all();
    let mut files: Vec<File> = all.iter().map(template).collect();
    files.push(File {
        path: PAGE.to_owned(),
        content: page(&all),
    });
    files
}

fn template(definition: &Definition) -> File {
    let crd = definition.crd();
    let name = crd.metadata.name.as_deref().expect("the derive names it");
    let mut value = serde_json::to_value(crd).expect("a definition can be written as JSON");
    write_whole_numbers_as_such(&mut value);
    let yaml = serde_yaml::to_string(&value).expect("and as YAML");
    // The rendered comment is an empty one, followed by labels and annotations.
    let metadata = "metadata:\n  # {{- include \"ferrule-crds.metadata\" . | nindent 2 }}\n";
    let body = yaml.replacen("metadata:\n", metadata, 1);
    let mut content = "# Made by `make crds` from crds/: do not edit.\n".to_owned();
    match definition.switch {
        Some(switch) => {
            let _ = writeln!(
                content,
                "# {{{{- if .Values.{switch} }}}}\n{}",
                body.trim_end()
            );
            content.push_str("# {{- end }}\n");
        }
        None => content.push_str(&body),
    }
    File {
        path: format!("{TEMPLATES}/{name}.yaml"),
        content,
    }
}

/// Bounds are floats in the type: `65535.0` is the same, but no tool that compares would say so.
fn write_whole_numbers_as_such(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(write_whole_numbers_as_such),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers_as_such),
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0) {
                *number = (float as i64).into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn page(all: &[Definition]) -> String {
    let mut page = PAGE_TOP.to_owned();
    for definition in all {
        let spec = &definition.crd().spec;
        let versions: Vec<String> = spec
            .versions
            .iter()
            .map(|version| match (version.storage, version.deprecated) {
                (true, _) => format!("**{}**", version.name),
                (false, Some(true)) => format!("~~{}~~", version.name),
                (false, _) => version.name.clone(),
            })
            .collect();
        let short = spec.names.short_names.as_deref().unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            spec.names.kind,
            spec.group,
            versions.join(", "),
            short.join(", "),
            definition.purpose
        );
    }
    page.push_str(PAGE_END);
    page
}

const PAGE_TOP: &str = "\
<!-- Made by `make crds` from crds/: do not edit. -->

# Custom resources

What Ferrule reads from a cluster beside Kubernetes' own objects and the routes of
the Gateway API. Groups, kinds, versions, fields and defaults are those of Linkerd:
a cluster's objects stay as they are, on the way here and on the way back.
`kubectl explain KIND.spec` tells every field.

The version in bold is what the API server stores, those struck through answer with
a warning. All versions are one object: reading it through another changes its
`apiVersion` and drops the fields which that version does not have.

| kind | group | versions | short names | what it says |
|---|---|---|---|---|
";

const PAGE_END: &str = "
An ExternalWorkload written as v1alpha1 is of no use: the API server stores v1beta1,
which spells `meshTLS` what v1alpha1 spells `meshTls`, and drops it. Write v1beta1.

## Installing them

<!-- commands: cluster -->

```sh
helm install ferrule-crds charts/ferrule-crds --namespace linkerd --create-namespace
```

or, without a release that owns them,

```sh
helm template ferrule-crds charts/ferrule-crds --namespace linkerd | kubectl apply --server-side -f -
```

Where Linkerd's chart has installed them, upgrade its release, which goes on owning
them: `helm upgrade linkerd-crds charts/ferrule-crds --namespace linkerd`. Do not
make a release of your own and uninstall that one: Helm would delete what its record
lists, and with the definitions all policies, profiles and external workloads. Here
every definition carries `helm.sh/resource-policy: keep`, so removing the release
leaves them; the chart's notes say how to remove them, too.

The chart installs the Link kind only with `installLink=true`, because Linkerd's
multicluster chart has it; `kubectl apply` of the folder installs all. The Gateway
API's kinds are not in the chart: `installGatewayAPI` must be false.

## What is refused

Each definition has the limits of Linkerd's, and besides some rules with a message
that says what to change. They repeat those rules of the admission webhook that can
be told from one object at a bounded cost, so that they hold while no webhook runs.
An object that broke a rule before the rule came stays, and can be changed elsewhere:
the API server (1.30 and later) looks only at what changes, and warns of the rest.

For programs: the crate `ferrule-crds` has the types, `ferrule_crds::all()` the
definitions.
";
