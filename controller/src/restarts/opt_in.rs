//! Who wants to be restarted.

use std::{collections::BTreeMap, fmt};

/// On a namespace or a workload: whether its pods may be restarted.
pub(super) const OPT_IN: &str = "ferrule.io/restart-for-trust-anchor";

/// What an object says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Said {
    #[default]
    Nothing,
    Enabled,
    Disabled,
    /// Something else, which counts as disabled.
    Unreadable(String),
}

/// Whether a workload may be restarted, and who has said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptIn {
    No,
    ByNamespace,
    ByWorkload,
}

impl Said {
    pub(super) fn of(annotations: Option<&BTreeMap<String, String>>) -> Self {
        match annotations.and_then(|all| all.get(OPT_IN)).map(|it| &**it) {
            None => Self::Nothing,
            Some("enabled") => Self::Enabled,
            Some("disabled") => Self::Disabled,
            Some(other) => Self::Unreadable(other.to_owned()),
        }
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Unreadable(value) => Some(format!(
                "the annotation {OPT_IN} is {value:?}: expected enabled or disabled; it counts \
                 as disabled"
            )),
            _ => None,
        }
    }
}

impl OptIn {
    /// What the workload says counts, and where it says nothing, its namespace.
    pub(super) fn of(namespace: &Said, workload: &Said) -> Self {
        match (workload, namespace) {
            (Said::Enabled, _) => Self::ByWorkload,
            (Said::Nothing, Said::Enabled) => Self::ByNamespace,
            _ => Self::No,
        }
    }
}

impl fmt::Display for OptIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "nobody",
            Self::ByNamespace => "its namespace",
            Self::ByWorkload => "itself",
        })
    }
}
