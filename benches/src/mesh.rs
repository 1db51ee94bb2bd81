//! The certificates of the mesh that is measured, and what its proxies ask for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ferrule_proto::identity::CertifyRequest;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::protocol::{ClientCertificate, Tls};

/// Where the control plane is, unless told otherwise.
const CONTROL_PLANE: &str = "linkerd";
const TRUST_DOMAIN: &str = "cluster.local";
const ANCHORS: &str = "anchors.pem";
/// As linkerd.io/tls calls the issuer's files.
const ISSUER: [&str; 2] = ["crt.pem", "key.pem"];
const PROXY: [&str; 2] = ["proxy.pem", "proxy-key.pem"];

/// A trust anchor, the issuer below it, and a proxy's certificate, as files. All keys are P-256,
/// which proxies' always are, and issuers' usually.
pub(crate) struct Mesh {
    folder: TempDir,
    issuer: Authority,
}

impl Mesh {
    pub(crate) fn create() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ferrule-bench-mesh-")
            .tempdir()?;
        let root = Authority::root("root.linkerd.cluster.local")?;
        let issuer = root.subordinate("identity.linkerd.cluster.local")?;
        let mesh = Self { folder, issuer };
        mesh.write(ANCHORS, &root.pem)?;
        mesh.write(ISSUER[0], &mesh.issuer.pem)?;
        mesh.write(ISSUER[1], &mesh.issuer.issuer.key().serialize_pem())?;
        let proxy = mesh.issue(&identity("default", "shop-0"))?;
        mesh.write(PROXY[0], &proxy.chain)?;
        mesh.write(PROXY[1], &proxy.key)?;
        Ok(mesh)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The file of the trust anchors.
    pub(crate) fn trust_anchors(&self) -> PathBuf {
        self.folder.path().join(ANCHORS)
    }

    /// The folder of the issuer's certificate and key.
    pub(crate) fn issuer_dir(&self) -> &Path {
        self.folder.path()
    }

    /// How a proxy connects to destination: it has its certificate by then.
    pub(crate) fn to_destination(&self) -> Tls {
        let [chain, key] = PROXY.map(|name| self.folder.path().join(name));
        Tls {
            trust_anchors: self.trust_anchors(),
            server_name: control_plane("linkerd-destination"),
            certificate: Some(ClientCertificate { chain, key }),
            alpn: false,
        }
    }

    /// A certificate as identity would give it.
    pub(crate) fn issue(&self, name: &str) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let mut params = named(name)?;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer.issuer)?;
        Ok(Issued {
            chain: leaf.pem() + &self.issuer.pem,
            key: key.serialize_pem(),
        })
    }
}

/// A certificate with the one that signed it, and its key; PEM.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// How a proxy without a certificate, as all are at first, connects to identity.
pub(crate) fn to_identity(trust_anchors: PathBuf) -> Tls {
    Tls {
        trust_anchors,
        server_name: control_plane("linkerd-identity"),
        certificate: None,
        alpn: false,
    }
}

/// What a proxy of `account` in `namespace` asks identity for: a new key, and a request with a
/// common name and one DNS name.
pub(crate) fn certify_request(
    account: &str,
    namespace: &str,
    token: &str,
) -> Result<CertifyRequest> {
    let identity = identity(account, namespace);
    let request = named(&identity)?.serialize_request(&KeyPair::generate()?)?;
    Ok(CertifyRequest {
        identity,
        token: token.as_bytes().to_vec(),
        certificate_signing_request: request.der().to_vec(),
    })
}

fn control_plane(account: &str) -> String {
    identity(account, CONTROL_PLANE)
}

fn identity(account: &str, namespace: &str) -> String {
    format!("{account}.{namespace}.serviceaccount.identity.{CONTROL_PLANE}.{TRUST_DOMAIN}")
}

fn named(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Who signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn root(name: &str) -> Result<Self> {
        let (params, key) = (Self::params(name)?, KeyPair::generate()?);
        Ok(Self {
            pem: params.self_signed(&key)?.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    fn subordinate(&self, name: &str) -> Result<Self> {
        let (mut params, key) = (Self::params(name)?, KeyPair::generate()?);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.use_authority_key_identifier_extension = true;
        Ok(Self {
            pem: params.signed_by(&key, &self.issuer)?.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    fn params(name: &str) -> Result<CertificateParams> {
        let mut params = named(name)?;
        params.subject_alt_names.clear();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params)
    }
}
