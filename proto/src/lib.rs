//! The linkerd2-proxy API: messages, servers and clients, generated from the
//! .proto files in `proto/`.
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use ferrule_proto::destination::{Update, WeightedAddr, WeightedAddrSet, update};
//! use prost::Message as _;
//!
//! let endpoint: SocketAddr = "10.1.2.3:8080".parse()?;
//! let update = Update {
//!     update: Some(update::Update::Add(WeightedAddrSet {
//!         addrs: vec![WeightedAddr {
//!             addr: Some(endpoint.into()),
//!             ..WeightedAddr::default()
//!         }],
//!         ..WeightedAddrSet::default()
//!     })),
//! };
//!
//! assert_eq!(Update::decode(update.encode_to_vec().as_slice())?, update);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Maps are ordered, so equal messages encode to equal bytes.
//!
//! Messages hold what the wire can hold; what a proxy accepts is narrower, and
//! the comments of the fields say how. `tests/conformance` compares all of this
//! with the published API, fact by fact.
#![forbid(unsafe_code)]

mod address;

pub use address::AddressError;

/// Every message and service of this crate, with Google's messages they use:
/// an encoded `google.protobuf.FileDescriptorSet`, without comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Declares modules that hold what was generated for each package.
///
/// The lints that are off are about code somebody writes, and here somebody
/// wrote .proto files: tonic documents few of the items it generates, and
/// fields that the API deprecates are still to be encoded.
macro_rules! packages {
    ($($(#[$doc:meta])* pub mod $name:ident;)*) => {$(
        $(#[$doc])*
        #[allow(
            clippy::all,
            deprecated,
            missing_docs,
            unreachable_pub
        )]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/io.linkerd.proxy.", stringify!($name), ".rs"));
        }
    )*};
}

packages! {
    /// Addresses; they convert from and to those of `std::net`.
    pub mod net;

    /// References to the configuration behind an answer.
    pub mod meta;

    /// Methods, schemes, headers.
    pub mod http_types;

    /// Matches, filters and timeouts of HTTP routes.
    pub mod http_route;

    /// Matches and filters of gRPC routes.
    pub mod grpc_route;

    /// Matches of TLS routes.
    pub mod tls_route;

    /// Filters of opaque and TLS routes.
    pub mod opaque_route;

    /// Endpoints and service profiles.
    pub mod destination;

    /// Certificates for workloads.
    pub mod identity;

    /// Policy of the ports of a workload.
    pub mod inbound;

    /// Policy of what a workload calls.
    pub mod outbound;

    /// A live view of requests, served by proxies.
    pub mod tap;
}
