use super::writer::{NONE, Writer};
use crate::{identity::Identity, process::Process};
use ferrule_identity::{
    Authenticator, Census, Certificate, Doubt, KeyStats, Phase, Reason, ReviewStats,
    RotationStatus, Step, WaitsFor,
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// How many digits of a fingerprint tell anchors apart, as `ferrule identity` shows
/// them.
const FINGERPRINT: usize = 12;

/// How many workloads have a series of their own: a mesh has thousands, and at the
/// beginning of a rotation all of them are behind.
const OWNERS: usize = 100;

/// The certificate authority: what it gave, what it refused, and how long it may
/// go on.
#[derive(Debug)]
pub(super) struct Authority(pub(super) Arc<Process>);

impl Collector for Authority {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let Some(identity) = &self.0.identity else {
            return Ok(());
        };
        certificates(identity, &mut writer)?;
        lives(identity, &mut writer)?;
        files(identity, &mut writer)?;
        guard(identity, &mut writer)?;
        keeping(identity, &mut writer)?;
        reviews(identity, &mut writer)?;
        keys(identity, &mut writer)
    }
}

fn certificates(identity: &Identity, writer: &mut Writer<'_>) -> fmt::Result {
    let stats = identity.authority.stats();
    writer.counter(
        "certificates_issued",
        "Certificates issued, the process' own included",
        stats.issued(),
    )?;
    writer.counters(
        "certificates_refused{reason}",
        "Calls of Certify that were refused, by reason: not_ready, missing_field, \
         malformed_csr, issuer_invalid, csr_possession, csr_names, csr_key, \
         token_review_failed, token_invalid, token_unauthenticated, identity_mismatch, signing",
        Reason::ALL.map(|reason| ([("reason", reason.as_str())], stats.refused(reason))),
    )?;
    writer.histograms(
        "identity_certify_step_seconds{step}",
        "How long each step of Certify took, whatever came of it: request (read and checked), \
         token (whose it is), sign",
        Step::ALL.map(|step| ([("step", step.as_str())], stats.step(step))),
    )?;
    writer.counter(
        "identity_events_dropped",
        "Kubernetes Events not written because too many waited; the log has what they would \
         have told",
        identity.authority.notices().dropped(),
    )?;
    let last = stats.last_issued_millis();
    writer.gauges(
        "certificate_last_issued_timestamp_seconds",
        "When a certificate was last issued, in seconds since 1970; absent before the first",
        (last > 0).then_some((NONE, last as f64 / 1000.0)),
    )
}

fn lives(identity: &Identity, writer: &mut Writer<'_>) -> fmt::Result {
    let now = SystemTime::now();
    let credentials = identity.authority.credentials();
    let issuer = credentials.as_ref().map_or(0.0, |credentials| {
        seconds_until(credentials.issuer.certificate().not_after(), now)
    });
    let anchors = credentials.as_ref().map_or(0.0, |credentials| {
        seconds_until(credentials.anchors.not_after(), now)
    });
    writer.gauge(
        "issuer_cert_ttl_seconds",
        "Seconds until the issuer expires; below 0 once it has, 0 while there is none",
        issuer,
    )?;
    writer.gauge(
        "trust_anchor_cert_ttl_seconds",
        "Seconds until the first trust anchor expires; below 0 once it has",
        anchors,
    )?;
    let credentials = credentials.as_ref();
    writer.gauges(
        "identity_issuer_expiry_timestamp_seconds",
        "When the issuer expires, in seconds since 1970; absent while there is none",
        credentials.map(|credentials| {
            let issuer = credentials.issuer.certificate();
            (NONE, timestamp(issuer.not_after()))
        }),
    )?;
    writer.gauges(
        "identity_issuer_warning_timestamp_seconds",
        "From when on the issuer is about to expire, in seconds since 1970: with the smaller of \
         60 days and a third of its life left; absent while there is none",
        credentials.map(|credentials| {
            let issuer = credentials.issuer.certificate();
            (NONE, timestamp(issuer.warn_from()))
        }),
    )?;
    let of_anchors = |time: fn(&Certificate) -> SystemTime| {
        let anchors = credentials.iter().flat_map(|credentials| {
            let anchors = credentials.anchors.certificates().iter();
            anchors.map(move |anchor| {
                let fingerprint = &anchor.fingerprint()[..FINGERPRINT];
                ([("fingerprint", fingerprint)], timestamp(time(anchor)))
            })
        });
        anchors.collect::<Vec<_>>()
    };
    writer.gauges(
        "identity_trust_anchor_expiry_timestamp_seconds{fingerprint}",
        "When each trust anchor expires, in seconds since 1970; fingerprint is the first 12 \
         digits of its SHA-256, as ferrule identity shows it",
        of_anchors(Certificate::not_after),
    )?;
    writer.gauges(
        "identity_trust_anchor_warning_timestamp_seconds{fingerprint}",
        "From when on each trust anchor is about to expire, likewise as the issuer",
        of_anchors(Certificate::warn_from),
    )
}

