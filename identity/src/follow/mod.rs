//! Follows an issuer and its trust anchors, wherever they are kept.
//!
//! What is good is in force from then on; what is not is said once, and the last
//! that was good stays. Issuer and anchors change apart from each other in a cluster
//! (a Secret and a ConfigMap), so each is taken as soon as it goes with the other: an
//! anchor that the issuer chains to is only given up together with that issuer. An issuer
//! under another anchor does not sign before all pods trust it ([`IssuerGuard`]).

mod contents;
mod status;

pub(crate) use self::contents::{Contents, Text};
pub use self::{
    contents::{FileMark, read_file},
    status::FilesStatus,
};

use self::contents::Marks;
use crate::{
    CertificateAuthority, ChainError, Credentials, IdentityScope, Issuer, IssuerError, IssuerGuard,
    Notice, Notices, TrustAnchors, authority::ExpiryWatch,
};
use jiff::Timestamp;
use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};
use thiserror::Error;
use tokio::time::sleep;
use tracing::{info, warn};

/// Who writes several things is given this long between them before what they hold
/// counts as bad.
const SETTLE: Duration = Duration::from_millis(500);

/// What is wrong with the issuer, its key or the trust anchors, and where.
#[derive(Debug, Error)]
pub enum SourceError {
    /// One of them cannot be read.
    #[error("cannot read {place}: {source}")]
    Read {
        /// Which.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// The trust anchors are none.
    #[error("the trust anchors in {place}: {source}")]
    Anchors {
        /// Where.
        place: String,
        /// What is wrong with them.
        source: ChainError,
    },
    /// The issuer cannot be used.
    #[error("the issuer in {place}: {source}")]
    Issuer {
        /// Where its certificate is; the key is next to it.
        place: String,
        /// What is wrong with it.
        source: Box<IssuerError>,
    },
    /// The issuer in use does not go with these trust anchors.
    #[error(
        "the trust anchors in {place} do not go with the issuer in use ({source}); they are taken \
         together with an issuer that they do go with"
    )]
    Orphaned {
        /// Where the anchors are.
        place: String,
        /// Why not.
        source: Box<IssuerError>,
    },
}

/// Where contents are read.
pub(crate) trait ContentSource: Sync {
    /// What there is now; `None` if that cannot be found out now, which changes
    /// nothing.
    fn read(&self) -> impl Future<Output = Option<Contents>> + Send;
}

/// What was read last, and what became of it.
#[derive(Debug)]
pub(crate) struct Follower {
    scope: IdentityScope,
    /// What the credentials in force were read from.
    live: Marks,
    /// Since when the anchors in force are.
    anchors_since: Option<Timestamp>,
    guard: Option<IssuerGuard>,
    /// The bad contents that were last complained of.
    complained: Option<Marks>,
    status: Arc<FilesStatus>,
    expiry: ExpiryWatch,
}

/// What contents come to.
#[derive(Default)]
struct Verdict {
    /// What is to be in force, if it changes.
    adopted: Option<Adopted>,
    errors: Vec<SourceError>,
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

impl Follower {
    /// For identities of `scope`.
    pub(crate) fn new(scope: IdentityScope) -> Self {
        Self {
            scope,
            live: Marks::default(),
            anchors_since: None,
            guard: None,
            complained: None,
            status: Arc::default(),
            expiry: ExpiryWatch::default(),
        }
    }

    /// The same, with whom it asks whether an issuer may replace another.
    pub(crate) fn guarded(self, guard: IssuerGuard) -> Self {
        Self {
            guard: Some(guard),
            ..self
        }
    }

    /// How that goes, for metrics.
    pub(crate) fn status(&self) -> Arc<FilesStatus> {
        self.status.clone()
    }

    /// What is there when the process starts.
    ///
    /// # Errors
    /// The first that is wrong with it.
    pub(crate) fn load(
        &mut self,
        contents: &Contents,
        now: SystemTime,
    ) -> Result<Credentials, SourceError> {
        let anchors = anchors(contents)?;
        let issuer = self.issuer(contents, &anchors, now)?;
        self.live = contents.marks();
        self.anchors_since = Some(Timestamp::now());
        if let Some(guard) = &mut self.guard {
            guard.began();
        }
        Ok(Credentials::new(issuer, anchors))
    }

    /// Reads what there is, and does what follows from it; also says in time that it
    /// is going to expire. Whether it could be read.
    pub(crate) async fn look(
        &mut self,
        source: &impl ContentSource,
        authority: &CertificateAuthority,
    ) -> bool {
        let contents = source.read().await;
        let is_read = contents.is_some();
        if let Some(contents) = contents {
            self.judge(contents, source, authority).await;
        }
        if let Some(credentials) = authority.credentials() {
            self.expiry
                .look(&credentials, authority.notices(), SystemTime::now());
            if let Some(guard) = &mut self.guard {
                guard.watch(&credentials.issuer, authority.notices()).await;
            }
        }
        is_read
    }

