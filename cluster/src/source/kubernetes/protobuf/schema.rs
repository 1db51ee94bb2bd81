//! Which fields of the API's messages are read, by number.
//!
//! The numbers are those of `generated.proto` of k8s.io/api and k8s.io/apimachinery;
//! they never change. A field that [`wire`](crate::source::wire) reads must be here.

use crate::{object::Kind, source::wire::is_metadata_only};

/// The fields of a message that are read.
pub(super) type Message = &'static [Field];

/// A field that is read.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Its name in JSON.
    pub(super) name: &'static str,
    pub(super) count: Count,
    pub(super) holds: Holds,
}

/// How often a field is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    One,
    List,
    /// Of strings, to what the field holds.
    Map,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// A string. An empty one is left out unless it is an element: it is written where
    /// there is none.
    Text,
    Number,
    Flag,
    /// `meta.v1.Time`.
    Time,
    /// `intstr.IntOrString`.
    NumberOrText,
    Message(Message),
    /// A message whose fields are the outer one's in JSON.
    Inline(Message),
}

const fn field(number: u32, name: &'static str, count: Count, holds: Holds) -> Field {
    Field {
        number,
        name,
        count,
        holds,
    }
}

const fn one(number: u32, name: &'static str, holds: Holds) -> Field {
    field(number, name, Count::One, holds)
}

const fn text(number: u32, name: &'static str) -> Field {
    one(number, name, Holds::Text)
}

const fn number(number: u32, name: &'static str) -> Field {
    one(number, name, Holds::Number)
}

const fn flag(number: u32, name: &'static str) -> Field {
    one(number, name, Holds::Flag)
}

const fn message(number: u32, name: &'static str, message: Message) -> Field {
    one(number, name, Holds::Message(message))
}

const fn list(number: u32, name: &'static str, holds: Holds) -> Field {
    field(number, name, Count::List, holds)
}

const fn messages(number: u32, name: &'static str, message: Message) -> Field {
    list(number, name, Holds::Message(message))
}

const fn map(number: u32, name: &'static str) -> Field {
    field(number, name, Count::Map, Holds::Text)
}

/// The message of a kind; `None` where the API server has it in JSON alone, which are
/// all custom resources.
pub(super) fn of(kind: Kind) -> Option<Message> {
    match kind {
        Kind::Service => Some(SERVICE),
        Kind::EndpointSlice => Some(ENDPOINT_SLICE),
        Kind::Pod => Some(POD),
        kind if is_metadata_only(kind) => Some(METADATA_ONLY),
        _ => None,
    }
}

/// `meta.v1.Status`: why there is no object.
pub(super) const STATUS: Message = &[
    text(2, "status"),
    text(3, "message"),
    text(4, "reason"),
    number(6, "code"),
];

/// `meta.v1.PartialObjectMetadata`, and every object as far as that.
pub(super) const METADATA_ONLY: Message = &[message(1, "metadata", METADATA)];

const METADATA: Message = &[
    text(1, "name"),
    text(3, "namespace"),
    text(6, "resourceVersion"),
    one(8, "creationTimestamp", Holds::Time),
    one(9, "deletionTimestamp", Holds::Time),
    map(11, "labels"),
    map(12, "annotations"),
    messages(13, "ownerReferences", &[text(1, "kind"), text(3, "name")]),
    messages(17, "managedFields", &[one(4, "time", Holds::Time)]),
];

const SERVICE: Message = &[
    message(1, "metadata", METADATA),
    message(
        2,
        "spec",
        &[
            messages(
                1,
                "ports",
                &[text(1, "name"), number(3, "port"), text(6, "appProtocol")],
            ),
            text(3, "clusterIP"),
            text(4, "type"),
            list(18, "clusterIPs", Holds::Text),
            text(22, "internalTrafficPolicy"),
        ],
    ),
];

const ENDPOINT_SLICE: Message = &[
    message(1, "metadata", METADATA),
    messages(2, "endpoints", ENDPOINT),
    messages(3, "ports", &[text(1, "name"), number(3, "port")]),
    text(4, "addressType"),
];

const ENDPOINT: Message = &[
    list(1, "addresses", Holds::Text),
    message(2, "conditions", &[flag(1, "ready")]),
    text(3, "hostname"),
    message(
        4,
        "targetRef",
        &[text(1, "kind"), text(2, "namespace"), text(3, "name")],
    ),
    text(7, "zone"),
    message(8, "hints", &[messages(1, "forZones", &[text(1, "name")])]),
];

const POD: Message = &[
    message(1, "metadata", METADATA),
    message(
        2,
        "spec",
        &[
            messages(2, "containers", CONTAINER),
            text(8, "serviceAccountName"),
            text(10, "nodeName"),
            flag(11, "hostNetwork"),
            messages(20, "initContainers", CONTAINER),
        ],
    ),
    message(
        3,
        "status",
        &[
            text(1, "phase"),
            text(5, "hostIP"),
            text(6, "podIP"),
            messages(12, "podIPs", &[text(1, "ip")]),
            messages(16, "hostIPs", &[text(1, "ip")]),
        ],
    ),
];

const CONTAINER: Message = &[
    text(1, "name"),
    messages(
        6,
        "ports",
        &[
            text(1, "name"),
            number(2, "hostPort"),
            number(3, "containerPort"),
            text(4, "protocol"),
        ],
    ),
    messages(7, "env", &[text(1, "name"), text(2, "value")]),
    message(10, "livenessProbe", PROBE),
    message(11, "readinessProbe", PROBE),
    message(22, "startupProbe", PROBE),
];

const PROBE: Message = &[one(1, "", Holds::Inline(PROBE_HANDLER))];

const PROBE_HANDLER: Message = &[message(
    2,
    "httpGet",
    &[text(1, "path"), one(2, "port", Holds::NumberOrText)],
)];
