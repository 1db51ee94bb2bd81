//! The tokens that proxies show, and what the API server says of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::World;
use super::requests::for_all;

/// Whom proxies' tokens are for.
const AUDIENCE: &str = "identity.l5d.io";
/// As the injector asks for.
const LIFETIME_SECONDS: u32 = 86_400;

/// A token that the kubelet would have put into a pod.
#[derive(Clone, Debug)]
pub(crate) struct ProxyToken {
    pub(crate) account: String,
    pub(crate) namespace: String,
    pub(crate) token: String,
}

#[derive(Deserialize)]
struct TokenRequest {
    status: TokenStatus,
}

#[derive(Deserialize)]
struct TokenStatus {
    token: String,
}

#[derive(Deserialize)]
struct TokenReview {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    error: String,
}

impl World {
    /// `count` tokens, no two the same, each bound to a pod: of one Service after another.
    pub(crate) async fn tokens(&self, count: usize) -> Result<Vec<ProxyToken>> {
        ensure!(self.shape.pods() > 0, "tokens are for pods");
        for_all(0..count, |number| self.token(number)).await
    }

    async fn token(&self, number: usize) -> Result<ProxyToken> {
        let service = &self.services[number % self.services.len()];
        let pod = number / self.services.len() % self.shape.pods_per_service;
        let request = json!({"spec": {
            "audiences": [AUDIENCE],
            "expirationSeconds": LIFETIME_SECONDS,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": service.pod_name(pod)},
        }});
        let path = format!("{}/{}/token", service.core("serviceaccounts"), service.name);
        let answer: TokenRequest = self.requests.ask(&path, &request).await?;
        Ok(ProxyToken {
            account: service.name.clone(),
            namespace: service.namespace.clone(),
            token: answer.status.token,
        })
    }

    /// How long the API server takes to review all of `tokens`, asked as identity asks it, with
    /// [`CONCURRENCY`](super::CONCURRENCY) under way. It knows a token again for ten seconds.
    pub(crate) async fn review(&self, tokens: &[ProxyToken]) -> Result<Duration> {
        let review = async |token: &ProxyToken| {
            let review = json!({
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token.token, "audiences": [AUDIENCE]},
            });
            let path = "/apis/authentication.k8s.io/v1/tokenreviews";
            let answer: TokenReview = self.requests.ask(path, &review).await?;
            let ReviewStatus {
                authenticated,
                error,
            } = answer.status;
            authenticated
                .then_some(())
                .with_context(|| format!("the API server knows its own token not: {error:?}"))
        };
        let began = Instant::now();
        for_all(tokens, review).await?;
        Ok(began.elapsed())
    }
}
