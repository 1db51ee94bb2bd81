//! The gRPC listeners that proxies dial.

use crate::mesh_tls::Connections;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Error, Server},
};

/// Requests are one small message each: a stream needs no more than HTTP/2's own
/// default, and a connection that opens thousands at once gets some room.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Proxies send a handful of short headers.
const MAX_HEADERS: u32 = 16 << 10;
/// A proxy drops the streams of everything it no longer talks to at once, before
/// they may have been looked at; h2's default of 20 would take it for an attack.
const MAX_EARLY_RESETS: usize = 1024;
/// A proxy whose node is gone is noticed after 30 s, by mesh TLS and in plaintext
/// alike; one that is only idle is left alone. Proxies do not ping these
/// connections themselves (api.md section 2.2), and a load balancer in between
/// forgets idle ones after a minute or more: well below that. 10,000 connections
/// are 500 PINGs a second.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Longer than a proxy on a busy node takes to be scheduled, or lost packets take
/// to be sent again.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until the token is cancelled and the last connection has ended: their
/// streams must end by themselves.
pub(crate) async fn serve(
    connections: Connections,
    routes: Routes,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    Server::builder()
        // Limits per connection are for clients that share a server by being
        // polite; a proxy opens a stream for each Service it talks to. Nor is there
        // a limit to a stream's or a connection's age, or to how often clients
        // ping: proxies stand between us and them (destination.md section 1.5).
        .max_concurrent_streams(u32::MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_max_pending_accept_reset_streams(Some(MAX_EARLY_RESETS))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections.accept(), shutdown.cancelled_owned())
        .await
}