fn files(identity: &Identity, writer: &mut Writer<'_>) -> fmt::Result {
    let files = identity.followed.as_ref();
    writer.counters(
        "identity_issuer_reload{result}",
        "How often a changed issuer or changed trust anchors came into force (ok), or could not \
         be used (error): what was good stays in force",
        [
            ([("result", "ok")], files.map_or(0, |files| files.reloads())),
            (
                [("result", "error")],
                files.map_or(0, |files| files.failures()),
            ),
        ],
    )?;
    let is_bad = files.is_some_and(|files| files.last_error().is_some());
    writer.gauge(
        "issuer_files_bad",
        "1 while the files, or the Secret and ConfigMap, cannot be used and the last good \
         issuer is in force",
        u32::from(is_bad),
    )
}

/// An issuer of somebody else's that not all pods trust.
fn guard(identity: &Identity, writer: &mut Writer<'_>) -> fmt::Result {
    let guarded = identity.guarded.as_ref();
    let held = guarded.and_then(|guarded| guarded.held());
    writer.gauge(
        "issuer_held_back",
        "1 while an issuer that somebody has put there does not sign, because not all pods trust \
         it and the one before is good still; the log, /ready and ferrule identity status say more",
        u32::from(held.is_some()),
    )?;
    let waiting = held.and_then(|held| held.laggards);
    let signing = guarded.and_then(|guarded| guarded.laggards());
    let counts = [("waiting", waiting), ("signing", signing)];
    writer.gauges(
        "issuer_laggard_pods{issuer}",
        "Pods that do not trust an issuer of somebody else's, when they were counted last: the \
         one that is waiting, or the one that is signing; absent where they were not",
        counts
            .into_iter()
            .filter_map(|(issuer, count)| Some(([("issuer", issuer)], count? as f64))),
    )
}

fn keeping(identity: &Identity, writer: &mut Writer<'_>) -> fmt::Result {
    let managed = identity.managed.as_ref();
    writer.counter(
        "issuers_made",
        "Issuers that this replica has made and written into the cluster",
        managed.map_or(0, |managed| managed.made()),
    )?;
    let is_stuck = managed.is_some_and(|managed| managed.stuck().is_some());
    writer.gauge(
        "issuer_upkeep_stuck",
        "1 while this replica is to keep the issuer and cannot; the log and /ready say why",
        u32::from(is_stuck),
    )?;
    rotation(
        managed.and_then(|managed| managed.rotation()).as_deref(),
        writer,
    )
}

fn rotation(status: Option<&RotationStatus>, writer: &mut Writer<'_>) -> fmt::Result {
    let under_way = status.and_then(|status| status.rotation.as_ref());
    writer.gauges(
        "trust_anchor_rotation_phase{phase}",
        "1 for the phase that a rotation of the trust anchor is in, where this replica leads: \
         distributing, switched, retiring, aborting",
        Phase::ALL.map(|phase| {
            let is_in = under_way.is_some_and(|rotation| rotation.phase == phase);
            ([("phase", phase.as_str())], u32::from(is_in))
        }),
    )?;
    let since = under_way.and_then(|rotation| rotation.since);
    writer.gauges(
        "trust_anchor_rotation_phase_timestamp_seconds",
        "Since when the rotation's phase is complete, in seconds since 1970; absent before",
        since.map(|since| (NONE, since.as_second() as f64)),
    )?;
    let waits = status.and_then(|status| status.waits.as_ref());
    writer.gauges(
        "trust_anchor_rotation_waiting{for}",
        "1 for what a rotation of the trust anchor waits for, or for which none that is due or \
         asked for begins, where this replica leads: pods (that do not trust the new anchor), \
         machines (outside Kubernetes, likewise), leaves (that only the old anchor vouches for: \
         nobody has to do anything), paused, paused_at_end (the old anchor cannot sign issuers \
         for much longer), clock (not the API server's), key, bundle (somebody else keeps it), \
         count (pods cannot be counted), by_hand (such a rotation is not finished), anchor \
         (gone, damaged or expired)",
        WaitsFor::ALL.map(|what| {
            let is_it = waits.is_some_and(|waits| waits.on == what);
            ([("for", what.as_str())], u32::from(is_it))
        }),
    )?;
    let laggards = status.and_then(|status| status.laggards.as_ref());
    writer.gauges(
        "trust_anchor_rotation_laggards",
        "Pods that do not trust the new anchor, when they were counted last, and proxies \
         outside Kubernetes that are not under it",
        laggards.map(|laggards| (NONE, laggards.count() as f64)),
    )?;
    let by_owner = laggards.map_or_else(Vec::new, |laggards| by_owner(&laggards.census));
    writer.gauges(
        "trust_anchor_rotation_laggard_pods{namespace,owner}",
        "The pods of these by namespace and owner, such as deployment/web; of the first 100 \
         owners, and the others together where both are empty",
        by_owner.into_iter().map(|([namespace, owner], pods)| {
            ([("namespace", namespace), ("owner", owner)], pods as f64)
        }),
    )
}

