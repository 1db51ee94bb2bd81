//! The webhooks: what the API server calls, and what would happen if it did.

mod certificate;
mod reach;

use self::{
    certificate::{in_date_for_long, valid},
    reach::{Invalid, is_called},
};
use super::{
    look::Look,
    read::{Read, all, get, of},
    row::{Answer, Category, Need, Problem, ROW, Row, Severity, none_of},
};
use http::Uri;
use k8s_openapi::{
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
        },
        core::v1::Service,
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::api::ListParams;

const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A webhook of ours.
pub(super) struct Webhook {
    /// The configuration that it is in.
    configuration: &'static str,
    is_mutating: bool,
    /// What Ferrule serves it at; Linkerd's are all at `/`.
    path: &'static str,
    service: &'static str,
    /// Secrets that its certificate may be in, with the names of its parts.
    secrets: [Pair; 2],
}

/// A Secret, and its keys with a certificate and its key.
type Pair = (&'static str, &'static str, &'static str);

pub(super) static INJECTOR: Webhook = Webhook {
    configuration: "linkerd-proxy-injector-webhook-config",
    is_mutating: true,
    path: "/inject",
    service: "linkerd-proxy-injector",
    secrets: [
        ("linkerd-proxy-injector-k8s-tls", "tls.crt", "tls.key"),
        ("linkerd-proxy-injector-tls", "crt.pem", "key.pem"),
    ],
};
pub(super) static PROFILE: Webhook = Webhook {
    configuration: "linkerd-sp-validator-webhook-config",
    is_mutating: false,
    path: "/validate/profile",
    service: "linkerd-sp-validator",
    secrets: [
        ("linkerd-sp-validator-k8s-tls", "tls.crt", "tls.key"),
        ("linkerd-sp-validator-tls", "crt.pem", "key.pem"),
    ],
};
pub(super) static POLICY: Webhook = Webhook {
    configuration: "linkerd-policy-validator-webhook-config",
    is_mutating: false,
    path: "/validate/policy",
    service: "linkerd-policy-validator",
    secrets: [
        ("linkerd-policy-validator-k8s-tls", "tls.crt", "tls.key"),
        ("linkerd-policy-validator-tls", "crt.pem", "key.pem"),
    ],
};

const READ_INJECTOR: &[Need] = &[
    Need("get", MUTATING),
    Need("get", "configmaps"),
    Need("get", "secrets"),
];
const READ_VALIDATOR: &[Need] = &[
    Need("get", VALIDATING),
    Need("get", "configmaps"),
    Need("get", "secrets"),
];
const BACKED_INJECTOR: &[Need] = &[
    Need("get", MUTATING),
    Need("get", "services"),
    Need("list", "endpointslices.discovery.k8s.io"),
];
const BACKED_VALIDATOR: &[Need] = &[
    Need("get", VALIDATING),
    Need("get", "services"),
    Need("list", "endpointslices.discovery.k8s.io"),
];

const CERTIFICATE: Row = Row {
    category: Category::Webhooks,
    severity: Severity::Fatal,
    needs: READ_VALIDATOR,
    remedy: "where Ferrule keeps it: see that a pod of destination or proxy-injector runs and may \
             write the configuration (Lease ferrule-webhook-ca says which one does; its log, \
             why not). Where cert-manager does: see that its cainjector runs and that the \
             certificate is for the Service's name",
    retried: true,
    ..ROW
};
const RENEWAL: Row = Row {
    severity: Severity::Warning,
    retried: false,
    remedy: "renew it with what made it; one that Ferrule keeps: look into the log of the holder of \
             Lease ferrule-webhook-ca",
    ..CERTIFICATE
};
const ENDPOINTS: Row = Row {
    severity: Severity::Error,
    needs: BACKED_VALIDATOR,
    remedy: "see that the pods that the Service selects run and are ready: kubectl -n <ns> get \
             pods,endpointslices. Until then pods are not injected, or (failurePolicy Fail) not \
             created",
    ..CERTIFICATE
};
const REACHED: Row = Row {
    severity: Severity::Error,
    remedy: "see that the API server reaches port 8443 of the pods (firewalls of private \
             clusters, network policies), and that caBundle is who signed their certificate",
    ..CERTIFICATE
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "l5d-proxy-injector-webhook-cert-valid",
        title: "the injector's certificate is good, and the API server can verify it",
        after: &["l5d-existence-mwc"],
        needs: READ_INJECTOR,
        run: |look| Box::pin(valid(look, &INJECTOR)),
        ..CERTIFICATE
    },
    Row {
        id: "l5d-proxy-injector-webhook-cert-not-expiring-soon",
        anchor: Some("l5d-webhook-cert-not-expiring-soon"),
        title: "the injector's certificate will be good for long",
        after: &["l5d-proxy-injector-webhook-cert-valid"],
        needs: READ_INJECTOR,
        run: |look| Box::pin(in_date_for_long(look, &INJECTOR)),
        ..RENEWAL
    },
    Row {
        id: "l5d-sp-validator-webhook-cert-valid",
        title: "the ServiceProfile webhook's certificate is good, and the API server can verify it",
        after: &["l5d-existence-vwc"],
        run: |look| Box::pin(valid(look, &PROFILE)),
        ..CERTIFICATE
    },
    Row {
        id: "l5d-sp-validator-webhook-cert-not-expiring-soon",
        anchor: Some("l5d-webhook-cert-not-expiring-soon"),
        title: "the ServiceProfile webhook's certificate will be good for long",
        after: &["l5d-sp-validator-webhook-cert-valid"],
        run: |look| Box::pin(in_date_for_long(look, &PROFILE)),
        ..RENEWAL
    },
    Row {
        id: "l5d-policy-validator-webhook-cert-valid",
        title: "the policy webhook's certificate is good, and the API server can verify it",
        after: &["l5d-existence-vwc"],
        run: |look| Box::pin(valid(look, &POLICY)),
        ..CERTIFICATE
    },
    Row {
        id: "l5d-policy-validator-webhook-cert-not-expiring-soon",
        anchor: Some("l5d-webhook-cert-not-expiring-soon"),
        title: "the policy webhook's certificate will be good for long",
        after: &["l5d-policy-validator-webhook-cert-valid"],
        run: |look| Box::pin(in_date_for_long(look, &POLICY)),
        ..RENEWAL
    },
    Row {
        id: "l5d-proxy-injector-webhook-endpoints",
        anchor: Some("l5d-webhook-endpoints"),
        title: "the injector's Service has endpoints",
        after: &["l5d-existence-mwc"],
        needs: BACKED_INJECTOR,
        run: |look| Box::pin(backed(look, &INJECTOR)),
        ..ENDPOINTS
    },
    Row {
        id: "l5d-sp-validator-webhook-endpoints",
        anchor: Some("l5d-webhook-endpoints"),
        title: "the ServiceProfile webhook's Service has endpoints",
        after: &["l5d-existence-vwc"],
        run: |look| Box::pin(backed(look, &PROFILE)),
        ..ENDPOINTS
    },
    Row {
        id: "l5d-policy-validator-webhook-endpoints",
        anchor: Some("l5d-webhook-endpoints"),
        title: "the policy webhook's Service has endpoints",
        after: &["l5d-existence-vwc"],
        run: |look| Box::pin(backed(look, &POLICY)),
        ..ENDPOINTS
    },
    Row {
        id: "l5d-proxy-injector-webhook-reachable",
        anchor: Some("l5d-webhook-reachable"),
        title: "a pod that asks for a proxy gets one (tried by a dry run)",
        after: &["l5d-existence-mwc"],
        needs: &[
            Need("get", MUTATING),
            Need("list", "namespaces"),
            Need("create", "pods"),
        ],
        run: |look| Box::pin(is_called(look, &INJECTOR, Invalid::Pod)),
        ..REACHED
    },
    Row {
        id: "l5d-sp-validator-webhook-reachable",
        anchor: Some("l5d-webhook-reachable"),
        title: "a ServiceProfile that means nothing is refused (tried by a dry run)",
        after: &["l5d-existence-vwc"],
        needs: &[
            Need("get", VALIDATING),
            Need("list", "namespaces"),
            Need("create", "serviceprofiles.linkerd.io"),
        ],
        run: |look| Box::pin(is_called(look, &PROFILE, Invalid::Profile)),
        ..REACHED
    },
    Row {
        id: "l5d-policy-validator-webhook-reachable",
        anchor: Some("l5d-webhook-reachable"),
        title: "a policy that means nothing is refused (tried by a dry run)",
        after: &["l5d-existence-vwc"],
        needs: &[
            Need("get", VALIDATING),
            Need("list", "namespaces"),
            Need("create", "networkauthentications.policy.linkerd.io"),
        ],
        run: |look| Box::pin(is_called(look, &POLICY, Invalid::Policy)),
        ..REACHED
    },
    Row {
        id: "l5d-webhook-failure-policy",
        title: "an injector that pods wait for has a replica to spare",
        category: Category::Webhooks,
        severity: Severity::Warning,
        after: &["l5d-existence-mwc"],
        needs: &[Need("get", MUTATING), Need("list", "deployments.apps")],
        remedy: "run at least two (controllerReplicas), or set webhookFailurePolicy: Ignore: with \
                 Fail no pod is created while the injector is away",
        run: |look| Box::pin(failure_policy(look)),
        ..ROW
    },
    Row {
        id: "l5d-webhook-kube-system",
        title: "the injector is not asked about kube-system",
        category: Category::Webhooks,
        severity: Severity::Warning,
        after: &["l5d-existence-mwc"],
        needs: &[Need("get", MUTATING), Need("list", "namespaces")],
        remedy: "exempt it in proxyInjector.namespaceSelector, or label it: kubectl label ns \
                 kube-system config.linkerd.io/admission-webhooks=disabled. Else a cluster that \
                 is to start again may wait for an injector that waits for it",
        run: |look| Box::pin(kube_system(look)),
        ..ROW
    },
];

