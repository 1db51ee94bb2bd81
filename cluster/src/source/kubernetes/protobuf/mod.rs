//! What the API server tells of its own kinds in protobuf, as the JSON that `kube`
//! reads.
//!
//! JSON costs the API server several times as much to write, and us to read, and it is
//! what both wait for when a process starts: so protobuf is asked for, and what the mesh
//! reads of an object (a tenth of a pod) is written as JSON for the watcher. Custom
//! resources exist in JSON alone, and a server that answers in JSON all the same is
//! understood.
//!
//! ```text
//! length (4 bytes) | WatchEvent { type, object: "k8s\0" | Unknown { typeMeta, raw } }
//!                                                                             └─> schema
//! ```

mod message;
mod schema;

use self::{
    message::{Malformed, last_bytes, write_fields, write_key, write_text},
    schema::{METADATA_ONLY, Message, STATUS},
};
use crate::{object::Kind, source::wire::is_metadata_only};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

/// The media type of messages.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What an enveloped message begins with.
const MAGIC: &[u8] = b"k8s\0";
/// No object is as long: etcd holds 1.5 MiB by default.
const LONGEST: usize = 64 << 20;

/// What a watch of a kind accepts; `None` where there is only JSON.
pub(super) fn accept(kind: Kind) -> Option<HeaderValue> {
    schema::of(kind)?;
    Some(HeaderValue::from_static(if is_metadata_only(kind) {
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
         application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    } else {
        "application/vnd.kubernetes.protobuf,application/json"
    }))
}

/// Whether what was answered is protobuf.
pub(super) fn is_protobuf(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE);
    media_type.is_some_and(|media_type| media_type.as_bytes().starts_with(PROTOBUF.as_bytes()))
}

/// Why a watch could not be translated.
#[derive(Debug, thiserror::Error)]
#[error(
    "what the API server tells of {kind}{object} in protobuf cannot be read, it is asked for in \
     JSON: {cause}"
)]
pub(super) struct Unreadable {
    kind: Kind,
    /// Its name after a space, where that can be read.
    object: String,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("an event of {0} bytes")]
    TooLong(usize),
    #[error("an object without its envelope")]
    Envelope,
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The events of a watch, on their way from protobuf to lines of JSON.
pub(super) struct Translation {
    kind: Kind,
    object: Message,
    /// The beginning of an event whose end has not come.
    pending: BytesMut,
}

impl Translation {
    /// Of a watch of `kind`; `None` where there is only JSON.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        Some(Self {
            kind,
            object: schema::of(kind)?,
            pending: BytesMut::new(),
        })
    }

    /// The events that are complete with `received`, a line each; empty if none is.
    ///
    /// # Errors
    /// An event cannot be read; nothing that comes after it can be.
    pub(super) fn lines(&mut self, received: &[u8]) -> Result<Bytes, Unreadable> {
        self.pending.extend_from_slice(received);
        let mut json = Vec::new();
        while let Some(event) = self.event()? {
            let translated = self.translate(&event, &mut json);
            translated.map_err(|cause| Unreadable {
                object: name(&event).unwrap_or_default(),
                ..self.unreadable(cause)
            })?;
        }
        if self.pending.is_empty() {
            // A large event's room is given back.
            self.pending = BytesMut::new();
        }
        Ok(json.into())
    }

    fn event(&mut self) -> Result<Option<BytesMut>, Unreadable> {
        let Some(length) = self.pending.first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > LONGEST {
            return Err(self.unreadable(Cause::TooLong(length)));
        }
        if self.pending.len() < size_of::<u32>() + length {
            return Ok(None);
        }
        self.pending.advance(size_of::<u32>());
        Ok(Some(self.pending.split_to(length)))
    }

    /// Writes an event as a line.
    fn translate(&self, event: &[u8], json: &mut Vec<u8>) -> Result<(), Cause> {
        let kind = last_bytes(event, 1)?;
        let object = last_bytes(last_bytes(event, 2)?, 1)?;
        let fields = match kind {
            b"ERROR" => STATUS,
            b"BOOKMARK" => METADATA_ONLY,
            _ => self.object,
        };
        json.extend_from_slice(b"{\"type\":");
        write_text(kind, json);
        write_key("object", json);
        write_enveloped(object, fields, json)?;
        json.extend_from_slice(b"}\n");
        Ok(())
    }

    /// Whether an event has begun whose end has not come.
    pub(super) fn is_cut(&self) -> bool {
        !self.pending.is_empty()
    }

    fn unreadable(&self, cause: Cause) -> Unreadable {
        Unreadable {
            kind: self.kind,
            object: String::new(),
            cause,
        }
    }
}

/// The name of the object in an event, after a space.
fn name(event: &[u8]) -> Option<String> {
    let envelope = last_bytes(last_bytes(event, 2).ok()?, 1).ok()?;
    let object = last_bytes(envelope.strip_prefix(MAGIC)?, 2).ok()?;
    let metadata = last_bytes(object, 1).ok()?;
    let text = |number| {
        let bytes = last_bytes(metadata, number).unwrap_or_default();
        String::from_utf8_lossy(bytes)
    };
    let (namespace, name) = (text(3), text(1));
    Some(match (&*namespace, &*name) {
        (_, "") => return None,
        ("", name) => format!(" {name}"),
        (namespace, name) => format!(" {namespace}/{name}"),
    })
}

/// The JSON of an enveloped `Status`, which a refusal is; `None` if it is none.
pub(super) fn status(envelope: &[u8]) -> Option<Vec<u8>> {
    let mut json = Vec::new();
    write_enveloped(envelope, STATUS, &mut json).ok()?;
    Some(json)
}

/// Writes the object in an envelope, with its `apiVersion` and `kind`.
fn write_enveloped(envelope: &[u8], fields: Message, json: &mut Vec<u8>) -> Result<(), Cause> {
    let unknown = envelope.strip_prefix(MAGIC).ok_or(Cause::Envelope)?;
    let (types, object) = (last_bytes(unknown, 1)?, last_bytes(unknown, 2)?);
    json.push(b'{');
    for (number, name) in [(1, "apiVersion"), (2, "kind")] {
        write_key(name, json);
        write_text(last_bytes(types, number)?, json);
    }
    write_fields(object, fields, json)?;
    json.push(b'}');
    Ok(())
}

#[cfg(test)]
pub(super) mod encoding;
#[cfg(test)]
mod tests;
