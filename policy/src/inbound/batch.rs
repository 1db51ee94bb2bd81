use super::{
    InboundKey,
    namespace::{Decision, Namespace},
};
use bytes::Bytes;
use ferrule_cluster::object::{Labels, Name, Server, ServerPort, WorkloadSelector};
use ferrule_proto::inbound;
use rustc_hash::FxHashMap;
use tonic::Status;

/// The policies of many ports of one namespace: each Server is looked at only for
/// the ports that it may be about, and each policy is written once.
pub(crate) struct Batch<'w> {
    namespace: Namespace<'w>,
    by_number: FxHashMap<u16, Candidates<'w>>,
    by_name: Candidates<'w>,
    written: FxHashMap<Decision<'w>, Bytes>,
}

/// Servers, to be found by the labels of workloads.
#[derive(Default)]
struct Candidates<'w> {
    /// Those that require one of a label's values, under each of these.
    by_label: FxHashMap<(&'w Name, &'w Name), Vec<(&'w Name, &'w Server)>>,
    /// Those that require none.
    others: Vec<(&'w Name, &'w Server)>,
}

impl<'w> Batch<'w> {
    pub(crate) fn new(namespace: Namespace<'w>) -> Self {
        let mut batch = Self {
            namespace,
            by_number: FxHashMap::default(),
            by_name: Candidates::default(),
            written: FxHashMap::default(),
        };
        for (name, server) in namespace.world.servers(namespace.name) {
            match server.port {
                Some(ServerPort::Number(port)) => {
                    batch.by_number.entry(port).or_default().add(name, server);
                }
                Some(ServerPort::Name(_)) => batch.by_name.add(name, server),
                None => {}
            }
        }
        batch
    }

    /// The encoded policy of a port; `encode` is asked for each different one.
    ///
    /// # Errors
    /// As [`Namespace::policy`].
    pub(crate) fn frame(
        &mut self,
        key: &InboundKey,
        encode: impl FnOnce(&inbound::Server) -> Bytes,
    ) -> Result<Bytes, Status> {
        let namespace = self.namespace;
        let workload = namespace.workload(key)?;
        let labels = workload.labels();
        let numbered = self.by_number.get(&key.port).into_iter();
        let numbered = numbered.flat_map(|candidates| candidates.of(labels));
        let servers = numbered.chain(self.by_name.of(labels));
        let decision = namespace.decide(workload, key.port, servers);
        if let Some(frame) = self.written.get(&decision) {
            return Ok(frame.clone());
        }
        let frame = encode(&namespace.write(&decision));
        self.written.insert(decision, frame.clone());
        Ok(frame)
    }
}

impl<'w> Candidates<'w> {
    fn add(&mut self, name: &'w Name, server: &'w Server) {
        let selector = match &server.workloads {
            None => return,
            Some(
                WorkloadSelector::Pods(selector) | WorkloadSelector::ExternalWorkloads(selector),
            ) => selector,
        };
        match selector.required_label() {
            None => self.others.push((name, server)),
            Some((label, values)) => {
                for value in values {
                    let servers = self.by_label.entry((label, value)).or_default();
                    servers.push((name, server));
                }
            }
        }
    }

    /// All that may be about a workload with these labels.
    fn of(&self, labels: &'w Labels) -> impl Iterator<Item = (&'w Name, &'w Server)> {
        let labels = labels.iter();
        let required = labels
            .filter_map(|label| self.by_label.get(&label))
            .flatten();
        required.chain(&self.others).copied()
    }
}
