//! The secrets of a cluster: its authorities, certificates, token key, admin token, kubeconfig.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType,
};

use crate::addresses::KUBERNETES_SERVICE;

/// The names under which the API server is reached.
const API_SERVER_NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Files the components are given. Everything is new for each cluster and gone with it.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The authority of the API server's certificate; pods get it as `kube-root-ca.crt`.
    pub(crate) ca: PathBuf,
    pub(crate) serving: CertificateFiles,
    /// The authority of [`Self::front_proxy`].
    pub(crate) front_proxy_ca: PathBuf,
    /// What the API server shows to aggregated APIs.
    pub(crate) front_proxy: CertificateFiles,
    /// Signs service-account tokens, with RS256 as clusters do.
    pub(crate) token_key: PathBuf,
    /// The table of static tokens.
    pub(crate) token_file: PathBuf,
    /// A member of `system:masters`.
    pub(crate) admin_token: String,
    pub(crate) kubeconfig: PathBuf,
}

#[derive(Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Credentials {
    /// Writes new ones into `folder`, for the API server at `url`.
    pub(crate) fn create(folder: &Path, url: &str) -> Result<Self> {
        let files = Files(folder);
        let authority = Authority::new("kubernetes")?;
        let front_proxy_authority = Authority::new("front-proxy-ca")?;
        let admin_token = random_token();

        let ca = files.write("ca.crt", &authority.pem)?;
        Ok(Self {
            serving: files.issue(&authority, "kube-apiserver", &API_SERVER_NAMES)?,
            front_proxy_ca: files.write("front-proxy-ca.crt", &front_proxy_authority.pem)?,
            front_proxy: files.issue(&front_proxy_authority, "front-proxy-client", &[])?,
            token_key: files.write("service-account.key", &token_key()?)?,
            token_file: files.write(
                "tokens.csv",
                &format!("{admin_token},kubernetes-admin,kubernetes-admin,\"system:masters\"\n"),
            )?,
            kubeconfig: files.write("kubeconfig", &kubeconfig(url, &ca, &admin_token))?,
            ca,
            admin_token,
        })
    }

    /// Components that are started from now on have another token key.
    pub(crate) fn replace_token_key(&self) -> Result<()> {
        let path = &self.token_key;
        fs::write(path, token_key()?).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn token_key() -> Result<String> {
    Ok(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?.serialize_pem())
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(params, key),
        })
    }
}

/// The folder all of them are written to.
struct Files<'a>(&'a Path);

impl Files<'_> {
    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A server certificate when it has names, else a client's.
    fn issue(&self, authority: &Authority, name: &str, names: &[&str]) -> Result<CertificateFiles> {
        let key = KeyPair::generate()?;
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        if names.is_empty() {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        } else {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names.extend([
                SanType::IpAddress(IpAddr::from([127, 0, 0, 1])),
                SanType::IpAddress(KUBERNETES_SERVICE),
            ]);
        }
        let certificate = params.signed_by(&key, &authority.issuer)?;
        Ok(CertificateFiles {
            certificate: self.write(&format!("{name}.crt"), &certificate.pem())?,
            key: self.write(&format!("{name}.key"), &key.serialize_pem())?,
        })
    }
}

/// Random enough for a loopback server that lives for minutes: hash keys come from the system.
fn random_token() -> String {
    let word = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", word(), word())
}

fn kubeconfig(url: &str, ca: &Path, token: &str) -> String {
    let ca = ca.display();
    format!(
        r#"apiVersion: v1
kind: Config
clusters:
- name: ferrule-test
  cluster: {{server: "{url}", certificate-authority: "{ca}"}}
users:
- name: admin
  user: {{token: "{token}"}}
contexts:
- name: ferrule-test
  context: {{cluster: ferrule-test, user: admin}}
current-context: ferrule-test
"#
    )
}
