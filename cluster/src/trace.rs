//! What is recorded of single pieces of work, for those who follow one from its cause
//! to its effect.
//!
//! ```text
//!   watch event ──► index batch ──► view update ──► stream write     each a part of
//!   Certify ──► token, sign         review of an object               the one before
//! ```
//!
//! Nothing is recorded until [`start`] names a tracer, and every place where something
//! could be costs one atomic read. Afterwards a share of the work is, drawn where it
//! begins: what is not drawn makes no span, nor does any part of it.

use futures::future::Either;
use http::HeaderMap;
use opentelemetry::{
    Context, ContextGuard,
    global::BoxedTracer,
    trace::{
        FutureExt, Link, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt,
        TraceFlags, TraceId, TraceState, Tracer, WithContext,
    },
};
use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

pub use opentelemetry::KeyValue as Fact;

/// The header by which callers say of which trace a request is (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    tracer: BoxedTracer,
    /// Of work that nobody else traces, from 0 to 1.
    share: f64,
}

/// Records this share of the work from now on, from 0 to 1, beside the work for callers
/// who record theirs. Only the first call counts.
pub fn start(tracer: BoxedTracer, share: f64) {
    let _ = TRACES.set(Traces { tracer, share });
}

/// Whether anything may be recorded.
pub fn is_on() -> bool {
    TRACES.get().is_some()
}

/// A piece of work from its beginning until this is dropped; of most work nothing.
#[derive(Clone, Debug)]
#[must_use = "the work ends when this is dropped"]
pub struct Span(Option<Context>);

/// Where a piece of work is in its trace, for what comes of it elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Place(SpanContext);

/// What happens until this is dropped, on this thread, is part of a piece of work.
pub struct Entered(#[expect(dead_code, reason = "held")] Option<ContextGuard>);

impl Span {
    /// Work that is not recorded.
    pub const NONE: Self = Self(None);

    /// Work that has no cause but itself, if it is drawn.
    pub fn root(name: &'static str, facts: impl FnOnce() -> Vec<Fact>) -> Self {
        match TRACES.get() {
            Some(traces) if traces.draws() => traces.begin(&Context::new(), builder(name, facts())),
            _ => Self::NONE,
        }
    }

    /// Work for whoever sent these headers, if they record it, or do not say and it is
    /// drawn.
    pub fn for_caller(
        name: &'static str,
        headers: &HeaderMap,
        facts: impl FnOnce() -> Vec<Fact>,
    ) -> Self {
        let Some(traces) = TRACES.get() else {
            return Self::NONE;
        };
        let parent = match caller(headers) {
            Some(caller) if caller.is_sampled() => Context::new().with_remote_span_context(caller),
            None if traces.draws() => Context::new(),
            _ => return Self::NONE,
        };
        let builder = builder(name, facts()).with_kind(SpanKind::Server);
        traces.begin(&parent, builder)
    }

    /// A part of the work that was [entered](Self::enter), if any was.
    pub fn part(name: &'static str, facts: impl FnOnce() -> Vec<Fact>) -> Self {
        let Some(traces) = TRACES.get() else {
            return Self::NONE;
        };
        let parent =
            Context::map_current(|current| current.span().is_recording().then(|| current.clone()));
        match parent {
            Some(parent) => traces.begin(&parent, builder(name, facts())),
            None => Self::NONE,
        }
    }

    /// What came of work that is elsewhere, and began so long ago.
    pub fn part_of(
        place: &Place,
        name: &'static str,
        ago: Duration,
        facts: impl FnOnce() -> Vec<Fact>,
    ) -> Self {
        Self::part_of_all(std::slice::from_ref(place), name, ago, facts)
    }

    /// The same of several: part of the first one's trace, with links to the others'.
    pub fn part_of_all(
        places: &[Place],
        name: &'static str,
        ago: Duration,
        facts: impl FnOnce() -> Vec<Fact>,
    ) -> Self {
        let (Some(traces), Some((first, others))) = (TRACES.get(), places.split_first()) else {
            return Self::NONE;
        };
        let parent = Context::new().with_remote_span_context(first.0.clone());
        let links = others
            .iter()
            .map(|place| Link::with_context(place.0.clone()));
        let builder = builder(name, facts())
            .with_start_time(SystemTime::now() - ago)
            .with_links(links.collect());
        traces.begin(&parent, builder)
    }

    /// Where it is.
    pub fn place(&self) -> Option<Place> {
        let context = self.0.as_ref()?;
        Some(Place(context.span().span_context().clone()))
    }

    /// Adds a fact.
    pub fn note(&self, fact: impl FnOnce() -> Fact) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(fact());
        }
    }

    /// Says that it failed, and why.
    pub fn fail(&self, why: impl FnOnce() -> String) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(why()));
        }
    }

    /// What happens until that is dropped, on this thread, is part of it.
    pub fn enter(&self) -> Entered {
        Entered(self.0.clone().map(Context::attach))
    }

    /// What `work` does is part of it, which goes on until that ends.
    pub fn during<F: Future>(self, work: F) -> Either<WithContext<F>, F> {
        match self.0 {
            Some(context) => Either::Left(work.with_context(context)),
            None => Either::Right(work),
        }
    }

    /// The work that was entered on this thread, to go on with it on another.
    pub fn current() -> Self {
        if !is_on() {
            return Self::NONE;
        }
        let current = Context::current();
        Self(current.has_active_span().then_some(current))
    }
}

