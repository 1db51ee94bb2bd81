//! The identity role of the built binary against a real API server: certificates,
//! issuers and trust anchors change while proxies go on shaking hands with each
//! other. Times are compressed: an issuer lasts some seconds.

mod anchors;
mod commands;
mod door;
mod files;
mod guard;
mod kubelet;
mod managed;
mod mesh;
mod refused;
mod replicas;
mod roles;
mod rotation;
mod secrets;
mod steps;
