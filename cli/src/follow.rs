//! Following a stream of answers, and finding it again when it breaks.

use std::time::Duration;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

/// The pause before the first attempt to find a lost stream again; it doubles
/// with each that fails,
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// up to this.
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How many events may wait to be printed; streams wait in turn.
const CAPACITY: usize = 16;

/// What happens to one of the streams that are followed.
#[derive(Debug)]
pub(crate) enum Event<M> {
    /// The server answers; what follows is told from the beginning.
    Opened,
    /// It said something.
    Message(M),
    /// It refused, ended the stream or cannot be reached. If `retried`, the
    /// stream is opened again after a pause; else this is the last event.
    Lost { status: Status, retried: bool },
}

/// Follows one stream for each question. Events carry the question's index; there
/// are none left once no stream can be opened again, or, with `retry`
/// unset, once every stream has ended.
pub(crate) fn follow<Q, M, F>(
    questions: Vec<Q>,
    retry: bool,
    open: impl Fn(Q) -> F + Clone + Send + Sync + 'static,
) -> mpsc::Receiver<(usize, Event<M>)>
where
    Q: Clone + Send + Sync + 'static,
    M: Send + 'static,
    F: Future<Output = Result<Streaming<M>, Status>> + Send,
{
    let (events, receiver) = mpsc::channel(CAPACITY);
    for (index, question) in questions.into_iter().enumerate() {
        let (open, events) = (open.clone(), events.clone());
        tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let (status, told) = match open(question.clone()).await {
                    Ok(stream) => pass_on(stream, index, &events).await,
                    Err(status) => (status, false),
                };
                let retried = retry && !is_final(&status);
                let lost = Event::Lost { status, retried };
                if events.send((index, lost)).await.is_err() || !retried {
                    return;
                }
                pause = if told { FIRST_PAUSE } else { pause };
                tokio::time::sleep(pause).await;
                pause = LAST_PAUSE.min(2 * pause);
            }
        });
    }
    receiver
}

/// Until the stream ends; how it did, and whether it said anything.
async fn pass_on<M>(
    mut stream: Streaming<M>,
    index: usize,
    events: &mpsc::Sender<(usize, Event<M>)>,
) -> (Status, bool) {
    let mut told = false;
    let mut next = Event::Opened;
    loop {
        if events.send((index, next)).await.is_err() {
            return (Status::cancelled("nobody listens any more"), told);
        }
        next = match stream.message().await {
            Ok(Some(message)) => Event::Message(message),
            Ok(None) => return (Status::unavailable("the server ended the stream"), told),
            Err(status) => return (status, told),
        };
        told = true;
    }
}

/// Whether asking again cannot help: a proxy takes the first two as the last
/// word (destination.md 3.2), and the others are no such API.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::PermissionDenied
            | Code::Unauthenticated
    )
}
