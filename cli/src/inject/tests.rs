use super::*;
use ferrule_proxy_injector::{Injector, TrustAnchors, Values};
use proptest::prelude::*;
use serde_json::json;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    inject: Inject,
}

/// What flags of the command change, with a proxy of made up trust anchors where
/// `--manual` is among them.
fn changes(flags: &[&str]) -> Changes {
    use clap::Parser as _;
    let args = ["inject", "-"].iter().chain(flags);
    let inject = Command::try_parse_from(args).unwrap().inject;
    let ingress = inject.proxy.ingress;
    let injector = inject.manual.manual.then(|| {
        let mut values = Values::default();
        values.proxy.ingress = ingress;
        Injector {
            values,
            trust_anchors: TrustAnchors::new("anchors"),
            control_plane_namespace: "linkerd".into(),
            created_by: "ferrule/cli test".into(),
        }
    });
    Changes {
        ingress,
        overrides: inject.proxy.annotations(),
        injector,
    }
}

/// The stream after a command, and what was reported line by line, errors last.
fn run(
    text: &str,
    change: impl Fn(&Value) -> Result<Change, String>,
) -> (Option<String>, Vec<String>) {
    let input = Input::parse("it".into(), text.into()).unwrap();
    let mut report = Report::default();
    let stream = rewrite(&input, Output::Yaml, &change, &mut report);
    let mut lines = report.all_lines();
    if let Err(Error::Inject(errors)) = report.result() {
        lines.extend(errors);
    }
    (stream, lines)
}

fn inject(text: &str, flags: &[&str]) -> (Option<String>, Vec<String>) {
    let changes = changes(flags);
    run(text, |object| changes.inject(object))
}

fn uninjected(text: &str) -> String {
    run(text, |object| Ok(annotate::uninject(object)))
        .0
        .unwrap()
}

