//! Malformed requests and tokens by the thousand: nothing panics, nobody is certified
//! who may not be, and no token gets into an answer or the log. `make fuzz` has more of
//! them than `make test`.

use crate::{
    mutations::spoilt,
    support::{Log, Mesh, Proxy, verify},
};
use ferrule_identity::{CertificateRequest, TrustAnchors};
use ferrule_proto::identity::CertifyRequest;
use proptest::prelude::*;
use std::sync::LazyLock;

static MESH: LazyLock<Mesh> = LazyLock::new(Mesh::new);

/// What proxies of these tests are called.
const ID: &str = "web.emojivoto.serviceaccount.identity.linkerd.cluster.local";

fn certify(request: CertifyRequest) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let answer = runtime.block_on(MESH.authority.certify(request));
    let answer = answer.map_err(|refusal| refusal.to_string())?;
    // Whoever is certified after all gets nothing but the name they have a token for.
    verify(&answer, &MESH.root, &Proxy::new("web").name);
    Ok(())
}

proptest! {
    #[test]
    fn fuzz_requests(csr in spoilt("requests"), identity in prop_oneof![Just(ID.to_owned()), ".{0,80}"]) {
        let token = MESH.token("web");
        let certified = certify(CertifyRequest {
            identity: identity.clone(),
            token: token.as_bytes().to_vec(),
            certificate_signing_request: csr.clone(),
        });
        match certified {
            Ok(()) => prop_assert_eq!(identity, ID),
            Err(text) => prop_assert!(!text.contains(&token)),
        }
        // The same without all that stands before it.
        if let Ok(request) = CertificateRequest::parse(&csr)
            && request.verify_possession().is_ok()
            && request.check(ID).is_ok()
        {
            prop_assert!(String::from_utf8_lossy(&csr).contains(ID));
        }
    }

    #[test]
    fn fuzz_tokens(token in spoilt("tokens")) {
        let (log, _guard) = Log::begin();
        let request = CertifyRequest {
            token: token.clone(),
            ..Proxy::new("web").request("")
        };
        let refused = certify(request).expect_err("nobody has issued it");
        let text = String::from_utf8_lossy(&token);
        let text = text.trim();
        if text.len() > 20 {
            prop_assert!(!refused.contains(text));
            prop_assert!(!log.text().contains(text));
        }
    }

    #[test]
    fn fuzz_bundles(pem in spoilt("bundles")) {
        if let Ok(anchors) = TrustAnchors::from_pem(&pem) {
            prop_assert!(!anchors.certificates().is_empty());
        }
    }
}
