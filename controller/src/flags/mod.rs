//! The flags of `ferrule serve`.

mod identity;
mod injector;
mod lease;
mod listen;
mod mesh;
mod policy;
mod restarts;
mod traces;
mod values;
mod webhook;

pub(crate) use self::{
    identity::{EventPolicy, IdentityFlags, OwnIdentity, TokenChecks},
    injector::InjectorFlags,
    lease::LeaseFlags,
    listen::{ListenFlags, MeshTls},
    mesh::MeshFlags,
    policy::PolicyFlags,
    restarts::RestartFlags,
    traces::{Collector, TraceFlags},
    values::LogFilter,
    webhook::{CertificateSource, WebhookFlags},
};

use crate::{restarts::Settings, webhooks};
use clap::{Args, ValueEnum};
use ferrule_cli::duration;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Every flag has a variable; a flag beats its variable.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeFlags {
    /// The roles to run, separated by commas
    #[arg(
        long,
        env = "FERRULE_ROLES",
        value_enum,
        value_delimiter = ',',
        default_value = "destination,policy,identity",
        value_name = "ROLES"
    )]
    pub(crate) roles: Vec<Role>,
    #[command(flatten)]
    pub(crate) source: SourceFlags,
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
    #[command(flatten)]
    pub(crate) mesh: MeshFlags,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    #[command(flatten)]
    pub(crate) webhook: WebhookFlags,
    #[command(flatten)]
    pub(crate) injector: InjectorFlags,
    #[command(flatten)]
    pub(crate) restarts: RestartFlags,
    #[command(flatten)]
    pub(crate) lease: LeaseFlags,
    #[command(flatten)]
    pub(crate) log: LogFlags,
    #[command(flatten)]
    pub(crate) traces: TraceFlags,
    #[command(flatten)]
    pub(crate) shutdown: ShutdownFlags,
}

const EXAMPLES: &str = "\
Examples:
  ferrule serve --manifests ./manifests       no cluster: a directory, watched for changes
  ferrule serve --kubeconfig ~/.kube/config   a cluster, from outside
  ferrule serve                               a cluster, from a pod in it";

/// What a process can be of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Tells proxies endpoints and profiles
    Destination,
    /// Tells proxies how to treat connections, both ways
    Policy,
    /// Certifies proxies
    Identity,
    /// Puts proxies into pods, as a webhook
    ProxyInjector,
}

/// Where the objects of the mesh come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source")]
pub(crate) struct SourceFlags {
    /// Serve the manifests in this directory instead of a cluster
    #[arg(long, env = "FERRULE_MANIFESTS", value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    pub(crate) manifests: Option<PathBuf>,

    /// Reach the cluster as this file says [default: $KUBECONFIG or
    /// ~/.kube/config; in a pod, its service account]
    #[arg(long, env = "FERRULE_KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use [default: its current one]
    #[arg(long, env = "FERRULE_CONTEXT", value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// What is logged, to standard error.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogFlags {
    /// What to log: a level (trace, debug, info, warn, error; panic and fatal
    /// mean error), or levels by module, such as info,ferrule_destination=debug
    #[arg(
        long,
        env = "FERRULE_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub(crate) log_level: LogFilter,

    /// How to log
    #[arg(
        long,
        env = "FERRULE_LOG_FORMAT",
        value_enum,
        value_name = "FORMAT",
        default_value = "plain"
    )]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Plain,
    /// An object a line: timestamp, level, target, message and fields
    Json,
}

/// How the process ends on SIGTERM or SIGINT. A second signal ends it at once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Shutdown")]
pub(crate) struct ShutdownFlags {
    /// How long to serve on while not ready, so that clients look elsewhere
    /// [default: 5s, with --manifests 0s]
    #[arg(long, env = "FERRULE_DRAIN_DELAY", value_name = "DURATION", value_parser = duration)]
    pub(crate) drain_delay: Option<Duration>,