/// Adds a fact to the work that was entered, if any was.
pub fn note(fact: impl FnOnce() -> Fact) {
    if is_on() {
        Context::map_current(|current| {
            if current.has_active_span() {
                current.span().set_attribute(fact());
            }
        });
    }
}

impl Traces {
    fn draws(&self) -> bool {
        fastrand::f64() < self.share
    }

    fn begin(&self, parent: &Context, builder: SpanBuilder) -> Span {
        let span = self.tracer.build_with_context(builder, parent);
        Span(Some(Context::new().with_span(span)))
    }
}

fn builder(name: &'static str, facts: Vec<Fact>) -> SpanBuilder {
    SpanBuilder::from_name(name).with_attributes(facts)
}

/// What the first 55 characters of the header say: `00-TRACE-SPAN-FLAGS`, in which later
/// versions may be longer.
fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (span, flags) = (parts.next()?, parts.next()?);
    if [version, trace, span, flags].map(str::len) != [2, 32, 16, 2] || version == "ff" {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let caller = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(flags) & TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    caller.is_valid().then_some(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_trace_is_read_as_it_is_meant() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let none = "0".repeat(32);
        for (header, sampled) in [
            (format!("00-{trace}-{span}-01"), Some(true)),
            (format!("00-{trace}-{span}-00"), Some(false)),
            (format!("01-{trace}-{span}-03-more"), Some(true)),
            (format!("ff-{trace}-{span}-01"), None),
            (format!("00-{none}-{span}-01"), None),
            (format!("00-{trace}-{span}"), None),
            (format!("00-{trace}x-{span}-01"), None),
            (format!("00-{trace}-{span}-zz"), None),
            (String::new(), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, header.parse().expect("a header"));
            let read = caller(&headers);
            assert_eq!(
                read.as_ref().map(SpanContext::is_sampled),
                sampled,
                "{header}"
            );
            if let Some(read) = read {
                assert_eq!(read.trace_id().to_string(), trace);
                assert_eq!(read.span_id().to_string(), span);
            }
        }
    }

    #[test]
    fn without_a_tracer_there_is_no_span() {
        let never = || -> Vec<Fact> { panic!("nobody asks for them") };
        let root = Span::root("root", never);
        assert!(root.place().is_none());
        let _entered = root.enter();
        assert!(Span::part("part", never).place().is_none());
        assert!(
            Span::for_caller("call", &HeaderMap::new(), never)
                .place()
                .is_none()
        );
    }
}
