//! The webhooks of the binary over HTTPS, and the certificate that they are served
//! with, in files that somebody else renews.

use crate::ferrule::{Ferrule, directory, ferrule, output};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_RSA_SHA256};
use rustix::process::Signal;
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const PATIENCE: Duration = Duration::from_secs(120);

/// Who signs the webhooks' certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
struct Pair {
    der: CertificateDer<'static>,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pair(&self) -> Pair {
        self.pair_with(&KeyPair::generate().unwrap())
    }

    fn pair_with(&self, key: &KeyPair) -> Pair {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(key, &self.0).unwrap();
        Pair {
            der: certificate.der().clone(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    async fn connect(
        &self,
        addr: SocketAddr,
        version: &'static SupportedProtocolVersion,
        protocols: &[&str],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        let stream = TcpStream::connect(addr).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        timeout(PATIENCE, connecting).await.expect("TLS is done")
    }

    /// The certificate that is served to a new connection.
    async fn served(&self, addr: SocketAddr) -> CertificateDer<'static> {
        let stream = self.connect(addr, &TLS13, &[]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    async fn until_served(&self, addr: SocketAddr, pair: &Pair) {
        let served = async {
            while self.served(addr).await != pair.der {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, served).await.expect("it is served");
    }
}

impl Pair {
    fn write(&self, directory: &Path) {
        std::fs::write(directory.join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(directory.join("tls.key"), &self.key).unwrap();
    }
}

/// A Secret's mount: links to links to a directory that is swapped.
struct Mount {
    directory: TempDir,
    versions: u32,
}

impl Mount {
    fn new(pair: &Pair) -> Self {
        let mut mount = Self {
            directory: TempDir::new().unwrap(),
            versions: 0,
        };
        mount.swap(pair);
        for file in ["tls.crt", "tls.key"] {
            let target = Path::new("..data").join(file);
            std::os::unix::fs::symlink(target, mount.path().join(file)).unwrap();
        }
        mount
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn flag(&self) -> String {
        format!("--webhook-tls-dir={}", self.path().display())
    }

    fn swap(&mut self, pair: &Pair) {
        self.versions += 1;
        let version = format!("..{}", self.versions);
        let (link, fresh) = (self.path().join("..data"), self.path().join("..tmp"));
        std::fs::create_dir(self.path().join(&version)).unwrap();
        pair.write(&self.path().join(&version));
        std::os::unix::fs::symlink(&version, &fresh).unwrap();
        std::fs::rename(fresh, link).unwrap();
    }
}

/// Status and body of a review sent by HTTP/1.1.
async fn post(stream: &mut TlsStream<TcpStream>, body: &str) -> String {
    let request = format!(
        "POST /validate/profile HTTP/1.1\r\nhost: webhooks\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut response)).await;
    read.expect("an answer").unwrap();
    response
}

#[tokio::test]
async fn who_writes_while_a_connection_ends_is_not_reset() {
    let authority = Authority::new();
    let mount = Mount::new(&authority.pair());
    let server = Ferrule::serve(&directory(), &[&mount.flag()]).await;
    let addr = server.webhooks.expect("they are served");
    let mut stream = authority.connect(addr, &TLS13, &[]).await.unwrap();
    // The answer has been read to the end, which is also the connection's.
    let answer = post(&mut stream, "{}").await;
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    // A reset follows the first, if any, and fails the second.
    for _ in 0..2 {
        stream.write_all(b"POST ").await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn reviews_are_answered_by_tls_1_3_alone_and_http_2_is_offered() {
    let authority = Authority::new();
    let mount = Mount::new(&authority.pair());
    let server = Ferrule::serve(&directory(), &[&mount.flag()]).await;
    let addr = server.webhooks.expect("they are served");

    let both = ["h2", "http/1.1"];
    let stream = authority.connect(addr, &TLS13, &both).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert!(authority.connect(addr, &TLS12, &both).await.is_err());

    let review = r#"{"request": {"uid": "u", "object": {"metadata": {"name": "^.^"}}}}"#;
    let mut stream = authority.connect(addr, &TLS13, &[]).await.unwrap();
    let response = post(&mut stream, review).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("has invalid name"), "{response}");

    let (_, metrics) = server.get("/metrics").await;
    for line in [
        r#"webhook_requests_total{webhook="profile-validator",outcome="denied"} 1"#,
        r#"webhook_admission_seconds_count{webhook="profile-validator",allowed="false"} 1"#,
        r#"webhook_cert_expiry_timestamp_seconds{webhook="profile-validator"} "#,
        "webhook_cert_files_bad 0",
    ] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
    assert_eq!(server.stop(Signal::TERM).await, Some(0));
}

#[tokio::test]
async fn a_renewed_certificate_is_served_at_once_and_a_bad_one_never() {
    let authority = Authority::new();
    let first = authority.pair();
    let mut mount = Mount::new(&first);
    let server = Ferrule::serve(&directory(), &[&mount.flag()]).await;
    let addr = server.webhooks.expect("they are served");
    assert_eq!(authority.served(addr).await, first.der);

    // The chart makes RSA keys.
    let second = authority.pair_with(&KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());
    mount.swap(&second);
    authority.until_served(addr, &second).await;

    let mut mismatched = authority.pair();
    mismatched.key = first.key.clone();
    let mut garbage = authority.pair();
    garbage.certificate = "nonsense".to_owned();
    for bad in [mismatched, garbage] {
        mount.swap(&bad);
        until_metric(&server, "webhook_cert_files_bad 1").await;
        assert_eq!(authority.served(addr).await, second.der);
        mount.swap(&second);
        until_metric(&server, "webhook_cert_files_bad 0").await;
    }
    std::fs::remove_file(mount.path().join("..data")).unwrap();
    until_metric(&server, "webhook_cert_files_bad 1").await;
    assert_eq!(authority.served(addr).await, second.der);
    let third = authority.pair();
    mount.swap(&third);
    authority.until_served(addr, &third).await;
    until_metric(&server, "webhook_cert_reloads_total 2").await;
    until_metric(&server, "webhook_cert_reload_failures_total 3").await;
    until_metric(&server, "webhook_cert_files_bad 0").await;
}

async fn until_metric(server: &Ferrule, line: &str) {
    let found = async {
        while !server
            .get("/metrics")
            .await
            .1
            .contains(&format!("\n{line}\n"))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("never {line}"));
}

#[tokio::test]
async fn a_bad_certificate_at_start_is_exit_1_with_the_name_of_the_file() {
    let authority = Authority::new();
    let shop = directory();
    let mut mismatched = authority.pair();
    mismatched.key = authority.pair().key;
    let mut no_key = authority.pair();
    no_key.key = "nonsense".to_owned();
    for (pair, told) in [
        (Some(mismatched), "tls.key"),
        (Some(no_key), "tls.key"),
        (None, "tls.crt"),
    ] {
        let files = TempDir::new().unwrap();
        if let Some(pair) = pair {
            pair.write(files.path());
        }
        let flag = format!("--webhook-tls-dir={}", files.path().display());
        let manifests = shop.path().to_str().unwrap();
        let command = ferrule(&[
            "serve",
            "--roles=destination",
            "--manifests",
            manifests,
            &flag,
        ]);
        let (status, _, said) = output(command).await;
        assert_eq!(status, Some(1), "{said}");
        let path = files.path().join(told);
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        assert!(said.contains("--webhook-tls-dir"), "{said}");
    }
}

#[tokio::test]
async fn without_a_certificate_there_are_no_webhooks() {
    let server = Ferrule::serve(&directory(), &[]).await;
    assert_eq!(server.webhooks, None);
    let (_, metrics) = server.get("/metrics").await;
    assert!(!metrics.contains("\nwebhook_requests_total{"), "{metrics}");
}
