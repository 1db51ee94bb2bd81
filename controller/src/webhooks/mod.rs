//! The webhooks: what the API server asks before it stores an object.
//!
//! One HTTPS listener answers for all of them, each at a path of its own (ruling
//! 15). What is registered under which path is up to the chart. An answer is
//! always a valid review: a mistake in the object is a denial, whose message
//! reaches whoever wrote it. What is no review at all gets what the webhook's
//! users have always got: an HTTP error, for which the registered failure policy
//! decides, or a denial.

mod certificate;
mod policy;
mod profile;
mod review;
mod server;

pub(crate) use self::certificate::{CertificateFiles, ServingCertificate};

use self::review::{Request, Verdict};
use crate::flags::Role;
use ferrule_cluster::{Distribution, Histogram};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Decides about a review.
type Admit = fn(&Request<'_>) -> Verdict;

/// What each webhook is.
#[derive(Clone, Copy)]
struct Endpoint {
    path: &'static str,
    /// The name in metrics and logs.
    name: &'static str,
    /// With which role it comes.
    role: Role,
    admit: Admit,
    no_review: NoReview,
}

/// How what is no review is answered.
#[derive(Clone, Copy)]
enum NoReview {
    /// With status 400; with 200 and nothing where there is no body (destination.md
    /// section 17).
    BadRequest,
    /// With a denial (policy.md section 8.1).
    Denial,
}

const WEBHOOKS: [Endpoint; 2] = [
    Endpoint {
        path: "/validate/policy",
        name: "policy-validator",
        role: Role::Policy,
        admit: policy::admit,
        no_review: NoReview::Denial,
    },
    Endpoint {
        path: "/validate/profile",
        name: "profile-validator",
        role: Role::Destination,
        admit: profile::admit,
        no_review: NoReview::BadRequest,
    },
];

/// Upper bounds of the buckets of latencies, in seconds: a typical review takes
/// less than a millisecond, and API servers wait ten seconds.
const BOUNDS: [f64; 10] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 10.0,
];

/// The webhooks of this process.
pub(crate) struct Webhooks {
    certificate: Arc<ServingCertificate>,
    webhooks: Vec<Arc<Webhook>>,
}

/// One of them.
pub(crate) struct Webhook {
    endpoint: Endpoint,
    allowed: Histogram,
    denied: Histogram,
    /// What was asked and is no review.
    unreadable: AtomicU64,
}

/// What became of the reviews of a webhook.
pub(crate) struct Outcomes {
    /// How long those took that ended so.
    pub(crate) allowed: Distribution,
    pub(crate) denied: Distribution,
    /// How many were no reviews.
    pub(crate) unreadable: u64,
}

impl Webhooks {
    /// The webhooks of these roles, served with this certificate.
    pub(crate) fn new(certificate: Arc<ServingCertificate>, roles: &[Role]) -> Self {
        Self {
            certificate,
            webhooks: of(roles),
        }
    }

    /// The certificate that API servers see.
    pub(crate) fn certificate(&self) -> &Arc<ServingCertificate> {
        &self.certificate
    }

    /// The webhooks' names in metrics.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.webhooks.iter().map(|webhook| webhook.endpoint.name)
    }

    /// Each webhook's name in metrics, and what became of its reviews.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, Outcomes)> {
        self.webhooks.iter().map(|webhook| {
            let outcomes = Outcomes {
                allowed: webhook.allowed.read(),
                denied: webhook.denied.read(),
                unreadable: webhook.unreadable.load(Relaxed),
            };
            (webhook.endpoint.name, outcomes)
        })
    }

    /// Answers until `stop`, and then what was already asked.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let router = review::router(&self.webhooks);
        server::serve(listener, self.certificate.clone(), router, stop).await;
    }
}

/// Whether there is a webhook that comes with one of these roles.
pub(crate) fn are_of(roles: &[Role]) -> bool {
    WEBHOOKS.iter().any(|webhook| roles.contains(&webhook.role))
}

/// The webhooks of these roles, without anything asked of them.
fn of(roles: &[Role]) -> Vec<Arc<Webhook>> {
    let mut webhooks = WEBHOOKS.to_vec();
    webhooks.retain(|webhook| roles.contains(&webhook.role));
    let webhooks = webhooks.into_iter().map(|endpoint| {
        Arc::new(Webhook {
            endpoint,
            allowed: Histogram::new(&BOUNDS),
            denied: Histogram::new(&BOUNDS),
            unreadable: AtomicU64::new(0),
        })
    });
    webhooks.collect()
}

impl Webhook {
    fn decided(&self, verdict: &Verdict, took: Duration) {
        match verdict {
            Verdict::Allowed(_) => self.allowed.observe(took),
            Verdict::Denied(_) => self.denied.observe(took),
        }
    }
}

#[cfg(test)]
mod tests;
