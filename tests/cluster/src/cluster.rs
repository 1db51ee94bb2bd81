//! The cluster: its start, what it is reached with, its end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client, Config};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use crate::addresses::{PodAddresses, Ports};
use crate::binaries::Binary;
use crate::credentials::Credentials;
use crate::flags;
use crate::processes::Process;

/// A start takes 3 to 4 seconds on two idle cores, several times that on busy ones.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Ports are chosen, then used: somebody else may be quicker.
const START_ATTEMPTS: usize = 3;

/// How a cluster differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Services and pods have IPv6 addresses beside their IPv4 ones (where a Service asks).
    pub dual_stack: bool,
    /// Flags for kube-apiserver after the harness's own, such as `--feature-gates=…`.
    pub api_server_flags: Vec<String>,
}

/// One of the processes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The API server's store.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
}

impl Component {
    pub(crate) const ALL: [Self; 3] = [Self::Etcd, Self::ApiServer, Self::ControllerManager];

    fn binary(self) -> Binary {
        match self {
            Self::Etcd => Binary::Etcd,
            Self::ApiServer => Binary::KubeApiserver,
            Self::ControllerManager => Binary::KubeControllerManager,
        }
    }
}

/// A running etcd, kube-apiserver and kube-controller-manager.
///
/// Dropping it stops them and removes their folder.
#[derive(Debug)]
pub struct Cluster {
    // Before `folder`: fields are dropped in this order.
    processes: [Option<Process>; Component::ALL.len()],
    pub(crate) namespaces: AtomicU32,
    pub(crate) addresses: Arc<PodAddresses>,
    options: Options,
    ports: Ports,
    pub(crate) credentials: Credentials,
    folder: TempDir,
}

impl Cluster {
    /// Starts a cluster of its own, and returns when it serves and its controllers work.
    ///
    /// # Errors
    ///
    /// When a binary cannot be built, or a component ends or is not ready in two minutes; the
    /// error shows the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        install_crypto_provider();
        for attempt in 1.. {
            let mut cluster = Self::create(options.clone())?;
            match cluster.bring_up().await {
                Ok(()) => return Ok(cluster),
                Err(error) if attempt < START_ATTEMPTS && lost_a_port(&error) => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// The cluster all tests of this process share, started by the first that asks.
    ///
    /// It is never changed as a whole: use [`Cluster::namespace`]. It ends with the process.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED
            .get_or_try_init(|| Self::start(Options::default()))
            .await
    }

    fn create(options: Options) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ferrule-cluster-")
            .tempdir()
            .context("cannot create a folder for the test cluster")?;
        let ports = Ports::free()?;
        let credentials = Credentials::create(folder.path(), &url(ports))?;
        Ok(Self {
            processes: [const { None }; Component::ALL.len()],
            namespaces: AtomicU32::new(0),
            addresses: Arc::new(PodAddresses::new(options.dual_stack)),
            options,
            ports,
            credentials,
            folder,
        })
    }

    async fn bring_up(&mut self) -> Result<()> {
        self.launch(Component::Etcd).await?;
        self.launch(Component::ApiServer).await?;
        // As soon as it answers at all: the rest of both starts runs side by side.
        self.wait_for_api_server("/version").await?;
        self.launch(Component::ControllerManager).await?;
        self.wait_for_api_server("/readyz").await?;
        let client = self.probe()?;
        wait_for_service_account(&client, "default").await
    }

    /// Starts the process of `component`, in place of the one it had.
    pub(crate) async fn launch(&mut self, component: Component) -> Result<()> {
        self.processes[component as usize] = None;
        let program = component.binary().path().await?;
        let flags = match component {
            Component::Etcd => flags::etcd(self.ports, &self.etcd_data()),
            Component::ApiServer => flags::api_server(self.ports, &self.credentials, &self.options),
            Component::ControllerManager => flags::controller_manager(&self.credentials),
        };
        let log = self.log(component);
        let process = Process::start(&program, &flags, self.folder.path(), log)?;
        self.processes[component as usize] = Some(process);
        Ok(())
    }

