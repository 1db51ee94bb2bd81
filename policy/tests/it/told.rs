//! What the policy of a port says, in words.

use crate::support::default_metadata;
use ferrule_proto::{
    inbound::{
        Authn, Authz, HttpRoute, IdentitySuffix, Network, Server,
        authn::{
            Permit, PermitMeshTls, PermitUnauthenticated,
            permit_mesh_tls::{Clients, PermitClientIdentities},
        },
        proxy_protocol::Kind,
    },
    meta::metadata,
    net::IpNetwork,
};
use std::net::IpAddr;

/// The name of the default policy in the labels, after checking the rest of them.
pub(crate) fn name(server: &Server) -> &str {
    let decided = by(server);
    assert!(decided.starts_with("default/"), "{decided}");
    &server.labels["name"]
}

/// What decides: `server/web` or `default/deny`.
pub(crate) fn by(server: &Server) -> String {
    assert!(server.labels.len() == 3 && server.server_ips.is_empty());
    let (group, kind) = (&*server.labels["group"], &*server.labels["kind"]);
    let expected = match kind {
        "default" => "",
        _ => "policy.linkerd.io",
    };
    assert_eq!(group, expected);
    format!("{kind}/{}", server.labels["name"])
}

pub(crate) fn kind(server: &Server) -> &Kind {
    server
        .protocol
        .as_ref()
        .and_then(|protocol| protocol.kind.as_ref())
        .expect("a kind")
}

/// The protocol and the names of its routes: `detect default probe`.
pub(crate) fn spoken(server: &Server) -> String {
    let (protocol, http, grpc) = match kind(server) {
        Kind::Detect(_) => ("detect", routes(server), &[][..]),
        Kind::Http1(http) => ("http1", &http.routes[..], &[][..]),
        Kind::Http2(http) => ("http2", &http.routes[..], &[][..]),
        Kind::Grpc(grpc) => ("grpc", &[][..], &grpc.routes[..]),
        Kind::Opaque(_) => ("opaque", &[][..], &[][..]),
        Kind::Tls(_) => ("tls", &[][..], &[][..]),
    };
    let http = http.iter().map(|route| &route.metadata);
    let routes = http.chain(grpc.iter().map(|route| &route.metadata));
    let names = routes.map(|metadata| {
        match metadata
            .as_ref()
            .and_then(|metadata| metadata.kind.as_ref())
        {
            Some(metadata::Kind::Default(name)) => name.as_str(),
            other => panic!("{other:?}"),
        }
    });
    let mut words = vec![protocol];
    words.extend(names);
    words.join(" ")
}

/// The routes of a detecting server, after checking the rest of it.
pub(crate) fn routes(server: &Server) -> &[HttpRoute] {
    let Kind::Detect(detect) = kind(server) else {
        panic!("{server:?}");
    };
    assert_eq!(detect.timeout.map(|timeout| timeout.seconds), Some(10));
    assert!(detect.http_local_rate_limit.is_none());
    &detect.http_routes
}

/// Who may call, in the order in which proxies look: `default/audit: anyone from
/// 0.0.0.0/0 ::/0`.
pub(crate) fn who(server: &Server) -> Vec<String> {
    let authorizations = server.authorizations.iter();
    let words = authorizations.map(|authz| {
        let clients = clients(permit(authz));
        format!(
            "{}: {clients} from {}",
            origin(authz),
            networks(authz).join(" ")
        )
    });
    words.collect()
}

/// Kind and name, after checking that labels and metadata say the same.
fn origin(authz: &Authz) -> String {
    let labels = &authz.labels;
    let (group, kind, name) = (&labels["group"], &labels["kind"], &labels["name"]);
    match authz
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.kind.as_ref())
    {
        Some(metadata::Kind::Default(default)) => {
            assert_eq!((&**group, &**kind, name), ("", "default", default));
        }
        Some(metadata::Kind::Resource(resource)) => {
            assert_eq!(&**group, "policy.linkerd.io");
            assert_eq!(
                (&resource.group, &resource.kind, &resource.name),
                (group, kind, name)
            );
            assert!(resource.namespace.is_empty() && resource.section.is_empty());
            assert_eq!(resource.port, 0);
        }
        None => panic!("{authz:?}"),
    }
    format!("{kind}/{name}")
}

fn clients(permit: &Permit) -> String {
    let Permit::MeshTls(PermitMeshTls { clients }) = permit else {
        return "anyone".into();
    };
    match clients.as_ref().expect("acceptable") {
        Clients::Unauthenticated(_) => "any TLS".into(),
        Clients::Identities(all) => {
            let exact = all.identities.iter().map(|identity| identity.name.clone());
            let below = all.suffixes.iter().map(|suffix| {
                let mut parts = vec!["*"];
                parts.extend(suffix.parts.iter().map(String::as_str));
                parts.join(".")
            });
            exact.chain(below).collect::<Vec<_>>().join(" ")
        }
    }
}

/// `10.0.0.0/8` or, with exceptions, `10.0.0.0/8-10.1.0.0/16`.
pub(crate) fn networks(authz: &Authz) -> Vec<String> {
    let net = |net: &IpNetwork| {
        let ip = IpAddr::try_from(net.ip.expect("set")).expect("valid");
        format!("{ip}/{}", net.prefix_len)
    };
    let text = |network: &Network| {
        let mut parts = vec![net(network.net.as_ref().expect("set"))];
        parts.extend(network.except.iter().map(net));
        parts.join("-")
    };
    authz.networks.iter().map(text).collect()
}

pub(crate) fn permit(authz: &Authz) -> &Permit {
    let Some(Authn {
        permit: Some(permit),
    }) = &authz.authentication
    else {
        panic!("{authz:?}");
    };
    permit
}

pub(crate) fn unauthenticated() -> Permit {
    Permit::Unauthenticated(PermitUnauthenticated {})
}

pub(crate) fn any_identity() -> Permit {
    Permit::MeshTls(PermitMeshTls {
        clients: Some(Clients::Identities(PermitClientIdentities {
            identities: vec![],
            suffixes: vec![IdentitySuffix { parts: vec![] }],
        })),
    })
}

/// The one authorization of a server, which has the policy's name.
pub(crate) fn authz(server: &Server) -> &Authz {
    let [authz] = &server.authorizations[..] else {
        panic!("{server:?}");
    };
    assert_eq!(authz.metadata, default_metadata(name(server)));
    assert_eq!(authz.labels, server.labels);
    authz
}
