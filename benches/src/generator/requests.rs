//! What the streams of a connection ask for.

use bytes::Bytes;
use ferrule_proto::destination::GetDestination;
use ferrule_proto::inbound::PortSpec;
use ferrule_proto::outbound::{TrafficSpec, traffic_spec::Target};

use crate::frames::frame;
use crate::protocol::{Asked, PolicySubject};

const GET: &str = "/io.linkerd.proxy.destination.Destination/Get";
const WATCH_PORT: &str = "/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort";
const WATCH: &str = "/io.linkerd.proxy.outbound.OutboundPolicies/Watch";

/// A call of a method that streams its answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) path: &'static str,
    /// Its one message, as a gRPC frame.
    pub(super) frame: Bytes,
}

/// The requests of connection `number`, without end.
///
/// Services and contexts are dealt so that each service is asked for by clients of many nodes,
/// and thus zones, also where a connection has one stream.
pub(super) fn requests(asked: &Asked, number: usize) -> impl Iterator<Item = Request> {
    (0..).map(move |stream| match asked {
        Asked::Endpoints {
            authorities,
            contexts,
        } => {
            let context = &contexts[(number + number / authorities.len()) % contexts.len()];
            let authority = &authorities[(number + stream) % authorities.len()];
            endpoints(authority, context)
        }
        Asked::Policies {
            workloads,
            subjects,
        } => {
            let workload = &workloads[number % workloads.len()];
            policy(workload, subjects[stream % subjects.len()])
        }
    })
}

fn endpoints(authority: &str, context: &str) -> Request {
    Request {
        path: GET,
        frame: frame(&GetDestination {
            scheme: "k8s".to_owned(),
            path: authority.to_owned(),
            context_token: context.to_owned(),
        }),
    }
}

fn policy(workload: &str, subject: PolicySubject) -> Request {
    match subject {
        PolicySubject::Port(port) => Request {
            path: WATCH_PORT,
            frame: frame(&PortSpec {
                workload: workload.to_owned(),
                port: port.into(),
            }),
        },
        PolicySubject::Address(address) => Request {
            path: WATCH,
            frame: frame(&TrafficSpec {
                source_workload: workload.to_owned(),
                target: Some(Target::Addr(address.into())),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn connections_of_one_stream_ask_for_every_service_from_every_zone() {
        let asked = Asked::Endpoints {
            authorities: (0..9).map(|service| format!("service-{service}")).collect(),
            contexts: (0..3).map(|node| format!("node-{node}")).collect(),
        };
        let asked: BTreeSet<Request> = (0..90)
            .flat_map(|number| requests(&asked, number).take(1))
            .collect();
        assert_eq!(asked.len(), 9 * 3);
    }

    #[test]
    fn every_proxy_asks_for_its_port_and_for_where_it_goes() {
        let address = ([10, 96, 0, 1], 80).into();
        let asked = Asked::Policies {
            workloads: (0..5).map(|pod| format!("ns:pod-{pod}")).collect(),
            subjects: vec![PolicySubject::Port(8080), PolicySubject::Address(address)],
        };
        let all: BTreeSet<Request> = (0..5)
            .flat_map(|number| requests(&asked, number).take(2))
            .collect();
        assert_eq!(all.len(), 5 * 2);
        let ports = all.iter().filter(|request| request.path == WATCH_PORT);
        assert_eq!(ports.count(), 5);
    }
}
