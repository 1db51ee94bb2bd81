//! Which objects let requests in, of policies as people write them.

use crate::shell::{APPLY, Shell};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Cluster, Options};
use serde_json::{Value, json};

fn object(kind: &str, version: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("policy.linkerd.io/{version}"), "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "labels": {"name": name}}, "spec": spec,
    })
}

#[tokio::test]
async fn what_lets_requests_in_is_listed_by_server_and_route() -> Result<()> {
    let shell = Shell::new(Cluster::start(Options::default()).await?).await?;
    shell.pipe(&["install", "--crds"], APPLY).await?;
    let wait = ["wait", "--for=condition=Established", "crd", "--all"];
    shell.kubectl(&wait, "").await?;
    let target = |kind: &str, name: &str| {
        json!({
            "targetRef": {"group": "policy.linkerd.io", "kind": kind, "name": name},
            "requiredAuthenticationRefs": [{"kind": "ServiceAccount", "name": "a"}],
        })
    };
    let server = |app: &str, access: &str| {
        json!({
            "podSelector": {"matchLabels": {"app": app}}, "port": 80, "accessPolicy": access,
        })
    };
    let parent = json!({"group": "policy.linkerd.io", "kind": "Server", "name": "http"});
    let route = json!({"parentRefs": [parent], "rules": [{}]});
    let by_label = json!({
        "server": {"selector": {"matchLabels": {"name": "admin"}}},
        "client": {"unauthenticated": true},
    });
    let everywhere = json!({
        "targetRef": {"kind": "Namespace", "name": "shop"}, "requiredAuthenticationRefs": [],
    });
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    });
    let items = json!([
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
        },
        object("Server", "v1beta3", "http", &server("web", "deny")),
        object("Server", "v1beta3", "admin", &server("web", "audit")),
        object("Server", "v1beta3", "other", &server("db", "deny")),
        object("HTTPRoute", "v1beta3", "orders", &route),
        object("AuthorizationPolicy", "v1alpha1", "for-http", &target("Server", "http")),
        object("AuthorizationPolicy", "v1alpha1", "for-orders", &target("HTTPRoute", "orders")),
        object("AuthorizationPolicy", "v1alpha1", "for-other", &target("Server", "other")),
        object("ServerAuthorization", "v1beta1", "by-label", &by_label),
    ]);
    let list =
        |items: &Value| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    shell.kubectl(APPLY, &list(&items)).await?;

    let told = shell.ferrule(&["authz", "deploy/web", "-n=shop"]).await?;
    ensure!(
        told.stdout
            == "\
ROUTE                                SERVER   AUTHORIZATION_POLICY   SERVER_AUTHORIZATION
*                                    admin    -                      by-label
*                                    http     for-http               -
HTTPRoute.policy.linkerd.io/orders   http     for-orders             -
",
        "{}",
        told.stdout
    );
    ensure!(
        told.stderr.contains("Server admin lets in audit besides"),
        "{told:?}"
    );
    let policy = object("AuthorizationPolicy", "v1alpha1", "everywhere", &everywhere);
    shell.kubectl(APPLY, &list(&json!([policy]))).await?;
    let json = shell
        .told(&["authz", "deploy/web", "-n=shop", "-o=json"])
        .await?;
    let rows: Value = serde_json::from_str(&json)?;
    let of = |server: &str| {
        let rows = rows.as_array().into_iter().flatten();
        let rows = rows.filter(|row| row["authorizationPolicy"] == "everywhere");
        rows.filter(|row| row["server"] == server).count()
    };
    ensure!(
        (of("http"), of("admin"), of("other")) == (1, 1, 0),
        "{rows:#}"
    );

    // Where no Server is, something else decides.
    let delete = ["delete", "servers", "-n=shop", "http", "admin"];
    shell.kubectl(&delete, "").await?;
    let told = shell.ferrule(&["authz", "deploy/web", "-n=shop"]).await?;
    ensure!(told.code == Some(0) && told.stdout.is_empty(), "{told:?}");
    ensure!(
        told.stderr.contains("default-inbound-policy decides"),
        "{told:?}"
    );
    let refused = shell
        .refused(&["authz", "deploy/nobody", "-n=shop"])
        .await?;
    ensure!(
        refused.contains("there is no deployment shop/nobody"),
        "{refused}"
    );
    Ok(())
}
