use super::{ANNOTATIONS, Annotation, Place, RETIRED, reader::Reader};
use std::fmt::Write as _;

/// The reference page of annotations, `docs/annotations.md`.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for row in ANNOTATIONS {
        let default = match row.default {
            "" => "-".to_owned(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {default} | {} | {} |",
            row.key,
            place(row),
            cell(&row.reader.expected()),
            cell(row.effect),
            bad(row),
        );
    }
    page += AFTER_THE_TABLE;
    for key in RETIRED {
        let _ = writeln!(page, "- `{key}`");
    }
    page
}

fn place(row: &Annotation) -> &'static str {
    match row.place {
        Place::Pod => "pod",
        Place::PodAndNamespace => "pod, namespace",
        Place::ServiceToo => "pod, namespace, Service",
    }
}

/// What becomes of a text that is not what is expected.
fn bad(row: &Annotation) -> &'static str {
    match row.reader {
        Reader::Text(_) => "-",
        Reader::Doubted(..) => "passed on, with a warning",
        Reader::Elsewhere(..) if row.key == super::INJECT => "no injection",
        Reader::Elsewhere(..) if row.key == super::OPAQUE_PORTS => "that item is left out",
        Reader::Elsewhere(..) => "pod refused",
        _ => "ignored, with a warning",
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

const INTRODUCTION: &str = "\
# Annotations

<!-- Written by `make docs` from proxy-injector/src/annotations/table.rs. -->

What pods, and the namespaces that they are in, can say about their proxies. A pod
inherits what \"namespace\" is said of; where both have an annotation the pod's
counts, even if it is empty. Put them into the *pod template* of a Deployment and
the like: its own metadata is not read. They are read once, when a pod is created.

A text that cannot be read is told to who created the pod, as a warning of
`kubectl`, with the annotation's name and what was expected; the default then counts
and everything else works. The defaults are the chart's; its values change them.

| annotation | where | value | default | effect | anything else is |
|---|---|---|---|---|---|
";

const AFTER_THE_TABLE: &str = "
Durations are written as in Go: `90s`, `1h30m`, `500ms`. Quantities are those of
Kubernetes: `100m`, `250Mi`. Of the three forms of `proxy-enable-native-sidecar` the
first that is present counts.

## Labels and annotations that are not settings

| key | what it is |
|---|---|
| label `config.linkerd.io/admission-webhooks: disabled` of a namespace | nothing of it is looked at |
| annotation `resource.opentelemetry.io/<name>` of a pod | where tracing is on, the attribute `<name>` of all spans of its proxy |
| labels `app.kubernetes.io/instance`, else `app.kubernetes.io/name` of a pod | where tracing is on, its `service.name` |
| labels `linkerd.io/control-plane-ns`, `linkerd.io/workload-ns`, `linkerd.io/proxy-<kind>` of a pod | written by the injector |
| annotations `linkerd.io/created-by`, `linkerd.io/proxy-version`, `linkerd.io/trust-root-sha256` of a pod | written by the injector |
| annotation `ferrule.io/restart-for-trust-anchor: enabled` or `disabled` of a namespace, Deployment, StatefulSet or DaemonSet (its own metadata) | whether its pods are restarted for another trust anchor: [certificates.md](certificates.md#restarts) |
| annotation `ferrule.io/issuer-override` of the Deployment `linkerd-identity` | the SHA-256 of an issuer, or its first twelve digits or more, that signs though not all pods trust it: [certificates.md](certificates.md#an-issuer-that-comes-too-early) |
| annotation `ferrule.io/restarted-for-trust-bundle` of a pod template | written by such a restart |

## No longer read

Nothing is said about these:

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_the_table() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/annotations.md");
        let page = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            page == reference(),
            "docs/annotations.md is not what the table of annotations says: run `make docs`"
        );
    }
}
