//! TCP listeners.

use anyhow::Context as _;
use std::{io, net::SocketAddr};
use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted: all proxies come back at once
/// when a replica goes. The system's own limit holds if it is smaller.
const BACKLOG: u32 = 4096;

/// Listens on `addr`, which `flag` chooses.
pub(crate) fn bind(addr: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
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
