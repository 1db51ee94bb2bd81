//! The built binary against a real etcd, kube-apiserver and
//! kube-controller-manager: what no test of parts can show is that these tell
//! what our sources expect, in good and in bad times.

mod access;
mod authorization;
mod conversation;
mod custom;
mod deployments;
mod faults;
mod metrics;
mod profiles;
mod protobuf;
mod scenarios;
mod service_profile;
mod shop;
mod slow;
mod staleness;
mod streams;
mod webhook;
