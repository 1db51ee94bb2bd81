use super::writer::Writer;
use crate::process::{Discovery, MethodStreams, Process};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tonic::Code;

/// What proxies are told: streams, and the views behind them.
#[derive(Debug)]
pub(super) struct Streams(pub(super) Arc<Process>);

impl Collector for Streams {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let Some(discovery) = &self.0.discovery else {
            return Ok(());
        };
        self.streams(&mut writer)?;
        views(discovery, &mut writer)?;
        self.calls(discovery, &mut writer)
    }
}

impl Streams {
    fn streams(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let streams = self.0.streams();
        let streams = || streams.iter();
        writer.gauges(
            "stream_active",
            "Streams that are open",
            streams().map(|method| (of(method), method.streams.active())),
        )?;
        writer.counters(
            "stream_opened",
            "Streams that were opened",
            streams().map(|method| (of(method), method.streams.opened.load(Relaxed))),
        )?;
        writer.counters(
            "stream_messages_sent",
            "Messages handed to the transport",
            streams().map(|method| (of(method), method.streams.messages.load(Relaxed))),
        )?;
        writer.counters(
            "stream_bytes_sent",
            "Bytes handed to the transport, message headers included",
            streams().map(|method| (of(method), method.streams.bytes.load(Relaxed))),
        )
    }

    fn calls(&self, discovery: &Discovery, writer: &mut Writer<'_>) -> fmt::Result {
        let refused = discovery.refused();
        let mut refused_calls = BTreeMap::<_, u64>::new();
        for (service, _, count) in &refused {
            *refused_calls.entry(*service).or_default() += count;
        }
        let streams = self.0.streams();
        let of_methods = streams.iter().map(|method| {
            let mut labels = unnamed(method.service).to_vec();
            labels.push(("grpc_method", method.method));
            (labels, method.streams.opened.load(Relaxed))
        });
        let unnamed_calls = refused_calls
            .into_iter()
            .map(|(service, count)| (unnamed(service).to_vec(), count));
        writer.counters(
            "grpc_server_started",
            "Calls begun; those that were refused have no grpc_method",
            of_methods.chain(unnamed_calls),
        )?;
        let handled = refused.into_iter().map(|(service, code, count)| {
            let mut labels = unnamed(service).to_vec();
            labels.push(("grpc_code", code_name(code)));
            (labels, count)
        });
        writer.counters(
            "grpc_server_handled",
            "Calls refused, by code; streams that ended are not among them",
            handled,
        )
    }
}

fn views(discovery: &Discovery, writer: &mut Writer<'_>) -> fmt::Result {
    let (endpoints, profiles) = discovery.destinations.views();
    let (inbound, outbound) = discovery.policies.views();
    writer.gauges(
        "views",
        "Answers kept up to date, each shared by all streams that are told the same",
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
    )?;
    // Streams have no queues (ruling 6); dashboards ask for these.
    for name in [
        "endpoint_updates_queue_overflow",
        "profile_updates_queue_overflow",
        "endpoint_profile_updates_queue_overflow",
    ] {
        writer.untyped(
            name,
            "Always 0: streams have no queue that could overflow",
            0u32,
        )?;
    }
    Ok(())
}

fn of(method: &MethodStreams<'_>) -> [(&'static str, &'static str); 2] {
    [("service", method.role.as_str()), ("method", method.method)]
}

fn unnamed(service: &'static str) -> [(&'static str, &'static str); 2] {
    [("grpc_service", service), ("grpc_type", "server_stream")]
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
