//! The pipeline of `Certify` (identity-injector.md 3.5), and the issuer it signs
//! with.

mod expiry;
mod refusal;
mod stats;

pub(crate) use self::expiry::ExpiryWatch;
pub use self::{
    refusal::{Reason, Refusal},
    stats::{AuthorityStats, Step},
};

use crate::{
    Authenticator, CertificateRequest, IdentityName, IdentityScope, Issuer, IssuerError, Notice,
    Notices, TokenError, TrustAnchors, Validity, certificate::date,
};
use arc_swap::ArcSwapOption;
use ferrule_cluster::trace::{self, Fact, Span};
use ferrule_proto::identity::{CertifyRequest, CertifyResponse};
use std::{
    fmt,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

/// An issuer that was found to chain to these anchors.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// What signs.
    pub issuer: Arc<Issuer>,
    /// What everybody in the mesh trusts.
    pub anchors: TrustAnchors,
    /// When all certificates are valid of the path between them that was verified last.
    verified: Arc<ArcSwapOption<RangeInclusive<SystemTime>>>,
}

impl Credentials {
    /// What signs, and what everybody in the mesh trusts.
    pub fn new(issuer: Arc<Issuer>, anchors: TrustAnchors) -> Self {
        Self {
            issuer,
            anchors,
            verified: Arc::default(),
        }
    }

    /// Does the issuer chain to the anchors at this time? Signatures are verified the
    /// first time, and again once a certificate of the path is not valid: there may be
    /// another path.
    ///
    /// # Errors
    /// It does not.
    pub fn verify(&self, now: SystemTime) -> Result<(), IssuerError> {
        let verified = self.verified.load();
        if verified.as_ref().is_some_and(|time| time.contains(&now)) {
            return Ok(());
        }
        let valid = self.issuer.verify(&self.anchors, now)?;
        self.verified.store(Some(Arc::new(valid)));
        Ok(())
    }
}

/// Answers `Certify`: a certificate for whoever shows that the name is theirs.
///
/// It has no issuer at first; [`CertificateAuthority::install`] gives it one, and
/// later another. A call goes on with the issuer that it began with.
pub struct CertificateAuthority {
    scope: IdentityScope,
    validity: Validity,
    authenticator: Authenticator,
    credentials: ArcSwapOption<Credentials>,
    generation: watch::Sender<u64>,
    confirmation: Option<Confirmation>,
    stats: AuthorityStats,
    notices: Notices,
}

/// Since when nobody has said that the issuer in force is still the one.
struct Confirmation {
    /// For how long after it certificates get their whole lifetime.
    lasts: Duration,
    /// Seconds since 1970.
    at: AtomicU64,
}

impl CertificateAuthority {
    /// An authority for the identities of `scope`, which knows workloads by their
    /// tokens. It refuses everything until it has an issuer.
    pub fn new(scope: IdentityScope, validity: Validity, authenticator: Authenticator) -> Self {
        Self {
            scope,
            validity,
            authenticator,
            credentials: ArcSwapOption::empty(),
            generation: watch::Sender::new(0),
            confirmation: None,
            stats: AuthorityStats::default(),
            notices: Notices::default(),
        }
    }

    /// The same, which is told by [`CertificateAuthority::confirm`] that the issuer in
    /// force is still the one. Certificates end at the latest `lasts` and a lifetime after
    /// that was said last: whoever replaces the issuer knows when the last certificate of
    /// its predecessor has expired, even of a replica that he cannot reach.
    #[must_use]
    pub fn confirmed_for(self, lasts: Duration) -> Self {
        let confirmation = Some(Confirmation {
            lasts,
            at: AtomicU64::new(seconds(SystemTime::now())),
        });
        Self {
            confirmation,
            ..self
        }
    }

    /// What is in force is what there was at this time.
    pub fn confirm(&self, at: SystemTime) {
        if let Some(confirmation) = &self.confirmation {
            confirmation.at.fetch_max(seconds(at), Relaxed);
        }
    }

    /// When what is signed now has to end at the latest.
    fn latest_end(&self) -> Option<SystemTime> {
        let confirmation = self.confirmation.as_ref()?;
        let confirmed = UNIX_EPOCH + Duration::from_secs(confirmation.at.load(Relaxed));
        let most = confirmation.lasts + self.validity.lifetime() + self.validity.clock_skew();
        confirmed.checked_add(most)
    }