    /// Over how long streams are ended, so that clients do not all come back in
    /// the same second [default: 20s, with --manifests 1s]
    #[arg(long, env = "FERRULE_DRAIN_WINDOW", value_name = "DURATION", value_parser = duration)]
    pub(crate) drain_window: Option<Duration>,

    /// How long connections may stay open after that
    #[arg(long, env = "FERRULE_SHUTDOWN_TIMEOUT", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) shutdown_timeout: Duration,
}

impl ServeFlags {
    /// Whether there is no cluster: one person tries it out.
    pub(crate) fn is_embedded(&self) -> bool {
        self.source.manifests.is_some()
    }

    /// Where the process keeps an issuer of its own, if it does.
    pub(crate) fn state_dir(&self) -> Option<PathBuf> {
        let issuer = self.identity.issuer(self.is_embedded()).ok()?;
        match issuer {
            OwnIdentity::State(path) if self.has(Role::Identity) => Some(path),
            _ => None,
        }
    }

    /// Whether there is something to be asked before an object is stored.
    pub(crate) fn has_webhooks(&self) -> bool {
        webhooks::are_of(&self.roles)
    }

    /// Where the webhooks' certificate comes from, if there are to be webhooks.
    pub(crate) fn webhook_certificates(&self) -> Option<CertificateSource> {
        if !self.has_webhooks() {
            return None;
        }
        let needed = self.has(Role::ProxyInjector);
        self.webhook.certificates(self.is_embedded(), needed)
    }

    /// Where the webhooks are.
    pub(crate) fn webhook_addr(&self) -> SocketAddr {
        let chosen = self.webhook.webhook_addr;
        chosen.unwrap_or_else(|| listen::default_addr(self.is_embedded(), 8443))
    }

    /// Whether the process writes statuses when it leads: it comes with policy, to
    /// whose proxies they mean something, and needs a cluster to write to.
    pub(crate) fn writes_statuses(&self) -> bool {
        self.has(Role::Policy) && !self.is_embedded() && self.policy.write_statuses
    }

    /// How workloads are restarted that do not trust all trust anchors, where they are:
    /// it comes with destination, which holds no key.
    pub(crate) fn restarts(&self) -> Option<Settings> {
        let flags = &self.restarts;
        let restarts =
            flags.restart_workloads && self.has(Role::Destination) && !self.is_embedded();
        restarts.then(|| Settings {
            control_plane: self.mesh.control_plane_namespace.clone(),
            bundle: flags.trust_roots_config_map.clone(),
            interval: flags.restart_interval,
            settle: flags.restart_settle,
        })
    }

    /// Whether the process has this role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl ShutdownFlags {
    /// The delay before streams are ended.
    pub(crate) fn drain_delay(&self, embedded: bool) -> Duration {
        let default = Duration::from_secs(if embedded { 0 } else { 5 });
        self.drain_delay.unwrap_or(default)
    }

