//! The commands of `ferrule` for people, as `serve` is for machines.
//!
//! [`Diagnostics`] asks a running Ferrule what a proxy would be told, over the
//! same gRPC calls a proxy makes, and prints the answer for people or for programs.
//! [`Install`], [`Upgrade`], [`Prune`] and [`Uninstall`] print what a cluster is to have,
//! or no more, for kubectl.
//! [`Inject`] and [`Uninject`] put proxies, or what asks for them, into manifests.
//! [`Profile`] makes ServiceProfiles.
//! [`Authz`] says which objects let requests in.
//! [`WhyNotInjected`] says why a pod has no proxy.
//! [`Check`] says what is wrong with a cluster's mesh, and what of manifests would be
//! refused, or not understood.
//! [`Identity`] shows the certificates of a running Ferrule, and [`Token`] makes
//! the tokens that one without a cluster gives certificates for.
#![forbid(unsafe_code)]

mod admin;
mod announce;
mod api;
mod api_addr;
mod authz;
mod bundle;
mod check;
mod cluster;
mod credential_names;
mod diagnostics;
mod domain;
mod duration;
mod endpoint;
mod endpoint_set;
mod endpoints;
mod error;
mod follow;
mod hint;
mod identity;
mod inject;
mod install;
mod log_filter;
mod manifest;
mod mesh_pod;
mod message;
mod metrics;
mod output;
mod pod_page;
mod policy;
mod profile;
mod profile_fields;
mod progress;
mod proxy_flags;
mod read;
mod selector;
mod service_profile;
mod staleness;
mod state;
mod state_dir;
mod subject;
mod token;
mod version;
mod why_not_injected;

pub use self::{
    api_addr::DEFAULT_API_ADDR,
    authz::Authz,
    check::{Check, reference as checks_reference, rights as checked_rights},
    diagnostics::Diagnostics,
    domain::domain,
    duration::{duration, lease_duration},
    error::{Error, Refusal},
    identity::Identity,
    inject::{Inject, Uninject},
    install::{Helm, Install, InstallError, Prune, Starts, Uninstall, Upgrade},
    log_filter::log_filter,
    policy::TargetError,
    service_profile::Profile,
    state_dir::StateDir,
    token::Token,
    version::Version,
    why_not_injected::WhyNotInjected,
};
