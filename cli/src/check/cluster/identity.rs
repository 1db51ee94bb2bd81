//! Trust anchors and issuer, by the code that the identity role judges them with.

use super::{
    look::Look,
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use crate::{
    identity::{Certificate, Validity, ask_at},
    pod_page::{Unreached, page},
};
use ferrule_identity::{
    CertificateError, ChainError, IdentityScope, Issuer, IssuerError, IssuerScheme, KeyAlgorithm,
    MANAGED_BY, PathError, TrustAnchors,
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

const ROTATE: &str = "one that Ferrule keeps: ferrule identity rotate trust-anchor, or do what the \
                      rotation waits for (ferrule identity status). One of yours, while it is \
                      good: docs/certificates.md, \"Replacing a trust anchor that is yours\"";
const EXPIRED_ANCHOR: &str = "one that Ferrule keeps: ferrule identity rotate trust-anchor, or do \
                              what the rotation waits for (ferrule identity status); nobody has \
                              to restart for certificates again. One of yours: replace bundle and \
                              issuer, and restart all workloads: docs/certificates.md, \"When it \
                              has gone wrong\"";
const EXPIRED_ISSUER: &str = "one that Ferrule keeps is renewed as soon as it can be: see what \
                              keeps it (/ready of identity's port 9990, and its log). Another: \
                              put a good one in its place; leaves are good until they expire: \
                              docs/certificates.md, \"When it has gone wrong\"";

const ANCHORS: &[Need] = &[Need("get", "configmaps")];
const ISSUER: &[Need] = &[Need("get", "configmaps"), Need("get", "secrets")];

const IDENTITY: Row = Row {
    category: Category::Identity,
    severity: Severity::Fatal,
    after: &["l5d-existence-linkerd-config"],
    ..ROW
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "l5d-identity-trust-roots-valid",
        anchor: Some("l5d-identity-cert-config-valid"),
        title: "the trust anchors can be read",
        needs: ANCHORS,
        remedy: "write PEM certificates into key ca-bundle.crt of ConfigMap \
                 linkerd-identity-trust-roots (or identity.trustRootsConfigMapName); where \
                 Ferrule keeps it, it mends it",
        run: |look| Box::pin(async { look.anchors().await.map(drop) }),
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-cert-config-valid",
        title: "the issuer's certificate and key can be read, and belong together",
        needs: ISSUER,
        remedy: "write both into Secret linkerd-identity-issuer: crt.pem and key.pem, or with \
                 identity.issuer.scheme kubernetes.io/tls tls.crt and tls.key (and into \
                 identity.issuer.secretName)",
        run: |look| Box::pin(issuer_is_readable(look)),
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-trustAnchors-use-supported-crypto",
        title: "the trust anchors have keys that proxies understand",
        after: &["l5d-identity-trust-roots-valid"],
        needs: ANCHORS,
        remedy: "make others: ECDSA P-256 (or P-384), or RSA of at least 2048 bits",
        run: |look| {
            Box::pin(async {
                let anchors = look.anchors().await?;
                let wrong = anchors
                    .certificates()
                    .iter()
                    .filter(|one| !is_supported(one, true));
                none_of(wrong.map(crypto))
            })
        },
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-issuer-cert-uses-supported-crypto",
        title: "the issuer has a key that can sign for proxies",
        needs: ISSUER,
        remedy: "make another: ECDSA P-256 (or P-384)",
        run: |look| {
            Box::pin(async {
                let chain = issuer_chain(look).await?;
                none_of((!is_supported(&chain[0], false)).then(|| crypto(&chain[0])))
            })
        },
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-trustAnchors-are-time-valid",
        title: "the trust anchors are in date",
        after: &["l5d-identity-trust-roots-valid"],
        needs: ANCHORS,
        remedy: EXPIRED_ANCHOR,
        run: |look| {
            Box::pin(async { in_date(look, "trust anchor", look.anchors().await?.certificates()) })
        },
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-issuer-cert-is-time-valid",
        title: "the issuer is in date",
        needs: ISSUER,
        remedy: EXPIRED_ISSUER,
        run: |look| Box::pin(async { in_date(look, "issuer", &issuer_chain(look).await?) }),
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-trustAnchors-not-expiring-soon",
        title: "the trust anchors will be in date for long",
        severity: Severity::Warning,
        after: &["l5d-identity-trustAnchors-are-time-valid"],
        needs: ANCHORS,
        remedy: ROTATE,
        run: |look| {
            Box::pin(async { not_due(look, "trust anchor", look.anchors().await?.certificates()) })
        },
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-issuer-cert-not-expiring-soon",
        title: "the issuer will be in date for long",
        severity: Severity::Warning,
        after: &["l5d-identity-issuer-cert-is-time-valid"],
        needs: ISSUER,
        remedy: "renew it with what made it; one that Ferrule keeps: look why it was not renewed \
                 (kubectl -n <ns> logs deploy/linkerd-identity), and see \
                 docs/certificates.md",
        run: |look| Box::pin(async { not_due(look, "issuer", &issuer_chain(look).await?) }),
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-issuer-cert-issued-by-trust-anchor",
        title: "the issuer is signed by a trust anchor, and signs what proxies accept",
        severity: Severity::Error,
        after: &[
            "l5d-identity-cert-config-valid",
            "l5d-identity-trust-roots-valid",
        ],
        needs: ISSUER,
        remedy: "the issuer's Secret and the trust anchors' ConfigMap (linkerd-identity-issuer and \
                 linkerd-identity-trust-roots, unless values call them otherwise) do not \
                 belong together: put the anchor that signed the issuer into the bundle, or an \
                 issuer that one of them signed into the Secret",
        run: |look| Box::pin(issued_by_anchor(look)),
        ..IDENTITY
    },
    Row {
        id: "l5d-identity-issuer-loaded",
        title: "identity signs with the issuer that is in the Secret",
        severity: Severity::Warning,
        after: &["l5d-identity-cert-config-valid", "l5d-api-control-ready"],
        retried: true,
        needs: &[
            Need("get", "configmaps"),
            Need("get", "secrets"),
            Need("list", "pods"),
            Need("get", "pods/proxy"),
        ],
        remedy: "look why the new one is not taken: the note at /ready of identity's port 9990, and \
                 its log. One that waits is not trusted by all pods: restart those that `ferrule \
                 identity status` lists. A subPath mount never changes",
        run: |look| Box::pin(loaded(look)),
        ..IDENTITY
    },
];

/// What of a key proxies (their TLS library) and our issuers can do.
pub(crate) fn is_supported(certificate: &ferrule_identity::Certificate, is_anchor: bool) -> bool {
    match certificate.public_key().algorithm() {
        KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => true,
        KeyAlgorithm::Rsa(bits) => is_anchor && *bits >= 2048,
        KeyAlgorithm::Ed25519 => is_anchor,
        KeyAlgorithm::EcdsaP521 | KeyAlgorithm::Other(_) => false,
    }
}

fn crypto(certificate: &ferrule_identity::Certificate) -> String {
    let algorithm = certificate.public_key().algorithm();
    format!("{} has a key of {algorithm}", certificate.subject())
}

fn states(
    look: &Look,
    kind: &str,
    certificates: &[ferrule_identity::Certificate],
    counts: fn(Validity) -> bool,
) -> Answer {
    none_of(certificates.iter().map(Certificate::of).filter_map(|one| {
        let state = one
            .trouble(look.now)
            .filter(|_| counts(one.validity(look.now)))?;
        Some(format!(
            "{kind} {} {state} (until {})",
            one.subject, one.not_after
        ))
    }))
}

/// Fails for what is not valid now.
pub(super) fn in_date(
    look: &Look,
    kind: &str,
    certificates: &[ferrule_identity::Certificate],
) -> Answer {
    states(look, kind, certificates, |validity| {
        matches!(validity, Validity::Expired | Validity::Future)
    })
}

/// Fails for what is to be renewed (ruling 12).
pub(super) fn not_due(
    look: &Look,
    kind: &str,
    certificates: &[ferrule_identity::Certificate],
) -> Answer {
    states(look, kind, certificates, |validity| {
        validity == Validity::Due
    })
}

/// The text of a part of a Secret.
pub(super) fn part<'s>(secret: &'s Secret, key: &str) -> Result<&'s [u8], Problem> {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    let data = data.filter(|data| !data.0.is_empty());
    let missing = || {
        let empty = BTreeMap::new();
        let keys = secret.data.as_ref().unwrap_or(&empty).keys();
        let keys: Vec<_> = keys.map(String::as_str).collect();
        let name = secret.name_any();
        Problem::found(match keys[..] {
            [] => format!("Secret {name} is empty; it is to have {key}"),
            _ => format!("Secret {name} has no {key}; it has {}", keys.join(", ")),
        })
    };
    Ok(&data.ok_or_else(missing)?.0)
}