    /// Over how long they are.
    pub(crate) fn drain_window(&self, embedded: bool) -> Duration {
        let default = Duration::from_secs(if embedded { 1 } else { 20 });
        self.drain_window.unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Serve {
        #[command(flatten)]
        flags: ServeFlags,
    }

    fn parse(args: &[&str]) -> Result<ServeFlags, String> {
        let args = ["serve"].iter().chain(args);
        match Serve::try_parse_from(args) {
            Ok(serve) => Ok(serve.flags),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_defaults_are_the_charts() {
        let flags = parse(&[]).unwrap();
        let mesh = flags.mesh.mesh();
        let defaults = ferrule_destination::Mesh::default();
        assert_eq!(format!("{mesh:?}"), format!("{defaults:?}"));
        for (embedded, expected) in [(false, "0.0.0.0:8086"), (true, "127.0.0.1:8086")] {
            let addr = flags.listen.addr(Role::Destination, embedded);
            assert_eq!(addr.map(|addr| addr.to_string()).as_deref(), Some(expected));
        }
        assert_eq!(flags.shutdown.drain_window(false), Duration::from_secs(20));
        assert_eq!(flags.shutdown.drain_delay(true), Duration::ZERO);
    }

    #[test]
    fn a_bad_value_is_refused_by_the_name_of_its_flag() {
        for (flag, value, told) in [
            (
                "--roles",
                "destination,police",
                "possible values: destination, policy, identity, proxy-injector",
            ),
            ("--destination-addr", "8086", "0.0.0.0:8086"),
            ("--default-opaque-ports", "25,http", "\"http\""),
            ("--meshed-http2-client-params", "{", "EOF"),
            ("--outbound-transport-mode", "opaque", "transport-header"),
            // Scenario 42.
            ("--trust-domain", "", "cluster.local"),
            ("--trust-domain", "Cluster.Local", "cluster.local"),
            ("--trust-domain", "cluster.local.", "cluster.local"),
            ("--cluster-domain", "cluster.local.", "cluster.local"),
            ("--control-plane-namespace", "a.b", "linkerd"),
            ("--log-level", "ferrule=loud", "info"),
            ("--drain-window", "soon", "20s"),
            ("--drain-delay", "-5s", "20s"),
            ("--enable-ipv6", "yes please", "true"),
            ("--webhook-certificates", "mine", "managed"),
            ("--webhook-names", "web,a b", "DNS name"),
            // Scenario 40: there is always a scheme.
            ("--identity-scheme", "", "linkerd.io/tls"),
            // Scenario 41; how little is too little, in the next test.
            ("--identity-issuance-lifetime", "abc", "20s"),
            ("--identity-issuance-lifetime", "-1h", "20s"),
            ("--identity-clock-skew-allowance", "-1s", "20s"),
            ("--token-review", "never", "always, local"),
            ("--identity-event-policy", "some", "none, rotation, all"),
            ("--lease-duration", "2s", "at least 3s"),
            ("--lease-duration", "3500ms", "whole seconds"),
            ("--patch-timeout-ms", "0", "1.."),
            (
                "--trace-collector",
                "https://collector:4317",
                "TLS is not spoken",
            ),
            ("--trace-sample-ratio", "2", "from 0 to 1"),
            ("--patch-qps", "1001", "0..=1000"),
            ("--max-streams", "-1", "invalid digit"),
            ("--write-statuses", "maybe", "true"),
            ("--restart-interval", "often", "20s"),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            assert!(error.contains(flag), "{flag}: {error}");
            assert!(error.contains(told), "{flag}: {error}");
        }
    }

    #[test]
    fn s41_a_lifetime_of_nothing_is_refused_by_the_name_of_its_flag() {
        for (value, is_good) in [("0s", false), ("999ms", false), ("1s", true)] {
            let flag = format!("--identity-issuance-lifetime={value}");
            let validity = parse(&[&flag]).unwrap().identity.validity();
            let told = validity.map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(told.is_ok(), is_good, "{value}: {told:?}");
            let named = told.is_err_and(|told| told.contains("--identity-issuance-lifetime"));
            assert_eq!(named, !is_good, "{value}");
        }
    }

    #[test]
    fn webhooks_are_where_their_certificate_is_or_may_be_made() {
        let files = |path: &str| Some(CertificateSource::Files(path.into()));
        let managed = || Some(CertificateSource::Managed);
        let (injector, identity) = ("--roles=proxy-injector", "--roles=identity");
        let directory = "--webhook-tls-dir=d";
        for (args, expected) in [
            (&[injector][..], managed()),
            (&[injector, directory], files("d")),
            (
                &[injector, directory, "--webhook-certificates=managed"],
                managed(),
            ),
            (
                &["--webhook-certificates=files"],
                files("/var/run/linkerd/tls"),
            ),
            (&[directory, "--webhook-certificates=none"], None),
            (&["--manifests=."], None),
            // Nobody asks identity anything by a webhook.
            (&[identity, directory], None),
        ] {
            let flags = parse(args).unwrap();
            assert_eq!(flags.webhook_certificates(), expected, "{args:?}");
        }
        let names = parse(&["--webhook-names=web.local,10.0.0.1"]).unwrap();
        let names = names.webhook.names("mesh");
        let names: Vec<_> = names.iter().map(|name| name.to_str()).collect();
        assert_eq!(names[0], "linkerd-proxy-injector.mesh.svc");
        assert_eq!(names[3..], ["web.local", "10.0.0.1"]);
    }

    #[test]
    fn an_authority_outlives_several_certificates() {
        for (authority, leaf, told) in [
            ("30s", "10s", None),
            ("29s", "10s", Some("three times")),
            ("30s", "2s", Some("at least 3s")),
        ] {
            let authority = format!("--webhook-ca-lifetime={authority}");
            let flags = parse(&[&authority, &format!("--webhook-cert-lifetime={leaf}")]).unwrap();
            let error = flags
                .webhook
                .lifetimes()
                .err()
                .map(|error| error.to_string());
            assert_eq!(error.is_some(), told.is_some(), "{authority}: {error:?}");
            assert!(error.unwrap_or_default().contains(told.unwrap_or_default()));
        }
    }

    #[test]
    fn an_issuer_lasts_a_while_and_not_longer_than_its_anchor() {
        for (anchor, issuer, told) in [
            ("24h", "1h", None),
            ("1h", "1h", None),
            ("1h", "2h", Some("does not outlast its trust anchor")),
            ("1h", "9s", Some("at least 10s")),
        ] {
            let flags = [
                format!("--trust-anchor-lifetime={anchor}"),
                format!("--issuer-lifetime={issuer}"),
            ];
            let flags = parse(&flags.each_ref().map(|flag| &**flag)).unwrap();
            let lifetimes = flags
                .identity
                .lifetimes()
                .map_err(|error| error.to_string());
            match told {
                None => assert!(lifetimes.is_ok(), "{lifetimes:?}"),
                Some(told) => assert!(lifetimes.unwrap_err().contains(told)),
            }
        }
    }

    #[test]
    fn statuses_are_written_as_often_as_they_may_be() {
        for (count, pause) in [("0", Duration::ZERO), ("5", Duration::from_millis(200))] {
            let flags = parse(&["--patch-qps", count]).unwrap();
            assert_eq!(flags.policy.patch_pause(), pause, "{count}");
        }
    }

    #[test]
    fn switches_take_a_value_or_none() {
        assert!(parse(&["--enable-ipv6"]).unwrap().mesh.enable_ipv6);
        let flags = parse(&["--enable-ipv6", "true", "--enable-h2-upgrade=false"]).unwrap();
        assert!(flags.mesh.enable_ipv6);
        assert!(!flags.mesh.enable_h2_upgrade);
    }

    #[test]
    fn a_status_is_written_by_policy_in_a_cluster_within_its_lease() {
        for (args, writes) in [
            (&[][..], true),
            (&["--roles=destination"], false),
            (&["--write-statuses=false"], false),
            (&["--manifests=."], false),
        ] {
            assert_eq!(parse(args).unwrap().writes_statuses(), writes, "{args:?}");
        }
        for (args, restarts) in [
            (&["--restart-workloads"][..], true),
            (&[], false),
            (&["--restart-workloads", "--roles=identity"], false),
            (&["--restart-workloads", "--manifests=."], false),
        ] {
            let settings = parse(args).unwrap().restarts();
            assert_eq!(settings.is_some(), restarts, "{args:?}");
        }
        for (lease, patch, timeout) in [
            ("30s", "5000", Duration::from_secs(5)),
            ("3s", "5000", Duration::from_secs(1)),
            ("30s", "300", Duration::from_millis(300)),
        ] {
            let args = ["--lease-duration", lease, "--patch-timeout-ms", patch];
            let flags = parse(&args).unwrap();
            let terms = flags.lease.terms("linkerd");
            assert_eq!(flags.policy.patch_timeout(&terms), timeout);
        }
    }

    #[test]
    fn a_directory_and_a_cluster_exclude_each_other() {
        let error = parse(&["--manifests", ".", "--context", "dev"]).unwrap_err();
        assert!(
            error.contains("--manifests") && error.contains("--context"),
            "{error}"
        );
    }
}
