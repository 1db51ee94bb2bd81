//! `ferrule check --manifests` on texts, and on the example shop.

use super::{look_at, report::Report};
use crate::manifest::{self, Text};
use serde_json::json;
use std::path::Path;

fn looked(files: &[(&str, &str)]) -> Report {
    let texts: Vec<_> = files
        .iter()
        .map(|(name, text)| Text::new((*name).to_owned(), (*text).to_owned()))
        .collect();
    look_at(&texts)
}

const POLICIES: &str = "\
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {}
  port: 0
---
# Who is in the office.
apiVersion: policy.linkerd.io/v1alpha1
kind: NetworkAuthentication
metadata: {name: office, namespace: shop}
spec:
  networks:
    - cidr: 192.0.2.0/24
    - cidr: 10.0.0.0/8
      except:
        - 10.1.0.0/16
        - 11.0.0.0/8
";

#[test]
fn each_mistake_is_told_with_the_line_of_its_field() {
    let report = looked(&[("p.yaml", POLICIES)]);
    assert_eq!(
        report.lines(),
        "p.yaml:8 Server shop/web: spec.port: 0 is no port: expected 1 to 65535, or the name of \
         a port\n\
         p.yaml:20 NetworkAuthentication shop/office: spec.networks[1].except[1]: \"11.0.0.0/8\" \
         is not inside of \"10.0.0.0/8\": remove it\n"
    );
    assert_eq!(report.summary(), "2 objects in 1 file: 2 errors");
    assert_eq!(report.errors(), 2);
}

#[test]
fn what_would_be_stored_and_not_understood_is_a_warning() {
    let report = looked(&[(
        "apps.yaml",
        "\
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Service
    metadata:
      name: web
      annotations: {config.linkerd.io/opaque-ports: '80-'}
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      template:
        metadata:
          annotations:
            config.linkerd.io/opaque-ports: mysql,http
            config.linkerd.io/default-inbound-policy: nobody
            config.linkerd.io/admin-port: '0'
            config.linkerd.io/opaque-port: '80'
            example.com/anything: at all
        spec:
          containers: [{name: web, ports: [{name: http, containerPort: 80}]}]
  - apiVersion: v1
    kind: Namespace
    metadata: {name: shop, annotations: {config.linkerd.io/opaque-ports: mysql, linkerd.io/inject: x, config.linkerd.io/proxy-log-level: ''}}
  - apiVersion: policy.linkerd.io/v1beta1
    kind: ServerAuthorization
    metadata: {name: nobody, namespace: shop}
    spec: {server: {name: web}, client: {}}
",
    )]);
    let lines = report.lines();
    for told in [
        "apps.yaml:8 Service web: warning: annotation config.linkerd.io/opaque-ports: \"80-\"",
        "apps.yaml:16 Deployment web: warning: annotation config.linkerd.io/opaque-ports: \"mysql\"",
        "apps.yaml:17 Deployment web: warning: annotation \
         config.linkerd.io/default-inbound-policy: ",
        "apps.yaml:18 Deployment web: warning: annotation config.linkerd.io/admin-port: \"0\" will \
         not be understood: expected a port",
        "apps.yaml:19 Deployment web: warning: annotation config.linkerd.io/opaque-port: nothing \
         reads an annotation of this name; config.linkerd.io/opaque-ports is read",
        "apps.yaml:25 Namespace shop: warning: annotation linkerd.io/inject: \"x\" will not be \
         understood: expected enabled, disabled or ingress",
        "apps.yaml:29 ServerAuthorization shop/nobody: warning: spec.client",
    ] {
        assert!(lines.contains(told), "{told}\n{lines}");
    }
    assert_eq!(lines.lines().count(), 7, "{lines}");
    assert_eq!(report.summary(), "4 objects in 1 file: 7 warnings");
}

#[test]
fn a_broken_document_leaves_the_others_and_what_is_no_object_is_told() {
    let report = looked(&[(
        "mixed.yaml",
        "a: [1\n---\nreplicas: 3\n---\napiVersion: apps/v1\nkind: StorageClass\nmetadata: {name: x}\n\
         ---\napiVersion: policy.linkerd.io/v9\nkind: Server\nmetadata: {name: web}\n",
    )]);
    let lines = report.lines();
    for told in [
        "mixed.yaml:1 a document: this is not YAML: ",
        "mixed.yaml:3 a document: warning: this is no object of Kubernetes",
        "mixed.yaml:9 Server web: apiVersion: a Server of version \"v9\" is not read: expected \
         v1beta3 or ",
    ] {
        assert!(lines.contains(told), "{told}\n{lines}");
    }
    let summary = "1 object in 1 file (1 of other kinds not looked at): 2 errors, 1 warning";
    assert_eq!(report.summary(), summary);
}

#[test]
fn an_object_in_two_places_is_told_at_the_later_one() {
    let server = |namespace: &str| {
        format!(
            "apiVersion: policy.linkerd.io/v1beta3\nkind: Server\n\
             metadata: {{name: web, namespace: {namespace}}}\nspec: {{podSelector: {{}}, port: 80}}\n"
        )
    };
    let (a, b) = (server("a"), server("b"));
    let report = looked(&[
        ("1.yaml", &a),
        ("2.yaml", &b),
        ("3.yaml", &format!("\n---\n{a}")),
    ]);
    assert_eq!(
        report.lines(),
        "3.yaml:3 Server a/web: warning: metadata.name: this object is also at 1.yaml:1, and what \
         is applied last holds\n"
    );
    assert_eq!((report.errors(), report.warnings()), (0, 1));
}

#[test]
fn service_profiles_are_looked_at_by_their_own_rules() {
    let profile = "\
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: web.shop.svc.cluster.local, namespace: shop}
spec:
  routes: [{name: all, condition: {method: GET}, timeout: '5'}]
";
    let report = looked(&[("sp.yaml", profile)]);
    let lines = report.lines();
    let told = "sp.yaml:1 ServiceProfile shop/web.shop.svc.cluster.local: ServiceProfile \
                \"web.shop.svc.cluster.local\" has a route with an invalid timeout";
    assert!(lines.starts_with(told), "{lines}");
}

#[test]
fn json_has_every_object_in_the_form_of_a_check() {
    let fine =
        "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"web\"}}\n";
    let report = looked(&[("p.yaml", POLICIES), ("s.json", fine)]);
    let printed = report.json();
    assert_eq!(printed["success"], false);
    let checks = printed["categories"][0]["checks"]
        .as_array()
        .expect("a list");
    assert_eq!(
        checks[0],
        json!({
            "id": "manifest-accepted",
            "category": "manifests",
            "description": "Server shop/web",
            "severity": "error",
            "result": "error",
            "error": "spec.port: 0 is no port: expected 1 to 65535, or the name of a port",
            "file": "p.yaml",
            "line": 8,
            "object": {
                "group": "policy.linkerd.io", "kind": "Server", "namespace": "shop", "name": "web",
            },
        })
    );
    assert_eq!(checks[2]["result"], "success");
    assert_eq!(checks[2]["file"], "s.json");
    assert_eq!(looked(&[("s.json", fine)]).json()["success"], true);
}

#[test]
fn the_example_shop_is_clean() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let report = look_at(&manifest::texts(&examples).expect("readable"));
    assert_eq!(report.lines(), "");
    assert!(
        report.summary().ends_with(": no problems"),
        "{}",
        report.summary()
    );
}
