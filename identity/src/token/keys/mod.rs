//! Tokens checked in this process, by the keys that the API server publishes.
//!
//! A token of a service account is a JSON Web Token. Its signature, issuer, audience
//! and times are checked with the keys of the API server's OpenID discovery, and the
//! objects that it is bound to by a watch of what exists. So certificates are renewed
//! while the API server is away, and a storm of restarts asks it nothing.
//!
//! Whatever cannot be decided so is no error but a [`Doubt`], and the API server is
//! asked as ever: a key, an issuer or an audience that is not known, a pod that the
//! watch has not heard of.

mod bound;
mod set;
mod stats;

pub use self::stats::{Doubt, KeyStats};

use self::{
    bound::BoundObjects,
    set::{Checked, KeySet},
};
use super::{ServiceAccount, TokenError, TokenReview};
use arc_swap::ArcSwapOption;
use kube::Client;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Where every API server tells its issuer and its keys. Service accounts may read
/// both by the role system:service-account-issuer-discovery.
const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";

/// How often the keys are read anyway: a key that was withdrawn goes so.
const REFRESH: Duration = Duration::from_secs(300);
/// How soon they are read again after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// How often a key that is not known makes us read them, at most.
const SOONEST: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Checks tokens here, and asks the API server where it must.
#[derive(Clone)]
pub struct KeyedReview(Arc<Inner>);

struct Inner {
    client: Client,
    review: TokenReview,
    keys: ArcSwapOption<KeySet>,
    /// When the keys were last asked for.
    asked: Mutex<Option<Instant>>,
    bound: BoundObjects,
    stats: KeyStats,
}

impl KeyedReview {
    /// Checks with what `client` reads, and asks `review` where that does not do. It
    /// knows nothing until it [runs](Self::run).
    pub fn new(client: Client, review: TokenReview) -> Self {
        Self(Arc::new(Inner {
            client,
            review,
            keys: ArcSwapOption::empty(),
            asked: Mutex::new(None),
            bound: BoundObjects::default(),
            stats: KeyStats::default(),
        }))
    }

    /// Who is asked in doubt.
    pub fn review(&self) -> &TokenReview {
        &self.0.review
    }

    /// What was decided here, and what was not.
    pub fn stats(&self) -> &KeyStats {
        &self.0.stats
    }

    /// Reads keys and follows what tokens are bound to, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let inner = &*self.0;
        let keys = async {
            let mut said = false;
            loop {
                let read = inner.refresh(Duration::ZERO).await;
                if let Err(error) = &read
                    && !said
                {
                    warn!(
                        "tokens are reviewed by the API server, whose keys cannot be read: {error}"
                    );
                }
                said = read.is_err();
                sleep(if said { RETRY } else { REFRESH }).await;
            }
        };
        let followed = async {
            tokio::join!(keys, inner.bound.follow(&inner.client));
        };
        shutdown.run_until_cancelled(followed).await;
    }

    /// The service account that `token` speaks for.
    pub(super) async fn authenticate(&self, token: &str) -> Result<ServiceAccount, TokenError> {
        let inner = &*self.0;
        let mut checked = inner.check(token);
        if let Err(Undecided::Doubt(Doubt::Key)) = checked
            && matches!(inner.refresh(SOONEST).await, Ok(true))
        {
            checked = inner.check(token);
        }
        match checked {
            Ok(account) => {
                inner.stats.verified();
                Ok(account)
            }
            Err(Undecided::Refused(error)) => {
                inner.stats.refused();
                Err(error)
            }
            Err(Undecided::Doubt(doubt)) => {
                inner.stats.doubted(doubt);
                inner.review.authenticate(token).await
            }
        }
    }
}

/// Why a token was not found to be good here.
enum Undecided {
    Refused(TokenError),
    Doubt(Doubt),
}

impl Inner {
    fn check(&self, token: &str) -> Result<ServiceAccount, Undecided> {
        let doubt = |doubt| Err(Undecided::Doubt(doubt));
        let Some(keys) = self.keys.load_full() else {
            return doubt(Doubt::NoKeys);
        };
        let claims = match keys.check(token) {
            Checked::Verified(claims) => claims,
            Checked::Refused(error) => return Err(Undecided::Refused(error)),
            Checked::Doubtful(reason) => return doubt(reason),
        };
        let Some(objects) = claims.bound_to() else {
            return doubt(Doubt::Binding);
        };
        let now = SystemTime::now();
        if !objects.into_iter().all(|uid| self.bound.exists(uid, now)) {
            return doubt(Doubt::Object);
        }
        ServiceAccount::from_username(&claims.subject).map_err(Undecided::Refused)
    }

    /// Reads issuer and keys, unless that was done less than `age` ago; whether it was
    /// done now.
    async fn refresh(&self, age: Duration) -> Result<bool, String> {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < age) {
            return Ok(false);
        }
        *asked = Some(Instant::now());
        let read = timeout(TIMEOUT, self.read()).await;
        let read = read.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")));
        match read {
            Ok(keys) => {
                let (count, issuer) = (keys.len(), keys.issuer());
                let previous = self.keys.load();
                if previous
                    .as_ref()
                    .is_none_or(|previous| previous.issuer() != issuer)
                {
                    info!(
                        issuer,
                        keys = count,
                        "tokens are checked with the API server's keys"
                    );
                }
                self.stats.read(count);
                self.keys.store(Some(Arc::new(keys)));
                Ok(true)
            }
            Err(error) => {
                self.stats.unread();
                Err(error)
            }
        }
    }

    async fn read(&self) -> Result<KeySet, String> {
        let discovery = self.get(DISCOVERY).await?;
        let keys = self.get(KEYS).await?;
        KeySet::read(&discovery, &keys).map_err(|error| error.to_string())
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.client.request_text(request).await;
        answer.map_err(|error| format!("{path}: {error}"))
    }
}

impl fmt::Debug for KeyedReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedReview")
            .field("stats", self.stats())
            .finish_non_exhaustive()
    }
}
