//! A headless Service, as a proxy comes by it: each connection goes to one of its pods.

use anyhow::Result;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Passes each connection on to the next of some addresses that takes it.
pub(super) struct Front {
    addr: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Front {
    pub(super) async fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let targets = Arc::<Mutex<Vec<SocketAddr>>>::default();
        let known = targets.clone();
        let task = tokio::spawn(async move {
            let mut turn = 0_usize;
            while let Ok((client, _)) = listener.accept().await {
                turn = turn.wrapping_add(1);
                let mut targets = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if !targets.is_empty() {
                    let first = turn % targets.len();
                    targets.rotate_left(first);
                }
                tokio::spawn(pass(client, targets));
            }
        });
        Ok(Self {
            addr,
            targets,
            task,
        })
    }

    /// Where it is reached.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on connections go to one of these; those that there are stay.
    pub(super) fn lead_to(&self, targets: Vec<SocketAddr>) {
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }
}

async fn pass(mut client: TcpStream, targets: Vec<SocketAddr>) {
    for target in targets {
        if let Ok(mut server) = TcpStream::connect(target).await {
            // Either may break it off, and then both see it.
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
