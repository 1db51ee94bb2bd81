//! `ferrule serve`: the parts of the process, and how they are joined.

use crate::{
    admin::{self, Admin},
    api_client::ApiRequests,
    banner::Banner,
    discovery,
    flags::{LogFormat, Role, ServeFlags},
    grpc,
    identity::Identity,
    injection::Injection,
    lease::Leases,
    listeners::Listeners,
    logging::{self, LogLevel},
    open_files,
    process::Process,
    readiness,
    restarts::{self, Restarts},
    shutdown::{self, Drain, Signals},
    source, status, traces,
    webhooks::{Certificates, Webhooks},
};
use anyhow::{Context as _, anyhow};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Serves until a signal comes.
pub(crate) fn run(flags: &ServeFlags) -> anyhow::Result<()> {
    let log_level = logging::start(&flags.log)?;
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(flags, log_level));
    // Nothing that still runs is worth waiting for.
    runtime.shutdown_background();
    result
}

async fn serve(flags: &ServeFlags, log_level: LogLevel) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let certificates = Certificates::open(flags)?;
    let (mut listeners, admin_listener) = Listeners::bind(flags, certificates.is_some())?;
    let requests = Arc::<ApiRequests>::default();
    let client = source::client(&flags.source, &requests).await?;
    let stop = CancellationToken::new();
    let mut parts = Parts::default();
    let mut process = Process::new(&flags.roles);
    let exporter = traces::start(flags, &host_name()).map(|(exporter, stats)| {
        process.traces = Some(stats);
        tokio::spawn(exporter.run(stop.clone()))
    });
    let watching = source::watching_client(&flags.source, &requests).await?;
    process.api_requests = client.is_some().then_some(requests);
    let mut leases = leases(flags, watching.as_ref());

    if flags.has(Role::Identity) {
        let (identity, upkeep) = Identity::open(flags, client.as_ref(), leases.as_mut()).await?;
        let upkeep = upkeep.run(identity.clone(), stop.clone());
        parts.spawn("the issuer's upkeep", upkeep);
        process.identity = Some(identity);
    }
    for (certificate, certifier) in listeners.certificates(flags, process.identity.as_ref())? {
        let upkeep = certificate.clone().run(certifier, stop.clone());
        parts.spawn("the upkeep of a certificate", upkeep);
        process.certificates.push(certificate);
    }
    process.handshakes = listeners.handshakes();
    if flags.has(Role::ProxyInjector) {
        let client = watching.as_ref();
        let client = client.context("the role proxy-injector needs a cluster")?;
        let (injection, upkeep) = Injection::open(flags, client)?;
        parts.spawn("the injector's upkeep", upkeep.run(stop.clone()));
        process.injection = Some(injection);
    }
    if let Some(certificates) = certificates {
        let cluster = watching.as_ref().zip(leases.as_mut());
        let kept = certificates.keep(flags, cluster, &stop)?;
        parts.spawn("the upkeep of the webhooks' certificate", kept.upkeep);
        let injection = process.injection.clone();
        let webhooks = Webhooks::new(kept.serving, kept.authority, &flags.roles, injection);
        process.webhooks = Some(Arc::new(webhooks));
    }

    let cluster = watching.as_ref().zip(leases.as_mut());
    if let (Some(settings), Some((client, leases))) = (flags.restarts(), cluster) {
        let leadership = leases.lead(restarts::LEASE);
        let (timeout, stats) = (leases.terms().call_timeout(), process.restarts.clone());
        let restarts = Restarts::new(client.clone(), settings, leadership, timeout, stats);
        parts.spawn("the restarts", restarts.run(stop.clone()));
    }

    // source -> index -> views
    let mut pipeline = None;
    if flags.has(Role::Destination) || flags.has(Role::Policy) {
        let (discovery, rest) = discovery::open(flags, client.clone())?;
        if let (Some(outbox), Some(client), Some(leases)) = (&discovery.outbox, client, &mut leases)
        {
            let outbox = outbox.clone();
            let synced = outbox.clone();
            // Who has not seen the cluster has nothing to say.
            let leadership = leases.lead_after(status::LEASE, async move { synced.synced().await });
            let timeout = flags.policy.patch_timeout(leases.terms());
            let stats = process.status_writes.clone();
            let writer = status::Writer::new(client, outbox, leadership, timeout, stats)
                .pausing(flags.policy.patch_pause());
            parts.spawn("the status writer", writer.run(stop.clone()));
        }
        process.discovery = Some(discovery);
        pipeline = Some(rest);
    }
    process.leases = leases
        .iter()
        .flat_map(|leases| leases.led().to_vec())
        .collect();
    let process = Arc::new(process);

    listeners.announce();
    if let Some(pipeline) = pipeline {
        let sink = match &flags.source.manifests {
            // It is for people.
            Some(directory) if flags.log.log_format == LogFormat::Plain => {
                let banner = Banner::new(flags, directory.clone(), &listeners);
                banner.print_when_synced(process.clone(), pipeline.sink)
            }
            _ => pipeline.sink,
        };
        parts.spawn("the index", pipeline.index.run(stop.clone()));
        parts.spawn("the source", pipeline.source.run(sink, stop.clone()));
    }
    let admin = Admin::new(
        process.clone(),
        flags.mesh.scope(),
        log_level,
        flags.listen.debug_remote,
    );
    parts.spawn("the admin listener", admin::serve(admin_listener, admin));
    tokio::spawn(readiness::reached(process.clone()));
    answer(flags, &process, listeners, parts, signals, leases.as_mut()).await?;
    stop.cancel();
    if let Some(exporter) = exporter {
        let _ = tokio::time::timeout(traces::GOODBYE, exporter).await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// What this replica may write alone, where there is a cluster.
fn leases(flags: &ServeFlags, client: Option<&kube::Client>) -> Option<Leases> {
    let terms = flags.lease.terms(&flags.mesh.control_plane_namespace);
    client.map(|client| Leases::new(client.clone(), terms, &host_name()))
}

/// In a pod, the pod's name.
#[cfg(unix)]
fn host_name() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    "ferrule".to_owned()
}

