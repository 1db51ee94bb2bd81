//! The watch of one kind: what `kube`'s watcher yields, as events.

use super::{
    Closed,
    backoff::{self, Backoff},
    failure::Failure,
    send,
    served::Arrivals,
    transport::{self, Link},
};
use crate::{
    Interner,
    object::Kind,
    source::{
        ErrorReason, Event, Sink, Traced, WatchStats,
        wire::{ApiVersion, Converted, Received, is_metadata_only, reading},
    },
    trace::{Fact, Span},
};
use futures::StreamExt;
use kube::{
    Api, Client,
    runtime::watcher::{self, watcher},
};
use std::{pin::pin, sync::Arc};
use tracing::{debug, warn};

/// The first minor version in which streaming lists are on by default.
const STREAMING_LISTS_SINCE: u32 = 34;

/// Objects in a page of a list; the size of the largest transient buffer.
const PAGE: u32 = 500;

/// Answers in a row that were errors, after which the watcher starts from
/// nothing: whatever it remembers is not accepted.
const PATIENCE: u32 = 5;

/// The watch of one kind.
pub(super) struct Watch {
    kind: Kind,
    client: Client,
    link: Arc<Link>,
    interner: Interner,
    sink: Sink,
    backoff: Backoff,
    arrivals: Arrivals,
    list: List,
    streamed_lists: u64,
    streaming: Streaming,
    version: ApiVersion,
    refusals: u32,
}

/// Where a list stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    /// The next object of a list belongs to a new one.
    Due,
    /// It was announced.
    Running,
    /// It is complete.
    Complete,
}

/// Whether lists are streamed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Streaming {
    /// The server has not been asked.
    Unknown,
    On,
    Off,
}

/// What to do after an item of the watcher.
enum Next {
    GoOn,
    StartOver,
}

impl Watch {
    pub(super) fn new(
        kind: Kind,
        client: Client,
        interner: Interner,
        stats: Arc<WatchStats>,
        sink: Sink,
        arrivals: Arrivals,
    ) -> Self {
        let link = Arc::new(Link::new(kind, stats));
        Self {
            kind,
            client: transport::observed(client, link.clone()),
            link,
            interner,
            sink,
            backoff: Backoff::default(),
            arrivals,
            list: List::Due,
            streamed_lists: 0,
            streaming: Streaming::Unknown,
            version: ApiVersion::first(kind),
            refusals: 0,
        }
    }

    /// Watches until the sink closes.
    pub(super) async fn run(mut self) {
        let (kind, sink, interner) = (self.kind, self.sink.clone(), self.interner.clone());
        let watch = async {
            if is_metadata_only(kind) {
                self.run_until_closed::<true>().await
            } else {
                self.run_until_closed::<false>().await
            }
        };
        tokio::select! {
            _ = reading(kind, interner, watch) => {}
            // Also while there is nothing to send.
            () = sink.closed() => {}
        }
    }

    async fn run_until_closed<const METADATA_ONLY: bool>(
        &mut self,
    ) -> Result<std::convert::Infallible, Closed> {
        loop {
            let config = self.config().await?;
            let api = Api::<Received<METADATA_ONLY>>::all_with(self.client.clone(), &self.version);
            let mut items = pin!(watcher(api, config));
            self.list = List::Due;
            self.refusals = 0;
            while let Some(item) = items.next().await {
                let next = match item {
                    Ok(event) => self.on_event(event).await.map(|()| Next::GoOn)?,
                    Err(error) => self.on_failure(&Failure::from(&error)).await?,
                };
                if matches!(next, Next::StartOver) {
                    break;
                }
            }
        }
    }

    /// How to list: streamed where the server does it by default, since a page
    /// is read and parsed as a whole, but a stream object by object.
    async fn config(&mut self) -> Result<watcher::Config, Closed> {
        while self.streaming == Streaming::Unknown {
            match self.client.apiserver_version().await {
                Ok(version) => self.streaming = streaming(&version.major, &version.minor),
                Err(error) => {
                    let failure = Failure::from(&error);
                    match failure.reason {
                        ErrorReason::Connection
                        | ErrorReason::Timeout
                        | ErrorReason::Throttled
                        | ErrorReason::Unauthorized
                        | ErrorReason::Server => {
                            self.report(&failure).await?;
                        }
                        // It may be asked, but does not tell its version.
                        _ => self.streaming = Streaming::Off,
                    }
                }
            }
        }
        // The watcher asks for bookmarks and lets a watch last 290 s by default.
        let config = watcher::Config::default().page_size(PAGE);
        Ok(match self.streaming {
            Streaming::On => config.streaming_lists(),
            _ => config,
        })
    }

    async fn on_event<const METADATA_ONLY: bool>(
        &mut self,
        event: watcher::Event<Received<METADATA_ONLY>>,
    ) -> Result<(), Closed> {
        match event {
            watcher::Event::Init => {
                // Not a success yet: it comes before the list is asked for.
                self.list = List::Due;
                return Ok(());
            }
            watcher::Event::InitApply(object) => {
                self.announce_list().await?;
                self.apply(object.converted).await?;
            }
            watcher::Event::InitDone => {
                self.announce_list().await?;
                self.list = List::Complete;
                self.link.stats().heard();
                debug!(kind = %self.kind, "listed");
                send(&self.sink, Event::Synced(self.kind)).await?;
            }
            watcher::Event::Apply(object) => {
                if let Some(written) = object.last_write {
                    self.link.stats().changed(written);
                }
                let span = self.span("applied", &object.converted);
                self.apply_traced(object.converted, &span).await?;
            }
            watcher::Event::Delete(object) => match &object.converted {
                Ok(gone) => {
                    let span = self.span("deleted", &object.converted);
                    let event = Event::Deleted(self.kind, gone.key.clone());
                    send(&self.sink, traced(event, &span)).await?;
                }
                Err(problem) => warn!(kind = %self.kind, "a deleted object is skipped: {problem}"),
            },
        }
        self.backoff.reset();
        self.refusals = 0;
        Ok(())
    }

