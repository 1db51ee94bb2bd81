//! What is in a bundle, and how it is gathered: what cannot be had is said in its place.

use super::redact;
use crate::{
    Error, check,
    metrics::Target,
    output,
    read::{self, Unread, all, of, unread},
};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, LogParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a pod may take to tell its metrics.
const PATIENCE: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 8;

/// Kinds of objects: group, version, kind and plural.
type Kind = (&'static str, &'static str, &'static str, &'static str);

/// All of these that are in the control plane's namespace.
const HERE: [Kind; 13] = [
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "Event", "events"),
    ("coordination.k8s.io", "v1", "Lease", "leases"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    (
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
    ),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "RoleBinding",
        "rolebindings",
    ),
];
/// Those with the control plane's label, wherever they are.
const LABELLED: [Kind; 5] = [
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRole",
        "clusterroles",
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    ),
];
/// All of the cluster.
const EVERYWHERE: [Kind; 15] = [
    ("", "v1", "Namespace", "namespaces"),
    ("policy.linkerd.io", "v1beta3", "Server", "servers"),
    (
        "policy.linkerd.io",
        "v1beta1",
        "ServerAuthorization",
        "serverauthorizations",
    ),
    (
        "policy.linkerd.io",
        "v1alpha1",
        "AuthorizationPolicy",
        "authorizationpolicies",
    ),
    (
        "policy.linkerd.io",
        "v1alpha1",
        "MeshTLSAuthentication",
        "meshtlsauthentications",
    ),
    (
        "policy.linkerd.io",
        "v1alpha1",
        "NetworkAuthentication",
        "networkauthentications",
    ),
    (
        "policy.linkerd.io",
        "v1alpha1",
        "EgressNetwork",
        "egressnetworks",
    ),
    (
        "policy.linkerd.io",
        "v1alpha1",
        "HTTPLocalRateLimitPolicy",
        "httplocalratelimitpolicies",
    ),
    ("policy.linkerd.io", "v1beta3", "HTTPRoute", "httproutes"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes"),
    (
        "gateway.networking.k8s.io",
        "v1alpha2",
        "TLSRoute",
        "tlsroutes",
    ),
    (
        "gateway.networking.k8s.io",
        "v1alpha2",
        "TCPRoute",
        "tcproutes",
    ),
    (
        "linkerd.io",
        "v1alpha2",
        "ServiceProfile",
        "serviceprofiles",
    ),
    (
        "workload.linkerd.io",
        "v1beta1",
        "ExternalWorkload",
        "externalworkloads",
    ),
];

/// Files by name.
pub(super) struct Contents {
    client: Client,
    namespace: String,
    tail: u32,
    files: Vec<(String, String)>,
}

impl Contents {
    /// Nothing yet; `tail` is how many lines of each log there will be.
    pub(super) fn new(client: &Client, namespace: &str, tail: u32) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            tail,
            files: Vec::new(),
        }
    }

    pub(super) fn files(&self) -> &[(String, String)] {
        &self.files
    }

    /// Gathers everything; says on standard error what it is at.
    pub(super) async fn gather(&mut self) -> Result<(), Error> {
        let info = self.client.apiserver_version().await;
        let info = info.map_err(crate::cluster::failed("get /version"))?;
        let version = json!({"ferrule": env!("CARGO_PKG_VERSION"), "kubernetes": info.git_version});
        self.add("version.json", &format!("{version:#}\n"));
        output::note("gathering checks");
        let checked = check::of_cluster(&self.client, &self.namespace).await;
        self.add("check.json", &format!("{checked:#}\n"));
        output::note("gathering objects");
        self.objects().await;
        let params = ListParams::default().labels(check::COMPONENT);
        let pods: Vec<Pod> = all(of(&self.client, &self.namespace), params, |pod| pod).await?;
        output::note(&format!(
            "gathering logs and metrics of {} pods",
            pods.len()
        ));
        for pod in &pods {
            self.logs(pod).await;
        }
        self.metrics(&pods).await;
        Ok(())
    }

    fn add(&mut self, name: &str, text: &str) {
        self.files.push((name.to_owned(), redact::text(text)));
    }

    async fn objects(&mut self) {
        let label = format!("{}={}", check::CONTROL_PLANE, self.namespace);
        let none = ListParams::default();
        let here = HERE.map(|kind| (kind, Some(&*self.namespace), none.clone()));
        let labelled = LABELLED.map(|kind| (kind, None, none.clone().labels(&label)));
        let everywhere = EVERYWHERE.map(|kind| (kind, None, none.clone()));
        let all = here.into_iter().chain(labelled).chain(everywhere);
        let lists = all.map(|(kind, namespace, params)| {
            let client = &self.client;
            async move {
                let (group, _, _, plural) = kind;
                let name = format!("objects/{}.yaml", read::resource(group, plural));
                (name, list(client, kind, namespace, params).await)
            }
        });
        let lists: Vec<_> = stream::iter(lists.collect::<Vec<_>>())
            .buffered(AT_ONCE)
            .collect()
            .await;
        for (name, listed) in lists {
            match listed {
                Ok(objects) if objects.is_empty() => {}
                Ok(objects) => {
                    let documents = objects.into_iter().map(|object| {
                        let object = redact::object(object);
                        let text = serde_yaml::to_string(&object);
                        format!(
                            "---\n{}\n",
                            text.unwrap_or_else(|_| object.to_string()).trim_end()
                        )
                    });
                    let text: String = documents.collect();
                    self.add(&name, &text);
                }
                Err(Unread::Forbidden(access)) => {
                    self.add(&name, &format!("# you may not {access}\n"));
                }
                Err(Unread::Failed(reason)) => self.add(&name, &format!("# {reason}\n")),
            }
        }
    }

    /// Of each container, and of what it was before it was restarted.
    async fn logs(&mut self, pod: &Pod) {
        let api: Api<Pod> = of(&self.client, &self.namespace);
        let name = pod.name_any();
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        for container in containers.map(|container| &container.name) {
            for (previous, suffix) in [(false, ""), (true, ".previous")] {
                let params = LogParams {
                    container: Some(container.clone()),
                    previous,
                    tail_lines: Some(i64::from(self.tail)),
                    timestamps: true,
                    ..LogParams::default()
                };
                let file = format!("logs/{name}.{container}{suffix}.log");
                match api.logs(&name, &params).await {
                    Ok(text) => self.add(&file, &text),
                    // Most have never been restarted.
                    Err(_) if previous => {}
                    Err(error) => {
                        let reason = crate::api::root_cause(&error);
                        self.add(&file, &format!("# it cannot be read: {reason}\n"));
                    }
                }
            }
        }
    }

    async fn metrics(&mut self, pods: &[Pod]) {
        let targets: Vec<_> = pods.iter().flat_map(Target::admin).collect();
        let answers: Vec<_> = stream::iter(&targets)
            .map(|target| target.metrics(&self.client, PATIENCE))
            .buffered(AT_ONCE)
            .collect()
            .await;
        for (target, answer) in targets.iter().zip(answers) {
            let text = answer.unwrap_or_else(|why| format!("# {why}\n"));
            self.add(&target.file("metrics", "txt"), &text);
        }
    }
}

/// All objects of a kind; none where it is not served.
async fn list(
    client: &Client,
    (group, version, kind, plural): Kind,
    namespace: Option<&str>,
    params: ListParams,
) -> Result<Vec<Value>, Unread> {
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let mut params = params.limit(500);
    let mut objects = Vec::new();
    loop {
        let page = match api.list(&params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(objects),
            page => page.map_err(unread("list", &read::resource(group, plural)))?,
        };
        for mut object in page.items {
            object.types = Some(kube::core::TypeMeta {
                api_version: resource.api_version.clone(),
                kind: kind.to_owned(),
            });
            objects.extend(serde_json::to_value(object));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(objects),
        }
    }
}