/// Answers proxies until a signal comes, then sends them elsewhere.
async fn answer(
    flags: &ServeFlags,
    process: &Process,
    listeners: Listeners,
    mut parts: Parts,
    mut signals: Signals,
    leases: Option<&mut Leases>,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let mut servers = JoinSet::new();
    if let Some((webhooks, listener)) = process.webhooks.clone().zip(listeners.webhooks) {
        let served = webhooks.serve(listener, stop.clone());
        servers.spawn(async move {
            served.await;
            Ok(())
        });
    }
    for listener in listeners.roles {
        let (role, stop) = (listener.role, stop.clone());
        let served = grpc::serve(listener.connections, routes(role, process), stop);
        servers.spawn(async move {
            served
                .await
                .with_context(|| format!("the {} listener failed", role.as_str()))
        });
    }
    tokio::select! {
        _ = signals.next() => {}
        error = parts.ended() => return Err(error),
        Some(ended) = servers.join_next() => {
            ended??;
            return Err(anyhow!("a listener has stopped"));
        }
    }
    signals.exit_on_next();
    let embedded = flags.is_embedded();
    let drain = Drain {
        delay: flags.shutdown.drain_delay(embedded),
        window: flags.shutdown.drain_window(embedded),
    };
    let released = async {
        if let Some(leases) = leases {
            leases.release().await;
        }
    };
    tokio::join!(shutdown::drain(process, drain, &stop), released);
    let closed = async { while servers.join_next().await.is_some() {} };
    let closed = tokio::time::timeout(flags.shutdown.shutdown_timeout, closed).await;
    if closed.is_err() {
        tracing::warn!("closing connections that are still open");
    }
    Ok(())
}

/// The gRPC services of a role.
fn routes(role: Role, process: &Process) -> Routes {
    match role {
        Role::Identity => {
            let identity = process.identity.as_ref().expect("the role is here");
            Routes::new(identity.api.clone())
        }
        Role::Destination => {
            let discovery = process.discovery.as_ref().expect("the role is here");
            Routes::new(discovery.destination.clone())
        }
        Role::Policy => {
            let discovery = process.discovery.as_ref().expect("the role is here");
            Routes::new(discovery.inbound.clone()).add_service(discovery.outbound.clone())
        }
        // Proxies ask it for nothing.
        Role::ProxyInjector => Routes::default(),
    }
}

/// What must not end before the process does.
#[derive(Default)]
struct Parts(JoinSet<&'static str>);

impl Parts {
    fn spawn(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            part.await;
            name
        });
    }

    /// The first part that ended, as an error; whoever started the process starts
    /// it again.
    async fn ended(&mut self) -> anyhow::Error {
        match self.0.join_next().await {
            Some(Ok(name)) => anyhow!("{name} has stopped"),
            // What it said is on standard error already.
            Some(Err(error)) => anyhow!(error).context("a part of the process failed"),
            None => anyhow!("there is nothing to run"),
        }
    }
}
