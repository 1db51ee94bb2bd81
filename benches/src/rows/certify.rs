//! Certificates: how many, and what one costs. All is by mesh TLS.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use tempfile::TempDir;

use super::{Bench, Findings};
use crate::frames::frame;
use crate::mesh::{certify_request, to_identity};
use crate::processes::{Ferrule, Generator, Setup, Source, Transport};
use crate::protocol::{Certified, Certify, ConnectionUse, Tls};
use crate::report::Unit;
use crate::world::{CONCURRENCY, ProxyToken};

/// For as many certificates the time to the first, and the last alone, does not matter.
const REVIEWS: usize = 2_000;
const CALLS: usize = 20_000;
const CALLS_WITH_CONNECTIONS: usize = 5_000;
/// Until code, allocator and connections to the API server are warm.
const WARM_UP: usize = 500;
/// Service accounts of the embedded default.
const ACCOUNTS: usize = 100;
const CONNECTIONS: usize = 12;
/// Of what a certificate has that is signed, in bytes, and how often it is signed in how many
/// tries, of which the fastest counts: others use the cores as well.
const SIGNED: [u8; 450] = [7; 450];
const SIGNATURES: u32 = 2_000;
const TRIES: usize = 10;
/// How often it is tried whether the server has read keys and pods.
const PATIENCE: usize = 20;
/// "As fast as the API server answers", with the noise of two cores that both share.
const AS_FAST: f64 = 1.25;
/// A leaf and its issuer are more.
const LEAST_BYTES: f64 = 500.0;

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let signature = signature()?;
    let us = signature.as_secs_f64() * 1e6;
    findings.add("a signature alone", Unit::Microseconds, us, None);
    reviewed(bench, findings, signature).await?;
    keyed(bench, findings, signature).await?;
    checked(bench, findings, signature).await
}

/// What every certificate takes, whoever asks: one signature by the issuer's kind of key, with
/// the library that the server has.
fn signature() -> Result<Duration> {
    let failed = |_| anyhow::anyhow!("there is no signature");
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let random = SystemRandom::new();
    let mut fastest = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        for _ in 0..SIGNATURES {
            black_box(key.sign(&random, black_box(&SIGNED)).map_err(failed)?);
        }
        fastest = fastest.min(began.elapsed() / SIGNATURES);
    }
    Ok(fastest)
}

/// The API server vouches for every token; it has seen none before, or it would remember.
///
/// What it can do by itself is measured before and after, since its speed changes with time.
async fn reviewed(bench: &Bench<'_>, findings: &mut Findings, signature: Duration) -> Result<()> {
    let tokens = bench.world.tokens(WARM_UP + 3 * REVIEWS).await?;
    let (warm_up, tokens) = tokens.split_at(WARM_UP);
    let (before, tokens) = tokens.split_at(REVIEWS);
    let (tokens, after) = tokens.split_at(REVIEWS);

    let setup = bench.meshed("identity");
    let mut server = bench.start(&setup)?;
    server.ready().await?;
    let mut proxies = Proxies::new(bench, &server, to_identity(bench.mesh.trust_anchors()))?;
    let warm = ConnectionUse::Warm(CONNECTIONS);
    proxies.have(warm_up)?;
    proxies.certify(WARM_UP, warm).await?;

    bench.world.review(warm_up).await?;
    let alone = bench.world.review(before).await?;
    proxies.have(tokens)?;
    let measurement = server.measure("certify-reviewed")?;
    let certified = proxies.certify(REVIEWS, warm).await?;
    let used = measurement.end()?;
    let alone = (alone + bench.world.review(after).await?) / 2;

    let rate = REVIEWS as f64 / alone.as_secs_f64();
    let what = "the API server alone: TokenReviews";
    findings.add(what, Unit::PerSecond, rate, None);
    findings.certified("TokenReview", &certified, used.cpu_seconds, signature, None);
    let times = certified.seconds / alone.as_secs_f64();
    let what = "TokenReview: time, of the API server's alone";
    findings.add(what, Unit::Times, times, AS_FAST);
    Ok(())
}

/// `--token-review=local`: the server knows the API server's keys, and what tokens are bound
/// to. Each token is shown many times, which makes no difference: nothing is remembered.
async fn keyed(bench: &Bench<'_>, findings: &mut Findings, signature: Duration) -> Result<()> {
    const VERIFIED: &str = "token_local_checks_total{result=\"verified\"}";
    let tokens = bench.world.tokens(ACCOUNTS).await?;
    let setup = Setup {
        local_tokens: true,
        ..bench.meshed("identity")
    };
    let mut server = bench.start(&setup)?;
    server.ready().await?;
    let mut proxies = Proxies::new(bench, &server, to_identity(bench.mesh.trust_anchors()))?;
    let warm = ConnectionUse::Warm(CONNECTIONS);
    proxies.have(&tokens)?;
    let mut verified = 0;
    for _ in 0..PATIENCE {
        let before = server.metric(VERIFIED).await?;
        proxies.certify(WARM_UP, warm).await?;
        verified = server.metric(VERIFIED).await?;
        if verified - before == WARM_UP as u64 {
            break;
        }
    }
    let measurement = server.measure("certify-keyed")?;
    let certified = proxies.certify(CALLS, warm).await?;
    let used = measurement.end()?;
    let decided = server.metric(VERIFIED).await? - verified;
    ensure!(
        decided == CALLS as u64,
        "{decided} of {CALLS} tokens were decided by the server: the API server was asked"
    );
    let what = "by the API server's keys";
    let target = Some(3_000.0);
    findings.certified(what, &certified, used.cpu_seconds, signature, target);
    Ok(())
}

