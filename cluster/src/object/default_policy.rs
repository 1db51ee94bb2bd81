use std::{fmt, str::FromStr};
use thiserror::Error;

/// Who may call a port of which no object says who may (policy.md section 5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DefaultPolicy {
    /// Anybody.
    #[default]
    AllUnauthenticated,
    /// Any client of the mesh.
    AllAuthenticated,
    /// Anybody on the cluster's networks.
    ClusterUnauthenticated,
    /// Any client of the mesh on the cluster's networks.
    ClusterAuthenticated,
    /// Nobody.
    Deny,
    /// Anybody, and proxies log each of them.
    Audit,
}

/// A text that names no default policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is none of all-unauthenticated, all-authenticated, cluster-unauthenticated, \
     cluster-authenticated, deny and audit"
)]
pub struct DefaultPolicyError(pub String);

impl DefaultPolicy {
    /// Every policy.
    pub const ALL: [DefaultPolicy; 6] = [
        DefaultPolicy::AllUnauthenticated,
        DefaultPolicy::AllAuthenticated,
        DefaultPolicy::ClusterUnauthenticated,
        DefaultPolicy::ClusterAuthenticated,
        DefaultPolicy::Deny,
        DefaultPolicy::Audit,
    ];

    /// The name, as annotations and flags spell it and metrics show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            DefaultPolicy::AllUnauthenticated => "all-unauthenticated",
            DefaultPolicy::AllAuthenticated => "all-authenticated",
            DefaultPolicy::ClusterUnauthenticated => "cluster-unauthenticated",
            DefaultPolicy::ClusterAuthenticated => "cluster-authenticated",
            DefaultPolicy::Deny => "deny",
            DefaultPolicy::Audit => "audit",
        }
    }

    /// The policy of a port that requires an identity. The others require one
    /// already, or have nothing to require it of.
    #[must_use]
    pub const fn requiring_identity(self) -> Self {
        match self {
            DefaultPolicy::AllUnauthenticated => DefaultPolicy::AllAuthenticated,
            DefaultPolicy::ClusterUnauthenticated => DefaultPolicy::ClusterAuthenticated,
            other => other,
        }
    }
}

impl fmt::Display for DefaultPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DefaultPolicy {
    type Err = DefaultPolicyError;

    fn from_str(text: &str) -> Result<Self, DefaultPolicyError> {
        let text = text.trim();
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| DefaultPolicyError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for policy in DefaultPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for text in ["", "Deny", "allow", "all"] {
            assert_eq!(
                text.parse::<DefaultPolicy>(),
                Err(DefaultPolicyError(text.into()))
            );
        }
        assert_eq!(" deny\n".parse(), Ok(DefaultPolicy::Deny));
    }
}
