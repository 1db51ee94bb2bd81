//! One look at a cluster: what checks ask of the API server, each thing read once.

use super::{
    pods::Pods,
    read::{Once, Read, all, each, get, of, unread},
    row::Problem,
    settings::Settings,
};
use crate::api_addr::ApiAddr;
use ferrule_identity::{ISSUER_SECRET, TRUST_ROOTS, TRUST_ROOTS_KEY, TrustAnchors};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet},
        coordination::v1::Lease,
        core::v1::{ConfigMap, Namespace, Node, Pod, Secret, Service},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Definition,
    apimachinery::pkg::version::Info,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams, client::Body};
use std::{collections::BTreeMap, rc::Rc};

/// What control-plane pods are known by.
pub(crate) const COMPONENT: &str = "linkerd.io/control-plane-component";
/// What meshed pods, and all objects of a control plane, are known by.
pub(crate) const CONTROL_PLANE: &str = "linkerd.io/control-plane-ns";
pub(crate) const CONFIG: &str = "linkerd-config";
const VALUES: &str = "values";

/// What the user wants to be looked at.
#[derive(Debug)]
pub(super) struct Scope {
    /// The control plane's namespace.
    pub(super) namespace: String,
    pub(super) cni_namespace: String,
    /// Where workloads are looked at; everywhere, if not said.
    pub(super) data_plane: Option<String>,
    /// Before an installation: the CNI plugin is to be there.
    pub(super) wants_cni: bool,
    /// An admin listener of the identity role.
    pub(super) api_addr: Option<ApiAddr>,
    pub(super) versions: Versions,
}

/// What the user says of versions.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// The control plane's, as it is to be; the command's, if not said.
    pub(super) expected: Option<String>,
    /// The command's, in place of what it is.
    pub(super) command: Option<String>,
}

impl Versions {
    /// What the control plane is to be, and how that is called.
    pub(super) fn wanted(&self) -> (&str, &'static str) {
        let own = self.command.as_deref();
        match &self.expected {
            Some(version) => (version, "expected is"),
            None => (own.unwrap_or(env!("CARGO_PKG_VERSION")), "this command is"),
        }
    }
}

/// What is known of a cluster at one time.
pub(super) struct Look {
    pub(super) client: Client,
    pub(super) scope: Rc<Scope>,
    pub(super) now: Timestamp,
    server: Once<Server>,
    nodes: Once<Vec<Node>>,
    namespaces: Once<Vec<Namespace>>,
    pods: Once<Pods>,
    services: Once<Vec<Service>>,
    settings: Once<Option<Settings>>,
    control_pods: Once<Vec<Pod>>,
    deployments: Once<Vec<Deployment>>,
    replica_sets: Once<Vec<ReplicaSet>>,
    bundle: Once<Option<ConfigMap>>,
    issuer: Once<Option<Secret>>,
    secrets: BTreeMap<&'static str, Once<Option<Secret>>>,
    definitions: Once<BTreeMap<String, Definition>>,
    leases: Once<Vec<Lease>>,
}

/// The API server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) info: Info,
    /// By how much its clock is ahead of ours, to the second.
    pub(super) ahead: Option<SignedDuration>,
}

/// Secrets that checks ask for, beside the issuer's.
const SECRETS: [&str; 7] = [
    "ferrule-webhook-ca",
    "linkerd-proxy-injector-k8s-tls",
    "linkerd-sp-validator-k8s-tls",
    "linkerd-policy-validator-k8s-tls",
    "linkerd-proxy-injector-tls",
    "linkerd-sp-validator-tls",
    "linkerd-policy-validator-tls",
];

impl Look {
    pub(super) fn new(client: &Client, scope: &Rc<Scope>) -> Self {
        Self {
            client: client.clone(),
            scope: scope.clone(),
            now: Timestamp::now(),
            server: Once::default(),
            nodes: Once::default(),
            namespaces: Once::default(),
            pods: Once::default(),
            services: Once::default(),
            settings: Once::default(),
            control_pods: Once::default(),
            deployments: Once::default(),
            replica_sets: Once::default(),
            bundle: Once::default(),
            issuer: Once::default(),
            secrets: SECRETS.map(|name| (name, Once::default())).into(),
            definitions: Once::default(),
            leases: Once::default(),
        }
    }

    /// The control plane's.
    pub(super) fn namespace(&self) -> &str {
        &self.scope.namespace
    }

    /// Objects of the control plane's namespace.
    pub(super) fn here<K>(&self) -> Api<K>
    where
        K: super::read::Known + kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    {
        of(&self.client, self.namespace())
    }

    /// Objects everywhere, or that are nowhere.
    pub(super) fn everywhere<K: super::read::Known>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    pub(super) async fn server(&self) -> Read<&Server> {
        self.server.get(server(&self.client)).await
    }

    pub(super) async fn nodes(&self) -> Read<&Vec<Node>> {
        let trim = |mut node: Node| {
            node.metadata.managed_fields = None;
            if let Some(status) = &mut node.status {
                status.images = None;
            }
            node
        };
        let read = all(self.everywhere(), ListParams::default(), trim);
        self.nodes.get(read).await
    }

    pub(super) async fn namespaces(&self) -> Read<&Vec<Namespace>> {
        let read = all(
            self.everywhere(),
            ListParams::default(),
            |mut found: Namespace| {
                found.metadata.managed_fields = None;
                found
            },
        );
        self.namespaces.get(read).await
    }

