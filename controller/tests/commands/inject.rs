//! `ferrule inject` and `ferrule uninject` as people run them.

use crate::ferrule;
use std::fs;

const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web} # the shop's
spec:
  template:
    spec:
      containers: [{name: web}]
";
const HOST: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: host}
spec: {hostNetwork: true, containers: [{name: host}]}
";

#[test]
fn a_stream_is_annotated_and_the_report_is_on_standard_error() {
    let (code, stream, report) = ferrule(&["inject", "-"], WEB);
    assert_eq!((code, &*report), (Some(0), "deployment \"web\" injected\n"));
    assert!(
        stream.contains("    metadata:\n      annotations:\n        linkerd.io/inject: enabled\n")
    );
    let (code, back, report) = ferrule(&["uninject", "-"], &stream);
    assert_eq!((code, &*back), (Some(0), WEB));
    assert_eq!(report, "deployment \"web\" uninjected\n");
    let (_, json, _) = ferrule(&["inject", "-", "-o", "json"], WEB);
    assert_eq!(json.lines().count(), 1);
    assert!(json.contains("\"linkerd.io/inject\":\"enabled\""));
}

#[test]
fn a_directory_is_one_stream_without_the_files_of_which_something_failed() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.yaml", WEB),
        ("b.yml", HOST),
        ("c.yaml", WEB),
        ("README.md", "#"),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let (code, stream, report) = ferrule(&["inject", path], "");
    assert_eq!(code, Some(1));
    assert_eq!(stream.matches("kind: Deployment").count(), 2, "{stream}");
    assert_eq!(stream.matches("\n---\n").count(), 1, "{stream}");
    assert!(!stream.contains("hostNetwork"));
    assert!(report.contains("b.yml: left out\n"), "{report}");
    assert!(report.ends_with("error: failed to inject pod/host: hostNetwork is enabled\n"));
}

#[test]
fn a_whole_proxy_needs_no_cluster_where_files_say_all() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let values = file(
        "values.yaml",
        "cniEnabled: true\nproxy: {ports: {admin: none}}\n",
    );
    let anchors = file("ca.crt", "anchors\n");
    let args = [
        "inject",
        "--manual",
        "--values",
        &values,
        "--trust-anchors",
        &anchors,
        "-",
    ];
    let (code, stream, report) = ferrule(&args, WEB);
    assert_eq!(code, Some(0), "{report}");
    assert!(
        stream.contains("name: linkerd-network-validator"),
        "{stream}"
    );
    assert!(stream.starts_with(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web} # the shop's\n"
    ));
    assert!(
        report.contains("proxy.ports.admin is not a port"),
        "{report}"
    );
    let (code, stream, report) = ferrule(&["inject", "--manual", "-"], WEB);
    assert_eq!((code, &*stream), (Some(1), ""));
    assert!(report.contains("--trust-anchors FILE"), "{report}");
}

#[test]
fn what_is_no_manifest_is_told_with_its_line() {
    let (code, stream, report) = ferrule(&["inject", "-"], "a: 1\n---\nb: [\n");
    assert_eq!((code, &*stream), (Some(1), ""));
    assert!(report.starts_with("error: standard input:"), "{report}");
    let (code, _, report) = ferrule(&["inject", "/no/such/file"], "");
    assert_eq!(code, Some(1));
    assert!(report.contains("/no/such/file"), "{report}");
}
