//! A real Kubernetes control plane on loopback, for tests and for trying things by hand.
//!
//! [`Cluster`] runs etcd, kube-apiserver and kube-controller-manager, built by `go build` from
//! the Go module beside this crate into a cache outside the checkout ([`Binary`]). There are no
//! machines and no containers: [`Cluster::node`] makes a node that counts as ready, and
//! [`Cluster::kubelet`] binds pods, gives them addresses, says they are ready, and takes them
//! away when they are deleted. So a Deployment becomes ready, its EndpointSlices are the real
//! controller's, and admission, RBAC, watches and tokens are the real ones.
//!
//! ```text
//!   test ── kube::Client ──▶ kube-apiserver ──▶ etcd
//!                             ▲          ▲
//!        kube-controller-manager         Kubelet (a task of the test: binds pods, PATCHes status)
//! ```
//!
//! # Sharing
//!
//! [`Cluster::shared`] is one cluster for a process: a start takes some 4 seconds, so tests which
//! need a cluster live in few binaries and run under plain `cargo test`, each in its own
//! [`TestNamespace`]. (cargo-nextest runs every test as a process: all would pass, each with a
//! cluster of its own.) A test that kills, pauses or rewinds anything starts its own with
//! [`Cluster::start`]; these methods take `&mut self`, which a shared cluster never gives.
//!
//! # What stops it
//!
//! Dropping a [`Cluster`] stops its processes and removes its folder. So does the end of the
//! process that started it, however it ends (SIGKILL too): every component hangs on a pipe from it.
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use ferrule_test_cluster::Cluster;
//!
//! let cluster = Cluster::shared().await?;
//! let namespace = cluster.namespace("example").await?;
//! let _kubelet = cluster.kubelet(Some(namespace.name()), &["n1"]).await?;
//! let client = cluster.client()?;
//! // … create a Deployment and a Service in the namespace, and wait for its slices.
//! # Ok(())
//! # }
//! ```

mod addresses;
mod binaries;
mod cluster;
mod credentials;
mod faults;
mod flags;
mod kubelet;
mod namespace;
mod node;
mod patience;
pub mod pods;
mod processes;

pub use addresses::PodAddresses;
pub use binaries::Binary;
pub use cluster::{Cluster, Component, Options};
pub use kubelet::Kubelet;
pub use namespace::TestNamespace;
pub use patience::{PATIENCE, eventually};
