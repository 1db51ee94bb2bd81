//! Which endpoints a stream is told of, for where one change must be told from the next.
//!
//! Of a message only the addresses are read; all else is skipped by its length.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use bytes::Buf as _;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::messages::MessageCounter;

/// Field numbers down to an address: `Update.add`, `WeightedAddrSet.addrs`, `WeightedAddr.addr`,
/// `TcpAddress.ip`, `IPAddress.ipv4`; all are 1.
const FIRST: u32 = 1;

/// What one stream has been told.
#[derive(Debug, Default)]
pub(super) struct Follower {
    counter: MessageCounter,
    /// Messages that are whole; the first is everything, and is not read.
    messages: usize,
    /// What there is of a message that DATA frames have cut.
    cut: Vec<u8>,
    told: HashSet<Ipv4Addr>,
}

impl Follower {
    /// How many messages `data` makes whole; `tell` gets each address that a message after the
    /// first adds for the first time.
    pub(super) fn push(&mut self, data: &[u8], mut tell: impl FnMut(Ipv4Addr)) -> usize {
        let Self {
            counter,
            messages,
            cut,
            told,
        } = self;
        let before = *messages;
        counter.parts(data, |part, ends| {
            if *messages > 0 {
                let mut read = |message: &[u8]| {
                    added(message, |address| {
                        if told.insert(address) {
                            tell(address);
                        }
                    });
                };
                if !ends || !cut.is_empty() {
                    cut.extend_from_slice(part);
                }
                if ends && cut.is_empty() {
                    read(part);
                } else if ends {
                    read(cut);
                    cut.clear();
                }
            }
            *messages += usize::from(ends);
        });
        *messages - before
    }
}

/// The IPv4 addresses that an `Update` adds.
fn added(update: &[u8], mut each: impl FnMut(Ipv4Addr)) {
    fields(update, |set| {
        fields(set, |endpoint| {
            fields(endpoint, |addr| {
                fields(addr, |mut ip| {
                    let is_v4 =
                        decode_key(&mut ip).is_ok_and(|key| key == (FIRST, WireType::ThirtyTwoBit));
                    if is_v4 && ip.len() >= 4 {
                        each(Ipv4Addr::from_bits(ip.get_u32_le()));
                    }
                });
            });
        });
    });
}

/// The contents of every field 1 of a message; it ends where the message cannot be read.
fn fields(mut message: &[u8], mut each: impl FnMut(&[u8])) {
    while let Ok((number, WireType::LengthDelimited)) = decode_key(&mut message) {
        let Some((field, rest)) = decode_varint(&mut message)
            .ok()
            .and_then(|length| message.split_at_checked(usize::try_from(length).ok()?))
        else {
            return;
        };
        message = rest;
        if number != FIRST {
            // Fields come in the order of their numbers.
            return;
        }
        each(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::frame;
    use ferrule_proto::destination::{AddrSet, Update, WeightedAddr, WeightedAddrSet, update};
    use std::net::SocketAddr;

    fn add(addresses: &[&str]) -> Update {
        let addr = |text: &&str| WeightedAddr {
            addr: Some(SocketAddr::new(text.parse().unwrap(), 8080).into()),
            weight: 10_000,
            metric_labels: [("pod".to_owned(), "x".to_owned())].into(),
            ..WeightedAddr::default()
        };
        let set = WeightedAddrSet {
            addrs: addresses.iter().map(addr).collect(),
            metric_labels: [("service".to_owned(), "y".to_owned())].into(),
        };
        Update {
            update: Some(update::Update::Add(set)),
        }
    }

    fn remove(address: &str) -> Update {
        let addr = SocketAddr::new(address.parse().unwrap(), 8080);
        Update {
            update: Some(update::Update::Remove(AddrSet {
                addrs: vec![addr.into()],
            })),
        }
    }

    #[test]
    fn addresses_are_told_once_however_messages_are_cut_and_not_of_the_first() {
        let messages = [
            add(&["10.0.0.1", "10.0.0.2"]),
            add(&["10.0.0.3"]),
            remove("10.0.0.1"),
            add(&["10.0.0.4", "fd00::1", "10.0.0.3"]),
        ];
        let bytes: Vec<u8> = messages.iter().flat_map(frame).collect();
        for size in 1..=bytes.len() {
            let (mut follower, mut told) = (Follower::default(), Vec::new());
            let whole: usize = bytes
                .chunks(size)
                .map(|data| follower.push(data, |address| told.push(address)))
                .sum();
            assert_eq!(whole, 4, "in pieces of {size}");
            assert_eq!(told, [[10, 0, 0, 3], [10, 0, 0, 4]].map(Ipv4Addr::from));
        }
    }
}
