//! Who has how many connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many connections an address may have: no pod keeps the API servers out.
const MOST: usize = 64;

/// The connections of each address.
#[derive(Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of an address' connections.
pub(super) struct Place {
    peers: Peers,
    ip: IpAddr,
}

impl Peers {
    /// A place for one more connection of this address, if it may have one.
    pub(super) fn place(&self, ip: IpAddr) -> Option<Place> {
        let mut counts = self.counts();
        let count = counts.entry(ip).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Place {
            peers: self.clone(),
            ip,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.peers.counts();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let peers = Peers::default();
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let mut places: Vec<_> = (0..MOST).map(|_| peers.place(one).expect("room")).collect();
        assert!(peers.place(one).is_none());
        assert!(peers.place(other).is_some());
        places.pop();
        assert!(peers.place(one).is_some());
        drop(places);
        assert!(peers.counts().is_empty());
    }
}
