//! Issuer and trust anchors in files, as a cluster mounts them. They are watched, and
//! looked at every 10 s in any case.

use crate::{
    CertificateAuthority, Credentials, FilesStatus, IdentityScope, IssuerGuard,
    follow::{ContentSource, Contents, Follower, SourceError, Text},
};
use ferrule_cluster::source::DirectoryChanges;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at where no change is told (ruling 12).
const LOOK_ANYWAY: Duration = Duration::from_secs(10);

/// How the files of an issuer are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerScheme {
    /// `linkerd.io/tls`: `crt.pem` and `key.pem`.
    LinkerdTls,
    /// `kubernetes.io/tls`: `tls.crt` and `tls.key`.
    KubernetesTls,
}

impl IssuerScheme {
    /// The file, or key of a Secret, of the certificates.
    pub fn certificate(self) -> &'static str {
        match self {
            IssuerScheme::LinkerdTls => "crt.pem",
            IssuerScheme::KubernetesTls => "tls.crt",
        }
    }

    /// The type of a Secret with such files.
    pub(crate) fn secret_type(self) -> &'static str {
        match self {
            IssuerScheme::LinkerdTls => "Opaque",
            IssuerScheme::KubernetesTls => "kubernetes.io/tls",
        }
    }

    /// That of the key.
    pub fn key(self) -> &'static str {
        match self {
            IssuerScheme::LinkerdTls => "key.pem",
            IssuerScheme::KubernetesTls => "tls.key",
        }
    }
}

impl From<&str> for IssuerScheme {
    /// Every other word means `kubernetes.io/tls`, as in the reference.
    fn from(scheme: &str) -> Self {
        match scheme {
            "linkerd.io/tls" => IssuerScheme::LinkerdTls,
            _ => IssuerScheme::KubernetesTls,
        }
    }
}

/// The files of an issuer and its trust anchors.
#[derive(Debug)]
pub struct IdentityFiles {
    paths: Paths,
    follower: Follower,
}

#[derive(Clone, Debug)]
struct Paths {
    anchors: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl IdentityFiles {
    /// The trust anchors in the file `anchors`, and in `issuer_directory` a
    /// certificate chain and a key, called as `scheme` says, for identities of
    /// `scope`.
    pub fn new(
        anchors: impl Into<PathBuf>,
        issuer_directory: impl AsRef<Path>,
        scheme: IssuerScheme,
        scope: IdentityScope,
    ) -> Self {
        let issuer = issuer_directory.as_ref();
        Self {
            paths: Paths {
                anchors: anchors.into(),
                certificate: issuer.join(scheme.certificate()),
                key: issuer.join(scheme.key()),
            },
            follower: Follower::new(scope),
        }
    }

    /// The same, whose issuer does not sign before all pods trust it.
    #[must_use]
    pub fn guarded(self, guard: IssuerGuard) -> Self {
        Self {
            follower: self.follower.guarded(guard),
            ..self
        }
    }

    /// Reads all files, when the process starts.
    ///
    /// # Errors
    /// The first that is wrong with one of them, naming it.
    pub fn load(&mut self, now: SystemTime) -> Result<Credentials, SourceError> {
        self.follower.load(&self.paths.contents(), now)
    }

    /// How the files are doing, for metrics.
    pub fn status(&self) -> Arc<FilesStatus> {
        self.follower.status()
    }

    /// Follows the files until `shutdown`, and gives the authority what they hold;
    /// also says in time that it is going to expire.
    pub async fn run(mut self, authority: Arc<CertificateAuthority>, shutdown: CancellationToken) {
        let directories = [&self.paths.certificate, &self.paths.anchors];
        let directories = directories.into_iter().filter_map(|path| path.parent());
        let mut changes = DirectoryChanges::of("the identity issuer", directories);
        let followed = async {
            loop {
                // Before reading: what changes meanwhile is told.
                changes.watch();
                self.follower.look(&self.paths, &authority).await;
                changes.told_within(LOOK_ANYWAY).await;
            }
        };
        shutdown.run_until_cancelled(followed).await;
    }
}

impl Paths {
    fn contents(&self) -> Contents {
        Contents {
            anchors: Text::of_file(&self.anchors),
            certificate: Text::of_file(&self.certificate),
            key: Text::of_file(&self.key),
            is_theirs: true,
        }
    }
}

impl ContentSource for Paths {
    /// Beside the runtime: disks may be slow.
    async fn read(&self) -> Option<Contents> {
        let paths = self.clone();
        match tokio::task::spawn_blocking(move || paths.contents()).await {
            Ok(contents) => Some(contents),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
