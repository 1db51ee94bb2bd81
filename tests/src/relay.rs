use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A TCP relay: it passes connections on to one address, or another later, and may
/// stop passing anything on without closing anything, as a network does that
/// drops packets.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    target: watch::Sender<SocketAddr>,
    frozen: watch::Sender<bool>,
    _end: DropGuard,
}

impl Relay {
    /// A relay to `target`, on a port of its own.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn to(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (target, targets) = watch::channel(target);
        let (frozen, frost) = watch::channel(false);
        let end = CancellationToken::new();
        let running = end.clone();
        tokio::spawn(async move {
            running
                .run_until_cancelled(accept(listener, targets, frost, &running))
                .await
        });
        Ok(Self {
            addr,
            target,
            frozen,
            _end: end.drop_guard(),
        })
    }

    /// Where it is reached.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Passes new connections on to another address; those that there are stay.
    pub fn point_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Passes nothing on any more, in either direction; what is written is taken
    /// until the buffers are full.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Passes on what was held back, and goes on.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

async fn accept(
    listener: TcpListener,
    targets: watch::Receiver<SocketAddr>,
    frost: watch::Receiver<bool>,
    end: &CancellationToken,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (target, frost) = (*targets.borrow(), frost.clone());
        let end = end.clone();
        tokio::spawn(async move { end.run_until_cancelled(relay(client, target, frost)).await });
    }
}

async fn relay(client: TcpStream, target: SocketAddr, frost: watch::Receiver<bool>) {
    // Whoever cannot be reached closes the client's connection.
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pass(from_client, to_server, frost.clone()),
        pass(from_server, to_client, frost),
    );
}

/// Until one end closes; the other half is closed then, unless frozen.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut frost: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or_default();
        // A relay that has gone passes nothing on either.
        if frost.wait_for(|frozen| !frozen).await.is_err() || read == 0 {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
