//! Where the webhooks' certificate comes from: files that somebody else renews, or our
//! own authority.

use super::{
    AUTHORITY, AuthorityStatus, CertificateFiles, Lifetimes, ServingCertificate,
    authority::WebhookAuthority, bundle_file::BundleFile, handover::Handover,
};
use crate::{
    flags::{CertificateSource, Role, ServeFlags},
    lease::Leases,
};
use anyhow::{Context as _, bail};
use futures::{FutureExt as _, future::BoxFuture};
use kube::Client;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The certificate, as the flags choose it.
pub(crate) enum Certificates {
    Files(Box<CertificateFiles>, Arc<ServingCertificate>),
    Managed(Lifetimes),
}

/// A certificate that is kept good.
pub(crate) struct Kept {
    pub(crate) serving: Arc<ServingCertificate>,
    /// Of the authority that signs it, if that is our own.
    pub(crate) authority: Option<Arc<AuthorityStatus>>,
    /// What keeps it; it never ends by itself.
    pub(crate) upkeep: BoxFuture<'static, ()>,
}

impl Certificates {
    /// What the flags say; none if there are to be no webhooks.
    ///
    /// # Errors
    /// The files are not good, or there must be webhooks.
    pub(crate) fn open(flags: &ServeFlags) -> anyhow::Result<Option<Self>> {
        Ok(match flags.webhook_certificates() {
            None if flags.has(Role::ProxyInjector) && !flags.is_embedded() => {
                bail!("--webhook-certificates=none leaves the role proxy-injector nothing to serve")
            }
            None => None,
            Some(CertificateSource::Managed) => Some(Self::Managed(flags.webhook.lifetimes()?)),
            Some(CertificateSource::Files(directory)) => {
                let (files, serving) = CertificateFiles::load(&directory).context(
                    "the webhooks cannot be served with the certificate in --webhook-tls-dir",
                )?;
                Some(Self::Files(files.into(), serving))
            }
        })
    }

    /// Begins to keep it, with the cluster if there is one.
    ///
    /// # Errors
    /// There must be one.
    pub(crate) fn keep(
        self,
        flags: &ServeFlags,
        cluster: Option<(&Client, &mut Leases)>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Kept> {
        let namespace = &flags.mesh.control_plane_namespace;
        let stop = stop.clone();
        match self {
            Self::Files(files, serving) => {
                let followed = files.run(serving.clone(), stop.clone());
                let upkeep = match &flags.webhook.webhook_ca_bundle {
                    None => followed.boxed(),
                    Some(path) => {
                        let cluster = cluster.context("--webhook-ca-bundle needs a cluster")?;
                        let (client, leases) = cluster;
                        let bundle = BundleFile {
                            client: client.clone(),
                            namespace: namespace.clone(),
                            leadership: leases.lead(AUTHORITY),
                            call_timeout: leases.terms().call_timeout(),
                            path: path.clone(),
                        };
                        let published = bundle.run(stop);
                        async {
                            tokio::join!(followed, published);
                        }
                        .boxed()
                    }
                };
                Ok(Kept {
                    serving,
                    authority: None,
                    upkeep,
                })
            }
            Self::Managed(lifetimes) => {
                let (client, leases) =
                    cluster.context("--webhook-certificates=managed needs a cluster")?;
                let authority = WebhookAuthority {
                    client: client.clone(),
                    scope: flags.mesh.scope(),
                    names: flags.webhook.names(namespace),
                    lifetimes,
                    leadership: leases.lead(AUTHORITY),
                    call_timeout: leases.terms().call_timeout(),
                };
                let serving = Arc::new(ServingCertificate::none());
                let status = Arc::<AuthorityStatus>::default();
                // Where pods wait for an answer.
                let handover = flags.has(Role::ProxyInjector);
                let handover =
                    handover.then(|| Handover::new(client.clone(), namespace, serving.clone()));
                let upkeep = authority.run(serving.clone(), status.clone(), stop.clone());
                let upkeep = async move {
                    let handover = async {
                        if let Some(handover) = handover {
                            stop.run_until_cancelled(handover.run()).await;
                        }
                    };
                    tokio::join!(upkeep, handover);
                };
                Ok(Kept {
                    serving,
                    authority: Some(status),
                    upkeep: upkeep.boxed(),
                })
            }
        }
    }
}
