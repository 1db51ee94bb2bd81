//! Who may call, in words.

use super::sheet::Section;
use crate::{
    endpoint::{resource, short_identity},
    message,
};
use ferrule_proto::{
    inbound::{
        Authn, Authz, IdentitySuffix, Network,
        authn::{Permit, PermitMeshTls, permit_mesh_tls::Clients},
    },
    meta::{Metadata, metadata},
};

const COLUMNS: &[&str] = &["AUTHORIZATION", "ROUTE", "CLIENTS", "NETWORKS"];

/// Authorizations, each with the route that it is for; `""` for all.
pub(super) fn section<'a>(of_routes: impl Iterator<Item = (String, &'a Authz)>) -> Section {
    let rows = of_routes.map(|(route, authz)| {
        vec![
            name(authz),
            route,
            clients(authz.authentication.as_ref()),
            networks(&authz.networks),
        ]
    });
    Section {
        columns: COLUMNS,
        rows: rows.collect(),
    }
}

/// An object by its kind as manifests spell it; the wire has it in lower case.
pub(super) fn object(group: &str, kind: &str, name: &str) -> String {
    let spelled = match (group, kind) {
        ("policy.linkerd.io", "server") => "Server",
        ("policy.linkerd.io", "serverauthorization") => "ServerAuthorization",
        ("policy.linkerd.io", "authorizationpolicy") => "AuthorizationPolicy",
        _ => return format!("{group}/{kind} {name}"),
    };
    format!("{spelled} {name}")
}

fn name(authz: &Authz) -> String {
    match &authz.metadata {
        Some(Metadata {
            kind: Some(metadata::Kind::Resource(resource)),
        }) => object(&resource.group, &resource.kind, &resource.name),
        Some(metadata) => resource(metadata),
        None => authz.labels.get("name").cloned().unwrap_or_default(),
    }
}

fn clients(authn: Option<&Authn>) -> String {
    match authn.and_then(|authn| authn.permit.as_ref()) {
        None => "nobody: no authentication is set".to_owned(),
        Some(Permit::Unauthenticated(_)) => "anyone".to_owned(),
        Some(Permit::MeshTls(tls)) => mesh_clients(tls),
    }
}

fn mesh_clients(tls: &PermitMeshTls) -> String {
    let identities = match &tls.clients {
        None => return "nobody: no clients are set".to_owned(),
        Some(Clients::Unauthenticated(_)) => {
            return "mesh TLS, with or without an identity".to_owned();
        }
        Some(Clients::Identities(identities)) => identities,
    };
    let exact = identities.identities.iter();
    let exact = exact.map(|identity| short_identity(&identity.name).to_owned());
    let below = identities.suffixes.iter().map(suffix);
    let all: Vec<_> = exact.chain(below).collect();
    if all.is_empty() {
        return "nobody: no identity is named".to_owned();
    }
    all.join(", ")
}

fn suffix(suffix: &IdentitySuffix) -> String {
    if suffix.parts.is_empty() {
        return "any mesh identity".to_owned();
    }
    let domain = format!("*.{}", suffix.parts.join("."));
    short_identity(&domain).to_owned()
}

fn networks(networks: &[Network]) -> String {
    let text = |net: &_| message::network(net).unwrap_or_else(|| "no network".to_owned());
    let networks = networks.iter().map(|network| {
        let mut all = network.net.as_ref().map(text).unwrap_or_default();
        if !network.except.is_empty() {
            let except: Vec<_> = network.except.iter().map(text).collect();
            all.push_str(&format!(" except {}", except.join(" and ")));
        }
        all
    });
    networks.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::{
        inbound::{
            Identity,
            authn::{PermitUnauthenticated, permit_mesh_tls::PermitClientIdentities},
        },
        meta::Resource,
        net::IpNetwork,
    };
    use std::net::IpAddr;

    fn of(clients: Clients) -> Option<Permit> {
        Some(Permit::MeshTls(PermitMeshTls {
            clients: Some(clients),
        }))
    }

    fn identities(exact: &[&str], suffixes: &[&[&str]]) -> Option<Permit> {
        let identities = exact.iter().map(|name| Identity {
            name: (*name).into(),
        });
        let suffixes = suffixes.iter().map(|parts| IdentitySuffix {
            parts: parts.iter().map(|&part| part.into()).collect(),
        });
        of(Clients::Identities(PermitClientIdentities {
            identities: identities.collect(),
            suffixes: suffixes.collect(),
        }))
    }

    #[test]
    fn clients_are_told_by_what_they_must_show() {
        let unauthenticated = PermitUnauthenticated {};
        for (permit, text) in [
            (Some(Permit::Unauthenticated(unauthenticated)), "anyone"),
            (
                of(Clients::Unauthenticated(unauthenticated)),
                "mesh TLS, with or without an identity",
            ),
            (identities(&[], &[&[]]), "any mesh identity"),
            (
                identities(
                    &[
                        "web.shop.serviceaccount.identity.linkerd.cluster.local",
                        "spiffe://a/b",
                    ],
                    &[&[
                        "office",
                        "serviceaccount",
                        "identity",
                        "linkerd",
                        "cluster",
                        "local",
                    ]],
                ),
                "web.shop, spiffe://a/b, *.office",
            ),
            (identities(&[], &[]), "nobody: no identity is named"),
            (None, "nobody: no authentication is set"),
        ] {
            assert_eq!(clients(Some(&Authn { permit })), text);
        }
    }

    #[test]
    fn objects_are_called_as_in_manifests() {
        for (kind, text) in [
            ("authorizationpolicy", "AuthorizationPolicy cart"),
            ("serverauthorization", "ServerAuthorization cart"),
            ("other", "policy.linkerd.io/other cart"),
        ] {
            let authz = Authz {
                metadata: Some(Metadata {
                    kind: Some(metadata::Kind::Resource(Resource {
                        group: "policy.linkerd.io".into(),
                        kind: kind.into(),
                        name: "cart".into(),
                        ..Resource::default()
                    })),
                }),
                ..Authz::default()
            };
            assert_eq!(name(&authz), text);
        }
    }

    #[test]
    fn networks_come_with_their_exceptions() {
        let net = |ip: [u8; 4], prefix_len| IpNetwork {
            ip: Some(IpAddr::from(ip).into()),
            prefix_len,
        };
        let all = [
            Network {
                net: Some(net([10, 0, 0, 0], 8)),
                except: vec![net([10, 1, 0, 0], 16), net([10, 2, 0, 1], 32)],
            },
            Network {
                net: Some(net([192, 168, 0, 0], 16)),
                except: Vec::new(),
            },
        ];
        assert_eq!(
            networks(&all),
            "10.0.0.0/8 except 10.1.0.0/16 and 10.2.0.1/32, 192.168.0.0/16"
        );
    }
}