const SHOP: &str = "\
# All of the shop.
apiVersion: v1
kind: Namespace
metadata:
  name: shop # as in the DNS
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata:
      labels:
        app:   web
    spec:
      # Two of them, one day.
      containers:
      - {name: web, image: 'web:1'}
      - name: dns
        ports: [{containerPort: 53, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec: {ports: [{port: 80}]}
---
kind: ConfigMap
apiVersion: v1
metadata: {name: config}
data:   {a: \"b\"}
";

#[test]
fn s129_only_annotations_are_added_and_all_else_stays_as_it_was_written() {
    let (stream, lines) = inject(SHOP, &[]);
    let expected = SHOP
        .replace(
            "  name: shop # as in the DNS\n",
            "  name: shop # as in the DNS\n  annotations:\n    linkerd.io/inject: enabled\n",
        )
        .replace(
            "        app:   web\n",
            "        app:   web\n      annotations:\n        linkerd.io/inject: enabled\n",
        );
    assert_eq!(stream.as_deref(), Some(&*expected));
    assert_eq!(
        lines,
        [
            "namespace \"shop\" annotated",
            "deployment \"web\" injected",
            "service \"web\" skipped",
            "configmap \"config\" skipped",
            "warning: deployment \"web\": UDP port(s) configured on pod spec",
        ]
    );
    assert_eq!(uninjected(&expected), SHOP);
    // Again, and nothing changes.
    assert_eq!(inject(&expected, &[]).0, Some(expected));
}

#[test]
fn s130_opaque_ports_are_for_all_three_of_them() {
    let (stream, lines) = inject(SHOP, &["--opaque-ports", "3306"]);
    let stream = stream.unwrap();
    assert_eq!(
        stream
            .matches("config.linkerd.io/opaque-ports: \"3306\"")
            .count(),
        3,
        "{stream}"
    );
    assert!(lines.contains(&"service \"web\" annotated".to_owned()));
}

fn deployment(template: &Value) -> String {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": template},
    });
    serde_yaml::to_string(&object).unwrap()
}

fn template(annotations: &Value, spec: &Value) -> Value {
    let mut spec = spec.clone();
    if spec["containers"].is_null() {
        spec["containers"] = json!([{"name": "web"}]);
    }
    json!({"metadata": {"annotations": annotations}, "spec": spec})
}

#[test]
fn s131_the_mode_is_that_of_the_flag() {
    let text = deployment(&template(
        &json!({"linkerd.io/inject": "ingress"}),
        &json!({}),
    ));
    let enabled = text.replace("inject: ingress", "inject: enabled");
    assert_eq!(inject(&text, &[]).0, Some(enabled.clone()));
    assert_eq!(inject(&enabled, &["--ingress"]).0, Some(text));
}

#[test]
fn s132_what_cannot_get_a_proxy_is_told_all_at_once_and_nothing_is_printed() {
    let host = deployment(&template(
        &Value::Null,
        &json!({
            "hostNetwork": true,
            "containers": [{"name": "dns", "ports": [{"containerPort": 53, "protocol": "UDP"}]}],
        }),
    ));
    let istio = deployment(&template(
        &Value::Null,
        &json!({"containers": [{"name": "istio-proxy"}]}),
    ));
    let (stream, lines) = inject(&format!("{host}---\n{istio}---\n{SHOP}"), &[]);
    assert_eq!(stream, None);
    assert_eq!(
        lines[lines.len() - 2..],
        [
            "failed to inject deployment/web: hostNetwork is enabled, UDP port(s) configured on \
             pod spec",
            // s135
            "failed to inject deployment/web: pod has a sidecar injected already",
        ]
    );
    // Who says no is left alone, whatever its ports.
    let disabled = deployment(&template(
        &json!({"linkerd.io/inject": "disabled"}),
        &json!({"hostNetwork": true,
                "containers": [{"name": "d", "ports": [{"containerPort": 1, "protocol": "UDP"}]}]}),
    ));
    let (stream, lines) = inject(&disabled, &[]);
    assert_eq!(stream, Some(disabled));
    assert_eq!(lines[0], "deployment \"web\" skipped");
}

#[test]
fn s133_a_template_without_metadata_gets_some() {
    let text = "\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers: [{name: job}]
";
    let (stream, _) = inject(text, &[]);
    let stream = stream.unwrap();
    assert_eq!(
        stream,
        text.replace(
            "        spec:\n          containers",
            "        metadata:\n          annotations:\n            linkerd.io/inject: enabled\n\
             \x20       spec:\n          containers"
        )
    );
    assert_eq!(uninjected(&stream), text);
}

#[test]
fn s134_s135_what_was_injected_before_is_injected_as_if_it_were_not() {
    let (manual, _) = inject(SHOP, &["--manual"]);
    let manual = manual.unwrap();
    assert!(
        manual.contains("      # Two of them, one day.\n"),
        "comments stay"
    );
    assert!(
        manual.contains("- {name: web, image: 'web:1'}\n"),
        "order and style, too"
    );
    assert!(manual.contains("name: linkerd-proxy"));
    assert!(manual.contains("linkerd.io/created-by: ferrule/cli test"));
    assert_eq!(inject(&manual, &["--manual"]).0, Some(manual.clone()));
    assert_eq!(inject(&manual, &[]).0, inject(SHOP, &[]).0);
    let clean = uninjected(&manual);
    assert_eq!(clean, SHOP);
}

#[test]
fn manual_injection_has_no_inject_annotation_and_settings_of_the_manifest_win() {
    let text = deployment(&template(
        &json!({"config.linkerd.io/proxy-log-level": "trace"}),
        &json!({}),
    ));
    let flags = [
        "--manual",
        "--proxy-log-level",
        "warn",
        "--admin-port",
        "5191",
        "--ingress",
    ];
    let (stream, lines) = inject(&text, &flags);
    let stream = stream.unwrap();
    assert!(!stream.contains("linkerd.io/inject:"), "{stream}");
    assert!(stream.contains("value: trace,[{headers}]=off"), "{stream}");
    assert!(
        stream.contains("config.linkerd.io/admin-port: \"5191\""),
        "{stream}"
    );
    assert!(stream.contains("name: LINKERD2_PROXY_INGRESS_MODE"));
    assert!(stream.contains("linkerd.io/proxy-deployment: web"));
    assert_eq!(lines, ["deployment \"web\" injected"]);
}

#[tokio::test]
async fn s136_without_trust_anchors_there_is_no_proxy() {
    use clap::Parser as _;
    let args = ["inject", "-", "--manual", "--ignore-cluster"];
    let inject = Command::try_parse_from(args).unwrap().inject;
    let error = inject.changes().await.err().unwrap();
    assert!(error.to_string().contains("trust anchors"), "{error}");
}

#[test]
fn s137_formats_and_urls() {
    use clap::Parser as _;
    assert!(Command::try_parse_from(["inject", "-", "-o", "xml"]).is_err());
    for url in ["http://example.com/a.yaml", "https://example.com/a.yaml"] {
        let error = Input::read(std::path::Path::new(url)).err().unwrap();
        assert!(error.to_string().contains("curl"), "{error}");
    }
}

#[test]
fn a_directory_is_read_once_also_where_a_link_leads_back_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    std::fs::create_dir(&below).unwrap();
    for (file, name) in [
        ("b.yaml", "b"),
        ("below/a.yml", "a"),
        ("below/.c.yaml", "c"),
    ] {
        let text = format!("kind: Namespace\nmetadata: {{name: {name}}}\n");
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), below.join("back")).unwrap();
    let inputs = Input::read(folder.path()).unwrap();
    let names: Vec<_> = inputs
        .iter()
        .flat_map(Input::values)
        .map(|value| value["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn s138_uninject_leaves_settings_and_who_says_no() {
    let text = deployment(&template(
        &json!({"config.linkerd.io/admin-port": "1", "linkerd.io/inject": "disabled"}),
        &json!({}),
    ));
    assert_eq!(uninjected(&text), text);
    let labelled = text.replace(
        "  name: web\n",
        "  name: web\n  labels:\n    linkerd.io/foo: x\n    a: b\n",
    );
    assert_eq!(
        uninjected(&labelled),
        labelled.replace("    linkerd.io/foo: x\n", "")
    );
}

#[test]
fn s139_what_does_not_say_what_it_is_passes_through() {
    let text = "a: 1 # one\n---\n# nothing\n---\nkind: ConfigMap\napiVersion: v1\n";
    let (stream, lines) = inject(text, &[]);
    assert_eq!(stream.as_deref(), Some(text));
    assert_eq!(
        lines,
        [
            "document missing \"kind\" field, skipped",
            "configmap \"\" skipped"
        ]
    );
}

#[test]
fn a_workload_without_a_template_does_not_keep_others_from_theirs() {
    let text = "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\n";
    let (stream, lines) = inject(text, &[]);
    assert_eq!(stream.as_deref(), Some(text));
    assert_eq!(
        lines,
        [
            "replicaset \"web\" skipped",
            "warning: replicaset \"web\": there is no pod template in it",
        ]
    );
}

#[test]
fn s140_the_control_plane_takes_manual() {
    let mut template = template(&Value::Null, &json!({}));
    template["metadata"]["labels"] = json!({"linkerd.io/control-plane-component": "identity"});
    let (stream, lines) = inject(&deployment(&template), &[]);
    assert_eq!(stream, None);
    assert!(lines[0].contains("--manual"), "{lines:?}");
}

#[test]
fn every_kind_of_workload_and_lists_of_them_are_annotated() {
    for (kind, version) in [
        ("Deployment", "apps/v1"),
        ("StatefulSet", "apps/v1"),
        ("DaemonSet", "apps/v1"),
        ("ReplicaSet", "apps/v1"),
        ("ReplicationController", "v1"),
        ("Job", "batch/v1"),
    ] {
        let text = deployment(&template(&json!({"a": "b"}), &json!({})))
            .replace("kind: Deployment", &format!("kind: {kind}"))
            .replace("apps/v1", version);
        let (stream, lines) = inject(&text, &[]);
        let stream = stream.unwrap();
        assert!(
            stream.contains("        a: b\n        linkerd.io/inject: enabled\n"),
            "{stream}"
        );
        assert_eq!(lines, [format!("{} \"web\" injected", kind.to_lowercase())]);
        assert_eq!(uninjected(&stream), text);
    }
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers: []\n";
    let list = "\
apiVersion: v1
kind: List
items:
# the first
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
  spec: {containers: [{name: a}]}
- {apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {x: y}}}
";
    for (text, expected) in [
        (
            pod,
            "  name: web\n  annotations:\n    linkerd.io/inject: enabled\n",
        ),
        (
            list,
            "  metadata: {name: a, annotations: {\"linkerd.io/inject\":\"enabled\"}}\n",
        ),
    ] {
        let (stream, _) = inject(text, &[]);
        let stream = stream.unwrap();
        assert!(stream.contains(expected), "{stream}");
        assert_eq!(uninjected(&stream), text);
    }
    let json = "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"n\"}}";
    let (stream, _) = inject(json, &[]);
    let stream = stream.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&stream).unwrap()["metadata"]["annotations"]["linkerd.io/inject"],
        "enabled"
    );
    assert_eq!(uninjected(&stream), json);
}

