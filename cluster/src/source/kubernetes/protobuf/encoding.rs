//! Messages as an API server writes them.

use prost::encoding::{WireType, encode_key, encode_varint};

/// A field that is a string, or a message.
pub(in super::super) fn field(number: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut field = Vec::new();
    let value = value.as_ref();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(value.len() as u64, &mut field);
    field.extend_from_slice(value);
    field
}

/// A field that is a message of `fields`.
pub(in super::super) fn message(number: u32, fields: &[Vec<u8>]) -> Vec<u8> {
    field(number, fields.concat())
}

/// A field that is a number or a flag.
pub(in super::super) fn number(number: u32, value: i64) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::Varint, &mut field);
    encode_varint(value as u64, &mut field);
    field
}

/// A field that is a map of strings with one entry.
pub(in super::super) fn entry(number: u32, key: &str, value: &str) -> Vec<u8> {
    message(number, &[field(1, key), field(2, value)])
}

/// An object in its envelope.
pub(in super::super) fn enveloped(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let types = message(1, &[field(1, api_version), field(2, kind)]);
    [
        b"k8s\0".to_vec(),
        types,
        field(2, object),
        field(3, ""),
        field(4, ""),
    ]
    .concat()
}

/// An event of a watch, with its length.
pub(in super::super) fn event(kind: &str, envelope: &[u8]) -> Vec<u8> {
    let event = [field(1, kind), message(2, &[field(1, envelope)])].concat();
    [&(event.len() as u32).to_be_bytes()[..], &event].concat()
}
