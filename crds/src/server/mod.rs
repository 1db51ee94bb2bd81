//! `Server`, in four versions.
//!
//! | version | what it adds to the one before |
//! |---|---|
//! | `v1alpha1` | `podSelector`, which needs exactly one of its two fields |
//! | `v1beta1` | either field, both, or none |
//! | `v1beta2` | `externalWorkloadSelector`, in place of `podSelector` |
//! | `v1beta3` | `accessPolicy` |
//!
//! `v1beta3` is what is stored.

pub mod v1alpha1;
pub mod v1beta1;
pub mod v1beta2;
pub mod v1beta3;

// A number that is no port cannot be read, a text is always the name of a port.
const PORT: &str = "type(self) != int || (self >= 1 && self <= 65535)";
const PORT_MESSAGE: &str = "must be a port from 1 to 65535, or the name of a port";
const PROTOCOL: &str = "self in ['unknown', 'HTTP/1', 'HTTP/2', 'gRPC', 'opaque', 'TLS']";
const PROTOCOL_MESSAGE: &str = "must be unknown, HTTP/1, HTTP/2, gRPC, opaque or TLS";
const SELECTOR: &str = "has(self.podSelector) != has(self.externalWorkloadSelector)";
const SELECTOR_MESSAGE: &str = "set exactly one of podSelector and externalWorkloadSelector";

fn unknown() -> String {
    "unknown".to_owned()
}