#[test]
fn every_flag_is_an_annotation() {
    use clap::{CommandFactory as _, Parser as _};
    let values = |name: &str| match name {
        name if name.ends_with("-port") || name.ends_with("id") => "5000",
        name if name.contains("ports") => "80,90-91",
        name if name.contains("-cpu-") || name.contains("-memory-") => "100m",
        "close-wait-timeout" => "30s",
        "wait-before-exit-seconds" => "10",
        "default-inbound-policy" => "deny",
        "image-pull-policy" => "Always",
        "native-sidecar" => "false",
        "proxy-log-level" => "debug",
        _ => "x",
    };
    let command = Command::command();
    let proxy_flags = command
        .get_arguments()
        .filter(|flag| flag.get_help_heading() == Some("Proxy"));
    let mut args = vec!["inject".to_owned(), "-".to_owned()];
    let mut count = 0;
    for flag in proxy_flags {
        let name = flag.get_long().unwrap();
        args.push(format!("--{name}"));
        if flag.get_action().takes_values() {
            args.pop();
            args.push(format!("--{name}={}", values(name)));
        }
        count += 1;
    }
    let inject = Command::try_parse_from(&args).unwrap().inject;
    let annotations = inject.proxy.annotations();
    // All but --ingress and --registry, which are parts of others; the registry also
    // says where the debug image is.
    assert_eq!(annotations.len(), count - 1, "{annotations:?}");
    assert_eq!(annotations["config.linkerd.io/debug-image"], "x/debug");
    assert_eq!(
        annotations["config.linkerd.io/proxy-enable-native-sidecar"],
        "false"
    );
}

