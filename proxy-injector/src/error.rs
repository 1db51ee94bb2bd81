use thiserror::Error;

/// Why nothing can be made of an object. But for [`Error::Object`], which the API
/// server says better itself, it is for those who wrote annotations or values to
/// mend, so a pod is refused rather than started without its proxy
/// (identity-injector.md section 6.4).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// It is not what its kind says.
    #[error("this is no {kind}: {reason}")]
    Object {
        /// What it was to be.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing for the proxy to trust.
    #[error("there are no trust anchors (identityTrustAnchorsPEM)")]
    NoTrustAnchors,
    /// The proxy would not start.
    #[error("clusterNetworks: {0:?} is not a network such as 10.0.0.0/8")]
    ClusterNetworks(String),
    /// Redirecting would not work.
    #[error("proxyInit.iptablesMode: {0:?} is neither nft nor legacy")]
    IptablesMode(String),
    /// Headers may hold secrets: what is meant must be clear.
    #[error(
        "annotation config.linkerd.io/proxy-log-http-headers (proxy.logHTTPHeaders): {0:?} is \
         neither off nor insecure"
    )]
    LogHttpHeaders(String),
    /// The init container could not set it.
    #[error(
        "annotation config.linkerd.io/close-wait-timeout (proxyInit.closeWaitTimeoutSecs): it \
         needs proxyInit.runAsRoot"
    )]
    CloseWaitWithoutRoot,
    /// Traces would have nowhere to go.
    #[error("{0} must be set where proxy.tracing.enabled is")]
    Tracing(&'static str),
}
