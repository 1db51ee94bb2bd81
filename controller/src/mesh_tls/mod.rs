//! Mesh TLS, terminated in this process: no sidecar stands before the listeners
//! that proxies dial.
//!
//! An [`OwnCertificate`] is kept for each name that the process goes by. It is
//! made by a [`Certifier`], renewed like a proxy's, and served with the
//! [`ClientAuth`] of each listener; the [`acceptor`] reads it at every accept,
//! so that a new one disturbs no connection.

mod acceptor;
mod certifier;
mod client_auth;
mod own;

pub(crate) use self::{
    acceptor::{Connections, Handshakes, accepted},
    certifier::{Certifier, RemoteIdentity},
    client_auth::ClientAuth,
    own::{NotCertified, OwnCertificate},
};

#[cfg(test)]
mod tests;