/// Labels or annotations that are not of injection.
fn metadata() -> impl Strategy<Value = Value> {
    let map = || {
        let entries =
            proptest::collection::btree_map("[a-z]{1,3}(/[a-z]{1,3})?", "[a-z #:\"]{0,5}", 1..3);
        proptest::option::of(entries)
    };
    (map(), map(), proptest::option::of("[a-z]{1,4}")).prop_map(|(annotations, labels, name)| {
        let all = [
            ("annotations", json!(annotations)),
            ("labels", json!(labels)),
            ("name", json!(name)),
        ];
        let all = all.into_iter().filter(|(_, value)| !value.is_null());
        Value::Object(all.map(|(key, value)| (key.to_owned(), value)).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_annotated_can_be_taken_back_to_the_byte(
        of_object in metadata(), of_template in metadata(), namespace in any::<bool>(), style in 0..3,
    ) {
        let mut object = match namespace {
            true => json!({"apiVersion": "v1", "kind": "Namespace"}),
            false => json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "spec": {"template": {"spec": {"containers": [{"name": "a"}]}}},
            }),
        };
        let is_there = |metadata: &Value| metadata.as_object().is_some_and(|all| !all.is_empty());
        if is_there(&of_object) {
            object["metadata"] = of_object;
        }
        if is_there(&of_template) && !namespace {
            object["spec"]["template"]["metadata"] = of_template;
        }
        let text = match style {
            0 => serde_yaml::to_string(&object).unwrap(),
            1 => object.to_string(),
            _ => serde_json::to_string_pretty(&object).unwrap(),
        };
        let (annotated, _) = inject(&text, &[]);
        let annotated = annotated.unwrap();
        prop_assert_ne!(&annotated, &text);
        prop_assert_eq!(uninjected(&annotated), text);
    }
}