    /// The same, which tells what people should hear of.
    #[must_use]
    pub fn telling(self, notices: Notices) -> Self {
        Self { notices, ..self }
    }

    /// What people should hear of is put there.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Signs with these credentials from now on.
    pub fn install(&self, credentials: Credentials) {
        let installed = Arc::new(credentials);
        let previous = self.credentials.swap(Some(installed.clone()));
        announce(&installed, previous.as_deref());
        if let Some(previous) = previous {
            let fingerprints = [&previous, &installed]
                .map(|credentials| credentials.issuer.certificate().fingerprint().to_owned());
            if fingerprints[0] != fingerprints[1] {
                self.notices.tell(|| Notice::IssuerUpdated { fingerprints });
            }
        }
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// What it signs with now.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials.load_full()
    }

    /// How often credentials were installed; whoever derives something from them
    /// (a TLS configuration, say) does it again when that changes.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Which identities it certifies.
    pub fn scope(&self) -> &IdentityScope {
        &self.scope
    }

    /// For how long it certifies them.
    pub fn validity(&self) -> &Validity {
        &self.validity
    }

    /// What it knows workloads by.
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// What it has done so far.
    pub fn stats(&self) -> &AuthorityStats {
        &self.stats
    }

    /// A certificate for the holder of a token.
    ///
    /// # Errors
    /// For the first of the reasons in [`Reason`]'s order that applies.
    pub async fn certify(&self, request: CertifyRequest) -> Result<CertifyResponse, Refusal> {
        let result = self.certify_workload(&request).await;
        result.inspect_err(|refusal| self.refused(&request.identity, refusal))
    }

    /// A certificate for this process itself, which needs no token: it holds the
    /// issuer's key. `csr_der` is checked as any other.
    ///
    /// # Errors
    /// As [`CertificateAuthority::certify`], except for tokens.
    pub fn certify_self(
        &self,
        name: &IdentityName,
        csr_der: &[u8],
    ) -> Result<CertifyResponse, Refusal> {
        let certified = || {
            let credentials = self.ready()?;
            let csr = check_request(&credentials, name.as_str(), csr_der)?;
            self.sign(&credentials, name, &csr)
        };
        certified().inspect_err(|refusal| self.refused(name.as_str(), refusal))
    }

    async fn certify_workload(&self, request: &CertifyRequest) -> Result<CertifyResponse, Refusal> {
        let credentials = self.ready()?;
        let identity = &*request.identity;
        let csr_der = &*request.certificate_signing_request;
        if identity.is_empty() {
            return Err(Refusal::missing("identity"));
        }
        if request.token.trim_ascii().is_empty() {
            return Err(Refusal::missing("token"));
        }
        if csr_der.is_empty() {
            return Err(Refusal::missing("certificate signing request"));
        }
        trace::note(|| Fact::new("ferrule.identity", refusal::shown(identity).to_owned()));
        let begun = Instant::now();
        let csr = check_request(&credentials, identity, csr_der);
        self.stats.took(Step::Request, begun.elapsed());
        let csr = csr?;
        let begun = Instant::now();
        let span = Span::part("token", Vec::new);
        let authenticated = span
            .during(self.authenticate(identity, &request.token))
            .await;
        self.stats.took(Step::Token, begun.elapsed());
        let name = authenticated?;
        let begun = Instant::now();
        let span = Span::part("sign", Vec::new);
        let signed = self.sign(&credentials, &name, &csr);
        drop(span);
        self.stats.took(Step::Sign, begun.elapsed());
        signed
    }

    fn ready(&self) -> Result<Arc<Credentials>, Refusal> {
        self.credentials().ok_or_else(Refusal::not_ready)
    }

    /// The name of the workload called `identity`, if the token is that one's.
    async fn authenticate(&self, identity: &str, token: &[u8]) -> Result<IdentityName, Refusal> {
        let refused = |error| Refusal::token(identity, &error);
        let account = self.authenticator.authenticate(token).await;
        let account = account.map_err(refused)?;
        let found = self
            .scope
            .service_account(account.namespace(), account.name())
            .map_err(|error| refused(TokenError::NotLabel(error)))?;
        if found.as_str() == identity {
            Ok(found)
        } else {
            Err(Refusal::mismatch(identity, &found))
        }
    }

