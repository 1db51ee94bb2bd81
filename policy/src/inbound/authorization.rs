//! Who may call.

use super::{clients, origin::Origin};
use crate::{PolicySettings, network};
use ferrule_cluster::{
    World,
    object::{
        self, AuthorizationPolicy, ClientIdentity, Clients, DefaultPolicy, IdentitySource, Name,
        ServerAuthorization, ServerSelector, route::RouteKey,
    },
};
use ferrule_proto::inbound::{Authn, Authz, Network, authn::Permit};
use ipnet::IpNet;
use std::slice;

/// All that let somebody in to what a Server is about (policy.md section 5.5).
/// Proxies take the first that fits and tell it in their metrics: those whom an
/// object names come before those whom the Server lets in anyway, so that only
/// the latter are audited. Among objects of a kind the name decides.
pub(super) fn of_server(
    settings: &PolicySettings,
    world: &World,
    namespace: &str,
    name: &Name,
    server: &object::Server,
) -> Vec<Authz> {
    let policies = world.policies_of_server(namespace, name).into_iter();
    let policies = policies
        .filter_map(|(name, policy)| of_authorization_policy(settings, world, name, policy));
    let of_servers = world
        .server_authorizations(namespace)
        .filter(|(_, authorization)| match &authorization.servers {
            None => false,
            Some(ServerSelector::Name(selected)) => selected == name,
            Some(ServerSelector::Labels(selector)) => selector.matches(&server.labels),
        })
        .filter_map(|(name, authorization)| of_server_authorization(settings, name, authorization));
    policies
        .chain(of_servers)
        .chain(of_policy(settings, server.access))
        .collect()
}

/// What lets somebody in to what a route is about, besides those whom its Server
/// lets in: proxies put the two together (policy.md section 5.7).
pub(super) fn of_route(settings: &PolicySettings, world: &World, route: &RouteKey) -> Vec<Authz> {
    let policies = world.policies_of_route(route);
    policies
        .filter_map(|(name, policy)| of_authorization_policy(settings, world, name, policy))
        .collect()
}

/// Nothing while something that it requires is not there (policy.md section 5.9).
fn of_authorization_policy(
    settings: &PolicySettings,
    world: &World,
    name: &str,
    policy: &AuthorizationPolicy,
) -> Option<Authz> {
    let required = policy.required.as_ref()?;
    let permit = match &required.identity {
        None => clients::unauthenticated(),
        Some(IdentitySource::MeshTls(key)) => {
            let authentication = world.mesh_tls_authentication(key)?;
            clients::identities(settings, &authentication.identities)?
        }
        Some(IdentitySource::ServiceAccount(key)) => {
            let account = ClientIdentity::ServiceAccount(key.clone());
            clients::identities(settings, slice::from_ref(&account))?
        }
    };
    let networks = match &required.network {
        None => whole(&network::any()),
        Some(key) => some(&world.network_authentication(key)?.networks),
    };
    authz(Origin::AuthorizationPolicy(name), networks, permit)
}

/// Nothing where it names no client; from the cluster's networks where it names
/// none (policy.md section 5.8).
fn of_server_authorization(
    settings: &PolicySettings,
    name: &str,
    authorization: &ServerAuthorization,
) -> Option<Authz> {
    let permit = match authorization.clients.as_ref()? {
        Clients::Unauthenticated => clients::unauthenticated(),
        Clients::UnauthenticatedTls => clients::unauthenticated_tls(),
        Clients::Identities(identities) => clients::identities(settings, identities)?,
    };
    let networks = match &authorization.networks {
        None => whole(&settings.cluster_networks),
        Some(networks) => some(networks),
    };
    authz(Origin::ServerAuthorization(name), networks, permit)
}

/// The authorization that a policy's name stands for (policy.md section 5.4).
pub(super) fn of_policy(settings: &PolicySettings, policy: DefaultPolicy) -> Option<Authz> {
    let cluster = &*settings.cluster_networks;
    let (networks, permit) = match policy {
        // Proxies log what is let in by the name `audit`; nothing else tells it
        // from the first.
        DefaultPolicy::AllUnauthenticated | DefaultPolicy::Audit => {
            (&network::any()[..], clients::unauthenticated())
        }
        DefaultPolicy::AllAuthenticated => (&network::any()[..], clients::any_identity()),
        DefaultPolicy::ClusterUnauthenticated => (cluster, clients::unauthenticated()),
        DefaultPolicy::ClusterAuthenticated => (cluster, clients::any_identity()),
        DefaultPolicy::Deny => return None,
    };
    authz(Origin::Default(policy.as_str()), whole(networks), permit)
}

/// The authorization of probes.
pub(super) fn of_probes(settings: &PolicySettings) -> Option<Authz> {
    let networks = whole(&settings.probe_networks);
    authz(
        Origin::Default("probe"),
        networks,
        clients::unauthenticated(),
    )
}

/// None where there is no network to let in: proxies refuse a whole server for
/// one authorization without any.
fn authz(origin: Origin<'_>, networks: Vec<Network>, permit: Permit) -> Option<Authz> {
    if networks.is_empty() {
        return None;
    }
    Some(Authz {
        networks,
        authentication: Some(Authn {
            permit: Some(permit),
        }),
        labels: origin.labels(),
        metadata: Some(origin.metadata()),
    })
}

/// Networks without exceptions.
fn whole(networks: &[IpNet]) -> Vec<Network> {
    let networks = networks.iter().map(|network| Network {
        net: Some(network::message(*network)),
        except: Vec::new(),
    });
    networks.collect()
}

/// Networks but for their exceptions.
fn some(networks: &[object::Network]) -> Vec<Network> {
    let networks = networks.iter().map(|network| Network {
        net: Some(network::message(network.cidr)),
        except: network
            .except
            .iter()
            .copied()
            .map(network::message)
            .collect(),
    });
    networks.collect()
}
