//! Addresses: of pods, of nodes, and the loopback ports of the components.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};
use aws_lc_rs::digest::{SHA256, digest};

/// Where pod addresses begin: 10.128.0.1, up to 10.255.255.255. EndpointSlices refuse loopback.
const POD_NETWORK: u32 = u32::from_be_bytes([10, 128, 0, 0]);

/// Services are 10.96.0.0/16, and fd00:10:96::/112 in a dual-stack cluster.
pub(crate) const SERVICE_RANGE_V4: &str = "10.96.0.0/16";
pub(crate) const SERVICE_RANGE_V6: &str = "fd00:10:96::/112";
/// The first address of the Services' range is that of `default/kubernetes`.
pub(crate) const KUBERNETES_SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// Hands out pod addresses, each once in the life of a cluster.
#[derive(Debug)]
pub struct PodAddresses {
    given: AtomicU32,
    dual_stack: bool,
}

impl PodAddresses {
    pub(crate) fn new(dual_stack: bool) -> Self {
        Self {
            given: AtomicU32::new(0),
            dual_stack,
        }
    }

    /// The addresses of one more pod: IPv4, then IPv6 in a dual-stack cluster.
    pub fn next(&self) -> Vec<IpAddr> {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::from_bits(POD_NETWORK + number))];
        if self.dual_stack {
            let [high, low] = [(number >> 16) as u16, number as u16];
            let v6 = Ipv6Addr::new(0xfd00, 0x10, 0x128, 0, 0, 0, high, low);
            addresses.push(IpAddr::V6(v6));
        }
        addresses
    }
}

/// A node's address follows from its name, so that a pod's host is known without a look-up.
pub(crate) fn node_address(node: &str) -> IpAddr {
    let hash = digest(&SHA256, node.as_bytes());
    let [a, b] = [hash.as_ref()[0], hash.as_ref()[1]];
    IpAddr::V4(Ipv4Addr::new(172, 20, a, b))
}

/// The loopback ports of one cluster; they stay its own while a component is down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api_server: u16,
}

impl Ports {
    /// Three ports that are free now.
    ///
    /// They are below those the kernel takes for outgoing connections (from 32768 on Linux,
    /// 49152 elsewhere): clients that reconnect to a stopped API server would else, now and
    /// then, be given its port as their own, connect to themselves and keep it.
    pub(crate) fn free() -> Result<Self> {
        const FIRST: u16 = 20_000;
        const COUNT: u16 = 12_000;
        // Hash keys are random; two clusters that start together look at different ports.
        let offset = RandomState::new().hash_one(()) % u64::from(COUNT);
        let mut held = (0..COUNT)
            .map(|step| FIRST + (offset as u16 + step) % COUNT)
            .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        let mut next = || -> Result<TcpListener> {
            let Some(listener) = held.next() else {
                bail!(
                    "no free loopback port between {FIRST} and {}",
                    FIRST + COUNT
                );
            };
            Ok(listener)
        };
        // Held until all are chosen.
        let listeners = [next()?, next()?, next()?];
        let [etcd, etcd_peer, api_server] = listeners
            .each_ref()
            .map(|listener| listener.local_addr().map(|address| address.port()));
        Ok(Self {
            etcd: etcd?,
            etcd_peer: etcd_peer?,
            api_server: api_server?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_addresses_are_unique_and_follow_the_families_of_the_cluster() {
        let single = PodAddresses::new(false);
        assert_eq!(single.next(), ["10.128.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(single.next(), ["10.128.0.2".parse::<IpAddr>().unwrap()]);
        let dual = PodAddresses::new(true);
        dual.given.store(0xffff, Ordering::Relaxed);
        assert_eq!(
            dual.next(),
            ["10.129.0.0", "fd00:10:128::1:0"].map(|text| text.parse::<IpAddr>().unwrap())
        );
    }
}