    /// Of all namespaces.
    pub(super) async fn pods(&self) -> Read<&Pods> {
        let read = async {
            let mut pods = Pods::of(self.namespace());
            each(self.everywhere(), ListParams::default(), |pod: Pod| {
                pods.take(&pod);
            })
            .await?;
            Ok(pods)
        };
        self.pods.get(read).await
    }

    /// Of all namespaces.
    pub(super) async fn services(&self) -> Read<&Vec<Service>> {
        let read = all(
            self.everywhere(),
            ListParams::default(),
            |mut found: Service| {
                found.metadata.managed_fields = None;
                found
            },
        );
        self.services.get(read).await
    }

    /// What the chart was rendered with, if it was.
    pub(super) async fn settings(&self) -> Read<Option<&Settings>> {
        let read = async {
            let found: Option<ConfigMap> = get(self.here(), CONFIG).await?;
            let text = found.map(|found| found.data.unwrap_or_default().remove(VALUES));
            Ok(text.map(Settings::read))
        };
        Ok(self.settings.get(read).await?.as_ref())
    }

    /// Those that are labelled as components of the control plane.
    pub(super) async fn control_pods(&self) -> Read<&Vec<Pod>> {
        let params = ListParams::default().labels(COMPONENT);
        self.control_pods
            .get(all(self.here(), params, |pod| pod))
            .await
    }

    /// The control plane's.
    pub(super) async fn deployments(&self) -> Read<&Vec<Deployment>> {
        let params = ListParams::default().labels(COMPONENT);
        let read = all(self.here(), params, |deployment| deployment);
        self.deployments.get(read).await
    }

    /// Of the control plane's namespace.
    pub(super) async fn replica_sets(&self) -> Read<&Vec<ReplicaSet>> {
        let read = all(self.here(), ListParams::default(), |set| set);
        self.replica_sets.get(read).await
    }

    /// What everybody is to trust.
    pub(super) async fn anchors(&self) -> Result<TrustAnchors, Problem> {
        let settings = self.settings().await?;
        let name = settings.map_or(TRUST_ROOTS, |settings| &settings.credentials.trust_roots);
        let read = get(self.here(), name);
        let bundle: &Option<ConfigMap> = self.bundle.get(read).await?;
        let name = format!("ConfigMap {}/{name}", self.namespace());
        let Some(bundle) = bundle else {
            return Err(Problem::found(format!("there is no {name}")));
        };
        let pem = bundle
            .data
            .as_ref()
            .and_then(|data| data.get(TRUST_ROOTS_KEY));
        let pem = pem.ok_or_else(|| Problem::found(format!("{name} has no {TRUST_ROOTS_KEY}")))?;
        let anchors = TrustAnchors::from_pem(pem.as_bytes());
        anchors.map_err(|error| Problem::found(format!("{name}: {error}")))
    }

    /// What signs. Its name is known when this fails, too.
    pub(super) async fn issuer(&self) -> Read<(&str, Option<&Secret>)> {
        let settings = self.settings().await?;
        let name = settings.map_or(ISSUER_SECRET, |settings| &settings.credentials.issuer);
        let found = self.issuer.get(get(self.here(), name)).await?;
        Ok((name, found.as_ref()))
    }

    /// One of the control plane's other Secrets.
    pub(super) async fn secret(&self, name: &'static str) -> Read<Option<&Secret>> {
        let read = get(self.here(), name);
        let found = self.secrets[name].get(read).await?;
        Ok(found.as_ref())
    }

    /// The definitions of kinds of the mesh and of the Gateway API, by name.
    pub(super) async fn definitions(&self) -> Read<&BTreeMap<String, Definition>> {
        let read = async {
            let api: Api<Definition> = self.everywhere();
            let names = super::definitions::names();
            let reads = names.map(|name| {
                let api = api.clone();
                async move { get(api, &name).await }
            });
            let mut definitions = BTreeMap::new();
            for found in futures::future::join_all(reads).await {
                if let Some(definition) = found? {
                    definitions.insert(definition.name_any(), definition);
                }
            }
            Ok(definitions)
        };
        self.definitions.get(read).await
    }

    /// Of the control plane's namespace.
    pub(super) async fn leases(&self) -> Read<&Vec<Lease>> {
        let read = all(self.here(), ListParams::default(), |lease| lease);
        self.leases.get(read).await
    }
}

/// Asks for the version, and for the time on the way.
async fn server(client: &Client) -> Read<Server> {
    let cannot = || unread("get", "/version");
    let request = http::Request::get("/version").body(Body::empty());
    let request = request.map_err(|error| super::read::Unread::Failed(error.to_string()))?;
    let response = client.send(request).await.map_err(cannot())?;
    let now = Timestamp::now();
    let date = response.headers().get(http::header::DATE);
    let date = date.and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let status = response.status();
    let body = response
        .into_body()
        .collect_bytes()
        .await
        .map_err(cannot())?;
    if !status.is_success() {
        let text = String::from_utf8_lossy(&body);
        return Err(super::read::Unread::Failed(format!(
            "get /version: {status}: {text}"
        )));
    }
    let info = serde_json::from_slice(&body);
    Ok(Server {
        info: info
            .map_err(|error| super::read::Unread::Failed(format!("get /version: {error}")))?,
        ahead: date.map(|date| date.timestamp().duration_since(now)),
    })
}
