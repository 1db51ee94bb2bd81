//! The state of the embedded default: a certificate authority of its own in a
//! directory, made when it is first needed.
//!
//! ```text
//! ca.crt, ca.key          the trust anchor; ten years
//! issuer.crt, issuer.key  what signs; a year, renewed with a third of it left
//! token.key               signs the tokens of `ferrule token create`
//! lock                    held while one of these is made
//! ```
//!
//! A file is written whole or not at all, and a certificate after its key: a key
//! alone is what an interrupted start leaves, and is gone on with. Anything else
//! that is not as it should be is an error that says what to do; nothing that is
//! there is replaced, except for an issuer by its successor.

mod directory;

use self::directory::Directory;
use crate::{
    Certificate, CertificateAuthority, Credentials, IdentityScope, Issuer, Lifetimes, TokenIssuer,
    TokenKeyError, TrustAnchors,
    authority::ExpiryWatch,
    certificate::date,
    making::{self, MakingError, Root},
};
use rcgen::KeyPair;
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
use zeroize::Zeroizing;

/// The names of the files.
const ANCHOR: &str = "ca.crt";
const ANCHOR_KEY: &str = "ca.key";
const ISSUER: &str = "issuer.crt";
const ISSUER_KEY: &str = "issuer.key";
const TOKEN_KEY: &str = "token.key";

/// How often a running process looks whether the issuer is to be renewed, which
/// it is four months before it must be.
const LOOK: Duration = Duration::from_secs(3600);

/// A directory with a certificate authority and a token key. Several processes may
/// use the same.
#[derive(Clone, Debug)]
pub struct StateDirectory(Directory);

/// A state directory that cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// The directory or a file in it cannot be made, read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why that failed.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {problem}; {fix}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        fix: String,
    },
    /// A key or a certificate cannot be made.
    #[error(transparent)]
    Making(#[from] MakingError),
    /// A key for tokens cannot be made.
    #[error("cannot make a key for tokens: {0}")]
    TokenKey(TokenKeyError),
}

impl StateDirectory {
    /// Opens the directory, and makes it (for its owner only) if it is not there.
    ///
    /// # Errors
    /// If it cannot be made, or is no directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StateError> {
        Directory::open(path.as_ref()).map(Self)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The file of the trust anchor, for whoever is to trust this mesh.
    pub fn trust_anchors_file(&self) -> PathBuf {
        self.0.file(ANCHOR)
    }

    /// What issues tokens; its key is made when first asked for.
    ///
    /// # Errors
    /// If the key's file holds no such key, or cannot be read or written.
    pub fn token_issuer(&self) -> Result<TokenIssuer, StateError> {
        let _lock = self.0.lock()?;
        let pem = match self.0.read(TOKEN_KEY)? {
            Some(pem) => pem,
            None => {
                let key = TokenIssuer::generate_key().map_err(StateError::TokenKey)?;
                let key = Zeroizing::new(key.into_bytes());
                self.0.write(TOKEN_KEY, &key)?;
                key
            }
        };
        TokenIssuer::from_pem(&pem).map_err(|error| StateError::Broken {
            path: self.0.file(TOKEN_KEY),
            problem: error.to_string(),
            fix: "remove it to have another made; tokens issued so far are void then".to_owned(),
        })
    }

    /// The trust anchor, and an issuer for the identities of `scope` with at least
    /// a third of its life left. What is not there is made; an issuer that is too
    /// old, or that is called after another mesh, gets a successor with the same
    /// key.
    ///
    /// # Errors
    /// If a file is not what it should be, or cannot be read or written, or if the
    /// trust anchor has expired.
    pub fn credentials(
        &self,
        scope: &IdentityScope,
        now: SystemTime,
    ) -> Result<Credentials, StateError> {
        let _lock = self.0.lock()?;
        let anchors = self.anchors(scope, now)?;
        let issuer = self.issuer(&anchors, scope, now)?;
        Ok(Credentials::new(Arc::new(issuer), anchors))
    }

    /// Renews the issuer in time until `shutdown`, and gives it to the authority.
    pub async fn run(self, authority: Arc<CertificateAuthority>, shutdown: CancellationToken) {
        let mut expiry = ExpiryWatch::default();
        let mut said = None;
        let renewed = async {
            loop {
                if let Some(credentials) = authority.credentials() {
                    expiry.look(&credentials, authority.notices(), SystemTime::now());
                }
                sleep(LOOK).await;
                let problem = self.look(&authority).await.err();
                let problem = problem.map(|error| error.to_string());
                if let Some(problem) = &problem
                    && said.as_ref() != Some(problem)
                {
                    warn!("the identity issuer cannot be renewed: {problem}");
                }
                said = problem;
            }
        };
        shutdown.run_until_cancelled(renewed).await;
    }

