use super::{InboundKey, Workload, authorization, origin::Origin, rate_limit, route};
use crate::PolicySettings;
use ferrule_cluster::{
    World,
    object::{DefaultPolicy, Name, ObjectKey, ProxyProtocol, Server},
};
use ferrule_proto::inbound::{
    self,
    proxy_protocol::{Detect, Grpc, Http1, Http2, Kind, Opaque, Tls},
};
use prost_types::Duration;
use tonic::Status;

/// How long a proxy waits for a client to say what it speaks (policy.md section
/// 5.4).
const DETECT_TIMEOUT: Duration = Duration {
    seconds: 10,
    nanos: 0,
};

/// What decides about the ports of a namespace's workloads.
#[derive(Clone, Copy)]
pub(crate) struct Namespace<'w> {
    pub(crate) settings: &'w PolicySettings,
    pub(crate) world: &'w World,
    pub(crate) name: &'w str,
}

/// What a port's policy is made of: within a namespace, ports of which this is
/// the same have the same policy.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Decision<'w> {
    by: DecidedBy<'w>,
    probes: Vec<&'w Name>,
}

#[derive(PartialEq, Eq, Hash)]
enum DecidedBy<'w> {
    /// The Server of this name.
    Server(&'w Name),
    /// No Server.
    Workload { policy: DefaultPolicy, opaque: bool },
}

impl<'w> Namespace<'w> {
    /// The policy of a port.
    ///
    /// # Errors
    /// NOT_FOUND where the mesh has no such workload.
    pub(crate) fn policy(self, key: &InboundKey) -> Result<inbound::Server, Status> {
        let workload = self.workload(key)?;
        let servers = self.world.servers(self.name);
        Ok(self.write(&self.decide(workload, key.port, servers)))
    }

    pub(super) fn workload(self, key: &InboundKey) -> Result<Workload<'w>, Status> {
        Workload::find(self.world, &key.workload).ok_or_else(|| {
            Status::not_found(format!("unknown server: the mesh has no {}", key.workload))
        })
    }

    /// `servers` are all that may be about the port (policy.md section 5.3).
    pub(super) fn decide(
        self,
        workload: Workload<'w>,
        port: u16,
        servers: impl Iterator<Item = (&'w Name, &'w Server)>,
    ) -> Decision<'w> {
        let about = servers.filter(|(_, server)| workload.is_governed_by(server, port));
        let first = about.min_by_key(|(name, server)| server.precedence(name));
        Decision {
            by: match first {
                Some((name, _)) => DecidedBy::Server(name),
                None => DecidedBy::Workload {
                    policy: workload.default_policy(port, self.settings.default_policy),
                    opaque: workload.is_opaque(port),
                },
            },
            probes: workload.probes(port),
        }
    }

    pub(super) fn write(self, decision: &Decision<'w>) -> inbound::Server {
        match decision.by {
            DecidedBy::Server(name) => {
                let server = self.world.server(self.name, name);
                let server = server.expect("it was just found there");
                inbound::Server {
                    protocol: protocol(self.kind(server.protocol, Some(name), &decision.probes)),
                    server_ips: Vec::new(),
                    authorizations: authorization::of_server(
                        self.settings,
                        self.world,
                        self.name,
                        name,
                        server,
                    ),
                    labels: Origin::Server(name).labels(),
                }
            }
            DecidedBy::Workload { policy, opaque } => {
                let spoken = if opaque {
                    ProxyProtocol::Opaque
                } else {
                    ProxyProtocol::Unknown
                };
                let authorization = authorization::of_policy(self.settings, policy);
                inbound::Server {
                    protocol: protocol(self.kind(spoken, None, &decision.probes)),
                    server_ips: Vec::new(),
                    authorizations: authorization.into_iter().collect(),
                    labels: Origin::Default(policy.as_str()).labels(),
                }
            }
        }
    }

    /// How connections are read, and what holds for requests on them (policy.md
    /// section 5.5).
    fn kind(self, spoken: ProxyProtocol, server: Option<&Name>, probes: &[&Name]) -> Kind {
        let Self {
            settings,
            world,
            name,
        } = self;
        let server = server.map(|server| ObjectKey::new(name, server.clone()));
        let server = server.as_ref();
        let http_routes = || route::http(settings, world, server, probes);
        let limit = || rate_limit::of_server(settings, world, server?);
        match spoken {
            ProxyProtocol::Unknown => Kind::Detect(Detect {
                timeout: Some(DETECT_TIMEOUT),
                http_routes: http_routes(),
                http_local_rate_limit: limit(),
            }),
            ProxyProtocol::Http1 => Kind::Http1(Http1 {
                routes: http_routes(),
                local_rate_limit: limit(),
            }),
            ProxyProtocol::Http2 => Kind::Http2(Http2 {
                routes: http_routes(),
                local_rate_limit: limit(),
            }),
            ProxyProtocol::Grpc => Kind::Grpc(Grpc {
                routes: route::grpc(settings, world, server),
            }),
            ProxyProtocol::Opaque => Kind::Opaque(Opaque {}),
            ProxyProtocol::Tls => Kind::Tls(Tls {}),
        }
    }
}

fn protocol(kind: Kind) -> Option<inbound::ProxyProtocol> {
    Some(inbound::ProxyProtocol { kind: Some(kind) })
}
