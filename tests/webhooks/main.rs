//! The injector's webhook, called by a real API server when real controllers create
//! pods: what no test of parts can show is that what it answers is understood, and that
//! certificates, bundles and permissions fit together.

mod account;
mod authority;
mod exempt;
mod files;
mod mesh;
mod objects;
mod pod_security;
mod settings;
mod workloads;
