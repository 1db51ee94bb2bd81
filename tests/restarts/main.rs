//! Workloads that do not trust a trust anchor that was added, on a real API server whose
//! controllers roll them out. A proxy here reads the bundle when it starts, so that whom
//! it trusts follows from when that was.

mod chosen;
mod failures;
mod mesh;
mod replicas;
