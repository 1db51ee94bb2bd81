//! `ferrule check --manifests` as a pipeline runs it.

use crate::ferrule;
use std::fs;
use tempfile::TempDir;

/// Exit code, standard output and standard error, given `input`.
fn check(args: &[&str], input: &str) -> (Option<i32>, String, String) {
    ferrule(&[&["check"], args].concat(), input)
}

fn server(spec: &str) -> String {
    format!(
        "apiVersion: policy.linkerd.io/v1beta3\nkind: Server\nmetadata: {{name: web}}\n\
         spec: {spec}\n"
    )
}

#[test]
fn the_exit_code_says_whether_all_would_be_stored_and_understood() {
    let fine = server("{podSelector: {}, port: 80}");
    let odd = server("{podSelector: {matchExpressions: [{key: a, operator: In}]}, port: 80}");
    let bad = server("{podSelector: {}, port: 80, proxyProtocol: garbanzo}");
    let stdin = ["--manifests", "-"];
    let strict = ["--manifests", "-", "--fail-on-warning"];
    for (args, input, code) in [
        (&stdin[..], &fine, 0),
        (&strict, &fine, 0),
        (&stdin, &odd, 0),
        (&strict, &odd, 2),
        (&stdin, &bad, 1),
        (&strict, &bad, 1),
        (&["--manifests", "/no/such/directory"], &fine, 1),
        // Ruling 13.
        (&[], &fine, 1),
        (&["--manifests", "-", "-o", "xml"], &fine, 1),
    ] {
        let (exited, out, error) = check(args, input);
        assert_eq!(exited, Some(code), "{args:?} {input}: {out}{error}");
    }
    let (_, out, error) = check(&stdin, &bad);
    assert_eq!(
        out,
        "standard input:4 Server web: spec.proxyProtocol: \"garbanzo\" is none of unknown, HTTP/1, \
         HTTP/2, gRPC, opaque, TLS\n1 object in 1 file: 1 error\n"
    );
    assert_eq!(error, "error: some of the manifests would be refused\n");
    let (_, out, _) = check(&["--manifests", "-", "-o", "short"], &fine);
    assert_eq!(out, "");
}

#[test]
fn a_directory_is_looked_at_with_what_is_below_it_but_for_what_is_hidden() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_str().unwrap();
    let (code, _, error) = check(&["--manifests", path], "");
    assert_eq!(
        code,
        Some(1),
        "an empty directory is more often a wrong one"
    );
    assert!(error.contains("there is no *.yaml"), "{error}");
    let bad = server("{podSelector: {}, port: 0}");
    fs::create_dir_all(directory.path().join("shop")).unwrap();
    fs::create_dir_all(directory.path().join(".git")).unwrap();
    for name in ["shop/web.yml", ".git/config.yaml", ".web.yaml", "notes.md"] {
        fs::write(directory.path().join(name), &bad).unwrap();
    }
    let (code, out, _) = check(&["--manifests", path], "");
    assert_eq!(code, Some(1));
    assert!(
        out.starts_with(&format!("{path}/shop/web.yml:4 Server web: spec.port: 0 ")),
        "{out}"
    );
    assert!(out.ends_with("1 object in 1 file: 1 error\n"), "{out}");
    let (code, out, _) = check(&["--manifests", path, "-o", "json"], "");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["success"]), (Some(1), &false.into()));
}
