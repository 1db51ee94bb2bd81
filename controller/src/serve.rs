//! `ferrule serve`: the parts of the process, and how they are joined.

use crate::{
    admin::{self, Admin},
    banner::Banner,
    flags::{LogFormat, ServeFlags},
    grpc, listener, logging,
    logging::LogLevel,
    open_files,
    process::Process,
    readiness,
    shutdown::{self, Drain, Signals},
    source::Source,
};
use anyhow::{Context as _, anyhow, bail};
use ferrule_cluster::{Index, Interner, source::WatchStats};
use ferrule_destination::{Destination, Destinations, Registry};
use std::{io, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

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
    let listeners = Listeners::bind(flags)?;
    let interner = Interner::new();
    let watches = Arc::new(WatchStats::new());
    let source = Source::open(&flags.source, interner.clone(), watches.clone()).await?;

    // source -> index -> views
    let mesh = Arc::new(flags.mesh.mesh());
    let registry = Arc::<Registry>::default();
    let destinations = Destinations::new(mesh.clone(), registry.clone());
    let (mut index, handle) = Index::new(interner.clone());
    let questions = index.project(destinations);
    let destination = Destination::server(mesh, registry.clone(), questions.clone());
    let process = Arc::new(Process::new(
        interner,
        registry,
        handle.stats,
        watches,
        destination,
        questions,
    ));

    listeners.announce()?;
    let sink = match &flags.source.manifests {
        // It is for people.
        Some(directory) if flags.log.log_format == LogFormat::Plain => {
            let banner = Banner {
                program: std::env::args_os()
                    .next()
                    .unwrap_or_else(|| "ferrule".into())
                    .into(),
                directory: directory.clone(),
                cluster_domain: flags.mesh.cluster_domain.clone(),
                destination: listeners.destination.local_addr()?,
                admin: listeners.admin.local_addr()?,
            };
            banner.print_when_synced(process.clone(), handle.events)
        }
        _ => handle.events,
    };
    let stop = CancellationToken::new();
    let admin = Admin::new(process.clone(), log_level, flags.listen.debug_remote);
    let mut parts = Parts::default();
    parts.spawn("the index", index.run(stop.clone()));
    parts.spawn("the source", source.run(sink, stop.clone()));
    parts.spawn("the admin listener", admin::serve(listeners.admin, admin));
    tokio::spawn(readiness::synced(process.clone()));
    answer(flags, &process, listeners.destination, parts, signals).await?;
    stop.cancel();
    tracing::info!("stopped");
    Ok(())
}

/// Answers proxies until a signal comes, then sends them elsewhere.
async fn answer(
    flags: &ServeFlags,
    process: &Process,
    listener: TcpListener,
    mut parts: Parts,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let destination = process.destination.clone();
    let mut grpc = tokio::spawn(grpc::serve(listener, destination, stop.clone()));
    tokio::select! {
        _ = signals.next() => {}
        error = parts.ended() => return Err(error),
        ended = &mut grpc => {
            ended?.context("the destination listener failed")?;
            bail!("the destination listener has stopped");
        }
    }
    signals.exit_on_next();
    let embedded = flags.is_embedded();
    let drain = Drain {
        delay: flags.shutdown.drain_delay(embedded),
        window: flags.shutdown.drain_window(embedded),
    };
    shutdown::drain(process, drain, &stop).await;
    let closed = tokio::time::timeout(flags.shutdown.shutdown_timeout, grpc).await;
    if closed.is_err() {
        tracing::warn!("closing connections that are still open");
    }
    Ok(())
}

/// The sockets, bound before anything else is done: a port in use is found at
/// once, and clients that come early wait instead of being refused.
struct Listeners {
    destination: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    fn bind(flags: &ServeFlags) -> anyhow::Result<Self> {
        let (listen, embedded) = (&flags.listen, flags.is_embedded());
        let destination = listen.destination_addr(embedded);
        let admin = listen.admin_addr(embedded);
        Ok(Self {
            destination: listener::bind(destination, "--destination-addr")?,
            admin: listener::bind(admin, "--admin-addr")?,
        })
    }

    /// Says where the process is reached, port 0 resolved.
    fn announce(&self) -> io::Result<()> {
        let destination = self.destination.local_addr()?;
        let admin = self.admin.local_addr()?;
        tracing::info!(role = "destination", addr = %destination, "serving");
        tracing::info!(role = "admin", addr = %admin, "serving");
        if !destination.ip().is_loopback() {
            // Proxies take a loopback address for plaintext, and no other.
            tracing::warn!(
                addr = %destination,
                "the destination API is served in plaintext without authentication; proxies \
                 expect mesh TLS there, so give them an address where it is terminated",
            );
        }
        Ok(())
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
