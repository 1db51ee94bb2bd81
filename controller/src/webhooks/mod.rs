//! The webhooks: what the API server asks before it stores an object.
//!
//! One HTTPS listener answers for all of them, each at a path of its own (ruling
//! 15). What is registered under which path is up to the chart. An answer is
//! always a valid review: a mistake in the object is a denial, whose message
//! reaches whoever wrote it. What is no review at all gets what the webhook's
//! users have always got: an HTTP error, for which the registered failure policy
//! decides, or a denial.

mod activity;
mod authority;
mod bodies;
mod bundle_file;
mod certificate;
mod handover;
mod inject;
mod peers;
mod policy;
mod profile;
mod registrations;
mod review;
mod server;
mod source;

pub(crate) use self::{
    authority::{AuthorityStatus, Lifetimes},
    certificate::ServingCertificate,
    source::Certificates,
};

use self::review::{Request, Verdict};
use self::{authority::NAME as AUTHORITY, bodies::Bodies, certificate::CertificateFiles};
use crate::{flags::Role, injection::Injection};
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

const VALIDATORS: [Endpoint; 2] = [
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

/// Asked by itself: it must look things up.
const INJECTOR: Endpoint = Endpoint {
    path: "/inject",
    name: "proxy-injector",
    role: Role::ProxyInjector,
    admit: |_| Verdict::Allowed(Vec::new()),
    no_review: NoReview::BadRequest,
};

/// Upper bounds of the buckets of latencies, in seconds: a typical review takes
/// less than a millisecond, and API servers wait ten seconds.
const BOUNDS: [f64; 10] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 10.0,
];

/// The webhooks of this process.
pub(crate) struct Webhooks {
    certificate: Arc<ServingCertificate>,
    /// Of the authority that makes it, if that is our own.
    authority: Option<Arc<AuthorityStatus>>,
    /// What decides about an object alone.
    validators: Vec<Arc<Webhook>>,
    injector: Option<(Arc<Webhook>, Arc<Injection>)>,
}

/// One of them.
pub(crate) struct Webhook {
    endpoint: Endpoint,
    allowed: Histogram,
    denied: Histogram,
    /// What was asked and is no review.
    unreadable: AtomicU64,
    /// What could not be decided.
    failed: AtomicU64,
}

/// What became of the reviews of a webhook.
pub(crate) struct Outcomes {
    /// How long those took that ended so.
    pub(crate) allowed: Distribution,
    pub(crate) denied: Distribution,
    /// How many were no reviews.
    pub(crate) unreadable: u64,
    /// How many could not be decided.
    pub(crate) failed: u64,
}

impl Webhooks {
    /// The validators of these roles, and the injector, if there is one, served with
    /// this certificate.
    pub(crate) fn new(
        certificate: Arc<ServingCertificate>,
        authority: Option<Arc<AuthorityStatus>>,
        roles: &[Role],
        injection: Option<Arc<Injection>>,
    ) -> Self {
        let injector = injection.map(|injection| (Arc::new(Webhook::new(INJECTOR)), injection));
        Self {
            certificate,
            authority,
            validators: of(roles),
            injector,
        }
    }

    /// The certificate that API servers see.
    pub(crate) fn certificate(&self) -> &Arc<ServingCertificate> {
        &self.certificate
    }

    /// How the authority that makes it fares, if that is our own.
    pub(crate) fn authority(&self) -> Option<&AuthorityStatus> {
        self.authority.as_deref()
    }

    fn webhooks(&self) -> impl Iterator<Item = &Webhook> {
        let injector = self.injector.as_ref().map(|(webhook, _)| webhook);
        self.validators
            .iter()
            .chain(injector)
            .map(|webhook| &**webhook)
    }

    /// The webhooks' names in metrics.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.webhooks().map(|webhook| webhook.endpoint.name)
    }

    /// Each webhook's name in metrics, and what became of its reviews.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, Outcomes)> {
        self.webhooks().map(|webhook| {
            let outcomes = Outcomes {
                allowed: webhook.allowed.read(),
                denied: webhook.denied.read(),
                unreadable: webhook.unreadable.load(Relaxed),
                failed: webhook.failed.load(Relaxed),
            };
            (webhook.endpoint.name, outcomes)
        })
    }

    /// Answers until `stop`, and then what was already asked.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let bodies = Bodies::new();
        let mut router = review::router(&self.validators, &bodies);
        if let Some((webhook, injection)) = &self.injector {
            router = router.merge(inject::router(inject::Endpoint {
                injection: injection.clone(),
                webhook: webhook.clone(),
                bodies,
            }));
        }
        server::serve(listener, self.certificate.clone(), router, stop).await;
    }
}

/// Whether there is a webhook that comes with one of these roles.
pub(crate) fn are_of(roles: &[Role]) -> bool {
    let mut all = VALIDATORS.iter().chain([&INJECTOR]);
    all.any(|webhook| roles.contains(&webhook.role))
}

/// The validators of these roles, without anything asked of them.
fn of(roles: &[Role]) -> Vec<Arc<Webhook>> {
    let mut endpoints = VALIDATORS.to_vec();
    endpoints.retain(|endpoint| roles.contains(&endpoint.role));
    let webhooks = endpoints.into_iter().map(Webhook::new);
    webhooks.map(Arc::new).collect()
}

impl Webhook {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            allowed: Histogram::new(&BOUNDS),
            denied: Histogram::new(&BOUNDS),
            unreadable: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn decided(&self, verdict: &Verdict, took: Duration) {
        match verdict {
            Verdict::Allowed(_) | Verdict::Changed { .. } => self.allowed.observe(took),
            Verdict::Denied(_) => self.denied.observe(took),
        }
    }
}

#[cfg(test)]
mod tests;