struct Pair<'l> {
    /// Of the Secret.
    name: &'l str,
    certificate: &'l [u8],
    key: &'l [u8],
}

/// Whether Ferrule keeps the issuer.
pub(super) async fn ours(look: &Look) -> crate::read::Read<bool> {
    let secret = look.issuer().await?.1;
    let keeper = secret.and_then(|secret| secret.labels().get(MANAGED_BY.0));
    Ok(keeper.is_some_and(|keeper| keeper == MANAGED_BY.1))
}

async fn issuer_pair(look: &Look) -> Result<Pair<'_>, Problem> {
    let (name, Some(secret)) = look.issuer().await? else {
        let name = look.issuer().await?.0;
        let namespace = look.namespace();
        return Err(Problem::found(format!(
            "there is no Secret {namespace}/{name}"
        )));
    };
    let settings = look.settings().await?;
    let scheme = settings.and_then(|settings| settings.text("identity.issuer.scheme"));
    let scheme = IssuerScheme::from(scheme.unwrap_or("linkerd.io/tls"));
    Ok(Pair {
        name,
        certificate: part(secret, scheme.certificate())?,
        key: part(secret, scheme.key())?,
    })
}

/// The issuer's certificate and those of its parents; that it cannot be read is another
/// check's to say.
pub(super) async fn issuer_chain(
    look: &Look,
) -> Result<Vec<ferrule_identity::Certificate>, Problem> {
    let pair = issuer_pair(look).await.map_err(|problem| match problem {
        Problem::Found(cause) => Problem::NotApplicable(cause),
        other => other,
    })?;
    let chain = ferrule_identity::Certificate::chain_from_pem(pair.certificate);
    chain.map_err(|error| Problem::NotApplicable(error.to_string()))
}

