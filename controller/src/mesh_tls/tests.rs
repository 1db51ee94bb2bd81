use super::{
    Certifier, ClientAuth, Connections, Handshakes, OwnCertificate, RemoteIdentity,
    acceptor::HANDSHAKE_TIMEOUT,
};
use ferrule_identity::{
    Authenticator, CertificateAuthority, IdentityName, IdentityScope, StateDirectory, Validity,
};
use futures::StreamExt as _;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    fs,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// An authority of its own, and what of its process is to be certified.
struct Process {
    authority: Arc<CertificateAuthority>,
    own: Arc<OwnCertificate>,
    name: IdentityName,
    folder: TempDir,
}

impl Process {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let scope = IdentityScope::new("linkerd", "cluster.local").unwrap();
        let state = StateDirectory::open(folder.path().join("state")).unwrap();
        let tokens = state.token_issuer().unwrap().verifier();
        let authority = CertificateAuthority::new(
            scope.clone(),
            Validity::default(),
            Authenticator::Local(tokens),
        );
        authority.install(state.credentials(&scope, SystemTime::now()).unwrap());
        let service_account = "linkerd-destination";
        let name = scope.service_account("linkerd", service_account).unwrap();
        Self {
            authority: Arc::new(authority),
            own: Arc::new(OwnCertificate::new(name.clone(), service_account).unwrap()),
            name,
            folder,
        }
    }

    /// Its trust anchors, PEM.
    fn anchors(&self) -> String {
        let credentials = self.authority.credentials().unwrap();
        String::from_utf8(credentials.anchors.pem().to_vec()).unwrap()
    }

    /// Certifies it in this process.
    async fn certified(&self) {
        let certifier = Certifier::local(self.authority.clone());
        let stop = CancellationToken::new();
        let running = tokio::spawn(self.own.clone().run(certifier, stop.clone()));
        let mut served = self.own.subscribe();
        served.wait_for(Option::is_some).await.unwrap();
        stop.cancel();
        running.await.unwrap();
    }

    /// Identity where nobody is, with these anchors in a file.
    fn remote(&self, anchors: &str) -> RemoteIdentity {
        let file = self.folder.path().join("ca-bundle.crt");
        fs::write(&file, anchors).unwrap();
        let token = self.folder.path().join("token");
        let nowhere = "127.0.0.1:1".to_owned();
        RemoteIdentity::new(nowhere, self.name.clone(), token, file, false).unwrap()
    }

    fn write_anchors(&self, pem: &str) {
        fs::write(self.folder.path().join("ca-bundle.crt"), pem).unwrap();
    }
}

#[tokio::test]
async fn anchors_are_reloaded_if_they_are_others_and_good() {
    let (ours, theirs) = (Process::new(), Process::new());
    let old = ours.anchors();
    let both = format!("{old}{}", theirs.anchors());
    let mut certifier = Certifier::Remote(ours.remote(&old));
    let mut reloaded = || {
        let anchors = certifier.reload()?;
        Some(anchors.certificates().len())
    };
    assert_eq!(reloaded(), None, "they are the same");
    ours.write_anchors(&both);
    assert_eq!(reloaded(), Some(2));
    assert_eq!(reloaded(), None, "they are the same");
    for bad in ["", "garbage", &both[..both.len() - 40]] {
        ours.write_anchors(bad);
        assert_eq!(reloaded(), None, "{bad}");
    }
    fs::remove_file(ours.folder.path().join("ca-bundle.crt")).unwrap();
    assert_eq!(reloaded(), None, "gone");
    ours.write_anchors(&both);
    assert_eq!(reloaded(), None, "those that stayed in use");
    ours.write_anchors(&old);
    assert_eq!(reloaded(), Some(1));
}

/// The first attempt comes before the file is looked at anyway, and fails.
#[tokio::test]
async fn anchors_are_read_before_identity_is_asked() {
    let (ours, theirs) = (Process::new(), Process::new());
    ours.certified().await;
    let identity = ours.remote(&ours.anchors());
    ours.write_anchors(&format!("{}{}", ours.anchors(), theirs.anchors()));
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    tokio::spawn(ours.own.clone().run(Certifier::Remote(identity), stop));
    let mut served = ours.own.subscribe();
    let knows_both = served.wait_for(|served| {
        let served = served.as_ref().unwrap();
        served.anchors().certificates().len() == 2
    });
    let knows_both = timeout(Duration::from_secs(8), knows_both).await;
    assert!(knows_both.is_ok(), "only when it was looked at anyway");
}

/// Five seconds fly while nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_go_on_with_its_handshake_is_let_go() {
    let process = Process::new();
    process.certified().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let handshakes = Arc::<Handshakes>::default();
    let connections = Connections::MeshTls {
        listener,
        certificate: process.own.clone(),
        auth: ClientAuth::None,
        handshakes: handshakes.clone(),
    };
    let mut accepted = connections.accept();
    let started = Instant::now();
    let mut silent = TcpStream::connect(addr).await.unwrap();

    // Nobody waits for it.
    tokio::time::resume();
    let credentials = process.authority.credentials().unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(credentials.anchors.root_store())
        .with_no_client_auth();
    let name = ServerName::try_from(process.name.to_string()).unwrap();
    let other = TcpStream::connect(addr).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let (served, done) = tokio::join!(accepted.next(), connector.connect(name, other));
    assert!(served.is_some_and(|served| served.is_ok()));
    done.unwrap();
    assert_eq!(handshakes.done.load(Relaxed), 1);
    assert_eq!(handshakes.timed_out.load(Relaxed), 0);

    tokio::time::pause();
    let read = silent.read(&mut [0; 1]).await;
    assert_eq!(read.unwrap(), 0, "it is closed");
    assert!(started.elapsed() >= HANDSHAKE_TIMEOUT);
    assert_eq!(handshakes.timed_out.load(Relaxed), 1);
    assert_eq!(handshakes.failed.load(Relaxed), 0);
}