/// The pods of each owner, of no more than are worth a series each.
fn by_owner(census: &Census) -> Vec<([&str; 2], usize)> {
    let mut owners = census.laggards.iter();
    let mut all: Vec<_> = owners
        .by_ref()
        .take(OWNERS)
        .map(|((namespace, owner), pods)| ([&**namespace, &**owner], *pods))
        .collect();
    let others: usize = owners.map(|(_, pods)| pods).sum();
    if others > 0 {
        all.push((["", ""], others));
    }
    all
}

fn reviews(identity: &Identity, writer: &mut Writer<'_>) -> fmt::Result {
    let none = ReviewStats::default();
    let stats = match identity.authority.authenticator() {
        Authenticator::TokenReview(review) => review.stats(),
        Authenticator::Keys(keys) => keys.review().stats(),
        Authenticator::Local(_) => &none,
    };
    writer.histogram(
        "token_review_duration_seconds",
        "How long the API server took to review a token",
        stats.durations(),
    )?;
    writer.counter(
        "token_review_failures",
        "Reviews that the API server did not answer, or not in time",
        stats.failures(),
    )
}

/// Tokens that were checked by the API server's keys.
fn keys(identity: &Identity, writer: &mut Writer<'_>) -> fmt::Result {
    let none = KeyStats::default();
    let stats = match identity.authority.authenticator() {
        Authenticator::Keys(keys) => keys.stats(),
        Authenticator::TokenReview(_) | Authenticator::Local(_) => &none,
    };
    writer.counters(
        "token_local_checks{result}",
        "Tokens decided in this process (--token-review=local): verified, refused",
        [
            ([("result", "verified")], stats.verified_tokens()),
            ([("result", "refused")], stats.refused_tokens()),
        ],
    )?;
    writer.counters(
        "token_local_doubts{reason}",
        "Tokens that could not be decided in this process, and were reviewed: no_keys (none \
         read yet), key (not known), issuer (another), audience (not the mesh's), binding (to \
         something that is not followed), object (not known, or gone)",
        Doubt::ALL.map(|doubt| ([("reason", doubt.as_str())], stats.doubted_tokens(doubt))),
    )?;
    writer.gauge(
        "token_keys",
        "Keys of the API server that tokens are checked with; 0 with --token-review=always",
        stats.keys() as f64,
    )?;
    let read_at = stats.read_at_millis();
    writer.gauges(
        "token_keys_read_timestamp_seconds",
        "When the keys were last read, in seconds since 1970; absent before the first time",
        (read_at > 0).then_some((NONE, read_at as f64 / 1000.0)),
    )?;
    writer.counter(
        "token_keys_read_failures",
        "How often the keys could not be read; those that there are count on",
        stats.failures(),
    )
}

/// Below 0 for a time that is past.
fn seconds_until(time: SystemTime, now: SystemTime) -> f64 {
    match time.duration_since(now) {
        Ok(left) => left.as_secs_f64(),
        Err(past) => -past.duration().as_secs_f64(),
    }
}

/// Seconds since 1970.
pub(super) fn timestamp(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn laggards_of_more_owners_than_can_be_told_apart_are_summed() {
        let census = |owners: usize| Census {
            pods: 1000,
            laggards: (0..owners)
                .map(|n| (("shop".to_owned(), format!("deployment/{n:03}")), 2))
                .collect(),
        };
        for (owners, series) in [(0, 0), (1, 1), (100, 100), (101, 101), (500, 101)] {
            let census = census(owners);
            let told = by_owner(&census);
            assert_eq!(told.len(), series, "{owners}");
            let pods: usize = told.iter().map(|(_, pods)| pods).sum();
            assert_eq!(pods, census.behind(), "{owners}");
        }
        assert_eq!(by_owner(&census(101))[100], (["", ""], 2));
        assert_eq!(by_owner(&census(1))[0], (["shop", "deployment/000"], 2));
    }

    #[test]
    fn s62_an_issuer_that_expired_an_hour_ago_has_less_than_nothing_left() {
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        assert_eq!(seconds_until(now - hour, now), -3600.0);
        assert_eq!(seconds_until(now + hour, now), 3600.0);
    }
}
