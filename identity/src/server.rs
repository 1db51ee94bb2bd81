//! The gRPC service.

use crate::CertificateAuthority;
use ferrule_proto::identity::{
    CertifyRequest, CertifyResponse,
    identity_server::{Identity, IdentityServer},
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The largest request: a name, a token and a signing request are some 3 KiB.
const MAX_REQUEST: usize = 64 << 10;

/// `io.linkerd.proxy.identity.Identity`.
#[derive(Clone, Debug)]
pub struct IdentityService(Arc<CertificateAuthority>);

impl IdentityService {
    /// A server that answers with what `authority` says. It is to be mounted where
    /// no client certificate is asked for (ruling 8): the token authenticates.
    pub fn server(authority: Arc<CertificateAuthority>) -> IdentityServer<Self> {
        IdentityServer::new(Self(authority)).max_decoding_message_size(MAX_REQUEST)
    }
}

#[tonic::async_trait]
impl Identity for IdentityService {
    async fn certify(
        &self,
        request: Request<CertifyRequest>,
    ) -> Result<Response<CertifyResponse>, Status> {
        let certified = self.0.certify(request.into_inner()).await?;
        Ok(Response::new(certified))
    }
}