    /// Polls the API server's `path` until it says 200.
    pub(crate) async fn wait_for_api_server(&mut self, path: &str) -> Result<()> {
        let client = self.probe()?;
        let started = Instant::now();
        loop {
            let request = http::Request::get(path).body(Vec::new())?;
            let Err(error) = client.request_text(request).await else {
                return Ok(());
            };
            for component in Component::ALL {
                if let Some(process) = &mut self.processes[component as usize] {
                    process
                        .check_alive()
                        .with_context(|| format!("{} failed", component.binary().name()))?;
                }
            }
            if started.elapsed() > READY_TIMEOUT {
                bail!(
                    "the API server's {path} does not answer after {} s: {error}; its log ends with:\n{}",
                    READY_TIMEOUT.as_secs(),
                    self.running(Component::ApiServer)?.log_tail()
                );
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    pub(crate) fn running(&mut self, component: Component) -> Result<&mut Process> {
        self.processes[component as usize]
            .as_mut()
            .with_context(|| format!("{} is not running", component.binary().name()))
    }

    /// A connection that neither tries again by itself nor waits for a paused server.
    fn probe(&self) -> Result<Client> {
        let mut config = self.config();
        config.default_retry = false;
        config.read_timeout = Some(PROBE_TIMEOUT);
        Ok(Client::try_from(config)?)
    }

    pub(crate) fn stop(&mut self, component: Component) {
        self.processes[component as usize] = None;
    }

    /// A connection to etcd, which answers requests in JSON, too.
    pub(crate) fn etcd_client(&self) -> Result<Client> {
        let url = format!("http://127.0.0.1:{}", self.ports.etcd);
        let mut config = Config::new(url.parse()?);
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    pub(crate) fn etcd_data(&self) -> PathBuf {
        self.folder.path().join("etcd")
    }

    /// A kubeconfig of the administrator, a member of `system:masters`.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.credentials.kubeconfig
    }

    /// What [`Cluster::client`] connects with.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config_for_token(&self.credentials.admin_token)
    }

    fn config_for_token(&self, token: &str) -> Config {
        let url = url(self.ports).parse();
        let mut config = Config::new(url.expect("an address and a port are a URL"));
        config.root_cert_file = Some(self.credentials.ca.clone());
        config.auth_info.token = Some(token.to_owned().into());
        config
    }

    /// A new connection as the administrator. It belongs to the calling test's runtime.
    ///
    /// # Errors
    ///
    /// When the TLS client cannot be set up.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config())?)
    }

    /// A new connection as whoever `token` speaks for, such as a ServiceAccount.
    ///
    /// # Errors
    ///
    /// As [`Cluster::client`].
    pub fn client_for_token(&self, token: &str) -> Result<Client> {
        Ok(Client::try_from(self.config_for_token(token))?)
    }

    /// kubectl or helm, ready to be given arguments and run as the administrator.
    ///
    /// # Errors
    ///
    /// When it cannot be built.
    pub async fn command(&self, binary: Binary) -> Result<Command> {
        let mut command = Command::new(binary.path().await?);
        command.env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    /// Addresses for pods a test makes ready by itself with [`pods`](crate::pods).
    #[must_use]
    pub fn pod_addresses(&self) -> &PodAddresses {
        &self.addresses
    }

    /// The file a component logs to.
    #[must_use]
    pub fn log(&self, component: Component) -> PathBuf {
        self.folder
            .path()
            .join(format!("{}.log", component.binary().name()))
    }
}

/// Waits for the ServiceAccount that pods of `namespace` run as; the admission of pods needs it,
/// and it shows that the controllers work.
pub(crate) async fn wait_for_service_account(client: &Client, namespace: &str) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let started = Instant::now();
    while accounts.get_opt("default").await?.is_none() {
        if started.elapsed() > READY_TIMEOUT {
            bail!(
                "kube-controller-manager has not created the default ServiceAccount of {namespace} in {} s",
                READY_TIMEOUT.as_secs()
            );
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

fn url(ports: Ports) -> String {
    format!("https://127.0.0.1:{}", ports.api_server)
}

fn lost_a_port(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

/// One TLS provider for the process; whoever was first has chosen it.
fn install_crypto_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
