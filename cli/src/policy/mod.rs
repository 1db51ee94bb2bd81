//! `ferrule diagnostics policy`.

mod authorization;
mod backend;
mod filter;
mod inbound;
mod limit;
mod outbound;
mod reasons;
mod route;
mod sheet;
mod target;

pub use self::target::TargetError;

use self::{
    reasons::Reasons,
    sheet::Sheet,
    target::{Question, Target, TargetName},
};
use crate::{
    Error,
    announce::Announcer,
    api::Api,
    api_addr::ServerFlags,
    error::Refusal,
    follow::{Event, follow},
    message,
    output::{self, Format},
};
use clap::Args;
use ferrule_proto::{inbound::Server, outbound::OutboundPolicy};
use prost::{Message, Name};
use serde_json::{Value, json};
use std::io;
use tonic::{Status, Streaming};

pub(crate) const EXAMPLES: &str = "\
Examples:
  ferrule diagnostics policy pod/web-0.shop 8080             what comes in
  ferrule diagnostics policy svc/web.shop 80                 what goes out to a Service
  ferrule diagnostics policy svc/web.shop 80 --source office   from another namespace
  ferrule diagnostics policy 93.184.215.14 443 --watch       what goes out to an address";

/// What is asked, of whom, and how the answer is printed.
#[derive(Debug, Args)]
pub(crate) struct PolicyAsk {
    /// pod/NAME[.NAMESPACE], externalworkload/NAME[.NAMESPACE],
    /// svc/NAME[.NAMESPACE] or an IP address
    #[arg(value_name = "TARGET")]
    target: TargetName,

    /// The port that is called
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// The namespace of NAME, which may then have dots in it [default: what
    /// follows the last dot of NAME, else default]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// The namespace that calls go out from: routes may be for some only
    /// [default: the Service's own; to an address, default]
    #[arg(long, value_name = "NAMESPACE")]
    source: Option<String>,

    /// Go on printing what changes until interrupted
    #[arg(short, long)]
    watch: bool,

    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    pub(crate) server: ServerFlags,
}

/// An answer that can be put on a page.
trait Policy: Message + Name + PartialEq {
    fn sheet(&self) -> Sheet;
}

impl Policy for Server {
    fn sheet(&self) -> Sheet {
        inbound::sheet(self)
    }
}

impl Policy for OutboundPolicy {
    fn sheet(&self) -> Sheet {
        outbound::sheet(self)
    }
}

pub(crate) async fn run(ask: PolicyAsk) -> Result<(), Error> {
    let (namespace, source) = (ask.namespace.as_deref(), ask.source.as_deref());
    let target = Target::new(ask.target.clone(), ask.port, namespace, source)?;
    let api = Api::connect(&ask.server.api_addr).await?;
    let inquiry = Inquiry { ask, target };
    match (inquiry.target.question(), inquiry.ask.watch) {
        (Question::Inbound(question), false) => {
            let reasons = Reasons::ask(&inquiry.ask.server.api_addr, &question).await;
            inquiry.tell(api.get_port(question).await, reasons)
        }
        (Question::Inbound(question), true) => {
            let open = move |question| api.clone().watch_port(question);
            inquiry.watch(question, open).await
        }
        (Question::Outbound(question), false) => {
            inquiry.tell(api.get_outbound(question).await, None)
        }
        (Question::Outbound(question), true) => {
            let open = move |question| api.clone().watch_outbound(question);
            inquiry.watch(question, open).await
        }
    }
}

/// What was asked, and what it is about.
struct Inquiry {
    ask: PolicyAsk,
    target: Target,
}

impl Inquiry {
    /// Prints an answer, and why it is that.
    fn tell(
        &self,
        answer: Result<impl Policy, Status>,
        reasons: Option<Reasons>,
    ) -> Result<(), Error> {
        let policy = answer.map_err(|status| Error::Refused(vec![self.refusal(&status)]))?;
        match self.ask.output {
            Format::Json => {
                let mut object = self.object(&policy);
                if let Some(reasons) = reasons {
                    object["why"] = json!(reasons);
                }
                output::print_json(&object)?;
            }
            Format::Table => {
                let mut sheet = policy.sheet();
                reasons.into_iter().for_each(|why| why.add_to(&mut sheet));
                output::print(&self.text(&sheet))?;
            }
        }
        Ok(())
    }

    /// Prints what a stream tells, first all and then what changes, until nothing
    /// can follow.
    async fn watch<Q, M, F>(
        &self,
        question: Q,
        open: impl Fn(Q) -> F + Clone + Send + Sync + 'static,
    ) -> Result<(), Error>
    where
        Q: Clone + Send + Sync + 'static,
        M: Policy + 'static,
        F: Future<Output = Result<Streaming<M>, Status>> + Send,
    {
        let announcer = Announcer {
            output: self.ask.output,
            subject: "target",
        };
        let mut events = follow(vec![question], true, open);
        let mut told: Option<M> = None;
        // With what it was lost, if it is.
        let mut lost = None;
        while let Some((_, event)) = events.recv().await {
            match event {
                Event::Opened => {
                    if lost.take().is_some() {
                        announcer.back(&self.target.to_string())?;
                    }
                }
                Event::Message(policy) => {
                    self.tell_change(told.as_ref(), &policy)?;
                    told = Some(policy);
                }
                Event::Lost { status, retried } => {
                    let refusal = self.refusal(&status);
                    if !retried {
                        return Err(Error::Refused(vec![refusal]));
                    }
                    // Not for each attempt, but a stream that ended may turn out to
                    // be of a pod that is gone.
                    if lost.replace(status.code()) != Some(status.code()) {
                        announcer.lost(&refusal)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn tell_change<M: Policy>(&self, before: Option<&M>, after: &M) -> io::Result<()> {
        // After a lost stream comes all that is so.
        if before == Some(after) {
            return Ok(());
        }
        match (self.ask.output, before) {
            (Format::Json, _) => {
                let mut event = self.object(after);
                event["time"] = json!(output::timestamp());
                event["event"] = json!("policy");
                output::print_json_line(&event)
            }
            (Format::Table, None) => output::print(&self.text(&after.sheet())),
            (Format::Table, Some(before)) => {
                let mut differences = after.sheet().differences(&before.sheet());
                if differences.is_empty() {
                    differences.push(('~', "details that -o json shows".to_owned()));
                }
                for (sign, difference) in differences {
                    let (clock, target) = (output::clock(), &self.target);
                    output::print(&format!("{clock} {sign} {target}  {difference}"))?;
                }
                Ok(())
            }
        }
    }

    fn text(&self, sheet: &Sheet) -> String {
        let mut heading = vec![("target", self.target.to_string())];
        let source = self.target.source();
        heading.extend(source.map(|source| ("called from", source.to_owned())));
        sheet.text(&heading)
    }

    fn object(&self, policy: &impl Policy) -> Value {
        let mut object = json!({
            "target": self.target.to_string(),
            "policy": message::json(policy),
        });
        if let Some(source) = self.target.source() {
            object["source"] = json!(source);
        }
        object
    }

    fn refusal(&self, status: &Status) -> Refusal {
        let addr = &self.ask.server.api_addr;
        Refusal::new(&self.target.to_string(), self.target.asked(), status, addr)
    }
}
