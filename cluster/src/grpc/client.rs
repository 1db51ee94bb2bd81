use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// How much of a token is kept: a namespace, a node and a pod with names of full
/// length fit.
const MAX_TOKEN: usize = 1 << 10;

/// Who is at the other end of a stream, for people who look for a reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Client {
    /// Where it called from.
    pub peer: SocketAddr,
    /// What it said of itself: its context token, or its workload.
    pub token: Box<str>,
}

/// A connection. A proxy says the same of itself with each call, so its streams
/// share one [`Client`].
#[derive(Clone, Debug)]
pub struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    peer: SocketAddr,
    newest: Mutex<Option<Arc<Client>>>,
}

impl Connection {
    /// A connection from there.
    pub fn new(peer: SocketAddr) -> Self {
        Self(Arc::new(Shared {
            peer,
            newest: Mutex::default(),
        }))
    }

    /// Who calls with this token.
    pub(super) fn client(&self, token: &str) -> Arc<Client> {
        let token = token.trim();
        let token = &token[..token.floor_char_boundary(MAX_TOKEN)];
        let mut newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some(client) if *client.token == *token => client.clone(),
            _ => {
                let client = Arc::new(Client {
                    peer: self.0.peer,
                    token: token.into(),
                });
                *newest = Some(client.clone());
                client
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_proxy_share_what_it_says_of_itself() {
        let connection = Connection::new(SocketAddr::from(([10, 0, 0, 1], 5000)));
        let first = connection.client("{\"ns\":\"shop\"}\n");
        assert!(Arc::ptr_eq(&first, &connection.client("{\"ns\":\"shop\"}")));
        assert_eq!(&*first.token, "{\"ns\":\"shop\"}");
        assert!(!Arc::ptr_eq(&first, &connection.client("")));
        let long = connection.client(&"é".repeat(MAX_TOKEN));
        assert_eq!(long.token.len(), MAX_TOKEN);
    }
}
