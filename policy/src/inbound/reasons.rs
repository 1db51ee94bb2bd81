//! Why a port has the policy that it has, for people.

use super::{InboundKey, Workload, namespace::Namespace};
use crate::{attachment, status};
use ferrule_cluster::object::{
    AuthorizationPolicy, IdentitySource, Name, ObjectKey, PolicyTarget, ProxyProtocol, Server,
    ServerSelector,
    route::{ParentKey, ParentKind, Route, RouteKey, RouteKind},
};
use serde::Serialize;

/// Why a port has the policy that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reasons {
    /// What decides, and why that.
    pub decided: String,
    /// Objects that are about the port, or say so, and have no part in its policy.
    pub without_effect: Vec<Idle>,
}

/// An object without effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// Its kind and name.
    pub object: String,
    /// What keeps it from having one.
    pub because: String,
}

impl<'w> Namespace<'w> {
    /// Why a port has its policy; `None` where the mesh has no such workload.
    pub(crate) fn reasons(self, key: &InboundKey) -> Option<Reasons> {
        let workload = self.workload(key).ok()?;
        let mut about: Vec<_> = self
            .world
            .servers(self.name)
            .filter(|(_, server)| workload.is_governed_by(server, key.port))
            .collect();
        about.sort_unstable_by_key(|(name, server)| server.precedence(name));
        let Some(((name, server), others)) = about.split_first() else {
            return Some(Reasons {
                decided: self.decided_without_server(workload, key.port),
                without_effect: self.unreadable_servers().collect(),
            });
        };
        let decided = match others.len() {
            0 => format!("Server {name}, the only one about the port"),
            count => format!("Server {name}, the oldest of {} about the port", count + 1),
        };
        let others = others.iter().map(|(other, _)| {
            idle(
                format!("Server {other}"),
                format!("Server {name} is older or, of the same age, first by name"),
            )
        });
        let without_effect = others
            .chain(self.unreadable_servers())
            .chain(self.idle_policies(name))
            .chain(self.idle_server_authorizations(name, server))
            .chain(self.idle_routes(name, server))
            .chain(self.idle_rate_limits(name, server))
            .collect();
        Some(Reasons {
            decided,
            without_effect,
        })
    }

    fn decided_without_server(self, workload: Workload<'_>, port: u16) -> String {
        let by = match workload.own_default_policy() {
            Some(_) => "the workload's annotation config.linkerd.io/default-inbound-policy",
            None => "the mesh's default",
        };
        let stricter = if workload.requires_identity(port) {
            ", made stricter by config.linkerd.io/proxy-require-identity-inbound-ports"
        } else {
            ""
        };
        let namespace = self.name;
        format!("{by}{stricter}, since no Server of {namespace} is about the port")
    }

    fn unreadable_servers(self) -> impl Iterator<Item = Idle> {
        let servers = self.world.servers(self.name);
        servers.filter_map(|(name, server)| {
            let part = match (&server.workloads, &server.port) {
                (None, _) => "selector",
                (_, None) => "port",
                _ => return None,
            };
            Some(idle(
                format!("Server {name}"),
                format!("its {part} cannot be read"),
            ))
        })
    }

    fn idle_policies(self, server: &'w Name) -> impl Iterator<Item = Idle> {
        let policies = self.world.authorization_policies(self.name);
        policies.filter_map(move |(name, policy)| {
            let is_about = match policy.target.as_ref()? {
                PolicyTarget::Server(target) => target == server,
                PolicyTarget::Namespace | PolicyTarget::Route { .. } => true,
            };
            let because = self.missing(policy).filter(|_| is_about)?;
            Some(idle(format!("AuthorizationPolicy {name}"), because))
        })
    }

    /// What keeps a policy from letting anybody in.
    fn missing(self, policy: &AuthorizationPolicy) -> Option<String> {
        let absent = |kind, key: &ObjectKey| format!("there is no {kind} {key}");
        let nobody = |kind, key: &ObjectKey| format!("{kind} {key} names nobody");
        let Some(required) = &policy.required else {
            return Some("what it requires cannot be read".to_owned());
        };
        let identity = match &required.identity {
            Some(IdentitySource::MeshTls(key)) => {
                const KIND: &str = "MeshTLSAuthentication";
                match self.world.mesh_tls_authentication(key) {
                    None => Some(absent(KIND, key)),
                    Some(found) => found.identities.is_empty().then(|| nobody(KIND, key)),
                }
            }
            Some(IdentitySource::ServiceAccount(_)) | None => None,
        };
        let network = required.network.as_ref().and_then(|key| {
            const KIND: &str = "NetworkAuthentication";
            match self.world.network_authentication(key) {
                None => Some(absent(KIND, key)),
                Some(found) => found.networks.is_empty().then(|| nobody(KIND, key)),
            }
        });
        identity.or(network)
    }