    /// Sends `Relisting` once for each list. A streamed list is announced by no
    /// event of the watcher: a new one is known by its request.
    async fn announce_list(&mut self) -> Result<(), Closed> {
        let streamed_lists = self.link.streamed_lists();
        if self.list == List::Running && streamed_lists == self.streamed_lists {
            return Ok(());
        }
        self.list = List::Running;
        self.streamed_lists = streamed_lists;
        send(&self.sink, Event::Relisting(self.kind)).await
    }

    /// A change that the watch tells, if it is drawn; lists would be one trace for each
    /// object.
    fn span(&self, change: &'static str, converted: &Result<Converted, String>) -> Span {
        let Ok(converted) = converted else {
            return Span::NONE;
        };
        Span::root("watch event", || {
            vec![
                Fact::new("ferrule.change", change),
                Fact::new("k8s.kind", self.kind.as_str()),
                Fact::new("k8s.namespace.name", converted.key.namespace.to_string()),
                Fact::new("k8s.name", converted.key.name.to_string()),
            ]
        })
    }

    async fn apply(&self, converted: Result<Converted, String>) -> Result<(), Closed> {
        self.apply_traced(converted, &Span::NONE).await
    }

    async fn apply_traced(
        &self,
        converted: Result<Converted, String>,
        span: &Span,
    ) -> Result<(), Closed> {
        match converted {
            Ok(converted) => {
                let event = Event::Applied {
                    key: converted.key,
                    object: converted.object,
                    problems: converted.problems,
                };
                send(&self.sink, traced(event, span)).await
            }
            Err(problem) => {
                self.link.stats().failed(ErrorReason::Malformed);
                warn!(kind = %self.kind, "an object is skipped: {problem}");
                Ok(())
            }
        }
    }

    async fn on_failure(&mut self, failure: &Failure) -> Result<Next, Closed> {
        if failure.reason == ErrorReason::NotFound {
            let next = self.version.next();
            if next != self.version {
                self.version = next;
                if !next.is_first() {
                    self.link.hurry();
                    return Ok(Next::StartOver);
                }
                // None of them is served: that is said, and tried again later.
                self.report(failure).await?;
                return Ok(Next::StartOver);
            }
        }
        self.report(failure).await?;
        Ok(self.after_failure(failure))
    }

    /// Says what failed and waits before the next attempt.
    async fn report(&mut self, failure: &Failure) -> Result<(), Closed> {
        if let Some(reason) = self.link.failed(failure) {
            send(&self.sink, Event::Unavailable(self.kind, reason)).await?;
        }
        if failure.reason == ErrorReason::Expired {
            // The server is there, and the list is overdue.
            self.backoff.reset();
        }
        if failure.reason != ErrorReason::NotFound {
            let wait = self.backoff.after_failure(backoff::LONGEST);
            tokio::time::sleep(wait).await;
            return Ok(());
        }
        let wait = self.backoff.after_failure(self.arrivals.rarest());
        if self.arrivals.changed_within(wait).await {
            // If it is this kind that has come, other servers may say so a little later.
            self.backoff.reset();
        }
        Ok(())
    }

    fn after_failure(&mut self, failure: &Failure) -> Next {
        let refused_streaming = self.streaming == Streaming::On
            && self.list != List::Complete
            && matches!(failure.code, Some(400 | 405 | 422));
        // A server that cannot answer now refuses nothing.
        let away = matches!(failure.code, None | Some(502..=504));
        if matches!(failure.reason, ErrorReason::Server | ErrorReason::Other) && !away {
            self.refusals += 1;
        }
        if self.refusals >= PATIENCE && self.link.ask_for_json() {
            debug!(kind = %self.kind, "nothing is answered in protobuf, asking for JSON");
            return Next::StartOver;
        }
        if refused_streaming || self.refusals >= PATIENCE {
            if self.list != List::Complete && self.streaming == Streaming::On {
                debug!(kind = %self.kind, "streaming lists do not work here, listing by pages");
                self.streaming = Streaming::Off;
            }
            return Next::StartOver;
        }
        Next::GoOn
    }
}

/// An event with the place of its trace, if it is in one.
fn traced(event: Event, span: &Span) -> Event {
    match span.place() {
        Some(place) => Event::Traced(Box::new(Traced { place, event })),
        None => event,
    }
}

/// Managed clusters add a sign to the minor version: `34+`.
fn streaming(major: &str, minor: &str) -> Streaming {
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    match (major.parse::<u32>(), digits.parse::<u32>()) {
        (Ok(1), Ok(minor)) if minor >= STREAMING_LISTS_SINCE => Streaming::On,
        (Ok(2..), _) => Streaming::On,
        _ => Streaming::Off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_streamed_where_the_server_does_so_by_default() {
        for (major, minor, streams) in [
            ("1", "34", true),
            ("1", "36+", true),
            ("1", "33", false),
            ("1", "9", false),
            ("2", "0", true),
            ("", "", false),
            ("1", "x", false),
        ] {
            let found = streaming(major, minor) == Streaming::On;
            assert_eq!(found, streams, "{major}.{minor}");
        }
    }
}
