//! Two workloads talk mesh TLS with their certificates: TLS 1.3, each knows the
//! other.

use crate::support::{Authority, CN, DAY, DC, ID, Mesh, Request, name, now, p256, p384, rsa};
use ferrule_identity::{Issuer, Leaf, TrustAnchors};
use rcgen::KeyPair;
use rustls::{
    ClientConfig, ClientConnection, Error, ProtocolVersion, RootCertStore, ServerConfig,
    ServerConnection,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    server::WebPkiClientVerifier,
    time_provider::TimeProvider,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

const API: &str = "api.emojivoto.serviceaccount.identity.linkerd.cluster.local";

#[derive(Debug)]
struct Clock(SystemTime);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = self.0.duration_since(UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// What a workload has: its key, and what Certify answered.
struct Workload {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    roots: Arc<RootCertStore>,
    clock: SystemTime,
}

impl Workload {
    fn new(mesh: &Mesh, identity: &str) -> Self {
        let request = Request::bootstrap(identity);
        let leaf = mesh.certify(&request, identity);
        Self::with(leaf, request.key, &mesh.issuer, &mesh.anchors)
    }

    fn with(leaf: Leaf, key: KeyPair, issuer: &Issuer, anchors: &TrustAnchors) -> Self {
        let leaf = CertificateDer::from(leaf.der);
        let parents = issuer.response_chain().iter();
        Self {
            chain: [leaf]
                .into_iter()
                .chain(parents.map(|parent| parent.der().clone()))
                .collect(),
            key,
            roots: Arc::new(anchors.root_store()),
            clock: now(),
        }
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    fn client(&self) -> ClientConfig {
        let mut config =
            ClientConfig::builder_with_details(provider(), Arc::new(Clock(self.clock)))
                .with_protocol_versions(&[&TLS13])
                .unwrap()
                .with_root_certificates(self.roots.clone())
                .with_client_auth_cert(self.chain.clone(), self.key())
                .unwrap();
        config.resumption = Resumption::disabled();
        config
    }

    fn server(&self) -> ServerConfig {
        let roots = self.roots.clone();
        let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .unwrap();
        ServerConfig::builder_with_details(provider(), Arc::new(Clock(self.clock)))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(self.chain.clone(), self.key())
            .unwrap()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Lets them talk until both are content.
fn shake_hands(
    client: ClientConfig,
    name: &str,
    server: ServerConfig,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((client, server))
}

fn talk(mesh: &Mesh) {
    let (web, api) = (Workload::new(mesh, ID), Workload::new(mesh, API));
    let (client, server) = shake_hands(web.client(), API, api.server()).unwrap();
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(server.peer_certificates().unwrap(), web.chain);
    assert_eq!(client.peer_certificates().unwrap(), api.chain);
}

#[test]
fn workloads_know_each_other() {
    talk(&Mesh::new());
    talk(&Mesh::of(Authority::root("alone"), &[]));
}

#[test]
fn workloads_know_each_other_under_all_kinds_of_authorities() {
    for (root, issuer) in [(p256(), p384()), (rsa(), p256()), (p384(), p384())] {
        let root = Authority::root_with("root", root, |_| {});
        let issuer = root.sign_with("issuer", issuer, |_| {});
        talk(&Mesh::of(root, &[&issuer]));
    }
    let root = Authority::root("root");
    let middle = root.sign("middle");
    let issuer = middle.sign("issuer");
    talk(&Mesh::of(root, &[&issuer, &middle]));
    let dn = name(&[(DC, "com"), (DC, "corp"), (CN, "root")]);
    talk(&Mesh::of(
        Authority::root("root").renamed(&dn, None, &dn),
        &[],
    ));
}

#[test]
fn a_server_is_who_it_is() {
    let mesh = Mesh::new();
    let (web, api) = (Workload::new(&mesh, ID), Workload::new(&mesh, API));
    let refused = shake_hands(web.client(), ID, api.server());
    assert!(matches!(refused, Err(Error::InvalidCertificate(_))));
}

#[test]
fn meshes_do_not_mix() {
    let (ours, theirs) = (Mesh::new(), Mesh::new());
    let (web, api) = (Workload::new(&ours, ID), Workload::new(&theirs, API));
    assert!(shake_hands(web.client(), API, api.server()).is_err());
    // The client believes in both, the server does not.
    let mut both = Workload::new(&ours, ID);
    let anchors = crate::support::anchors(&[&ours.root, &theirs.root]);
    both.roots = Arc::new(anchors.root_store());
    let refused = shake_hands(both.client(), API, api.server());
    assert!(matches!(refused, Err(Error::InvalidCertificate(_))));
}

#[test]
fn an_expired_certificate_is_none() {
    let mesh = Mesh::new();
    let web = Workload::new(&mesh, ID);
    let mut api = Workload::new(&mesh, API);
    api.clock = now() + 2 * DAY;
    let refused = shake_hands(web.client(), API, api.server());
    assert!(matches!(refused, Err(Error::InvalidCertificate(_))));
}
