//! A proxy's first conversation, whole, over mesh TLS: certificate, discovery,
//! policy, with tokens that a real API server made and reviews.

use crate::shop::Shop;
use anyhow::Context as _;
use ferrule_test_cluster::Cluster;
use ferrule_tests::{ClientCertificate, Ferrule, Scrape, TestAuthority, TestProxy, Transport};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client, api::PostParams};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

const IDENTITY: &str = "linkerd-identity.linkerd.serviceaccount.identity.linkerd.cluster.local";
const DESTINATION: &str =
    "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local";

/// Writes a token of the default service account, as a kubelet would mount it.
async fn write_token(client: Client, namespace: &str, file: &Path) -> anyhow::Result<()> {
    write_token_of("default", client, namespace, file).await
}

async fn write_token_of(
    account: &str,
    client: Client,
    namespace: &str,
    file: &Path,
) -> anyhow::Result<()> {
    let request = serde_json::from_value(serde_json::json!({
        "metadata": {},
        "spec": {"audiences": ["identity.l5d.io"], "expirationSeconds": 3600},
    }))?;
    let token = Api::<ServiceAccount>::namespaced(client, namespace)
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .context("asking for a token")?;
    let token = token.status.context("the API server answers")?.token;
    std::fs::write(file, token)?;
    Ok(())
}

