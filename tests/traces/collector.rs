//! An OpenTelemetry collector that keeps what it gets.

use anyhow::{Context as _, Result, bail};
use ferrule_test_cluster::PATIENCE;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A collector on loopback, and what it was sent.
pub(crate) struct Collector {
    pub(crate) addr: SocketAddr,
    received: Arc<Mutex<Vec<ResourceSpans>>>,
}

/// A span, and of which process it is.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) span: Span,
    pub(crate) resource: BTreeMap<String, String>,
}

struct Kept(Arc<Mutex<Vec<ResourceSpans>>>);

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans;
        self.0.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(addr: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let received = Arc::<Mutex<Vec<_>>>::default();
        let service = TraceServiceServer::new(Kept(received.clone()));
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(Self { addr, received })
    }

    /// The flag by which a process sends its traces here.
    pub(crate) fn flag(&self) -> String {
        format!("--trace-collector={}", self.addr)
    }

    pub(crate) fn spans(&self) -> Vec<Seen> {
        let received = self.received.lock().unwrap();
        let mut seen = Vec::new();
        for of_resource in received.iter() {
            let resource = of_resource.resource.as_ref();
            let resource = facts(resource.map_or(&[], |resource| &resource.attributes));
            for span in of_resource
                .scope_spans
                .iter()
                .flat_map(|scope| &scope.spans)
            {
                seen.push(Seen {
                    span: span.clone(),
                    resource: resource.clone(),
                });
            }
        }
        seen
    }

    /// Waits for spans of these names, each the parent of the next; the first one has
    /// these facts.
    pub(crate) async fn path(&self, names: &[&str], of: &[(&str, &str)]) -> Result<Vec<Seen>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans();
            if let Some(path) = path(&spans, names, of) {
                return Ok(path);
            }
            if Instant::now() > deadline {
                let told: Vec<_> = spans.iter().map(Seen::to_text).collect();
                bail!("no {names:?} of {of:?} in\n{}", told.join("\n"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn path(spans: &[Seen], names: &[&str], of: &[(&str, &str)]) -> Option<Vec<Seen>> {
    let (first, rest) = names.split_first()?;
    let begins = |seen: &&Seen| {
        let facts = seen.facts();
        seen.span.name == *first
            && of
                .iter()
                .all(|(key, value)| facts.get(*key).is_some_and(|found| found == value))
    };
    spans.iter().filter(begins).find_map(|root| {
        let mut path = vec![root.clone()];
        for name in rest {
            let parent = &path.last()?.span;
            let next = spans.iter().find(|seen| {
                seen.span.name == *name
                    && seen.span.trace_id == parent.trace_id
                    && seen.span.parent_span_id == parent.span_id
            });
            path.push(next?.clone());
        }
        Some(path)
    })
}

impl Seen {
    /// What it says of itself.
    pub(crate) fn facts(&self) -> BTreeMap<String, String> {
        facts(&self.span.attributes)
    }

    /// How long it took, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        let nanos = self.span.end_time_unix_nano - self.span.start_time_unix_nano;
        nanos as f64 / 1e9
    }

    pub(crate) fn trace_id(&self) -> String {
        let digits = self.span.trace_id.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }

    fn to_text(&self) -> String {
        format!("{} {} {:?}", self.trace_id(), self.span.name, self.facts())
    }
}

fn facts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.as_ref()?.value.as_ref()?;
        Some(match value {
            Value::StringValue(text) => text.clone(),
            Value::BoolValue(flag) => flag.to_string(),
            Value::IntValue(number) => number.to_string(),
            _ => return None,
        })
    };
    let facts = attributes
        .iter()
        .filter_map(|attribute| Some((attribute.key.clone(), text(attribute)?)));
    facts.collect()
}

/// One of a path, by its name.
pub(crate) fn named<'s>(path: &'s [Seen], name: &str) -> Result<&'s Seen> {
    let mut spans = path.iter();
    spans
        .find(|seen| seen.span.name == name)
        .context(name.to_owned())
}
