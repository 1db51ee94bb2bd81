//! Tokens as the Kubernetes API server judges them (identity-injector.md 3.6).

mod flight;
mod stats;

pub use self::stats::ReviewStats;

use self::flight::Flights;
use super::{ServiceAccount, TOKEN_AUDIENCE, TokenError};
use ferrule_cluster::trace::{Fact, Span};
use k8s_openapi::api::{
    authentication::v1::{TokenReview as Review, TokenReviewSpec, TokenReviewStatus},
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams, core::Resource};
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error, fmt, fmt::Debug, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// How many reviews are asked for at once; further ones wait for their turn. Enough
/// to keep an API server busy that answers each in some milliseconds, and few
/// enough to leave it to others when it is slow.
const CONCURRENCY: usize = 64;
/// How long a token is waited for in all: its turn, and up to two reviews. A proxy
/// waits for an answer without limit, but asks again in 10 s if there is one.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks the API server whose a token is.
///
/// A token is reviewed for [`TOKEN_AUDIENCE`]. One that was not made for an
/// audience (`serviceAccountTokenProjection: false`) is reviewed again for the API
/// server's own. Nothing is remembered: a token whose pod is gone is refused at
/// once. Only calls that come with the same token at the same time share a review.
#[derive(Clone)]
pub struct TokenReview(Arc<Inner>);

struct Inner {
    client: Client,
    permits: Semaphore,
    flights: Flights,
    stats: ReviewStats,
}

/// Whether tokens may be reviewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// They may.
    Allowed,
    /// They may not.
    Denied {
        /// What the API server says of it; empty if nothing.
        reason: String,
    },
}

impl TokenReview {
    /// Asks through `client`, with 64 reviews at once at most.
    pub fn new(client: Client) -> Self {
        Self::with_concurrency(client, CONCURRENCY)
    }

    /// The same with another limit.
    pub fn with_concurrency(client: Client, limit: usize) -> Self {
        Self(Arc::new(Inner {
            client,
            permits: Semaphore::new(limit),
            flights: Flights::default(),
            stats: ReviewStats::default(),
        }))
    }

    /// What was asked and how long it took.
    pub fn stats(&self) -> &ReviewStats {
        &self.0.stats
    }

    /// Whether this client may create TokenReviews. A control plane that may not
    /// can certify nobody, and should say so when it starts; how long it waits for the
    /// answer is its own concern.
    ///
    /// # Errors
    /// If the API server does not answer that.
    pub async fn can_review(&self) -> Result<Permission, TokenError> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some("authentication.k8s.io".to_owned()),
                    version: Some("v1".to_owned()),
                    resource: Some("tokenreviews".to_owned()),
                    verb: Some("create".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = self.0.create(&review).await?;
        let status = answer.status.unwrap_or_default();
        if status.allowed {
            return Ok(Permission::Allowed);
        }
        let said = [status.reason, status.evaluation_error];
        let said: Vec<String> = said.into_iter().flatten().collect();
        Ok(Permission::Denied {
            reason: said.join("; "),
        })
    }

    /// The service account that `token` speaks for.
    pub(super) async fn authenticate(&self, token: &str) -> Result<ServiceAccount, TokenError> {
        let inner = self.0.clone();
        let flight = self.0.flights.join(token, |token| async move {
            timeout(DEADLINE, inner.authenticate(&token))
                .await
                .unwrap_or_else(|_| {
                    inner.stats.failed();
                    Err(TokenError::Timeout(DEADLINE))
                })
        });
        flight.await
    }
}

impl Inner {
    async fn authenticate(&self, token: &str) -> Result<ServiceAccount, TokenError> {
        let permit = self.permits.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let status = self.review(token, Some(TOKEN_AUDIENCE)).await?;
        if !is_of_another_audience(&status) {
            return judge(status, Some(TOKEN_AUDIENCE));
        }
        judge(self.review(token, None).await?, None)
    }

    async fn review(
        &self,
        token: &str,
        audience: Option<&str>,
    ) -> Result<TokenReviewStatus, TokenError> {
        let review = Review {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: audience.map(|audience| vec![audience.to_owned()]),
            },
            ..Review::default()
        };
        let started = Instant::now();
        let span = Span::part("token review", || {
            let audience = audience.unwrap_or_default().to_owned();
            vec![Fact::new("ferrule.audience", audience)]
        });
        let answer = self.create(&review).await;
        if let Err(error) = &answer {
            span.fail(|| error.to_string());
        }
        drop(span);
        match &answer {
            Ok(_) => self.stats.reviewed(started.elapsed()),
            Err(_) => self.stats.failed(),
        }
        Ok(answer?.status.unwrap_or_default())
    }

    async fn create<K>(&self, object: &K) -> Result<K, TokenError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        Api::all(self.client.clone())
            .create(&PostParams::default(), object)
            .await
            .map_err(|error| TokenError::Api(chain(&error)))
    }
}

/// Whether the token may be good for the API server, though not for us: what it
/// says of every token that was made for other audiences.
fn is_of_another_audience(status: &TokenReviewStatus) -> bool {
    let error = status.error.as_deref().unwrap_or_default();
    error.contains("token audiences")
}

/// What the status of a review for `audience` (none: the API server's own) means.
fn judge(status: TokenReviewStatus, audience: Option<&str>) -> Result<ServiceAccount, TokenError> {
    match status.error {
        Some(error) if !error.is_empty() => return Err(TokenError::Rejected(error)),
        _ => {}
    }
    if status.authenticated != Some(true) {
        return Err(TokenError::Unauthenticated);
    }
    // An authenticator that knows nothing of audiences would accept any token.
    let audiences = status.audiences.unwrap_or_default();
    if let Some(audience) = audience
        && !audiences.iter().any(|found| found == audience)
    {
        return Err(TokenError::Audience(audiences));
    }
    let username = status.user.and_then(|user| user.username);
    ServiceAccount::from_username(&username.unwrap_or_default())
}

/// What an error and its causes say: hyper's errors say nothing without them.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Debug for TokenReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = &self.0.stats;
        f.debug_struct("TokenReview")
            .field("stats", stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
