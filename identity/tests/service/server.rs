//! The gRPC service, over a connection.

use crate::support::{Mesh, Proxy, verify};
use ferrule_identity::IdentityService;
use ferrule_proto::identity::{CertifyRequest, identity_client::IdentityClient};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code,
    transport::{Channel, Endpoint, Server},
};

async fn serve(mesh: &Mesh) -> IdentityClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = IdentityService::server(mesh.authority.clone());
    tokio::spawn(
        Server::builder()
            .max_concurrent_streams(u32::MAX)
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let endpoint = Endpoint::try_from(url).unwrap();
    IdentityClient::new(endpoint.connect().await.unwrap())
}

#[tokio::test]
async fn s33_a_thousand_calls_at_once_on_one_connection_are_answered() {
    let mesh = Mesh::new();
    let client = serve(&mesh).await;
    let mut calls = JoinSet::new();
    for number in 0..1000 {
        let name = format!("web-{number}");
        let proxy = Proxy::new(&name);
        let request = proxy.request(&mesh.token(&name));
        let mut client = client.clone();
        calls.spawn(async move { (proxy, client.certify(request).await) });
    }
    while let Some(call) = calls.join_next().await {
        let (proxy, answer) = call.unwrap();
        verify(&answer.unwrap().into_inner(), &mesh.root, &proxy.name);
    }
    assert_eq!(mesh.authority.stats().issued(), 1000);
}

#[tokio::test]
async fn a_refusal_travels_with_its_code_and_text() {
    let mesh = Mesh::new();
    let mut client = serve(&mesh).await;
    let request = Proxy::new("web").request(&mesh.token("other"));
    let status = client.certify(request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().starts_with("identity did not match token"));

    // What is too long for a header would break the connection.
    let absurd = CertifyRequest {
        identity: "é".repeat(20_000),
        ..Proxy::new("web").request(&mesh.token("web"))
    };
    let status = client.certify(absurd).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    let huge = CertifyRequest {
        token: vec![b'x'; 100 << 10],
        ..CertifyRequest::default()
    };
    let status = client.certify(huge).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let request = Proxy::new("web").request(&mesh.token("web"));
    client.certify(request).await.unwrap();
}