    async fn judge(
        &mut self,
        mut contents: Contents,
        source: &impl ContentSource,
        authority: &CertificateAuthority,
    ) {
        loop {
            let marks = contents.marks();
            let live = authority.credentials();
            let mut verdict = self.decide(&contents, &marks, live.as_deref(), SystemTime::now());
            if !verdict.errors.is_empty() && self.complained.as_ref() != Some(&marks) {
                sleep(SETTLE).await;
                match source.read().await {
                    Some(again) => contents = again,
                    None => return,
                }
                if contents.marks() != marks {
                    continue;
                }
            }
            match &mut self.guard {
                Some(guard) if contents.is_theirs => {
                    // Anchors that are new are read since now.
                    let is_known = marks.anchors == self.live.anchors;
                    let since = self.anchors_since.filter(|_| is_known);
                    let notices = authority.notices();
                    verdict.guard(guard, live.as_deref(), since, notices).await;
                }
                Some(guard) => guard.nothing_waits(),
                None => {}
            }
            self.follow(authority, marks, verdict);
            return;
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
        let mut verdict = Verdict::default();
        let published = match anchors(contents) {
            Ok(anchors) => match self.issuer(contents, &anchors, now) {
                Ok(issuer) => {
                    verdict.adopt(issuer, anchors, Part::Both);
                    return verdict;
                }
                Err(error) if marks.issuer == self.live.issuer => {
                    verdict.errors.push(orphaned(error, contents));
                    return verdict;
                }
                Err(error) => {
                    verdict.errors.push(error);
                    Some(anchors)
                }
            },
            Err(error) => {
                verdict.errors.push(error);
                None
            }
        };
        let Some(live) = live else {
            return verdict;
        };
        // Good anchors need not wait for a good issuer ...
        if let Some(published) = &published
            && marks.anchors != self.live.anchors
            && live.issuer.verify(published, now).is_ok()
        {
            verdict.adopt(live.issuer.clone(), published.clone(), Part::Anchors);
            return verdict;
        }
        // ... nor a good issuer for good anchors: everybody still trusts those in force.
        if marks.issuer != self.live.issuer {
            match self.issuer(contents, &live.anchors, now) {
                Ok(issuer) => {
                    verdict.adopt(issuer, live.anchors.clone(), Part::Issuer);
                    let errors = verdict.errors.into_iter();
                    let errors = errors.map(|error| orphaned(error, contents));
                    verdict.errors = errors.collect();
                }
                // What is wrong with it by other anchors is said already.
                Err(error) if published.is_none() => verdict.errors.push(error),
                Err(_) => {}
            }
        }
        verdict
    }

    fn issuer(
        &self,
        contents: &Contents,
        anchors: &TrustAnchors,
        now: SystemTime,
    ) -> Result<Arc<Issuer>, SourceError> {
        let certificate = contents.certificate.bytes()?;
        let key = contents.key.bytes()?;
        let issuer = Issuer::load(certificate, key, anchors, &self.scope, now);
        issuer.map(Arc::new).map_err(|source| SourceError::Issuer {
            place: contents.certificate.place().to_owned(),
            source: source.into(),
        })
    }

    fn follow(&mut self, authority: &CertificateAuthority, marks: Marks, verdict: Verdict) {
        if let Some(Adopted { credentials, part }) = verdict.adopted {
            if part != Part::Issuer && self.live.anchors != marks.anchors {
                self.live.anchors = marks.anchors.clone();
                self.anchors_since = Some(Timestamp::now());
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
                info!("the identity issuer and its trust anchors are good again");
            }
            return;
        }
        if self.complained.as_ref() == Some(&marks) {
            return;
        }
        let errors: Vec<_> = verdict.errors.iter().map(ToString::to_string).collect();
        let errors = errors.join("; ");
        if authority.credentials().is_some() {
            authority.notices().tell(|| Notice::IssuerUpdateSkipped {
                error: errors.clone(),
                fingerprint: marks.fingerprint(),
            });
            warn!("identity issuer update skipped, the last good one stays in use: {errors}");
        } else {
            warn!("there is no identity issuer that can be used: {errors}");
        }
        self.status.failed(errors);
        self.complained = Some(marks);
    }
}

/// What is said of anchors that an issuer which is good does not go with.
fn orphaned(error: SourceError, contents: &Contents) -> SourceError {
    match error {
        SourceError::Issuer { source, .. } => SourceError::Orphaned {
            place: contents.anchors.place().to_owned(),
            source,
        },
        error => error,
    }
}

fn anchors(contents: &Contents) -> Result<TrustAnchors, SourceError> {
    let pem = contents.anchors.bytes()?;
    TrustAnchors::from_pem(pem).map_err(|source| SourceError::Anchors {
        place: contents.anchors.place().to_owned(),
        source,
    })
}

impl Verdict {
    fn adopt(&mut self, issuer: Arc<Issuer>, anchors: TrustAnchors, part: Part) {
        let credentials = Credentials::new(issuer, anchors);
        self.adopted = Some(Adopted { credentials, part });
    }

    /// Takes an issuer out of it that not all pods trust yet.
    async fn guard(
        &mut self,
        guard: &mut IssuerGuard,
        live: Option<&Credentials>,
        anchors_since: Option<Timestamp>,
        notices: &Notices,
    ) {
        let of_issuer = |adopted: &&Adopted| adopted.part != Part::Anchors;
        let Some(adopted) = self.adopted.as_ref().filter(of_issuer) else {
            guard.nothing_waits();
            return;
        };
        let Some(live) = live else {
            guard.began();
            return;
        };
        let Adopted { credentials, part } = adopted;
        let may_sign = guard.may_sign(credentials, &live.issuer, anchors_since, notices);
        if may_sign.await {
            return;
        }
        let anchors = credentials.anchors.clone();
        let is_news = *part == Part::Both && anchors.sha256() != live.anchors.sha256();
        // The anchors need not wait for it.
        self.adopted = is_news.then(|| Adopted {
            credentials: Credentials::new(live.issuer.clone(), anchors),
            part: Part::Anchors,
        });
    }
}