/// What the identity role would say of the Secret.
async fn judged(
    look: &Look,
    anchors: &TrustAnchors,
) -> Result<Result<Issuer, IssuerError>, Problem> {
    let pair = issuer_pair(look).await?;
    let settings = look.settings().await?;
    let domain = settings.map_or("cluster.local", |settings| &settings.values.trust_domain);
    let scope = IdentityScope::new(look.namespace(), domain);
    let scope = scope.map_err(|error| Problem::found(format!("identityTrustDomain: {error}")))?;
    let now = SystemTime::from(look.now);
    Ok(Issuer::load(
        pair.certificate,
        pair.key,
        anchors,
        &scope,
        now,
    ))
}

async fn issuer_is_readable(look: &Look) -> Answer {
    let pair = issuer_pair(look).await?;
    let name = pair.name;
    // Whether it chains to them is another check's to say; the key is looked at first.
    let anchors = TrustAnchors::from_pem(pair.certificate);
    let unreadable = |error: ChainError| match error {
        // An issuer need not be what could be an anchor.
        ChainError::Certificate {
            reason: CertificateError::Unusable(_),
            ..
        } => None,
        error => Some(Problem::found(format!("Secret {name}: {error}"))),
    };
    let anchors = match anchors {
        Ok(anchors) => anchors,
        Err(error) => return unreadable(error).map_or(Ok(()), Err),
    };
    match judged(look, &anchors).await? {
        Err(
            error @ (IssuerError::Certificate(_) | IssuerError::Key(_) | IssuerError::KeyMismatch),
        ) => Err(Problem::found(format!("Secret {name}: {error}"))),
        _ => Ok(()),
    }
}

async fn issued_by_anchor(look: &Look) -> Answer {
    match judged(look, &look.anchors().await?).await? {
        // That is another check's to say.
        Ok(_) | Err(IssuerError::Path(PathError::Validity { .. })) => Ok(()),
        Err(error) => Err(Problem::found(error.to_string())),
    }
}

