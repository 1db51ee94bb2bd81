use ferrule_cluster::object::is_dns_label;
use std::fmt;
use thiserror::Error;

/// Between the workload's part of a name and the mesh's: what kind of account it is,
/// and that it is one.
const MARKER: &str = "serviceaccount.identity";

/// The longest name of DNS (RFC 1123).
const SUBDOMAIN: usize = 253;

/// Who a workload is: `<name>.<namespace>.serviceaccount.identity.<control plane
/// namespace>.<trust domain>`. It is the DNS name in the workload's certificate,
/// its TLS server name and the client that policy sees; names are compared byte
/// for byte. An [`IdentityScope`] makes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityName {
    text: String,
}

/// What all identities of a mesh end in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityScope {
    control_plane_namespace: String,
    trust_domain: String,
}

/// Why a text is no identity or no part of one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// A name or namespace that is no DNS label.
    #[error(
        "not a label: {text:?}, expected at most 63 lower-case letters, digits and dashes, \
         starting and ending with a letter or digit"
    )]
    Label {
        /// What was given.
        text: String,
    },
    /// A trust domain that is no DNS name.
    #[error(
        "not a trust domain: {text:?}, expected lower-case DNS labels joined by dots, without a \
         dot at the end"
    )]
    TrustDomain {
        /// What was given.
        text: String,
    },
}

impl IdentityName {
    /// The name as certificates hold it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The workload's service account: the first label.
    pub fn service_account(&self) -> &str {
        self.label(0)
    }

    /// The namespace of the service account.
    pub fn namespace(&self) -> &str {
        self.label(1)
    }

    fn label(&self, index: usize) -> &str {
        let mut labels = self.text.split('.');
        labels.nth(index).expect("made of more labels")
    }
}

impl fmt::Display for IdentityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for IdentityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl IdentityScope {
    /// A mesh with its control plane in `control_plane_namespace`, a DNS label.
    ///
    /// # Errors
    /// One of them is no part of an identity.
    pub fn new(control_plane_namespace: &str, trust_domain: &str) -> Result<Self, NameError> {
        check_label(control_plane_namespace)?;
        if trust_domain.len() > SUBDOMAIN || !trust_domain.split('.').all(is_dns_label) {
            return Err(NameError::TrustDomain {
                text: trust_domain.to_owned(),
            });
        }
        Ok(Self {
            control_plane_namespace: control_plane_namespace.to_owned(),
            trust_domain: trust_domain.to_owned(),
        })
    }

    /// Where the control plane is.
    pub fn control_plane_namespace(&self) -> &str {
        &self.control_plane_namespace
    }

    /// The domain of those who trust each other.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The identity of a Kubernetes service account.
    ///
    /// # Errors
    /// A part is no label. Kubernetes lets service accounts have dots and more
    /// than 63 characters; such a one can not join the mesh.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<IdentityName, NameError> {
        check_label(name)?;
        check_label(namespace)?;
        let Self {
            control_plane_namespace,
            trust_domain,
        } = self;
        Ok(IdentityName {
            text: format!("{name}.{namespace}.{MARKER}.{control_plane_namespace}.{trust_domain}"),
        })
    }
}

pub(crate) fn check_label(text: &str) -> Result<(), NameError> {
    if is_dns_label(text) {
        Ok(())
    } else {
        Err(NameError::Label {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_has_a_name_in_its_scope() {
        let scope = IdentityScope::new("linkerd", "cluster.local").expect("valid");
        let name = scope.service_account("emojivoto", "web").expect("valid");
        assert_eq!(
            name.to_string(),
            "web.emojivoto.serviceaccount.identity.linkerd.cluster.local"
        );
        assert_eq!(name.service_account(), "web");
        assert_eq!(name.namespace(), "emojivoto");
    }

    #[test]
    fn s26_what_is_no_label_has_no_identity() {
        let scope = IdentityScope::new("linkerd", "cluster.local").expect("valid");
        let longest = "a".repeat(63);
        for name in ["a", "0", "a-b", "a--b", &longest] {
            assert!(scope.service_account("ns", name).is_ok(), "{name}");
        }
        let too_long = "a".repeat(64);
        for name in [
            "", "my.sa", "My", "-a", "a-", "a_b", "a b", "é", "a\0", &too_long,
        ] {
            let refused = NameError::Label { text: name.into() };
            assert_eq!(scope.service_account("ns", name), Err(refused.clone()));
            assert_eq!(scope.service_account(name, "sa"), Err(refused));
        }
    }

    #[test]
    fn s42_a_scope_is_a_label_and_a_domain() {
        let longest = ["a".repeat(63).as_str(); 3].join(".");
        for (namespace, domain) in [
            ("linkerd", "cluster.local"),
            ("l5d", "local"),
            ("linkerd", &longest),
        ] {
            assert!(IdentityScope::new(namespace, domain).is_ok(), "{domain}");
        }
        let label_too_long = "a".repeat(64);
        let too_long = ["a".repeat(63).as_str(); 4].join(".");
        for (namespace, domain) in [
            ("link.erd", "cluster.local"),
            ("", "cluster.local"),
            ("linkerd", ""),
            ("linkerd", "."),
            ("linkerd", "Cluster.Local"),
            ("linkerd", "cluster.local."),
            ("linkerd", ".cluster.local"),
            ("linkerd", "cluster..local"),
            ("linkerd", &label_too_long),
            ("linkerd", &too_long),
        ] {
            assert!(IdentityScope::new(namespace, domain).is_err(), "{domain}");
        }
    }
}