/// The issuer and the anchors, as `--issuer-dir` and `--trust-anchors` read them.
fn write_authority(authority: &TestAuthority, directory: &Path) -> std::io::Result<()> {
    for (file, pem) in [
        ("crt.pem", authority.issuer_pem()),
        ("key.pem", authority.issuer_key_pem()),
        ("anchors.pem", authority.anchors_pem()),
    ] {
        std::fs::write(directory.join(file), pem)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_is_certified_and_told_endpoints_and_policy_by_mesh_tls() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("conversation").await?;
    cluster.node("conversation-a", None).await?;
    let _kubelet = cluster
        .kubelet(Some(namespace.name()), &["conversation-a"])
        .await?;
    let shop = Shop::open(&cluster.client()?, namespace.name(), 1).await?;
    let authority = TestAuthority::new()?;
    let files = TempDir::new()?;
    let directory = files.path().display();
    write_authority(&authority, files.path())?;
    let ferrule = Ferrule::start_with(
        cluster.kubeconfig(),
        &[
            "--roles=destination,policy,identity",
            "--mesh-tls=always",
            "--identity-addr=127.0.0.1:0",
            "--policy-addr=127.0.0.1:0",
            &format!("--issuer-dir={directory}"),
            &format!("--trust-anchors={directory}/anchors.pem"),
            // Renewed while the test looks on.
            "--identity-issuance-lifetime=14s",
            "--identity-clock-skew-allowance=2s",
        ],
    )
    .await?;
    ferrule.ready().await?;

    let token = files.path().join("token");
    write_token(cluster.client()?, namespace.name(), &token).await?;
    let name = format!("default.{namespace}.serviceaccount.identity.linkerd.cluster.local");
    let (identity, policy) = (
        ferrule.address_of("identity").await?,
        ferrule.address_of("policy").await?,
    );
    let builder = |name: &str| {
        TestProxy::builder(name)
            .identity(identity, IDENTITY)
            .destination(ferrule.destination(), DESTINATION)
            .policy(policy, DESTINATION)
            .transport(Transport::MeshTls)
            .trust_anchors(authority.anchors_pem())
            .token_file(&token)
            .refresh(Duration::from_secs(2), Duration::from_secs(3600))
    };
    let pod = shop.pod().await?;
    let workload = format!(r#"{{"ns":"{namespace}","pod":"{pod}"}}"#);
    let proxy = builder(&name).workload(&workload).inbound_ports([8080]);
    let proxy = proxy.start().await?;

    let certificate = proxy.certificate();
    let first = certificate.first().await?;
    let web = proxy.endpoints(&shop.authority(80));
    assert_eq!(web.first().await?.len(), 1);
    let inbound = proxy.inbound(8080);
    let told = inbound.first().await?;
    assert_eq!(told.labels["name"], "all-unauthenticated");
    let ip = shop.cluster_ip().await?;
    let outbound = proxy.outbound(format!("{ip}:80").parse()?).first().await?;
    assert!(outbound.metadata.is_some(), "a parent");

    // A changed default arrives on the open stream.
    shop.annotate_pod(&pod, "config.linkerd.io/default-inbound-policy", "deny")
        .await?;
    inbound
        .until("deny", |server| server.labels["name"] == "deny")
        .await?;

    // Somebody else's name is refused, and so is a client without a certificate.
    let other = format!("other.{namespace}.serviceaccount.identity.linkerd.cluster.local");
    let stranger = builder(&other)
        .client_certificate(ClientCertificate::None)
        .start()
        .await?;
    let refused = stranger.certificate().failure().await?;
    assert!(
        refused.to_string().contains("did not match token"),
        "{refused}"
    );
    let refused = stranger.endpoints(&shop.authority(80)).failure().await;
    assert!(refused.is_ok(), "destination wants a certificate");

    // Renewed, with streams that stay open through our own renewals, too.
    let renewed = certificate
        .until("another certificate", |now| now.serial() != first.serial())
        .await?;
    assert!(renewed.valid_until() > first.valid_until());
    shop.scale(2).await?;
    web.until("two endpoints", |set| set.len() == 2).await?;
    let mismatches = "certificates_refused_total{reason=\"identity_mismatch\"}";
    assert!(
        ferrule
            .metric(mismatches)
            .await?
            .is_some_and(|count| count >= 1.0)
    );
    let certify = [("grpc_method", "Certify"), ("grpc_type", "unary")];
    let now = ferrule.scrape().await?;
    for (code, least) in [("OK", 2.0), ("FailedPrecondition", 1.0)] {
        let handled = [certify[0], certify[1], ("grpc_code", code)];
        let handled = now.sum("grpc_server_handled_total", &handled);
        assert!(handled >= Some(least), "{code}: {now}");
    }
    assert!(
        now.sum("grpc_server_started_total", &certify) >= Some(3.0),
        "{now}"
    );
    Ok(())
}

/// As the chart deploys it: the signing key is in a pod of its own.
#[tokio::test]
async fn destination_is_certified_by_identity_in_another_process() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("two-processes").await?;
    let client = cluster.client()?;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace.name());
    let account = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "linkerd-destination"},
    }))?;
    accounts.create(&PostParams::default(), &account).await?;
    let authority = TestAuthority::new()?;
    let files = TempDir::new()?;
    let directory = files.path().display();
    write_authority(&authority, files.path())?;
    let own_token = files.path().join("own-token");
    write_token_of(
        "linkerd-destination",
        client.clone(),
        namespace.name(),
        &own_token,
    )
    .await?;
    // Free a moment ago: destination is to know it before identity is there.
    let identity_addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let shared = [
        "--mesh-tls=always".to_owned(),
        format!("--control-plane-namespace={namespace}"),
        format!("--trust-anchors={directory}/anchors.pem"),
    ];
    let destination_flags = [
        "--roles=destination,policy".to_owned(),
        "--policy-addr=127.0.0.1:0".to_owned(),
        format!("--identity-svc-addr={identity_addr}"),
        format!("--identity-token={}", own_token.display()),
    ];
    let identity_flags = [
        "--roles=identity".to_owned(),
        format!("--identity-addr={identity_addr}"),
        format!("--issuer-dir={directory}"),
        "--identity-issuance-lifetime=14s".to_owned(),
        "--identity-clock-skew-allowance=2s".to_owned(),
    ];
    let start = async |flags: &[String]| {
        let flags: Vec<_> = shared.iter().chain(flags).map(String::as_str).collect();
        Ferrule::start_with(cluster.kubeconfig(), &flags).await
    };

    let destination = start(&destination_flags).await?;
    destination.logged("cannot get a certificate").await?;
    assert!(!destination.is_ready().await?, "it has no certificate");
    let identity = start(&identity_flags).await?;
    identity.ready().await?;
    destination.ready().await?;

    let token = files.path().join("token");
    write_token(client, namespace.name(), &token).await?;
    let in_mesh = |account: &str| {
        format!("{account}.{namespace}.serviceaccount.identity.{namespace}.cluster.local")
    };
    let proxy = TestProxy::builder(&in_mesh("default"))
        .identity(identity_addr, &in_mesh("linkerd-identity"))
        .destination(destination.destination(), &in_mesh("linkerd-destination"))
        .policy(
            destination.address_of("policy").await?,
            &in_mesh("linkerd-destination"),
        )
        .transport(Transport::MeshTls)
        .trust_anchors(authority.anchors_pem())
        .token_file(&token)
        .refresh(Duration::from_secs(2), Duration::from_secs(3600))
        .start()
        .await?;
    proxy.certificate().first().await?;
    let profile = proxy.profile("192.0.2.1:80").first().await?;
    assert!(profile.endpoint.is_some());

    // Identity goes and comes back: destination serves on and is certified anew.
    let server = [("server", "linkerd-destination")];
    let expiry = |now: &Scrape| now.sum("served_certificate_expiration_timestamp_seconds", &server);
    let first = expiry(&destination.scrape().await?).context("it has one")?;
    identity.kill().await?;
    assert!(destination.is_ready().await?);
    let identity = start(&identity_flags).await?;
    identity.ready().await?;
    destination
        .scraped("another certificate", |now| expiry(now) > Some(first))
        .await?;
    assert!(destination.is_ready().await?);
    let profile = proxy.profile("192.0.2.2:80").first().await?;
    assert!(profile.endpoint.is_some());
    Ok(())
}
