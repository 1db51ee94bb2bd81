//! One run of the proxy.

use crate::{
    flags::{Flags, Target},
    report::{Until, report},
};
use anyhow::bail;
use ferrule_proto::outbound::OutboundPolicy;
use ferrule_tests::{StreamFailure, TestProxy, Watched, discovered_by};
use std::{collections::BTreeSet, sync::Arc};
use tokio::{sync::mpsc, task::JoinSet};
use tonic::Code;

/// What is being reported on.
struct Session {
    proxy: Arc<TestProxy>,
    until: Until,
    tasks: JoinSet<anyhow::Result<()>>,
    /// Authorities that policies lead to.
    discovered: mpsc::UnboundedSender<String>,
}

/// Runs until all is told, with `--once`, and else for ever.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<()> {
    let until = match flags.once {
        true => Until::Told { wait: flags.wait },
        false => Until::Stopped,
    };
    let (discovered, mut authorities) = mpsc::unbounded_channel();
    let mut session = Session {
        proxy: Arc::new(flags.proxy()?.start().await?),
        until,
        tasks: JoinSet::new(),
        discovered,
    };
    session.ask(flags);
    if session.tasks.is_empty() {
        bail!("nothing is asked for: see --help");
    }

    let mut followed: BTreeSet<_> = flags.asked.get.iter().cloned().collect();
    let mut failed = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(authority) = authorities.recv() => {
                if flags.has_destination() && followed.insert(authority.clone()) {
                    session.endpoints(&authority);
                }
            }
            done = session.tasks.join_next() => match done {
                Some(done) => failed.extend(done?.err().map(|error| format!("{error:#}"))),
                None => break,
            },
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}

impl Session {
    fn ask(&mut self, flags: &Flags) {
        if flags.is_certified() {
            let certificate = self.proxy.certificate();
            let task = report(certificate, self.until, |_| false, |_| ());
            self.tasks.spawn(task);
        }
        for port in flags.asked.inbound_ports.iter() {
            let policy = self.proxy.inbound(port);
            self.tasks
                .spawn(report(policy, self.until, |_| false, |_| ()));
        }
        for authority in &flags.asked.get {
            self.endpoints(authority);
        }
        for target in &flags.asked.target {
            let (policy, path) = match target {
                Target::Addr(addr) => (self.proxy.outbound(*addr), addr.to_string()),
                Target::Authority(name) => (self.proxy.outbound_authority(name), name.clone()),
            };
            self.policy(policy);
            if flags.has_destination() {
                self.profile(&path);
            }
        }
    }

    fn endpoints(&mut self, authority: &str) {
        let endpoints = self.proxy.endpoints(authority);
        self.tasks
            .spawn(report(endpoints, self.until, |_| false, |_| ()));
    }

    /// Without a policy a proxy uses the profile, or the address as it is.
    fn policy(&mut self, policy: Watched<OutboundPolicy, StreamFailure>) {
        let discovered = self.discovered.clone();
        let none = |failure: &StreamFailure| {
            matches!(failure.code(), Some(Code::NotFound | Code::Unimplemented))
        };
        let follow = move |policy: &OutboundPolicy| {
            for authority in discovered_by(policy) {
                // The session ends only after its tasks.
                let _ = discovered.send(authority);
            }
        };
        self.tasks.spawn(report(policy, self.until, none, follow));
    }

    /// A refusal means that there is none, which a proxy can do with.
    fn profile(&mut self, path: &str) {
        let profile = self.proxy.profile(path);
        self.tasks
            .spawn(report(profile, self.until, |_| true, |_| ()));
    }
}
