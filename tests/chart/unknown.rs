//! What no API server can be made to ask.

use crate::{
    helm::{NAMESPACE, ask},
    running::Running,
};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster};
use k8s_openapi::ByteString;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Who is quicker than the injector's watches is looked up: as nobody can be that for
/// certain, the injector is asked about what does not exist.
pub(crate) async fn ask_for_what_nobody_knows(running: &Running) -> Result<()> {
    let bundle = ca_bundle(&running.cluster).await?;
    let address = running.injector.address_of("webhooks").await?;
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    for (namespace, kind) in [
        ("nowhere", "ReplicaSet"),
        ("shop", "ReplicaSet"),
        ("shop", "Job"),
    ] {
        let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"generateName": "a-", "ownerReferences": [{
                "apiVersion": version, "kind": kind, "name": "nobody", "uid": "0",
                "controller": true,
            }]},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        });
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "operation": "CREATE", "namespace": namespace, "dryRun": true,
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "userInfo": {}, "object": pod,
            },
        });
        let answer = post(address, &bundle, "/inject", &review).await?;
        let expected = if namespace == "nowhere" {
            " 500 "
        } else {
            " 200 "
        };
        ensure!(answer.contains(expected), "{answer}");
    }
    Ok(())
}

async fn post(address: SocketAddr, bundle: &[u8], path: &str, body: &Value) -> Result<String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let name = ServerName::try_from(format!("linkerd-proxy-injector.{NAMESPACE}.svc"))?;
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(name, stream).await?;
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    // Some end without saying so by TLS.
    let _ = stream.read_to_string(&mut answer).await;
    Ok(answer)
}

async fn ca_bundle(cluster: &Cluster) -> Result<Vec<u8>> {
    let get = [
        "get",
        "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config",
        "--output=jsonpath={.webhooks[0].clientConfig.caBundle}",
    ];
    let text = ask(cluster, Kubectl, &get).await?;
    let bundle: ByteString = serde_json::from_value(json!(text))?;
    Ok(bundle.0)
}
