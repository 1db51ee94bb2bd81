//! A protobuf message as the JSON of the same object, as far as it is read.

use super::schema::{Count, Field, Holds, Message};
use jiff::Timestamp;
use prost::encoding::{WireType, decode_key, decode_varint};

/// What is not a message of the kind that it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    /// It ends early, or a length or a varint in it is impossible.
    #[error("{0}")]
    Encoding(#[from] prost::DecodeError),
    /// A field goes on after the message's end.
    #[error("field {0} is longer than what it is in")]
    Truncated(u32),
    /// A field is written in another way than its type is.
    #[error("field {0} is of another type")]
    Type(u32),
    /// Which field it is in.
    #[error("{0}: {1}")]
    In(&'static str, Box<Malformed>),
}

/// A field's value as it is encoded.
#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of four or eight bytes; nothing that is read is one.
    Fixed,
}

impl<'a> Value<'a> {
    fn bytes(self, number: u32) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) | Value::Fixed => Err(Malformed::Type(number)),
        }
    }

    fn varint(self, number: u32) -> Result<u64, Malformed> {
        match self {
            Value::Varint(value) => Ok(value),
            Value::Bytes(_) | Value::Fixed => Err(Malformed::Type(number)),
        }
    }
}

/// The fields of a message in the order in which they are written.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = decode_key(&mut self.0)?;
        let value = match wire_type {
            WireType::Varint => Value::Varint(decode_varint(&mut self.0)?),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut self.0)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Value::Bytes(self.take(number, length)?)
            }
            WireType::SixtyFourBit => self.take(number, 8).map(|_| Value::Fixed)?,
            WireType::ThirtyTwoBit => self.take(number, 4).map(|_| Value::Fixed)?,
            WireType::StartGroup | WireType::EndGroup => return Err(Malformed::Type(number)),
        };
        Ok(Some((number, value)))
    }

    fn take(&mut self, number: u32, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Malformed::Truncated(number))?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Calls `each` with every value of a field.
fn each<'a>(
    message: &'a [u8],
    number: u32,
    mut each: impl FnMut(Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut fields = Fields(message);
    while let Some((found, value)) = fields.next()? {
        if found == number {
            each(value)?;
        }
    }
    Ok(())
}

/// The value of a field that is there once: of several, the last. (A reader should merge
/// messages; the API server writes one.)
fn last(message: &[u8], number: u32) -> Result<Option<Value<'_>>, Malformed> {
    let mut last = None;
    each(message, number, |value| {
        last = Some(value);
        Ok(())
    })?;
    Ok(last)
}

/// The text of a field, empty where there is none.
pub(super) fn last_bytes(message: &[u8], number: u32) -> Result<&[u8], Malformed> {
    last(message, number)?.map_or(Ok(&[]), |value| value.bytes(number))
}

/// Writes `message` as an object of `fields`.
fn write_object(message: &[u8], fields: Message, json: &mut Vec<u8>) -> Result<(), Malformed> {
    json.push(b'{');
    write_fields(message, fields, json)?;
    json.push(b'}');
    Ok(())
}

/// Writes what is there of `fields`, each once: a message is gone through for each, since
/// its fields may be in any order and JSON has a list in one place.
pub(super) fn write_fields(
    message: &[u8],
    fields: Message,
    json: &mut Vec<u8>,
) -> Result<(), Malformed> {
    for field in fields {
        let written = match field.count {
            Count::One => write_one(message, field, json),
            Count::List => write_all(message, field, b"[]", json, |value, json| {
                write_value(value, field, json)
            }),
            Count::Map => write_all(message, field, b"{}", json, |entry, json| {
                let entry = entry.bytes(field.number)?;
                write_text(last_bytes(entry, 1)?, json);
                json.push(b':');
                write_value(Value::Bytes(last_bytes(entry, 2)?), field, json)
            }),
        };
        written.map_err(|cause| Malformed::In(field.name, cause.into()))?;
    }
    Ok(())
}

fn write_one(message: &[u8], field: &Field, json: &mut Vec<u8>) -> Result<(), Malformed> {
    let Some(value) = last(message, field.number)? else {
        return Ok(());
    };
    match (field.holds, value) {
        (Holds::Text, Value::Bytes([])) => Ok(()),
        (Holds::Inline(fields), value) => write_fields(value.bytes(field.number)?, fields, json),
        _ => {
            write_key(field.name, json);
            write_value(value, field, json)
        }
    }
}

/// Writes all values of a field between `brackets`, and nothing if there are none.
fn write_all(
    message: &[u8],
    field: &Field,
    brackets: &[u8; 2],
    json: &mut Vec<u8>,
    mut write: impl FnMut(Value<'_>, &mut Vec<u8>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut is_first = true;
    each(message, field.number, |value| {
        if std::mem::take(&mut is_first) {
            write_key(field.name, json);
            json.push(brackets[0]);
        } else {
            json.push(b',');
        }
        write(value, json)
    })?;
    if !is_first {
        json.push(brackets[1]);
    }
    Ok(())
}

fn write_value(value: Value<'_>, field: &Field, json: &mut Vec<u8>) -> Result<(), Malformed> {
    let number = field.number;
    match field.holds {
        Holds::Text => write_text(value.bytes(number)?, json),
        // Negative ones are written as 64 bits of two's complement.
        Holds::Number => write_number(value.varint(number)? as i64, json),
        Holds::Flag => {
            let text = if value.varint(number)? == 0 {
                "false"
            } else {
                "true"
            };
            json.extend_from_slice(text.as_bytes());
        }
        Holds::Time => write_time(value.bytes(number)?, json)?,
        Holds::NumberOrText => {
            const TEXT: u64 = 1;
            let value = value.bytes(number)?;
            let kind = last(value, 1)?.map_or(Ok(0), |kind| kind.varint(1))?;
            if kind == TEXT {
                write_text(last_bytes(value, 3)?, json);
            } else {
                let held = last(value, 2)?.map_or(Ok(0), |held| held.varint(2))?;
                write_number(held as i64, json);
            }
        }
        Holds::Message(fields) | Holds::Inline(fields) => {
            write_object(value.bytes(number)?, fields, json)?;
        }
    }
    Ok(())
}

pub(super) fn write_key(name: &str, json: &mut Vec<u8>) {
    if !matches!(json.last(), Some(b'{')) {
        json.push(b',');
    }
    // Names in the schema need no escapes.
    json.push(b'"');
    json.extend_from_slice(name.as_bytes());
    json.extend_from_slice(b"\":");
}

/// What is not UTF-8 is replaced, as the API server does in JSON (each byte for itself there).
pub(super) fn write_text(text: &[u8], json: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    serde_json::to_writer(json, &*text).unwrap_or_else(|error| unreachable!("to memory: {error}"));
}

fn write_number(number: i64, json: &mut Vec<u8>) {
    use std::io::Write;
    write!(json, "{number}").unwrap_or_else(|error| unreachable!("to memory: {error}"));
}

/// Seconds since 1970 as RFC 3339; without any, `null`, as where the time is zero.
fn write_time(time: &[u8], json: &mut Vec<u8>) -> Result<(), Malformed> {
    let seconds = last(time, 1)?
        .map(|seconds| seconds.varint(1))
        .transpose()?;
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    match time {
        Some(time) => write_text(time.to_string().as_bytes(), json),
        None => json.extend_from_slice(b"null"),
    }
    Ok(())
}
