//! Issuer and trust anchors in files, as a cluster mounts them.
//!
//! The files are watched, and looked at every 10 s in any case. What is good is in
//! force from then on; what is not is said once, and the last that was good stays.
//! Issuer and anchors change apart from each other in a cluster (a Secret and a
//! ConfigMap), so each is taken as soon as it goes with the other: an anchor that
//! the issuer chains to is only given up together with that issuer.

mod changes;
mod contents;
mod status;

pub use self::{
    changes::DirectoryChanges,
    contents::{FileMark, read_file},
    status::FilesStatus,
};

use self::contents::{Contents, Marks};
use crate::{
    CertificateAuthority, ChainError, Credentials, IdentityScope, Issuer, IssuerError,
    TrustAnchors, authority::ExpiryWatch,
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the files are looked at where no change is told (ruling 12).
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
/// Who writes two files is given this long between them before what they hold
/// counts as bad.
const SETTLE: Duration = Duration::from_millis(500);

/// How the files of an issuer are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerScheme {
    /// `linkerd.io/tls`: `crt.pem` and `key.pem`.
    LinkerdTls,
    /// `kubernetes.io/tls`: `tls.crt` and `tls.key`.
    KubernetesTls,
}

impl IssuerScheme {
    fn certificate(self) -> &'static str {
        match self {
            IssuerScheme::LinkerdTls => "crt.pem",
            IssuerScheme::KubernetesTls => "tls.crt",
        }
    }

    fn key(self) -> &'static str {
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

/// What is wrong with one of the files.
#[derive(Debug, Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The trust anchors are none.
    #[error("the trust anchors in {}: {source}", path.display())]
    Anchors {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: ChainError,
    },
    /// The issuer cannot be used.
    #[error("the issuer in {}: {source}", path.display())]
    Issuer {
        /// Its certificate's file; the key's is next to it.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<IssuerError>,
    },
    /// The issuer in use does not go with these trust anchors.
    #[error(
        "the trust anchors in {} do not go with the issuer in use ({source}); they are taken \
         together with an issuer that they do go with",
        path.display()
    )]
    Orphaned {
        /// The anchors' file.
        path: PathBuf,
        /// Why not.
        source: Box<IssuerError>,
    },
}

/// The files of an issuer and its trust anchors.
#[derive(Debug)]
pub struct IdentityFiles {
    paths: Paths,
    scope: IdentityScope,
    /// What the credentials in force were read from.
    live: Marks,
    /// The bad contents that were last complained of.
    complained: Option<Marks>,
    status: Arc<FilesStatus>,
    expiry: ExpiryWatch,
}

