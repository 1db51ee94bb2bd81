//! Who may call a port, told on a stream that stays open while the objects that
//! say so come and go: their CRDs, schemas and defaults are a real API server's.

use crate::{
    custom::{NAMESPACE, create, custom, patch},
    shop::Shop,
};
use ferrule_proto::inbound::{
    Server,
    authn::{Permit, PermitMeshTls, permit_mesh_tls::Clients},
    proxy_protocol::Kind,
};
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, TestProxy, crds::install};
use kube::api::DeleteParams;
use serde_json::json;

const LINKERD: &str = "policy.linkerd.io";

fn label<'s>(server: &'s Server, key: &str) -> &'s str {
    server.labels.get(key).map_or("", String::as_str)
}

/// The exact identities that are let in, if nobody else is.
fn identities(server: &Server) -> Vec<&str> {
    let [authz] = &server.authorizations[..] else {
        return Vec::new();
    };
    let authentication = authz.authentication.as_ref();
    match authentication.and_then(|authentication| authentication.permit.as_ref()) {
        Some(Permit::MeshTls(PermitMeshTls {
            clients: Some(Clients::Identities(clients)),
        })) if clients.suffixes.is_empty() => {
            let identities = clients.identities.iter();
            identities.map(|identity| identity.name.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn an_open_stream_is_told_who_is_let_in_from_the_moment_the_crds_are_installed()
-> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    cluster.node("a", None).await?;
    let _kubelet = cluster.kubelet(None, &["a"]).await?;
    let shop = Shop::open(&client, NAMESPACE, 1).await?;
    let flags = ["--roles=destination,policy", "--policy-addr=127.0.0.1:0"];
    let ferrule = Ferrule::start_with(cluster.kubeconfig(), &flags).await?;
    ferrule.ready().await?;
    ferrule
        .logged("does not serve authorizationpolicies")
        .await?;
    let proxy = TestProxy::builder("web")
        .policy(ferrule.address_of("policy").await?, "linkerd-destination")
        .workload(format!(
            r#"{{"ns":"{NAMESPACE}","pod":"{}"}}"#,
            shop.pod().await?
        ))
        .inbound_ports([8080])
        .start()
        .await?;
    let port = proxy.inbound(8080);
    let first = port.first().await?;
    assert_eq!(label(&first, "name"), "all-unauthenticated");

    install(&client).await?;
    let api = |version: &str, kind: &str| custom(&client, &format!("{LINKERD}/{version}"), kind);
    let servers = api("v1beta3", "Server");
    // The CRD's own default of accessPolicy is deny; the port has a name.
    let server = json!({
        "apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server", "metadata": {"name": "web"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}}, "port": "http",
            "proxyProtocol": "HTTP/1",
        },
    });
    create(&servers, server).await?;
    let denied = |server: &Server| {
        label(server, "kind") == "server"
            && label(server, "name") == "web"
            && server.authorizations.is_empty()
            && matches!(
                server.protocol.as_ref().and_then(|one| one.kind.as_ref()),
                Some(Kind::Http1(_))
            )
    };
    port.until("nobody let in", denied).await?;

    let policies = api("v1alpha1", "AuthorizationPolicy");
    let policy = json!({
        "apiVersion": "policy.linkerd.io/v1alpha1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "web"},
        "spec": {
            "targetRef": {"group": LINKERD, "kind": "Server", "name": "web"},
            "requiredAuthenticationRefs": [
                {"group": LINKERD, "kind": "MeshTLSAuthentication", "name": "office"},
            ],
        },
    });
    create(&policies, policy).await?;
    let authentications = api("v1alpha1", "MeshTLSAuthentication");
    let office = json!({
        "apiVersion": "policy.linkerd.io/v1alpha1", "kind": "MeshTLSAuthentication",
        "metadata": {"name": "office"},
        "spec": {"identityRefs": [{"kind": "ServiceAccount", "name": "office"}]},
    });
    create(&authentications, office).await?;
    let account = format!("office.{NAMESPACE}.serviceaccount.identity.linkerd.cluster.local");
    port.until("office let in", |server| identities(server) == [&*account])
        .await?;
    let other = json!({"spec": {"identityRefs": null, "identities": ["spiffe://x/y"]}});
    patch(&authentications, "office", other).await?;
    port.until("another let in", |server| {
        identities(server) == ["spiffe://x/y"]
    })
    .await?;

    let delete = DeleteParams::default();
    authentications.delete("office", &delete).await?;
    port.until("nobody let in", denied).await?;
    servers.delete("web", &delete).await?;
    port.until("the default", |server| {
        label(server, "name") == "all-unauthenticated"
    })
    .await?;
    Ok(())
}