    async fn look(&self, authority: &CertificateAuthority) -> Result<(), StateError> {
        let (state, scope) = (self.clone(), authority.scope().clone());
        let read =
            tokio::task::spawn_blocking(move || state.credentials(&scope, SystemTime::now()));
        let credentials = match read.await {
            Ok(credentials) => credentials?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let certificate = credentials.issuer.certificate();
        let live = authority.credentials();
        if live.is_none_or(|live| live.issuer.certificate() != certificate) {
            authority.install(credentials);
        }
        Ok(())
    }

    fn anchors(&self, scope: &IdentityScope, now: SystemTime) -> Result<TrustAnchors, StateError> {
        let pem = match self.0.read(ANCHOR)? {
            Some(pem) => pem,
            None => {
                let key = self.key(ANCHOR_KEY)?;
                let pem = making::anchor(&key, scope, Lifetimes::default().anchor, now)?;
                self.0.write(ANCHOR, pem.as_bytes())?;
                let path = self.0.file(ANCHOR);
                info!("made a trust anchor for ten years: {}", path.display());
                pem.into_bytes().into()
            }
        };
        let broken = |problem| StateError::Broken {
            path: self.0.file(ANCHOR),
            problem,
            fix: self.start_anew(),
        };
        let anchors = TrustAnchors::from_pem(&pem).map_err(|error| broken(error.to_string()))?;
        if anchors.not_after() <= now {
            let end = date(anchors.not_after());
            return Err(broken(format!("the trust anchor has expired at {end}")));
        }
        // Not when the next issuer is due and it is late: now.
        if let Some(key) = self.existing_key(ANCHOR_KEY)?
            && !making::is_pair(&anchors.certificates()[0], &key)
        {
            return Err(StateError::Broken {
                path: self.0.file(ANCHOR_KEY),
                problem: format!("it is not the key of {ANCHOR}"),
                fix: self.start_anew(),
            });
        }
        Ok(anchors)
    }

    fn issuer(
        &self,
        anchors: &TrustAnchors,
        scope: &IdentityScope,
        now: SystemTime,
    ) -> Result<Issuer, StateError> {
        let load = |pem: &[u8], key: &[u8]| {
            let issuer = Issuer::load(pem, key, anchors, scope, now);
            issuer.map_err(|error| StateError::Broken {
                path: self.0.file(ISSUER),
                problem: error.to_string(),
                fix: self.remake_issuer(),
            })
        };
        let Some(pem) = self.0.read(ISSUER)? else {
            let key = self.key(ISSUER_KEY)?;
            return self.make_issuer(anchors, &key, scope, now, load);
        };
        let Some(key) = self.0.read(ISSUER_KEY)? else {
            return Err(StateError::Broken {
                path: self.0.file(ISSUER_KEY),
                problem: "it is missing".to_owned(),
                fix: self.remake_issuer(),
            });
        };
        // Without the anchor's key (kept elsewhere, or somebody else's) there is no
        // successor; the issuer serves as long as it lasts.
        if !is_due(&pem, scope, now) || self.0.read(ANCHOR_KEY)?.is_none() {
            return load(&pem, &key);
        }
        let key = self.key(ISSUER_KEY)?;
        self.make_issuer(anchors, &key, scope, now, load)
    }

    /// Has the anchor sign an issuer, which is written only if it can be used.
    fn make_issuer(
        &self,
        anchors: &TrustAnchors,
        key: &KeyPair,
        scope: &IdentityScope,
        now: SystemTime,
        load: impl FnOnce(&[u8], &[u8]) -> Result<Issuer, StateError>,
    ) -> Result<Issuer, StateError> {
        let anchor_key = self.existing_key(ANCHOR_KEY)?;
        let anchor_key = anchor_key.ok_or_else(|| StateError::Broken {
            path: self.0.file(ANCHOR_KEY),
            problem: "it is missing, and an issuer must be signed with it".to_owned(),
            fix: self.start_anew(),
        })?;
        let root = Root::new(&anchors.certificates()[0], anchor_key)?;
        let pem = root.issuer(key, scope, Lifetimes::default().issuer, now)?;
        let key = Zeroizing::new(key.serialize_pem());
        let issuer = load(pem.as_bytes(), key.as_bytes())?;
        self.0.write(ISSUER, pem.as_bytes())?;
        info!(
            "made an issuer until {}: {}",
            date(issuer.certificate().not_after()),
            self.0.file(ISSUER).display()
        );
        Ok(issuer)
    }

    /// The P-256 key in a file, made if it is not there.
    fn key(&self, name: &str) -> Result<KeyPair, StateError> {
        if let Some(key) = self.existing_key(name)? {
            return Ok(key);
        }
        let key = KeyPair::generate()?;
        let pem = Zeroizing::new(key.serialize_pem());
        self.0.write(name, pem.as_bytes())?;
        Ok(key)
    }

    fn existing_key(&self, name: &str) -> Result<Option<KeyPair>, StateError> {
        let Some(pem) = self.0.read(name)? else {
            return Ok(None);
        };
        let key = std::str::from_utf8(&pem).ok();
        let key = key.and_then(|pem| KeyPair::from_pem(pem).ok());
        let key = key.ok_or_else(|| StateError::Broken {
            path: self.0.file(name),
            problem: "there is no private key in it".to_owned(),
            fix: match name {
                ISSUER_KEY => self.remake_issuer(),
                _ => self.start_anew(),
            },
        })?;
        Ok(Some(key))
    }

    /// What to do about an issuer that cannot be used.
    fn remake_issuer(&self) -> String {
        format!("put back what was there, or remove {ISSUER} and {ISSUER_KEY} to have others made")
    }

    /// What to do about a trust anchor that cannot be used.
    fn start_anew(&self) -> String {
        format!(
            "put back what was there, or delete {} to start anew with another trust anchor, and \
             restart the proxies that trust this one",
            self.path().display()
        )
    }
}

impl From<rcgen::Error> for StateError {
    fn from(error: rcgen::Error) -> Self {
        StateError::Making(error.into())
    }
}

/// Whether the issuer in `pem` is to be replaced by its successor. One that cannot
/// be read is not: its loading will say why.
fn is_due(pem: &[u8], scope: &IdentityScope, now: SystemTime) -> bool {
    let Ok(chain) = Certificate::chain_from_pem(pem) else {
        return false;
    };
    let Some(issuer) = chain.first() else {
        return false;
    };
    now > making::due_at(issuer) || issuer.subject() != making::issuer_subject(scope)
}