#[derive(Clone, Debug)]
struct Paths {
    anchors: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

/// What the files come to.
#[derive(Default)]
struct Verdict {
    /// What is to be in force, if it changes.
    adopted: Option<Adopted>,
    errors: Vec<FilesError>,
}

struct Adopted {
    credentials: Credentials,
    part: Part,
}

/// What of the credentials comes from the files as they are now; the rest stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Anchors,
    Issuer,
    Both,
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
            scope,
            live: Marks::default(),
            complained: None,
            status: Arc::default(),
            expiry: ExpiryWatch::default(),
        }
    }

    /// Reads all files, when the process starts.
    ///
    /// # Errors
    /// The first that is wrong with one of them, naming it.
    pub fn load(&mut self, now: SystemTime) -> Result<Credentials, FilesError> {
        let contents = Contents::read(&self.paths);
        let anchors = self.anchors(&contents)?;
        let issuer = self.issuer(&contents, &anchors, now)?;
        self.live = contents.marks();
        Ok(Credentials { issuer, anchors })
    }

    /// How the files are doing, for metrics.
    pub fn status(&self) -> Arc<FilesStatus> {
        self.status.clone()
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
                self.look(&authority).await;
                changes.told_within(LOOK_ANYWAY).await;
            }
        };
        shutdown.run_until_cancelled(followed).await;
    }

    /// Reads the files and does what follows.
    async fn look(&mut self, authority: &CertificateAuthority) {
        let mut contents = self.read().await;
        loop {
            let marks = contents.marks();
            let live = authority.credentials();
            let verdict = self.decide(&contents, &marks, live.as_deref(), SystemTime::now());
            if !verdict.errors.is_empty() && self.complained.as_ref() != Some(&marks) {
                sleep(SETTLE).await;
                contents = self.read().await;
                if contents.marks() != marks {
                    continue;
                }
            }
            self.follow(authority, marks, verdict);
            break;
        }
        if let Some(credentials) = authority.credentials() {
            self.expiry.look(&credentials, SystemTime::now());
        }
    }

    /// Beside the runtime: disks may be slow.
    async fn read(&self) -> Contents {
        let paths = self.paths.clone();
        let read = tokio::task::spawn_blocking(move || Contents::read(&paths));
        match read.await {
            Ok(contents) => contents,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// What `contents` come to beside what is in force.
    fn decide(
        &self,
        contents: &Contents,
        marks: &Marks,
        live: Option<&Credentials>,
        now: SystemTime,
    ) -> Verdict {
        if *marks == self.live {
            return Verdict::default();
        }
        let anchors = match self.anchors(contents) {
            Ok(anchors) => anchors,
            Err(error) => {
                let mut verdict = Verdict::error(error);
                // A new issuer may still go with the anchors in force.
                if let Some(live) = live
                    && marks.issuer != self.live.issuer
                {
                    match self.issuer(contents, &live.anchors, now) {
                        Ok(issuer) => verdict.adopt(issuer, live.anchors.clone(), Part::Issuer),
                        Err(error) => verdict.errors.push(error),
                    }
                }
                return verdict;
            }
        };
        let mut verdict = Verdict::default();
        match self.issuer(contents, &anchors, now) {
            Ok(issuer) => verdict.adopt(issuer, anchors, Part::Both),
            Err(FilesError::Issuer { source, .. }) if marks.issuer == self.live.issuer => {
                let path = self.paths.anchors.clone();
                verdict.errors.push(FilesError::Orphaned { path, source });
            }
            Err(error) => {
                verdict.errors.push(error);
                // New anchors need not wait for a good issuer.
                if let Some(live) = live
                    && marks.anchors != self.live.anchors
                    && live.issuer.verify(&anchors, now).is_ok()
                {
                    verdict.adopt(live.issuer.clone(), anchors, Part::Anchors);
                }
            }
        }
        verdict
    }

    fn anchors(&self, contents: &Contents) -> Result<TrustAnchors, FilesError> {
        let path = &self.paths.anchors;
        let pem = contents.anchors(path)?;
        TrustAnchors::from_pem(pem).map_err(|source| FilesError::Anchors {
            path: path.clone(),
            source,
        })
    }

    fn issuer(
        &self,
        contents: &Contents,
        anchors: &TrustAnchors,
        now: SystemTime,
    ) -> Result<Arc<Issuer>, FilesError> {
        let path = &self.paths.certificate;
        let certificate = contents.certificate(path)?;
        let key = contents.key(&self.paths.key)?;
        let issuer = Issuer::load(certificate, key, anchors, &self.scope, now);
        issuer.map(Arc::new).map_err(|source| FilesError::Issuer {
            path: path.clone(),
            source: source.into(),
        })
    }

    fn follow(&mut self, authority: &CertificateAuthority, marks: Marks, verdict: Verdict) {
        if let Some(Adopted { credentials, part }) = verdict.adopted {
            if part != Part::Issuer {
                self.live.anchors = marks.anchors.clone();
            }
            if part != Part::Anchors {
                self.live.issuer = marks.issuer.clone();
            }
            self.status.reloaded();
            authority.install(credentials);
        }
        if verdict.errors.is_empty() {
            if self.complained.take().is_some() {
                self.status.recovered();
                info!("the files of the identity issuer are good again");
            }
            return;
        }
        if self.complained.as_ref() == Some(&marks) {
            return;
        }
        let errors: Vec<_> = verdict.errors.iter().map(ToString::to_string).collect();
        let errors = errors.join("; ");
        warn!("identity issuer update skipped, the last good one stays in use: {errors}");
        self.status.failed(errors);
        self.complained = Some(marks);
    }
}

impl Verdict {
    fn error(error: FilesError) -> Self {
        Self {
            adopted: None,
            errors: vec![error],
        }
    }

    fn adopt(&mut self, issuer: Arc<Issuer>, anchors: TrustAnchors, part: Part) {
        let credentials = Credentials { issuer, anchors };
        self.adopted = Some(Adopted { credentials, part });
    }
}
