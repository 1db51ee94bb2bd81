use super::writer::Writer;
use crate::{
    flags::Role,
    process::{Discovery, Process},
};
use ferrule_cluster::grpc::Calls;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc, time::Duration};
use tonic::Code;

/// From when on a stream that was not told what there is counts as behind.
const BEHIND: Duration = Duration::from_secs(10);

/// The streams that are open, and what they are told from.
#[derive(Debug)]
pub(super) struct Streams(pub(super) Arc<Process>);

impl Collector for Streams {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.streams(&self.0.calls(), &mut Writer::new(encoder))
    }
}

/// The calls of all roles: what every gRPC server of a Linkerd control plane tells
/// (destination.md 14).
#[derive(Debug)]
pub(super) struct Grpc(pub(super) Arc<Process>);

impl Collector for Grpc {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        grpc(&self.0.calls(), &mut Writer::new(encoder))
    }
}

impl Streams {
    fn streams(&self, calls: &[(Role, Arc<Calls>)], writer: &mut Writer<'_>) -> fmt::Result {
        let Some(discovery) = &self.0.discovery else {
            return Ok(());
        };
        let streaming = || {
            calls
                .iter()
                .filter(|(_, calls)| calls.method().is_streaming)
        };
        writer.gauges(
            "stream_active{service,method}",
            "Streams that are open",
            streaming().map(|(role, calls)| (stream(*role, calls), calls.active())),
        )?;
        writer.counters(
            "stream_bytes_sent{service,method}",
            "Bytes handed to the transport, message headers included",
            streaming().map(|(role, calls)| (stream(*role, calls), calls.sent_bytes())),
        )?;
        writer.counters(
            "stream_versions_skipped{service,method}",
            "Versions that streams were not told, since a newer one was there before their \
             client was ready. Slow clients, or changes faster than the network: no harm by \
             itself, since each is told the newest",
            streaming().map(|(role, calls)| (stream(*role, calls), calls.skipped())),
        )?;
        writer.histograms(
            "stream_update_latency_seconds{service,method}",
            "How long it took from when a change came to the index, with the others of its \
             batch, until it was handed to the transport, once for each stream that was told; \
             not what a stream is told first",
            streaming().map(|(role, calls)| (stream(*role, calls), calls.latency())),
        )?;
        writer.gauges(
            "stream_behind{service,method}",
            "Streams that have for more than ten seconds not been told what there is, since \
             their clients do not read; they are skipped ahead when they do",
            streaming().map(|(role, calls)| (stream(*role, calls), calls.behind(BEHIND))),
        )?;
        writer.counters(
            "stream_refused{service,method}",
            "Streams that were refused, since the replica had as many as it may \
             (--max-streams)",
            streaming().map(|(role, calls)| (stream(*role, calls), calls.refused())),
        )?;
        let (get, get_profile) = discovery.destinations.encoded();
        let (watch_port, watch) = discovery.policies.encoded();
        let encoded = [
            ("destination", "Get", get),
            ("destination", "GetProfile", get_profile),
            ("policy", "WatchPort", watch_port),
            ("policy", "Watch", watch),
        ];
        writer.counters(
            "stream_messages_encoded{service,method}",
            "Messages that were put together. All others that were sent are these again: \
             grpc_server_msg_sent_total divided by this is how many streams share one",
            encoded.map(|(service, method, count)| {
                ([("service", service), ("method", method)], count)
            }),
        )?;
        kinds(discovery, writer)
    }
}

fn kinds(discovery: &Discovery, writer: &mut Writer<'_>) -> fmt::Result {
    let (endpoints, profiles) = discovery.destinations.views();
    let (inbound, outbound) = discovery.policies.views();
    writer.gauges(
        "views{kind}",
        "Answers kept up to date (endpoints, profiles, inbound, outbound), each shared by all \
         streams that are told the same",
        [
            ([("kind", "endpoints")], endpoints),
            ([("kind", "profiles")], profiles),
            ([("kind", "inbound")], inbound),
            ([("kind", "outbound")], outbound),
        ],
    )?;
    writer.gauge(
        "endpoints_published",
        "Endpoints in all views of endpoints, counted every ten seconds",
        discovery.destinations.published(),
    )
}

fn grpc(calls: &[(Role, Arc<Calls>)], writer: &mut Writer<'_>) -> fmt::Result {
    let each = || calls.iter().map(|(_, calls)| (of(calls), calls));
    writer.counters(
        "grpc_server_started{grpc_service,grpc_method,grpc_type}",
        "Calls begun",
        each().map(|(labels, calls)| (labels, calls.started())),
    )?;
    let handled = each().flat_map(|([service, method, kind], calls)| {
        calls.handled().map(move |(code, count)| {
            let labels = [service, method, kind, ("grpc_code", code_name(code))];
            (labels, count)
        })
    });
    writer.counters(
        "grpc_server_handled{grpc_service,grpc_method,grpc_type,grpc_code}",
        "Calls that have ended, streams included, by code. A client that goes away, as proxies \
         do all the time, is Canceled; Unavailable are streams that ended because a replica was \
         shut down, or calls before the cluster was listed",
        handled,
    )?;
    writer.counters(
        "grpc_server_msg_received{grpc_service,grpc_method,grpc_type}",
        "Messages that clients sent and that could be read",
        each().map(|(labels, calls)| (labels, calls.received())),
    )?;
    writer.counters(
        "grpc_server_msg_sent{grpc_service,grpc_method,grpc_type}",
        "Messages handed to the transport: the updates of a stream",
        each().map(|(labels, calls)| (labels, calls.sent())),
    )?;
    writer.histograms(
        "grpc_server_handling_seconds{grpc_service,grpc_method,grpc_type}",
        "How long calls took that have ended; streams are open for long",
        each().map(|(labels, calls)| (labels, calls.handling())),
    )
}

fn of(calls: &Calls) -> [(&'static str, &'static str); 3] {
    let method = calls.method();
    let kind = if method.is_streaming {
        "server_stream"
    } else {
        "unary"
    };
    [
        ("grpc_service", calls.service()),
        ("grpc_method", method.name),
        ("grpc_type", kind),
    ]
}

fn stream(role: Role, calls: &Calls) -> [(&'static str, &'static str); 2] {
    [("service", role.as_str()), ("method", calls.method().name)]
}

/// The code as other gRPC servers' metrics spell it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
