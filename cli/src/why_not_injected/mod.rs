//! `ferrule why-not-injected`: why a pod has no proxy, and what to do about it.
//!
//! ```text
//!  API server ─> Facts ─> explain (registration's selectors, then the injector itself)
//!                            └─> reasons with remedies ─> report
//! ```

mod explain;
mod registration;
mod report;

use self::{
    explain::{Facts, explain},
    registration::{CONFIGURATION, Registration},
};
use crate::{
    Error, check,
    cluster::{ClusterFlags, ControlPlane},
    credential_names::CredentialNames,
    output::{self, Colours, Format},
    read::{all, each, get, of},
    subject::{Subject, SubjectName},
};
use clap::Args;
use ferrule_identity::TRUST_ROOTS_KEY;
use ferrule_proxy_injector::{Injector, TrustAnchors, Values};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    core::v1::{ConfigMap, Event, Namespace},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

pub(crate) const EXAMPLES: &str = "\
It looks at what the API server has of the pod, its namespace and the injector's
webhook, and then asks the injector's own code. Of pods that were never created ask about
their workload.

Examples:
  ferrule why-not-injected web-5d4c-x2v8q -n shop
  ferrule why-not-injected deploy/web -n shop
  ferrule why-not-injected cronjob/nightly -n shop -o json";

/// How many refusals are told.
const REFUSALS: usize = 3;

/// Says why a pod has no proxy, or not the one that it would get today.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WhyNotInjected {
    /// A pod, or KIND/NAME of a workload
    #[arg(value_name = "[KIND/]NAME")]
    subject: SubjectName,

    /// Its namespace
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,

    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    colours: Colours,

    #[command(flatten)]
    control_plane: ControlPlane,

    #[command(flatten)]
    cluster: ClusterFlags,
}

impl WhyNotInjected {
    /// Prints reasons, with what to do, to standard output.
    ///
    /// # Errors
    /// If what is asked about is not there, or something cannot be read.
    pub async fn run(self) -> Result<(), Error> {
        let client = self.cluster.api_server().await?;
        let facts = self.facts(&client).await?;
        let explanation = explain(&facts);
        let printed = match self.output {
            Format::Table => output::print_as_it_is(&explanation.text(self.colours.are_wanted())),
            Format::Json => output::print_json(&explanation),
        };
        output::seen_enough(printed.map_err(Error::from))
    }

    async fn facts(&self, client: &Client) -> Result<Facts, Error> {
        let subject = Subject::read(client, &self.subject, &self.namespace).await?;
        let namespace: Option<Namespace> = get(Api::all(client.clone()), &self.namespace).await?;
        let namespace = namespace.and_then(|found| serde_json::to_value(found).ok());
        let control_plane = &self.control_plane.namespace;
        let names = CredentialNames::read(client, control_plane).await?;
        Ok(Facts {
            namespace,
            registration: registration(client).await?,
            injector: self.injector(client, &names.trust_roots).await?,
            trust_roots: names.trust_roots,
            refusals: refusals(client, &subject).await?,
            subject,
        })
    }

    /// The injector as the cluster has it; else why there is none.
    async fn injector(
        &self,
        client: &Client,
        trust_roots: &str,
    ) -> Result<Result<Injector, String>, Error> {
        let namespace = &self.control_plane.namespace;
        let config: Option<ConfigMap> = get(of(client, namespace), check::CONFIG).await?;
        let Some(config) = config else {
            let config = check::CONFIG;
            return Ok(Err(format!(
                "there is no control plane in namespace {namespace} (no ConfigMap {config})"
            )));
        };
        let text = config.data.unwrap_or_default().remove("values");
        let (values, problems) = Values::parse(&text.unwrap_or_default())?;
        for problem in problems {
            output::note(&format!("warning: {problem}"));
        }
        let anchors: Option<ConfigMap> = get(of(client, namespace), trust_roots).await?;
        let anchors = anchors.and_then(|map| map.data?.remove(TRUST_ROOTS_KEY));
        Ok(Ok(Injector {
            values,
            trust_anchors: TrustAnchors::new(anchors.unwrap_or_default()),
            control_plane_namespace: namespace.clone(),
            created_by: concat!("ferrule/cli ", env!("CARGO_PKG_VERSION")).to_owned(),
        }))
    }
}

async fn registration(client: &Client) -> Result<Registration, Error> {
    let configuration: Option<MutatingWebhookConfiguration> =
        get(Api::all(client.clone()), CONFIGURATION).await?;
    let mut registration = Registration::default();
    let webhooks = configuration
        .iter()
        .flat_map(|of| of.webhooks.iter().flatten());
    for service in webhooks.filter_map(|webhook| webhook.client_config.service.as_ref()) {
        let (namespace, name) = (service.namespace.clone(), service.name.clone());
        let label = format!("kubernetes.io/service-name={name}");
        let mut ready = 0;
        let slices: Api<EndpointSlice> = of(client, &namespace);
        each(slices, ListParams::default().labels(&label), |slice| {
            let endpoints = slice.endpoints.iter().filter(|endpoint| {
                let conditions = endpoint.conditions.as_ref();
                conditions.is_none_or(|of| of.ready.unwrap_or(true))
            });
            ready += endpoints.count();
        })
        .await?;
        registration.ready.insert((namespace, name), ready);
    }
    registration.configuration = configuration;
    Ok(registration)
}

/// What API servers said last to the controllers that create the pods of a workload.
async fn refusals(client: &Client, subject: &Subject) -> Result<Vec<String>, Error> {
    if subject.is_pod {
        return Ok(Vec::new());
    }
    let params = ListParams::default().fields("reason=FailedCreate,type=Warning");
    let events: Api<Event> = of(client, &subject.namespace);
    let mut found = all(events, params, |event| event).await?;
    // A Deployment's ReplicaSet, and a CronJob's Job, are called after it.
    let start = format!("{}-", subject.name);
    found.retain(|event| {
        let name = event.involved_object.name.as_deref().unwrap_or_default();
        name == subject.name || name.starts_with(&start)
    });
    let time = |event: &Event| event.last_timestamp.as_ref().map(|time| time.0);
    found.sort_by_key(|event| std::cmp::Reverse(time(event)));
    let mut messages: Vec<String> = Vec::new();
    for event in found {
        let message = event.message.unwrap_or_default();
        if !messages.contains(&message) {
            messages.push(message);
        }
    }
    messages.truncate(REFUSALS);
    // Conditions last longer than events.
    if messages.is_empty() {
        messages.extend(failure(&subject.object));
    }
    Ok(messages)
}

/// What a workload's own status says.
fn failure(object: &Value) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    let failed = conditions
        .iter()
        .find(|one| one["type"] == "ReplicaFailure" && one["status"] == "True")?;
    failed["message"].as_str().map(ToOwned::to_owned)
}
