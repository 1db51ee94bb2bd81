//! What the certificate authority signs and what it refuses, by the scenarios of
//! identity-injector.md 11.1 and 11.2 (`s12_...` is scenario 12). Nothing here
//! needs a cluster; tokens are the other binary's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod anchors;
mod handshake;
mod hostile;
mod issuers;
mod keys;
mod leaves;
mod openssl;
mod paths;
mod requests;
mod support;
