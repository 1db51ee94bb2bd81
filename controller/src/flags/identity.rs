//! Certificates: those that the process gives, and its own.

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use ferrule_cli::{StateDir, duration};
use ferrule_identity::{IssuerScheme, Lifetimes, RotationPolicy, Validity};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Where the chart mounts what an operator or cert-manager made.
const ISSUER_DIR: &str = "/var/run/linkerd/identity/issuer";
const TRUST_ANCHORS: &str = "/var/run/linkerd/identity/trust-roots/ca-bundle.crt";
/// Shorter ones could expire before all replicas have heard of them.
const SHORTEST_ISSUER: Duration = Duration::from_secs(10);
const TOKEN_FILE: &str = "/var/run/secrets/tokens/linkerd-identity-token";

/// The certificate authority, and what it is reached by.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct IdentityFlags {
    /// The trust anchors, PEM [default:
    /// /var/run/linkerd/identity/trust-roots/ca-bundle.crt; with --manifests, made
    /// in the state directory]
    #[arg(long, env = "FERRULE_TRUST_ANCHORS", value_name = "FILE")]
    pub(crate) trust_anchors: Option<PathBuf>,

    /// The directory of the issuer's certificate and key [default:
    /// /var/run/linkerd/identity/issuer if that is there; else the Secret
    /// linkerd-identity-issuer, which is made and renewed unless somebody else does;
    /// with --manifests, made in the state directory]
    #[arg(long, env = "FERRULE_ISSUER_DIR", value_name = "DIR")]
    pub(crate) issuer_dir: Option<PathBuf>,

    /// How the issuer's files, or the keys of its Secret, are called: linkerd.io/tls is crt.pem and key.pem,
    /// kubernetes.io/tls is tls.crt and tls.key
    #[arg(
        long,
        env = "FERRULE_IDENTITY_SCHEME",
        value_name = "SCHEME",
        default_value = "linkerd.io/tls",
        value_parser = ["linkerd.io/tls", "kubernetes.io/tls"]
    )]
    pub(crate) identity_scheme: String,

    /// How long a trust anchor lasts that is made here
    #[arg(long, env = "FERRULE_TRUST_ANCHOR_LIFETIME", value_name = "DURATION", default_value = "87600h", value_parser = duration)]
    pub(crate) trust_anchor_lifetime: Duration,

    /// How long an issuer lasts that is made here; it is renewed with a third of that
    /// left
    #[arg(long, env = "FERRULE_ISSUER_LIFETIME", value_name = "DURATION", default_value = "8760h", value_parser = duration)]
    pub(crate) issuer_lifetime: Duration,

    /// When a trust anchor that is made here is replaced by another
    #[arg(
        long,
        env = "FERRULE_TRUST_ANCHOR_ROTATION",
        value_enum,
        value_name = "WHEN",
        default_value = "automatic"
    )]
    pub(crate) trust_anchor_rotation: AnchorRotation,

    /// For how long certificates get their whole lifetime while the API server cannot be
    /// asked whether the issuer is still the one; a rotation of the trust anchor waits as
    /// much longer
    #[arg(long, env = "FERRULE_IDENTITY_UNCONFIRMED_ISSUANCE", value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub(crate) identity_unconfirmed_issuance: Duration,

    /// How long certificates are good for
    #[arg(long, env = "FERRULE_IDENTITY_ISSUANCE_LIFETIME", value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub(crate) identity_issuance_lifetime: Duration,

    /// How far clocks may be apart: certificates begin so much earlier and end so
    /// much later
    #[arg(long, env = "FERRULE_IDENTITY_CLOCK_SKEW_ALLOWANCE", value_name = "DURATION", default_value = "20s", value_parser = duration)]
    pub(crate) identity_clock_skew_allowance: Duration,

    /// How tokens of workloads are checked
    #[arg(
        long,
        env = "FERRULE_TOKEN_REVIEW",
        value_enum,
        value_name = "WHEN",
        default_value = "always"
    )]
    pub(crate) token_review: TokenChecks,

    /// Of what Kubernetes Events are written
    #[arg(
        long,
        env = "FERRULE_IDENTITY_EVENT_POLICY",
        value_enum,
        value_name = "WHAT",
        default_value = "rotation"
    )]
    pub(crate) identity_event_policy: EventPolicy,

    #[command(flatten)]
    pub(crate) state: StateDir,

    /// Where a process without the identity role gets its own certificate
    /// [default: linkerd-identity-headless.NAMESPACE.svc.DOMAIN:8080]
    #[arg(long, env = "FERRULE_IDENTITY_SVC_ADDR", value_name = "HOST:PORT")]
    pub(crate) identity_svc_addr: Option<String>,

    /// The token that it shows there
    #[arg(long, env = "FERRULE_IDENTITY_TOKEN", value_name = "FILE", default_value = TOKEN_FILE)]
    pub(crate) identity_token: PathBuf,
}

