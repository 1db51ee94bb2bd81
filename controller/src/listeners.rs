//! The sockets of the process, and what is spoken on each.

use crate::{
    flags::{MeshTls, Role, ServeFlags},
    identity::Identity,
    mesh_tls::{Certifier, ClientAuth, Connections, Handshakes, OwnCertificate, RemoteIdentity},
};
use anyhow::Context as _;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted: all proxies come back at once
/// when a replica goes. The system's own limit holds if it is smaller.
const BACKLOG: u32 = 4096;

/// Service accounts of the control plane, as proxies pin them. Policy goes by
/// destination's.
const IDENTITY: &str = "linkerd-identity";
const DESTINATION: &str = "linkerd-destination";
const INJECTOR: &str = "linkerd-proxy-injector";

/// The sockets, bound before anything else is done: a port in use is found at
/// once, and clients that come early wait instead of being refused.
pub(crate) struct Listeners {
    bound: Vec<Bound>,
    /// The webhooks', if there are any.
    pub(crate) webhooks: Option<TcpListener>,
    /// Where the admin listener is.
    pub(crate) admin_addr: SocketAddr,
    /// Ready to be served; filled by [`Listeners::certificates`].
    pub(crate) roles: Vec<RoleListener>,
}

struct Bound {
    role: Role,
    addr: SocketAddr,
    listener: Option<TcpListener>,
    meshed: bool,
}

/// A listener of a role, with what is spoken there.
pub(crate) struct RoleListener {
    pub(crate) role: Role,
    pub(crate) connections: Connections,
}

impl Listeners {
    /// Binds what the roles need, the webhooks if there are any, and the admin
    /// listener.
    pub(crate) fn bind(flags: &ServeFlags, webhooks: bool) -> anyhow::Result<(Self, TcpListener)> {
        let (listen, embedded) = (&flags.listen, flags.is_embedded());
        let mut bound = Vec::new();
        for role in [Role::Identity, Role::Destination, Role::Policy] {
            if flags.has(role)
                && let Some(addr) = listen.addr(role, embedded)
            {
                let listener = bind(addr, role.addr_flag())?;
                bound.push(Bound {
                    role,
                    // Port 0 resolved.
                    addr: listener.local_addr()?,
                    meshed: listen.is_meshed(addr),
                    listener: Some(listener),
                });
            }
        }
        let webhooks = webhooks.then(|| bind(flags.webhook_addr(), "--webhook-addr"));
        let admin = bind(listen.admin_addr(embedded), "--admin-addr")?;
        let listeners = Self {
            bound,
            webhooks: webhooks.transpose()?,
            admin_addr: admin.local_addr()?,
            roles: Vec::new(),
        };
        Ok((listeners, admin))
    }

    /// The certificates that the listeners need, each with who signs it, and the
    /// listeners joined with them.
    pub(crate) fn certificates(
        &mut self,
        flags: &ServeFlags,
        identity: Option<&Identity>,
    ) -> anyhow::Result<Vec<(Arc<OwnCertificate>, Certifier)>> {
        let mut certificates: Vec<(Arc<OwnCertificate>, Certifier)> = Vec::new();
        for bound in &mut self.bound {
            let Some(listener) = bound.listener.take() else {
                continue;
            };
            let connections = if bound.meshed {
                let account = service_account(bound.role);
                let name = flags.mesh.control_plane_identity(account);
                let known = certificates
                    .iter()
                    .find(|(certificate, _)| *certificate.name() == name);
                let certificate = match known {
                    Some((certificate, _)) => certificate.clone(),
                    None => {
                        let certificate = Arc::new(OwnCertificate::new(name, account)?);
                        let certifier = certifier(flags, identity)?;
                        certificates.push((certificate.clone(), certifier));
                        certificate
                    }
                };
                Connections::MeshTls {
                    listener,
                    certificate,
                    auth: client_auth(bound.role, flags),
                    handshakes: Arc::<Handshakes>::default(),
                }
            } else {
                Connections::Plaintext(listener)
            };
            self.roles.push(RoleListener {
                role: bound.role,
                connections,
            });
        }
        Ok(certificates)
    }

    /// How TLS goes at each listener that speaks it.
    pub(crate) fn handshakes(&self) -> Vec<(Role, Arc<Handshakes>)> {
        let meshed = self.roles.iter().filter_map(|listener| {
            let Connections::MeshTls { handshakes, .. } = &listener.connections else {
                return None;
            };
            Some((listener.role, handshakes.clone()))
        });
        meshed.collect()
    }

    /// Where a role is served, and whether by mesh TLS.
    pub(crate) fn role(&self, role: Role) -> Option<(SocketAddr, bool)> {
        let bound = self.bound.iter().find(|bound| bound.role == role)?;
        Some((bound.addr, bound.meshed))
    }

    /// Says where the process is reached, port 0 resolved.
    pub(crate) fn announce(&self) {
        for Bound {
            role, addr, meshed, ..
        } in &self.bound
        {
            let (role, tls) = (role.as_str(), if *meshed { "mesh" } else { "none" });
            tracing::info!(role, %addr, tls, "serving");
            if !meshed && !addr.ip().to_canonical().is_loopback() {
                // Proxies take a loopback address for plaintext, and no other.
                tracing::warn!(
                    role,
                    %addr,
                    "served in plaintext without authentication as --mesh-tls=never asks for; \
                     proxies expect mesh TLS there, so something in front must terminate it",
                );
            }
        }
        if let Some(addr) = self.webhooks.as_ref().and_then(|it| it.local_addr().ok()) {
            tracing::info!(role = "webhooks", %addr, tls = "files", "serving");
        }
        tracing::info!(role = "admin", addr = %self.admin_addr, tls = "none", "serving");
    }
}

/// Whose name a role goes by (ruling 9).
const fn service_account(role: Role) -> &'static str {
    match role {
        Role::Identity => IDENTITY,
        Role::Destination | Role::Policy => DESTINATION,
        Role::ProxyInjector => INJECTOR,
    }
}

/// What a role asks of its clients (ruling 8).
fn client_auth(role: Role, flags: &ServeFlags) -> ClientAuth {
    match role {
        Role::Identity | Role::ProxyInjector => ClientAuth::None,
        Role::Destination if flags.listen.require_meshed_clients => ClientAuth::Required,
        Role::Destination | Role::Policy => ClientAuth::Asked,
    }
}

fn certifier(flags: &ServeFlags, identity: Option<&Identity>) -> anyhow::Result<Certifier> {
    if let Some(identity) = identity {
        return Ok(Certifier::local(identity.authority.clone()));
    }
    let (mesh, own) = (&flags.mesh, &flags.identity);
    let addr = own.identity_svc_addr.clone().unwrap_or_else(|| {
        format!(
            "{IDENTITY}-headless.{}.svc.{}:8080",
            mesh.control_plane_namespace, mesh.cluster_domain
        )
    });
    let identity = RemoteIdentity::new(
        addr,
        mesh.control_plane_identity(IDENTITY),
        own.identity_token.clone(),
        own.trust_anchors(),
        flags.listen.mesh_tls == MeshTls::Always,
    )
    .context("mesh TLS needs a certificate (or --mesh-tls=never)")?;
    Ok(Certifier::Remote(identity))
}

/// Listens on `addr`, which `flag` chooses.
fn bind(addr: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(addr).with_context(|| {
        format!("cannot listen on {addr}, choose another address with {flag} IP:PORT")
    })
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the last process' connections to be forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}
