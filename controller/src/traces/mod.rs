//! Traces of the process' own work (operations.md 9.5): what is recorded is decided in
//! [`ferrule_cluster::trace`], and goes from here to an OpenTelemetry collector.
//!
//! ```text
//!   a span ends ──► queue of 4,096 ──► batches of 512 ──► the collector, by OTLP
//!                        └── full: the span is dropped, and counted
//! ```
//!
//! Nothing waits for the collector, and without one none of this is started.

mod exporter;
mod queue;

pub(crate) use self::{exporter::Exporter, queue::Stats};

use self::queue::Queue;
use crate::flags::ServeFlags;
use ferrule_cluster::trace::{self, Fact};
use opentelemetry::{InstrumentationScope, global::BoxedTracer, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Spans that may wait for the collector, some 500 bytes each.
const WAITING: usize = 4_096;

/// How long the last spans may take when the process ends.
pub(crate) const GOODBYE: Duration = Duration::from_secs(3);

/// Begins to record, if a collector is named, and makes what sends it there once it
/// runs. `host` is this process' name, in a pod the pod's.
pub(crate) fn start(flags: &ServeFlags, host: &str) -> Option<(Exporter, Arc<Stats>)> {
    let collector = flags.traces.trace_collector.as_ref()?;
    let (sender, spans) = mpsc::channel(WAITING);
    let stats = Arc::<Stats>::default();
    let resource = resource(flags, host);
    let exporter = Exporter::new(collector, &resource, spans, stats.clone());
    let provider = SdkTracerProvider::builder()
        // What begins here was drawn before; what a caller does not record, neither.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(resource)
        .with_span_processor(Queue::new(sender, stats.clone()))
        .build();
    let scope = InstrumentationScope::builder("ferrule").with_version(env!("CARGO_PKG_VERSION"));
    let tracer = provider.tracer_with_scope(scope.build());
    trace::start(
        BoxedTracer::new(Box::new(tracer)),
        flags.traces.trace_sample_ratio,
    );
    tracing::info!(
        collector = collector.as_str(),
        ratio = flags.traces.trace_sample_ratio,
        "sending traces"
    );
    Some((exporter, stats))
}

/// Whose traces they are. The environment has no say in it.
fn resource(flags: &ServeFlags, host: &str) -> Resource {
    let service = flags.lease.deployment.as_deref().unwrap_or("ferrule");
    let mut resource = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(Fact::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(Fact::new("service.instance.id", host.to_owned()));
    if flags.lease.deployment.is_some() {
        let namespace = flags.mesh.control_plane_namespace.clone();
        resource = resource
            .with_attribute(Fact::new("k8s.namespace.name", namespace))
            .with_attribute(Fact::new("k8s.pod.name", host.to_owned()));
    }
    resource.build()
}