/// An entry of a configuration.
struct Entry {
    name: String,
    client: WebhookClientConfig,
    failure_policy: String,
    namespaces: Option<LabelSelector>,
}

impl Entry {
    /// The path that is called, if it is in this control plane.
    fn path(&self, namespace: &str) -> Option<String> {
        match (&self.client.service, &self.client.url) {
            (Some(service), _) => {
                let path = service.path.clone().unwrap_or_else(|| "/".to_owned());
                (service.namespace == namespace).then_some(path)
            }
            (None, Some(url)) => Some(url.parse::<Uri>().ok()?.path().to_owned()),
            (None, None) => None,
        }
    }
}

impl Webhook {
    /// Secrets that may hold the certificate of the Service that an entry calls: one may
    /// serve several webhooks.
    fn secrets_of(&self, entry: &Entry) -> &'static [Pair] {
        let service = entry
            .client
            .service
            .as_ref()
            .map_or(self.service, |of| &of.name);
        let known = [&INJECTOR, &PROFILE, &POLICY];
        let of = known.into_iter().find(|webhook| webhook.service == service);
        of.map_or(&[], |webhook| &webhook.secrets)
    }

    /// All entries of its configuration; `None` if there is none.
    async fn entries(&self, look: &Look) -> Read<Option<Vec<Entry>>> {
        let name = self.configuration;
        if self.is_mutating {
            let found: Option<MutatingWebhookConfiguration> = get(look.everywhere(), name).await?;
            return Ok(found.map(|found| {
                let webhooks = found.webhooks.into_iter().flatten();
                let entries = webhooks.map(|webhook| Entry {
                    name: webhook.name,
                    client: webhook.client_config,
                    failure_policy: webhook.failure_policy.unwrap_or_default(),
                    namespaces: webhook.namespace_selector,
                });
                entries.collect()
            }));
        }
        let found: Option<ValidatingWebhookConfiguration> = get(look.everywhere(), name).await?;
        Ok(found.map(|found| {
            let webhooks = found.webhooks.into_iter().flatten();
            let entries = webhooks.map(|webhook| Entry {
                name: webhook.name,
                client: webhook.client_config,
                failure_policy: webhook.failure_policy.unwrap_or_default(),
                namespaces: webhook.namespace_selector,
            });
            entries.collect()
        }))
    }

    /// Those that call Ferrule.
    async fn ours(&self, look: &Look) -> Result<Vec<Entry>, Problem> {
        let entries = self.entries(look).await?.unwrap_or_default();
        let ours = entries.into_iter();
        let ours = ours.filter(|entry| {
            entry
                .path(look.namespace())
                .is_some_and(|of| of == self.path)
        });
        let ours: Vec<_> = ours.collect();
        match ours.is_empty() {
            true => Err(Problem::not_applicable("it is not registered")),
            false => Ok(ours),
        }
    }

    /// Why it is not called, as far as its configuration says.
    pub(super) async fn is_missing(&self, look: &Look) -> Read<Option<String>> {
        let name = self.configuration;
        let Some(entries) = self.entries(look).await? else {
            return Ok(Some(format!("there is no {name}")));
        };
        let mut paths = entries
            .iter()
            .filter_map(|entry| entry.path(look.namespace()));
        if paths.any(|path| path == self.path) {
            return Ok(None);
        }
        let is_linkerds = entries
            .iter()
            .any(|entry| entry.path(look.namespace()).is_some_and(|path| path == "/"));
        let path = self.path;
        Ok(Some(match is_linkerds {
            true => format!("{name} is Linkerd's: it calls / and not {path}"),
            false => format!(
                "{name} has no webhook that calls {path} in {}",
                look.namespace()
            ),
        }))
    }
}

