//! Commands in the name of somebody else.

use crate::shell::{APPLY, Shell};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Cluster, Options};
use serde_json::json;

#[tokio::test]
async fn who_asks_as_somebody_else_may_what_they_may() -> Result<()> {
    let shell = Shell::new(Cluster::start(Options::default()).await?).await?;
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]);
    let group = json!({
        "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "readers",
    });
    let role = json!({
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "readers",
    });
    let items = json!([
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "readers"}, "rules": all,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "readers"}, "roleRef": role, "subjects": [group],
        },
    ]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    shell.kubectl(APPLY, &list.to_string()).await?;

    let uninstall = |flags: &[&'static str]| [&["uninstall", "--as=carol"], flags].concat();
    for groups in [
        &[][..],
        &["--as-group=writers"],
        &["--as-group=writers", "--as-group=others"],
    ] {
        let refused = shell.refused(&uninstall(groups)).await?;
        ensure!(
            refused.contains("cannot list pods: you may not"),
            "{groups:?}: {refused}"
        );
    }
    for groups in [
        ["--as-group=readers", "--as-group=writers"],
        ["--as-group=writers", "--as-group=readers"],
    ] {
        let told = shell.ferrule(&uninstall(&groups)).await?;
        ensure!(
            told.code == Some(0) && told.stderr.contains("nothing has the label"),
            "{groups:?}: {told:?}"
        );
    }
    let refused = shell.refused(&["uninstall", "--as-group=readers"]).await?;
    ensure!(refused.contains("--as <USER>"), "{refused}");
    Ok(())
}
