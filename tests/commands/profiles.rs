//! ServiceProfiles that the command makes, as the API server and its webhooks' code take
//! them.

use crate::shell::{APPLY, Shell};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Cluster, Options};
use serde_json::json;
use tempfile::TempDir;

#[tokio::test]
async fn a_profile_is_made_of_what_a_service_says_of_itself() -> Result<()> {
    let shell = Shell::new(Cluster::start(Options::default()).await?).await?;
    shell.pipe(&["install", "--crds"], APPLY).await?;
    let wait = [
        "wait",
        "--for=condition=Established",
        "crd/serviceprofiles.linkerd.io",
    ];
    shell.kubectl(&wait, "").await?;
    shell
        .pipe(&["install", "--cluster-domain=corp.test"], APPLY)
        .await?;
    let folder = TempDir::new()?;
    let write = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let swagger = json!({
        "swagger": "2.0", "basePath": "/v1",
        "paths": {"/books/{id}": {"get": {"responses": {"200": {}}, "x-linkerd-timeout": "2s"}}},
    });
    let swagger = write("swagger.json", &swagger.to_string())?;
    let open_api = "openapi: 3.0.0\npaths:\n  /ping: {get: {}}\n";
    let open_api = write("openapi.yaml", open_api)?;
    let proto = "syntax = \"proto3\"; package shop; message A {}\n\
                 service Orders { rpc Place(A) returns (A); }";
    let proto = write("orders.proto", proto)?;
    for (source, path, route) in [
        ("--template", None, "GET /books/{id}"),
        ("--open-api", Some(&swagger), "GET /v1/books/{id}"),
        ("--open-api", Some(&open_api), "GET /ping"),
        ("--proto", Some(&proto), "/shop.Orders/Place"),
    ] {
        let mut args = vec!["profile", "web", source];
        args.extend(path.map(String::as_str));
        shell.pipe(&args, APPLY).await?;
        let made = shell.get(&["sp/web.default.svc.corp.test"]).await?;
        ensure!(
            made["spec"]["routes"][0]["name"] == route,
            "{source}: {made}"
        );
        let json = [&args[..], &["-o=json", "--ignore-cluster"]].concat();
        let json: serde_json::Value = serde_json::from_str(&shell.told(&json).await?)?;
        ensure!(
            json["metadata"]["name"] == "web.default.svc.cluster.local",
            "{json}"
        );
    }
    let wrong = write(
        "wrong.yaml",
        "openapi: 3.0.0\npaths: {/a: {get: {x-linkerd-timeout: soon}}}",
    )?;
    let refused = shell
        .refused(&["profile", "web", "--open-api", &wrong, "--ignore-cluster"])
        .await?;
    ensure!(refused.contains("soon"), "{refused}");
    let refused = shell
        .refused(&["profile", "web", "--proto", "/no/file", "--ignore-cluster"])
        .await?;
    ensure!(refused.contains("cannot read /no/file"), "{refused}");
    Ok(())
}
