//! The gRPC service (see `ferrule_cluster::grpc`).

use crate::CertificateAuthority;
use ferrule_cluster::{
    grpc::{Call, Method, Methods, Response, Server},
    stream::message,
};
use ferrule_proto::identity::CertifyRequest;
use std::sync::Arc;
use tonic::Status;

/// `io.linkerd.proxy.identity.Identity`.
pub type IdentityServer = Server<IdentityService>;

/// The methods of the identity API.
#[derive(Clone, Debug)]
pub struct IdentityService(Arc<CertificateAuthority>);

impl IdentityService {
    /// A server that answers with what `authority` says. It is to be mounted where
    /// no client certificate is asked for (ruling 8): the token authenticates.
    pub fn server(authority: Arc<CertificateAuthority>) -> IdentityServer {
        Server::new(Self(authority))
    }

    async fn certify(&self, mut call: Call) -> Result<Response, Status> {
        let request: CertifyRequest = call.message().await?;
        let certified = self.0.certify(request).await?;
        Ok(call.unary(message(&certified)))
    }
}

impl Methods for IdentityService {
    const NAME: &'static str = "io.linkerd.proxy.identity.Identity";

    const METHODS: &'static [Method] = &[Method::unary("Certify")];

    async fn call(&self, method: &str, call: Call) -> Option<Result<Response, Status>> {
        match method {
            "Certify" => Some(self.certify(call).await),
            _ => None,
        }
    }
}