    fn sign(
        &self,
        credentials: &Credentials,
        identity: &IdentityName,
        csr: &CertificateRequest,
    ) -> Result<CertifyResponse, Refusal> {
        let issuer = &credentials.issuer;
        let leaf = issuer
            .sign(
                csr,
                &self.validity.ending_by(self.latest_end()),
                SystemTime::now(),
            )
            .map_err(|error| Refusal::signing(&error))?;
        self.stats.issued_one();
        info!(
            %identity,
            serial = leaf.serial,
            "issued certificate for {identity} until {}: {}",
            date(leaf.not_after),
            leaf.fingerprint,
        );
        self.notices.tell_leaf(|| Notice::Issued {
            identity: identity.clone(),
            until: leaf.not_after,
            fingerprint: leaf.fingerprint.clone(),
        });
        let chain = issuer.response_chain().iter();
        Ok(CertifyResponse {
            leaf_certificate: leaf.der,
            intermediate_certificates: chain.map(|parent| parent.der().to_vec()).collect(),
            valid_until: Some(leaf.not_after.into()),
        })
    }

    /// Counts a refusal and says it, as loudly as its reason deserves.
    fn refused(&self, identity: &str, refusal: &Refusal) {
        let reason = refusal.reason();
        self.stats.refused_one(reason);
        let identity = refusal::shown(identity);
        match reason {
            // Nothing that the workload could do anything about, and all of them
            // ask again every 10 s: said once in a while.
            Reason::IssuerInvalid | Reason::TokenReviewFailed | Reason::Signing => {
                if let Some(unsaid) = self.stats.may_say(reason) {
                    error!(identity, unsaid, "cannot certify: {refusal}");
                    self.tell_of(refusal, identity);
                }
            }
            Reason::TokenInvalid | Reason::TokenUnauthenticated | Reason::IdentityMismatch => {
                info!(identity, reason = reason.as_str(), "refused: {refusal}");
            }
            _ => debug!(identity, reason = reason.as_str(), "refused: {refusal}"),
        }
    }

    /// Tells of an issuer that does not verify any more.
    fn tell_of(&self, refusal: &Refusal, identity: &str) {
        if refusal.reason() != Reason::IssuerInvalid {
            return;
        }
        let Some(credentials) = self.credentials() else {
            return;
        };
        self.notices.tell(|| Notice::IssuerValidationFailed {
            error: refusal.to_string(),
            identity: identity.to_owned(),
            fingerprint: credentials.issuer.certificate().fingerprint().to_owned(),
        });
    }
}

/// Steps 5 to 12: what can be said without asking anybody who the client is.
fn check_request(
    credentials: &Credentials,
    identity: &str,
    csr_der: &[u8],
) -> Result<CertificateRequest, Refusal> {
    let csr = CertificateRequest::parse(csr_der).map_err(|error| Refusal::csr(&error))?;
    credentials
        .verify(SystemTime::now())
        .map_err(|error| Refusal::issuer(&error))?;
    csr.verify_possession()
        .and_then(|()| csr.check(identity))
        .map_err(|error| Refusal::csr(&error))?;
    Ok(csr)
}

/// Says what the authority signs with from now on.
fn announce(installed: &Credentials, previous: Option<&Credentials>) {
    let certificate = installed.issuer.certificate();
    let now = SystemTime::now();
    let is_same = |previous: &Credentials| previous.issuer.certificate() == certificate;
    let message = match previous {
        None => "identity issuer loaded",
        Some(previous) if is_same(previous) => "updated trust anchors",
        Some(_) => "updated identity issuer",
    };
    info!(
        issuer = certificate.subject(),
        fingerprint = certificate.fingerprint(),
        invalid_after = unix(certificate.not_after()),
        process_clock_time = unix(now),
        ttl_seconds = unix(certificate.not_after()) - unix(now),
        trust_anchors = installed.anchors.certificates().len(),
        "{message}",
    );
    for warning in installed.issuer.warnings() {
        warn!("the issuer {}: {warning}", certificate.subject());
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("scope", &self.scope)
            .field("generation", &*self.generation.borrow())
            .finish_non_exhaustive()
    }
}