    fn idle_server_authorizations(
        self,
        server: &'w Name,
        object: &'w Server,
    ) -> impl Iterator<Item = Idle> {
        let all = self.world.server_authorizations(self.name);
        all.filter_map(move |(name, authorization)| {
            let selects = match authorization.servers.as_ref()? {
                ServerSelector::Name(selected) => selected == server,
                ServerSelector::Labels(selector) => selector.matches(&object.labels),
            };
            let names_none = authorization.clients.is_none() && selects;
            names_none.then(|| {
                let object = format!("ServerAuthorization {name}");
                idle(object, "it names no client".to_owned())
            })
        })
    }

    fn idle_routes(self, name: &Name, server: &'w Server) -> impl Iterator<Item = Idle> {
        let key = ObjectKey::new(self.name, name.clone());
        let parent = ParentKey::new(ParentKind::Server, key.clone());
        let attached = attachment::to_server(self.settings, self.world, &key);
        let routes = self.world.routes_of(&parent).filter_map(|(key, entry)| {
            let is_attached = attached.iter().any(|route| route.key == key);
            let because = if is_attached {
                unspoken(key.kind, server.protocol)?
            } else if entry.spec.is_none() {
                "it cannot be told to proxies; the log says why".to_owned()
            } else {
                self.unattached(key, &entry.route, &parent)
            };
            Some(idle(key.to_string(), because))
        });
        let mut routes: Vec<_> = routes.collect();
        routes.sort_unstable_by(|a, b| a.object.cmp(&b.object));
        routes.into_iter()
    }

    fn unattached(self, key: &RouteKey, route: &Route, server: &ParentKey) -> String {
        if key.key.namespace != server.key.namespace {
            return "it is in another namespace than the Server".to_owned();
        }
        for parent in &route.parents {
            if parent.key.kind != ParentKind::Server {
                continue;
            }
            if parent.is_part {
                return "one of its parents names a port or section of a Server".to_owned();
            }
            if parent.key.key.namespace != key.key.namespace {
                return "one of its parents is a Server of another namespace".to_owned();
            }
        }
        let written = route.status.iter().find(|status| status.parent == *server);
        let due = status::route_status(self.settings, self.world, key, route);
        let reason = |status: &ferrule_cluster::object::route::ParentStatus| {
            let accepted = status.conditions.first();
            accepted.map(|condition| condition.reason.clone())
        };
        let due = due.iter().find(|status| status.parent == *server);
        match (written.and_then(reason), due.and_then(reason)) {
            (None, Some(due)) => format!("its status is not written yet (due: {due})"),
            (Some(reason), _) => format!("its status says {reason}"),
            (None, None) => "its status is not written yet".to_owned(),
        }
    }

    fn idle_rate_limits(self, name: &'w Name, server: &'w Server) -> impl Iterator<Item = Idle> {
        let limits = self.world.rate_limits(self.name);
        limits.filter_map(move |(limit_name, limit)| {
            if limit.server.as_ref() != Some(name) {
                return None;
            }
            let key = ObjectKey::new(self.name, limit_name.clone());
            let is_accepted =
                status::is_rate_limit_accepted(self.settings, self.world, &key, limit);
            let because = match server.protocol {
                ProxyProtocol::Grpc | ProxyProtocol::Opaque | ProxyProtocol::Tls => {
                    "the Server's proxyProtocol is not limited".to_owned()
                }
                _ if limit.limits.is_none() => "its limits cannot be read".to_owned(),
                _ if !is_accepted => match status::rate_limit_status(self.world, &key, limit) {
                    Some(due) => format!("its status does not accept it (due: {})", due.reason),
                    None => "its status does not accept it".to_owned(),
                },
                _ => return None,
            };
            let object = format!("HTTPLocalRateLimitPolicy {limit_name}");
            Some(idle(object, because))
        })
    }
}

/// Why routes of a kind are not told under a protocol.
fn unspoken(kind: RouteKind, protocol: ProxyProtocol) -> Option<String> {
    let is_told = match protocol {
        ProxyProtocol::Unknown | ProxyProtocol::Http1 | ProxyProtocol::Http2 => {
            matches!(kind, RouteKind::PolicyHttp | RouteKind::Http)
        }
        ProxyProtocol::Grpc => kind == RouteKind::Grpc,
        ProxyProtocol::Opaque | ProxyProtocol::Tls => false,
    };
    let spelling = ProxyProtocol::ALL
        .iter()
        .find(|(known, _)| *known == protocol);
    let spelling = spelling.map_or("", |(_, spelling)| spelling);
    (!is_told).then(|| format!("the Server's proxyProtocol is {spelling}"))
}

fn idle(object: String, because: String) -> Idle {
    Idle { object, because }
}
