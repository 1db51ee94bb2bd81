//! What the hot path allocates: counts, which are the same on a busy machine.
//!
//! The parts of the server run in this process, joined as `ferrule serve` joins them: the watch of
//! an API server (its bytes come from a feed of our own, without a socket), the index, the views
//! and the gRPC service, behind tonic's HTTP/2 server or polled by hand. The clients are another
//! process. Every allocation between two moments is counted with its size; a reallocation is one
//! of its new size. What is sent is made before.

mod counting;
mod plane;

use anyhow::Result;
use clap::Parser;

use counting::{Count, Report};
use plane::{ENDPOINTS, Plane};

/// Count what one change, one message, one stream and one view allocate.
#[derive(Debug, Parser)]
struct Arguments {
    /// Say where most of it is allocated, too: this many places.
    #[arg(long, default_value_t = 0)]
    places: usize,
}

/// Streams of which one change is told.
const STREAMS: [usize; 4] = [1, 10, 100, 500];
/// Or fewer, where there are fewer.
const PER_CONNECTION: usize = 50;
/// Counts are means of so many.
const CHANGES: usize = 40;
const VIEWS: usize = 10;
const NEW_STREAMS: usize = 100;

/// Counts and prints.
///
/// # Errors
///
/// When what was to be counted did not happen.
pub fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(count(&arguments))?;
    runtime.shutdown_background();
    println!("{report}");
    Ok(())
}

async fn count(arguments: &Arguments) -> Result<Report> {
    let mut plane = Plane::start(VIEWS + 2).await?;
    let mut report = Report::new(arguments.places);

    // Nobody asks for this Service: what a change costs that nobody hears of.
    let unheard = plane.change(VIEWS + 1, CHANGES, 0).await?;
    let what = format!("a change of one endpoint in a slice of {ENDPOINTS}, no stream");
    report.add(&what, unheard, CHANGES);

    by_hand(&mut plane, &mut report).await?;
    over_http(&mut plane, &mut report).await?;
    Ok(report)
}

/// The gRPC service without HTTP.
async fn by_hand(plane: &mut Plane, report: &mut Report) -> Result<()> {
    let requests: Vec<_> = (1..=VIEWS).map(|service| plane.request(service)).collect();
    let mut bodies = Vec::with_capacity(VIEWS);
    let count = Count::begin();
    for request in requests {
        bodies.push(plane.get(request).await?);
    }
    let what = format!("a stream on a new view of {ENDPOINTS} endpoints, with its snapshot");
    report.add(&what, count.end(), VIEWS);
    drop(bodies);

    let requests: Vec<_> = (0..NEW_STREAMS).map(|_| plane.request(1)).collect();
    let mut bodies = Vec::with_capacity(NEW_STREAMS);
    let count = Count::begin();
    for request in requests {
        bodies.push(plane.get(request).await?);
    }
    let what = "a stream on a view that is there";
    report.add(what, count.end(), NEW_STREAMS);

    let heard = plane.change(1, CHANGES, 0).await?;
    let what = format!("a change, until {NEW_STREAMS} streams are woken");
    report.add(&what, heard, CHANGES);
    // The last of the changes is told, so that the next finds them up to date.
    plane::read(&mut bodies);
    plane.change(1, 1, 0).await?;
    let count = Count::begin();
    let messages = plane::read(&mut bodies);
    report.add("telling a stream of it", count.end(), messages);

    plane.change(1, 3, 0).await?;
    let (first, others) = bodies.split_at_mut(1);
    let count = Count::begin();
    let messages = plane::read(first);
    let what = "telling the first that is 3 behind";
    report.add(what, count.end(), messages);
    let count = Count::begin();
    let messages = plane::read(others);
    let what = "telling another that is 3 behind";
    report.add(what, count.end(), messages);
    Ok(())
}

/// With HTTP/2, over TCP to another process.
async fn over_http(plane: &mut Plane, report: &mut Report) -> Result<()> {
    let mut base = None;
    for streams in STREAMS {
        let connections = streams.div_ceil(PER_CONNECTION);
        let _clients = plane.clients(0, connections, streams).await?;
        // The first messages of a connection find buffers that have to grow.
        plane.change(0, CHANGES, streams).await?;
        let heard = plane.change(0, CHANGES, streams).await?;
        let what = format!("a change, HTTP/2, {streams} streams on {connections} connections");
        report.add(&what, heard.clone(), CHANGES);
        match &base {
            None => base = Some(heard),
            Some(base) => {
                let further = heard - base.clone();
                let what = format!("each further message of these {streams}");
                report.add(&what, further, CHANGES * (streams - 1));
            }
        }
    }
    let opened = plane.open(0, NEW_STREAMS).await?;
    let what = "a stream on a view that is there, HTTP/2";
    report.add(what, opened, NEW_STREAMS);
    Ok(())
}
