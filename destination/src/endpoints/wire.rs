//! Update messages put together from endpoints that are encoded already.

use super::candidates::Addr;
use bytes::{BufMut, Bytes, BytesMut};
use ferrule_cluster::stream::{Frames, HEADER_LEN, frame, message};
use ferrule_proto::{
    destination::{AddrSet, Update, WeightedAddr, WeightedAddrSet, update},
    net::TcpAddress,
};
use prost::{
    Message,
    encoding::{self, WireType},
};
use std::{collections::BTreeMap, net::SocketAddr};

/// How much one message may hold. The proxy refuses more than 4 MiB, and the
/// first Add after a reconnect replaces its whole set, so nothing smaller is
/// split.
const MAX_MESSAGE: usize = 3_670_016;

/// Field numbers of `Update.add` and of `addrs` in both sets (api.md 1.8).
const UPDATE_ADD: u32 = 1;
const SET_ADDRS: u32 = 1;

/// An endpoint as an element of `WeightedAddrSet.addrs`, tag and length included.
pub(super) fn element(addr: &WeightedAddr) -> Bytes {
    let mut buffer = BytesMut::with_capacity(addr.encoded_len() + 6);
    encoding::message::encode(SET_ADDRS, addr, &mut buffer);
    buffer.freeze()
}

/// The labels of a set, as they stand behind its elements.
pub(super) fn set_labels(labels: BTreeMap<String, String>) -> Bytes {
    let set = WeightedAddrSet {
        addrs: Vec::new(),
        metric_labels: labels,
    };
    set.encode_to_vec().into()
}

/// Adds of all elements: one message, or as many as its size takes.
pub(super) fn adds<'a>(elements: impl Iterator<Item = &'a Bytes>, labels: &[u8]) -> Frames {
    let mut frames = Frames::new();
    batches(elements, labels.len(), |batch, size| {
        frames.push(add(batch, size, labels).0);
    });
    frames
}

/// [`adds`], and the elements again, in their order, as slices of the frames.
pub(super) fn snapshot<'a>(
    elements: impl Iterator<Item = &'a Bytes>,
    labels: &[u8],
) -> (Frames, Vec<Bytes>) {
    let mut frames = Frames::new();
    let mut slices = Vec::new();
    batches(elements, labels.len(), |batch, size| {
        let (frame, mut at) = add(batch, size, labels);
        for element in batch {
            slices.push(frame.slice(at..at + element.len()));
            at += element.len();
        }
        frames.push(frame);
    });
    (frames, slices)
}

/// As many elements at a time as one message holds, with the size of the set.
fn batches<'a>(
    elements: impl Iterator<Item = &'a Bytes>,
    labels: usize,
    mut whole: impl FnMut(&[&Bytes], usize),
) {
    let mut batch: Vec<&Bytes> = Vec::new();
    let mut size = labels;
    for element in elements {
        if size + element.len() > MAX_MESSAGE && !batch.is_empty() {
            whole(&batch, size);
            batch.clear();
            size = labels;
        }
        size += element.len();
        batch.push(element);
    }
    if !batch.is_empty() {
        whole(&batch, size);
    }
}

/// One Add, and where its first element begins.
fn add(elements: &[&Bytes], size: usize, labels: &[u8]) -> (Bytes, usize) {
    let prefix = encoding::key_len(UPDATE_ADD) + encoding::encoded_len_varint(size as u64);
    let frame = frame(prefix + size, |buffer| {
        encoding::encode_key(UPDATE_ADD, WireType::LengthDelimited, buffer);
        encoding::encode_varint(size as u64, buffer);
        for element in elements {
            buffer.put_slice(element);
        }
        buffer.put_slice(labels);
    });
    (frame, HEADER_LEN + prefix)
}

/// A Remove of all addresses; none if there are none. An address is at most 30
/// bytes, so 100,000 fit into a message.
pub(super) fn removes(addrs: impl IntoIterator<Item = Addr>) -> Frames {
    let addrs: Vec<TcpAddress> = addrs
        .into_iter()
        .map(|addr| SocketAddr::new(addr.ip, addr.port).into())
        .collect();
    addrs
        .chunks(100_000)
        .map(|addrs| {
            let update = Update {
                update: Some(update::Update::Remove(AddrSet {
                    addrs: addrs.to_vec(),
                })),
            };
            message(&update)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    fn addr(n: u32) -> Addr {
        Addr {
            ip: std::net::Ipv4Addr::from(0x0a00_0000 + n).into(),
            port: 8080,
        }
    }

    #[test]
    fn pasted_messages_are_what_prost_would_have_encoded() {
        let addrs: Vec<_> = (1..=3).map(|n| workload::bare(addr(n))).collect();
        let labels = BTreeMap::from([("service".to_owned(), "web".to_owned())]);
        let elements: Vec<_> = addrs.iter().map(element).collect();
        let (frames, slices) = snapshot(elements.iter(), &set_labels(labels.clone()));
        assert_eq!(slices, elements);
        let whole = Update {
            update: Some(update::Update::Add(WeightedAddrSet {
                addrs,
                metric_labels: labels,
            })),
        };
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0], message(&whole));
    }

    #[test]
    fn only_a_set_over_the_limit_is_split() {
        let mut big = workload::bare(addr(1));
        big.metric_labels.insert("x".into(), "y".repeat(1 << 20));
        let big = element(&big);
        let labels = set_labels(BTreeMap::new());
        for (count, messages) in [(0, 0), (1, 1), (3, 1), (4, 2), (7, 3)] {
            let frames = adds((0..count).map(|_| &big), &labels);
            assert_eq!(frames.len(), messages, "{count}");
            assert!(
                frames
                    .iter()
                    .all(|f| f.len() <= MAX_MESSAGE + HEADER_LEN + 8)
            );
        }
    }
}