async fn backed(look: &Look, webhook: &Webhook) -> Answer {
    let mut wrong = Vec::new();
    for entry in webhook.ours(look).await? {
        let Some(service) = &entry.client.service else {
            return Err(Problem::not_applicable("it is called by a URL"));
        };
        let name = &service.name;
        let full_name = format!("Service {}/{name}", service.namespace);
        let found = get::<Service>(of(&look.client, &service.namespace), name).await?;
        if found.is_none() {
            wrong.push(format!("there is no {full_name}"));
            continue;
        }
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let count = |slice: EndpointSlice| {
            let ready = slice.endpoints.iter().filter(|endpoint| {
                let conditions = endpoint.conditions.as_ref();
                conditions.and_then(|of| of.ready).unwrap_or(true)
            });
            ready.count()
        };
        let ready = all(of(&look.client, &service.namespace), params, count).await?;
        if ready.iter().sum::<usize>() == 0 {
            wrong.push(format!("{full_name} has no endpoint that is ready"));
        }
    }
    none_of(wrong)
}

async fn failure_policy(look: &Look) -> Answer {
    let fails = INJECTOR
        .ours(look)
        .await?
        .iter()
        .any(|entry| entry.failure_policy == "Fail");
    if !fails {
        return Ok(());
    }
    let deployments = look.deployments().await?;
    let injector = deployments
        .iter()
        .find(|deployment| deployment.metadata.name.as_deref() == Some("linkerd-proxy-injector"));
    let Some(injector) = injector else {
        return Err(Problem::not_applicable(
            "there is no Deployment linkerd-proxy-injector",
        ));
    };
    let replicas = injector
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    none_of((replicas < 2).then(|| {
        format!("its failurePolicy is Fail, and Deployment linkerd-proxy-injector has {replicas}")
    }))
}

async fn kube_system(look: &Look) -> Answer {
    let labels = namespace_labels(look, "kube-system").await?;
    let entries = INJECTOR.ours(look).await?;
    let asked = entries
        .iter()
        .filter(|entry| crate::selector::selects(entry.namespaces.as_ref(), &labels));
    none_of(asked.map(|entry| {
        let policy = &entry.failure_policy;
        format!("{} selects it, with failurePolicy {policy}", entry.name)
    }))
}

async fn namespace_labels(
    look: &Look,
    name: &str,
) -> Read<std::collections::BTreeMap<String, String>> {
    let all = look.namespaces().await?;
    let found = all
        .iter()
        .find(|of| of.metadata.name.as_deref() == Some(name));
    let mut labels = found
        .and_then(|of| of.metadata.labels.clone())
        .unwrap_or_default();
    labels.insert(NAME_LABEL.to_owned(), name.to_owned());
    Ok(labels)
}
