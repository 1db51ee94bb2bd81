use ferrule_identity::{ChainError, IssuerError};
use std::io;

/// Why nothing is printed that a cluster could have.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The charts are templates of Helm.
    #[error(
        "there is no `helm` on PATH, which renders the charts in this binary: install Helm 3 or 4 \
         (https://helm.sh/docs/intro/install), or let it install the charts itself: \
         helm install --namespace linkerd --create-namespace ferrule-control-plane CHART"
    )]
    NoHelm,
    /// It did not render them.
    #[error("the chart cannot be rendered: {0}")]
    Helm(String),
    /// The charts cannot be laid out for it.
    #[error("cannot write the charts into a temporary folder: {0}")]
    Folder(io::Error),
    /// A file that a flag names.
    #[error("{flag} {name}: {reason}")]
    File {
        /// Which flag.
        flag: &'static str,
        /// Which file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is a control plane already.
    #[error(
        "there is a control plane in namespace {namespace} (ConfigMap linkerd-config){by}.\n\
         To change it: {remedy}"
    )]
    Installed {
        /// Where.
        namespace: String,
        /// Whose it is, if it is not this command's.
        by: String,
        /// What to do.
        remedy: String,
    },
    /// There is none yet.
    #[error(
        "there is no control plane in namespace {0} (no ConfigMap linkerd-config): name its \
         namespace (-L NAME), or: ferrule install | kubectl apply -f -"
    )]
    NotInstalled(String),
    /// There is none in manifests.
    #[error(
        "{name} has no ConfigMap linkerd-config of namespace {namespace}: name its namespace \
         (-L NAME). What is read is what `ferrule install` printed, or kubectl -n {namespace} get \
         configmaps,secrets -o yaml"
    )]
    NotInManifests {
        /// What was read.
        name: String,
        /// Where it would be.
        namespace: String,
    },
    /// Somebody else keeps it up.
    #[error("the control plane in namespace {namespace} is {by}: {remedy}")]
    NotOurs {
        /// Where.
        namespace: String,
        /// Whose it is.
        by: String,
        /// What to do.
        remedy: String,
    },
    /// Kinds come first.
    #[error(
        "the definitions of {} are missing: ferrule install --crds | kubectl apply -f -",
        .0.join(", ")
    )]
    NoDefinitions(Vec<String>),
    /// Objects are stored in a version that the new definition has no more.
    #[error(
        "{name} has objects that are stored as {versions}, which its new definition does not \
         know: have them written again first (kubectl get {name} -A -o json | kubectl replace -f \
         -), then take the version out of status.storedVersions"
    )]
    Stored {
        /// Of which kind.
        name: String,
        /// Which.
        versions: String,
    },
    /// Values that mean nothing to proxies or the mesh.
    #[error("{}", .0.join("\n"))]
    Values(Vec<String>),
    /// What would be trusted cannot be read.
    #[error("the trust anchors (identityTrustAnchorsPEM): {0}")]
    Anchors(ChainError),
    /// It would sign nothing that proxies accept.
    #[error(
        "{0} (identity.issuer.tls.crtPEM and keyPEM, identityTrustAnchorsPEM); docs/certificates.md \
         says what is needed"
    )]
    Issuer(IssuerError),
    /// A key that proxies do not know.
    #[error("{0}: proxies know ECDSA P-256 and P-384, and of trust anchors RSA from 2048 bits")]
    Key(String),
    /// Workloads would be cut off.
    #[error(
        "{what}\nNothing is printed, since workloads that run now would be cut off from others; \
         docs/certificates.md says how to do it step by step. --force does it at once."
    )]
    Cut {
        /// What would be the case.
        what: String,
    },
    /// The init container could do nothing on these nodes.
    #[error(
        "{0}, where the init container must run as root: --set proxyInit.runAsRoot=true, or use \
         the CNI plugin (cniEnabled)"
    )]
    Docker(String),
    /// There is still something that needs what is to go.
    #[error("{what}: {remedy}; --force prints all the same")]
    InUse {
        /// What there is.
        what: String,
        /// What to do about it.
        remedy: String,
    },
}
