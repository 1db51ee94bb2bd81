use super::writer::Writer;
use crate::process::Process;
use ferrule_destination::DestinationServer;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tonic::{Code, server::NamedService};

/// What proxies are told: streams, and the views behind them.
#[derive(Debug)]
pub(super) struct Streams(pub(super) Arc<Process>);

/// The gRPC service as metrics name it.
const SERVICE: &str = <DestinationServer as NamedService>::NAME;

impl Collector for Streams {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        self.streams(&mut writer)?;
        self.views(&mut writer)?;
        self.calls(&mut writer)
    }
}

impl Streams {
    fn streams(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let streams = self.0.streams();
        writer.gauges(
            "stream_active",
            "Streams that are open",
            streams.map(|(method, streams)| (of(method), streams.active())),
        )?;
        writer.counters(
            "stream_opened",
            "Streams that were opened",
            streams.map(|(method, streams)| (of(method), streams.opened.load(Relaxed))),
        )?;
        writer.counters(
            "stream_messages_sent",
            "Messages handed to the transport",
            streams.map(|(method, streams)| (of(method), streams.messages.load(Relaxed))),
        )?;
        writer.counters(
            "stream_bytes_sent",
            "Bytes handed to the transport, message headers included",
            streams.map(|(method, streams)| (of(method), streams.bytes.load(Relaxed))),
        )
    }

    fn views(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let (endpoints, profiles) = self.0.registry.views();
        writer.gauges(
            "views",
            "Answers kept up to date, each shared by all streams that are told the same",
            [
                ([("kind", "endpoints")], endpoints),
                ([("kind", "profiles")], profiles),
            ],
        )?;
        writer.gauge(
            "endpoints_published",
            "Endpoints in all views of endpoints, counted every ten seconds",
            self.0.registry.published(),
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

    fn calls(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let refused: Vec<_> = self.0.destination.refused().counts().collect();
        let of_methods = self.0.streams().map(|(method, streams)| {
            let mut labels = unnamed().to_vec();
            labels.push(("grpc_method", method));
            (labels, streams.opened.load(Relaxed))
        });
        let refused_count = refused.iter().map(|(_, count)| count).sum::<u64>();
        writer.counters(
            "grpc_server_started",
            "Calls begun; those that were refused have no grpc_method",
            of_methods
                .into_iter()
                .chain([(unnamed().to_vec(), refused_count)]),
        )?;
        let handled = refused.into_iter().map(|(code, count)| {
            let mut labels = unnamed().to_vec();
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

fn of(method: &'static str) -> [(&'static str, &'static str); 2] {
    [("service", "destination"), ("method", method)]
}

fn unnamed() -> [(&'static str, &'static str); 2] {
    [("grpc_service", SERVICE), ("grpc_type", "server_stream")]
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