/// What a process tells of its issuer.
struct Told {
    who: String,
    loaded: Loaded,
    /// Whether it has another that waits.
    is_held_back: bool,
}

/// Which issuer it signs with.
enum Loaded {
    Sha256(String),
    /// Seconds since 1970.
    Until(i64),
}

async fn loaded(look: &Look) -> Answer {
    let chain = issuer_chain(look).await?;
    let stored = Certificate::of(&chain[0]);
    let mut others = Vec::new();
    for told in ask_identity(look).await? {
        let Told {
            who,
            loaded,
            is_held_back,
        } = told;
        let (is_it, other) = match loaded {
            Loaded::Sha256(sha256) => (sha256 == stored.sha256, format!("SHA-256 {sha256}")),
            Loaded::Until(until) => {
                let date = jiff::Timestamp::from_second(until);
                let date = date.map_or_else(|_| until.to_string(), |date| date.to_string());
                (
                    until == stored.not_after.as_second(),
                    format!("one until {date}"),
                )
            }
        };
        if !is_it {
            let (sha256, until) = (&stored.sha256, stored.not_after);
            let why = if is_held_back {
                ": not all pods trust that one"
            } else {
                ""
            };
            others.push(format!(
                "{who} signs with another issuer ({other}) than the Secret holds \
                 (SHA-256 {sha256}, until {until}){why}"
            ));
        }
    }
    none_of(others)
}

async fn ask_identity(look: &Look) -> Result<Vec<Told>, Problem> {
    if let Some(addr) = &look.scope.api_addr {
        let (report, _) = ask_at(addr)
            .await
            .map_err(|error| Problem::found(error.to_string()))?;
        let chain = report.issuer.iter().flat_map(|issuer| &issuer.chain);
        let first = chain.take(1);
        let told = first.map(|one| Told {
            who: addr.to_string(),
            loaded: Loaded::Sha256(one.sha256.clone()),
            is_held_back: report.held().is_some(),
        });
        return Ok(told.collect());
    }
    let pods = look.control_pods().await?;
    let mut all = Vec::new();
    for pod in
        super::existence::pods_of(pods, "identity").filter(|pod| super::existence::is_ready(pod))
    {
        let metrics = metrics(look, pod).await?;
        let until = metrics.as_deref().and_then(issuer_expiry);
        all.extend(until.map(|until| {
            Told {
                who: format!("pod {}", pod.name_any()),
                loaded: Loaded::Until(until),
                is_held_back: metrics
                    .iter()
                    .any(|text| text.contains("\nissuer_held_back 1")),
            }
        }));
    }
    if all.is_empty() {
        return Err(Problem::not_applicable(
            "no identity pod could be asked; --api-addr says where one listens",
        ));
    }
    Ok(all)
}

/// The metrics of a pod; `None` if the API server cannot reach it.
async fn metrics(look: &Look, pod: &Pod) -> Result<Option<String>, Problem> {
    const ADMIN: u16 = 9990;
    /// The API server may wait long for who cannot be reached.
    const REACH: Duration = Duration::from_secs(5);
    let (namespace, name) = (look.namespace(), pod.name_any());
    match page(&look.client, namespace, &name, ADMIN, "/metrics", REACH).await {
        Ok(text) => Ok(Some(text)),
        Err(Unreached::Forbidden) => Err(Problem::Forbidden("get pods/proxy".to_owned())),
        Err(Unreached::Late(_) | Unreached::Failed(_)) => Ok(None),
    }
}

fn issuer_expiry(metrics: &str) -> Option<i64> {
    let mut lines = metrics.lines();
    let value =
        lines.find_map(|line| line.strip_prefix("identity_issuer_expiry_timestamp_seconds "))?;
    // They may be written as a number with a fraction.
    value
        .trim()
        .parse::<f64>()
        .ok()
        .map(|seconds| seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuers_end_is_among_the_metrics() {
        let text = "# TYPE identity_issuer_expiry_timestamp_seconds gauge\n\
                    identity_issuer_expiry_timestamp_seconds 1795000000.0\n";
        assert_eq!(issuer_expiry(text), Some(1_795_000_000));
        assert_eq!(issuer_expiry("other 1\n"), None);
    }
}