/// When a trust anchor is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnchorRotation {
    /// With a third of its life left, or when somebody asks
    Automatic,
    /// When somebody asks
    Asked,
}

/// Who says whose a token is, where there is a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenChecks {
    /// The API server reviews each
    Always,
    /// This process, by the API server's published keys; the API server only in doubt
    Local,
}

/// Of what Events are written, where there is a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventPolicy {
    /// Of nothing
    None,
    /// Of issuers: updated, refused, expiring
    Rotation,
    /// Of each certificate, too
    All,
}

/// Where the issuer comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OwnIdentity {
    /// Files that somebody else makes and renews.
    Files {
        /// The bundle.
        anchors: PathBuf,
        /// The directory of certificate and key.
        issuer_dir: PathBuf,
    },
    /// Objects in the cluster.
    Cluster,
    /// Made and renewed here.
    State(PathBuf),
}

impl IdentityFlags {
    /// Where the issuer comes from.
    pub(crate) fn issuer(&self, embedded: bool) -> anyhow::Result<OwnIdentity> {
        match (&self.trust_anchors, &self.issuer_dir, embedded) {
            (None, None, true) => Ok(OwnIdentity::State(self.state.path()?)),
            (Some(_), None, true) => {
                bail!("--trust-anchors needs the issuer that goes with it: --issuer-dir DIR")
            }
            (None, Some(_), true) => {
                bail!("--issuer-dir needs the anchors that go with it: --trust-anchors FILE")
            }
            (None, None, false) if !Path::new(ISSUER_DIR).is_dir() => Ok(OwnIdentity::Cluster),
            (_, issuer_dir, _) => Ok(OwnIdentity::Files {
                anchors: self.trust_anchors(),
                issuer_dir: issuer_dir.clone().unwrap_or_else(|| ISSUER_DIR.into()),
            }),
        }
    }

    /// The file of the trust anchors.
    pub(crate) fn trust_anchors(&self) -> PathBuf {
        self.trust_anchors
            .clone()
            .unwrap_or_else(|| TRUST_ANCHORS.into())
    }

    /// How the issuer's files are called.
    pub(crate) fn scheme(&self) -> IssuerScheme {
        IssuerScheme::from(&*self.identity_scheme)
    }

    /// How long trust anchors and issuers last.
    pub(crate) fn lifetimes(&self) -> anyhow::Result<Lifetimes> {
        let (anchor, issuer) = (self.trust_anchor_lifetime, self.issuer_lifetime);
        if issuer < SHORTEST_ISSUER {
            bail!("--issuer-lifetime {issuer:?}: expected at least {SHORTEST_ISSUER:?}");
        }
        if anchor < issuer {
            bail!(
                "--trust-anchor-lifetime {anchor:?} is less than --issuer-lifetime {issuer:?}: an \
                 issuer does not outlast its trust anchor"
            );
        }
        Ok(Lifetimes { anchor, issuer })
    }

    /// How trust anchors are replaced.
    pub(crate) fn rotation(&self) -> RotationPolicy {
        RotationPolicy {
            automatic: self.trust_anchor_rotation == AnchorRotation::Automatic,
            unconfirmed: self.identity_unconfirmed_issuance,
        }
    }

    /// How long certificates are good for.
    pub(crate) fn validity(&self) -> anyhow::Result<Validity> {
        let (lifetime, skew) = (
            self.identity_issuance_lifetime,
            self.identity_clock_skew_allowance,
        );
        Validity::new(lifetime, skew)
            .map_err(|error| anyhow!("--identity-issuance-lifetime {lifetime:?}: {error}"))
    }
}
