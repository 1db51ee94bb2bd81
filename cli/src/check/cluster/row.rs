//! What a check is.

use super::{look::Look, read::Unread};
use serde::Serialize;
use std::{fmt, pin::Pin};

/// A check as data: the table of them is `table.rs`.
pub(super) struct Row {
    /// Stable: runbooks and filters go by it. Of checks that share an anchor each has
    /// something more.
    pub(super) id: &'static str,
    /// Where its page tells of it, if that is not its id: where several share one.
    pub(super) anchor: Option<&'static str>,
    pub(super) category: Category,
    /// What is so when it succeeds.
    pub(super) title: &'static str,
    pub(super) severity: Severity,
    /// A failure is looked at again for as long as `--wait` says.
    pub(super) retried: bool,
    /// Checks that it makes no sense without. One that is fatal and fails skips it.
    pub(super) after: &'static [&'static str],
    /// What the user must be allowed to do.
    pub(super) needs: &'static [Need],
    /// What to do when it fails; `<ns>` is the control plane's namespace.
    pub(super) remedy: &'static str,
    pub(super) run: for<'a> fn(&'a Look) -> Answering<'a>,
}

impl Row {
    /// Where its page tells of it; Linkerd's, where it has such a check.
    pub(super) fn anchor(&self) -> &'static str {
        self.anchor.unwrap_or(self.id)
    }
}

/// What most rows have.
pub(super) const ROW: Row = Row {
    id: "",
    anchor: None,
    category: Category::KubernetesApi,
    title: "",
    severity: Severity::Error,
    retried: false,
    after: &["k8s-api-version"],
    needs: &[],
    remedy: "",
    run: |_| Box::pin(async { Ok(()) }),
};

/// A verb and what it is about, as RBAC has it: `list`, `jobs.batch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need(pub(super) &'static str, pub(super) &'static str);

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;
pub(super) type Answer = Result<(), Problem>;

/// Why a check does not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is not so; what is the case instead, in lines.
    Found(String),
    /// The user may not see it: a verb and what it is about.
    Forbidden(String),
    /// It is about something that is not there, or switched off.
    NotApplicable(String),
}

impl Problem {
    pub(super) fn found(cause: impl Into<String>) -> Self {
        Self::Found(cause.into())
    }

    pub(super) fn not_applicable(reason: impl Into<String>) -> Self {
        Self::NotApplicable(reason.into())
    }
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Forbidden(access) => Self::Forbidden(access),
            Unread::Failed(reason) => Self::found(reason),
        }
    }
}

/// How many of several things are named.
const NAMED: usize = 10;

/// Fails if there are any of what is wrong, and names the first of them.
pub(super) fn none_of(wrong: impl IntoIterator<Item = String>) -> Answer {
    let mut wrong = wrong.into_iter();
    let mut named: Vec<_> = wrong.by_ref().take(NAMED).collect();
    if named.is_empty() {
        return Ok(());
    }
    match wrong.count() {
        0 => {}
        more => named.push(format!("and {more} more")),
    }
    Err(Problem::found(named.join("\n")))
}

/// How bad a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// What depends on it is not looked at.
    Fatal,
    /// Something does not work.
    Error,
    /// Something will not work, or not as meant.
    Warning,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Before an installation.
    Pre,
    /// After that of the CRDs.
    Crds,
    /// After all of it.
    ControlPlane,
    /// Workloads, too.
    DataPlane,
}

/// Groups of checks, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Category {
    KubernetesApi,
    KubernetesVersion,
    GatewayApi,
    Setup,
    Definitions,
    Existence,
    Config,
    Cni,
    Identity,
    Webhooks,
    DataPlaneIdentity,
    Version,
    ControlPlane,
    DataPlane,
    HighAvailability,
    Extensions,
}

impl Category {
    pub(super) const ALL: [Self; 16] = [
        Self::KubernetesApi,
        Self::KubernetesVersion,
        Self::GatewayApi,
        Self::Setup,
        Self::Definitions,
        Self::Existence,
        Self::Config,
        Self::Cni,
        Self::Identity,
        Self::Webhooks,
        Self::DataPlaneIdentity,
        Self::Version,
        Self::ControlPlane,
        Self::DataPlane,
        Self::HighAvailability,
        Self::Extensions,
    ];

    /// As it is printed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KubernetesApi => "kubernetes-api",
            Self::KubernetesVersion => "kubernetes-version",
            Self::GatewayApi => "gateway-api-crd",
            Self::Setup => "pre-kubernetes-setup",
            Self::Definitions => "linkerd-crd",
            Self::Existence => "linkerd-existence",
            Self::Config => "linkerd-config",
            Self::Cni => "linkerd-cni-plugin",
            Self::Identity => "linkerd-identity",
            Self::Webhooks => "linkerd-webhooks-and-apisvc-tls",
            Self::DataPlaneIdentity => "linkerd-identity-data-plane",
            Self::Version => "control-plane-version",
            Self::ControlPlane => "ferrule-control-plane",
            Self::DataPlane => "linkerd-data-plane",
            Self::HighAvailability => "linkerd-ha-checks",
            Self::Extensions => "linkerd-extension-checks",
        }
    }

    /// Whether it is looked at in a mode (operations.md 12.1); `cni` is whether the
    /// plugin is asked for before an installation.
    pub(super) fn is_part_of(self, mode: Mode, cni: bool) -> bool {
        match self {
            Self::KubernetesApi | Self::KubernetesVersion | Self::GatewayApi => true,
            Self::Setup => mode == Mode::Pre,
            Self::Definitions => mode == Mode::Crds,
            Self::Cni => match mode {
                Mode::Pre => cni,
                mode => mode != Mode::Crds,
            },
            Self::Existence
            | Self::Config
            | Self::Identity
            | Self::Webhooks
            | Self::ControlPlane
            | Self::HighAvailability => matches!(mode, Mode::ControlPlane | Mode::DataPlane),
            Self::Version | Self::Extensions => mode == Mode::ControlPlane,
            Self::DataPlane | Self::DataPlaneIdentity => mode == Mode::DataPlane,
        }
    }
}