/// The embedded default: the server knows the tokens by itself.
async fn checked(bench: &Bench<'_>, findings: &mut Findings, signature: Duration) -> Result<()> {
    let [manifests, state] = [folder()?, folder()?];
    let setup = Setup {
        roles: "identity",
        source: Source::Embedded {
            manifests: manifests.path(),
            state: state.path(),
        },
        transport: Transport::MeshTls,
        mesh: None,
        local_tokens: false,
        injector: None,
    };
    let mut server = bench.start(&setup)?;
    server.ready().await?;
    let mut tokens = Vec::with_capacity(ACCOUNTS);
    for number in 0..ACCOUNTS {
        let (account, namespace) = (format!("backend-{number}"), "shop".to_owned());
        let token = bench.program.token(&account, &namespace, state.path());
        tokens.push(ProxyToken {
            token: token.await?,
            account,
            namespace,
        });
    }
    let anchors = state.path().join("ca.crt");
    let mut proxies = Proxies::new(bench, &server, to_identity(anchors))?;
    proxies.have(&tokens)?;

    for (what, name, calls, connections, target) in [
        (
            "in-process, warm connections",
            "certify-warm",
            CALLS,
            ConnectionUse::Warm(CONNECTIONS),
            3_000.0,
        ),
        (
            "in-process, a connection each",
            "certify-connections",
            CALLS_WITH_CONNECTIONS,
            ConnectionUse::OnePerCall,
            1_200.0,
        ),
    ] {
        proxies.certify(WARM_UP, connections).await?;
        let measurement = server.measure(name)?;
        let certified = proxies.certify(calls, connections).await?;
        let used = measurement.end()?;
        findings.certified(what, &certified, used.cpu_seconds, signature, Some(target));
        findings.memory(&format!("{what}: peak resident"), used.memory.peak, None);
    }
    Ok(())
}

impl Findings {
    /// `target` is for one core: certificates for each second of the server's CPU.
    fn certified(
        &mut self,
        what: &str,
        certified: &Certified,
        cpu_seconds: f64,
        signature: Duration,
        target: Option<f64>,
    ) {
        let count = certified.answered as f64;
        let named = |rest: &str| format!("{what}: {rest}");
        let rate = count / certified.seconds;
        self.add(&named("certificates"), Unit::PerSecond, rate, None);
        let per_cpu = count / cpu_seconds;
        let what = named("certificates on one core");
        self.add(&what, Unit::PerSecond, per_cpu, target);
        let each = cpu_seconds / count * 1e6;
        let what = named("server CPU a certificate");
        self.add(&what, Unit::Microseconds, each, None);
        let times = each / (signature.as_secs_f64() * 1e6);
        let what = named("server CPU, of a signature's alone");
        self.add(&what, Unit::Times, times, None);
        for (percentile, ms) in [
            ("p50", certified.each_ms.p50),
            ("p99", certified.each_ms.p99),
        ] {
            let what = named(&format!("a call, {percentile}"));
            self.add(&what, Unit::Milliseconds, ms, None);
        }
    }
}

/// Those that ask one server.
struct Proxies {
    generator: Generator,
    order: Certify,
    folder: TempDir,
}

impl Proxies {
    fn new(bench: &Bench<'_>, server: &Ferrule, tls: Tls) -> Result<Self> {
        let order = Certify {
            server: server.identity(),
            tls,
            requests: PathBuf::new(),
            calls: 0,
            in_flight: CONCURRENCY,
            connections: ConnectionUse::OnePerCall,
            timeout_ms: 120_000,
        };
        Ok(Self {
            generator: bench.generator()?,
            order,
            folder: folder()?,
        })
    }

    /// From now on they show these tokens.
    fn have(&mut self, tokens: &[ProxyToken]) -> Result<()> {
        let mut requests = Vec::new();
        for proxy in tokens {
            let request = certify_request(&proxy.account, &proxy.namespace, &proxy.token)?;
            requests.extend_from_slice(&frame(&request));
        }
        let file = self.folder.path().join("requests");
        fs::write(&file, requests).with_context(|| format!("cannot write {}", file.display()))?;
        self.order.requests = file;
        Ok(())
    }

    async fn certify(&mut self, calls: usize, connections: ConnectionUse) -> Result<Certified> {
        let order = Certify {
            calls,
            connections,
            ..self.order.clone()
        };
        let certified = self.generator.certify(order).await?;
        ensure!(
            certified.bytes.min >= LEAST_BYTES,
            "an answer has {} bytes: that is no certificate",
            certified.bytes.min
        );
        Ok(certified)
    }
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("ferrule-bench-")
        .tempdir()?)
}
