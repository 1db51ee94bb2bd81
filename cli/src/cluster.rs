//! Which cluster a command is about.

use crate::{Error, api::root_cause};
use clap::Args;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{path::PathBuf, time::Duration};

/// How long the API server may take to go on with an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How the API server is reached.
#[derive(Debug, Args)]
pub(crate) struct ClusterFlags {
    /// Reach the cluster as this file says [default: as kubectl, or the pod's account]
    #[arg(long, env = "FERRULE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use [default: its current one]
    #[arg(long, env = "FERRULE_CONTEXT", value_name = "NAME")]
    context: Option<String>,

    /// Ask as this user, whom you must be allowed to impersonate
    #[arg(long = "as", value_name = "USER")]
    as_user: Option<String>,

    /// And as a member of this group; may be given several times
    #[arg(long = "as-group", value_name = "GROUP", requires = "as_user")]
    as_groups: Vec<String>,
}

/// Which control plane of the cluster.
#[derive(Debug, Args)]
pub(crate) struct ControlPlane {
    /// The namespace of the control plane
    #[arg(
        // Commands have a `namespace` of their own.
        id = "control_plane_namespace",
        short = 'L',
        long = "control-plane-namespace",
        visible_alias = "linkerd-namespace",
        env = "FERRULE_CONTROL_PLANE_NAMESPACE",
        value_name = "NAME",
        default_value = "linkerd"
    )]
    pub(crate) namespace: String,
}

impl ClusterFlags {
    /// A client of the API server that is meant.
    ///
    /// # Errors
    /// Why none is found.
    pub(crate) async fn client(&self) -> Result<Client, String> {
        let mut config = self.config().await?;
        config.read_timeout = Some(READ_TIMEOUT);
        if let Some(user) = &self.as_user {
            // Groups of a kubeconfig are of the user that it names.
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.as_groups.clone());
        }
        Client::try_from(config).map_err(|error| root_cause(&error))
    }

    /// The same, for who has nothing to add.
    ///
    /// # Errors
    /// If none is found.
    pub(crate) async fn api_server(&self) -> Result<Client, Error> {
        self.client().await.map_err(|reason| Error::ApiServer {
            what: "find the API server".to_owned(),
            reason,
        })
    }

    /// These errors have their causes in their text.
    async fn config(&self) -> Result<Config, String> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        match (&self.kubeconfig, &self.context) {
            (Some(file), _) => {
                let fail = |error| format!("{}: {error}", file.display());
                let kubeconfig = Kubeconfig::read_from(file).map_err(fail)?;
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                config.map_err(fail)
            }
            (None, Some(_)) => {
                let config = Config::from_kubeconfig(&options).await;
                config.map_err(|error| error.to_string())
            }
            (None, None) => Config::infer().await.map_err(|error| error.to_string()),
        }
    }
}

/// What could not be done with the API server, for people.
pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let what = what.into();
    move |error| Error::ApiServer {
        what,
        reason: root_cause(&error),
    }
}
