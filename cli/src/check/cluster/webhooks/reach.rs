//! Whether the API server reaches a webhook, tried by dry runs: it calls webhooks for
//! these as well, and nothing is stored. That something is stored that should have been
//! refused, or injected, is how a webhook shows that is away and may be done without.

use super::{Webhook, namespace_labels};
use crate::{
    check::cluster::{
        look::Look,
        row::{Answer, Problem},
    },
    read::is_denied,
    selector::selects,
};
use kube::{ResourceExt as _, client::Body};
use serde_json::{Value, json};

/// Something that its webhook does not leave as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// It asks for a proxy.
    Pod,
    /// It has a timeout that is no duration.
    Profile,
    /// It excepts from a network what is not in it.
    Policy,
}

const NAME: &str = "ferrule-check";

impl Invalid {
    fn path(self, namespace: &str) -> String {
        let (api, plural) = match self {
            Self::Pod => ("/api/v1", "pods"),
            Self::Profile => ("/apis/linkerd.io/v1alpha2", "serviceprofiles"),
            Self::Policy => ("/apis/policy.linkerd.io/v1alpha1", "networkauthentications"),
        };
        format!("{api}/namespaces/{namespace}/{plural}?dryRun=All")
    }

    fn access(self) -> &'static str {
        match self {
            Self::Pod => "create pods",
            Self::Profile => "create serviceprofiles.linkerd.io",
            Self::Policy => "create networkauthentications.policy.linkerd.io",
        }
    }

    fn object(self, namespace: &str) -> Value {
        let kind = |api: &str, kind: &str, name: &str, spec: &Value| {
            json!({
                "apiVersion": api, "kind": kind,
                "metadata": {"name": name, "annotations": {"linkerd.io/inject": "enabled"}},
                "spec": spec,
            })
        };
        match self {
            Self::Pod => {
                let spec = json!({"containers": [{"name": "check", "image": "check"}]});
                kind("v1", "Pod", NAME, &spec)
            }
            Self::Profile => {
                let route = json!({"name": "all", "condition": {"method": "GET"}, "timeout": "5"});
                let name = format!("{NAME}.{namespace}.svc.cluster.local");
                kind(
                    "linkerd.io/v1alpha2",
                    "ServiceProfile",
                    &name,
                    &json!({"routes": [route]}),
                )
            }
            Self::Policy => {
                let network = json!({"cidr": "10.0.0.0/8", "except": ["192.168.0.0/16"]});
                let spec = json!({"networks": [network]});
                kind(
                    "policy.linkerd.io/v1alpha1",
                    "NetworkAuthentication",
                    NAME,
                    &spec,
                )
            }
        }
    }
}

pub(super) async fn is_called(look: &Look, webhook: &Webhook, invalid: Invalid) -> Answer {
    let entries = webhook.ours(look).await?;
    let Some(namespace) = a_namespace(look, &entries).await? else {
        return Err(Problem::not_applicable("it is asked about no namespace"));
    };
    let object = invalid.object(&namespace);
    let request = http::Request::post(invalid.path(&namespace))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(object.to_string().into_bytes()));
    let request = request.map_err(|error| Problem::found(error.to_string()))?;
    let answer = look.client.send(request).await;
    let answer = answer.map_err(|error| Problem::found(crate::api::root_cause(&error)))?;
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await;
    let body = body.map_err(|error| Problem::found(crate::api::root_cause(&error)))?;
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = said["message"].as_str().unwrap_or_default();
    if status.is_success() {
        return accepted(invalid, &said, &namespace);
    }
    if status == http::StatusCode::NOT_FOUND {
        return Err(Problem::not_applicable(format!(
            "there is no such kind: {message}"
        )));
    }
    let is_named = entries.iter().any(|entry| message.contains(&entry.name));
    if is_named && message.contains("failed calling webhook") {
        return Err(Problem::found(message));
    }
    if is_named && invalid != Invalid::Pod {
        return Ok(());
    }
    if is_denied(message) {
        return Err(Problem::Forbidden(invalid.access().to_owned()));
    }
    Err(Problem::not_applicable(format!(
        "the dry run was refused by something else: {message}"
    )))
}

/// What it means that it would be stored.
fn accepted(invalid: Invalid, stored: &Value, namespace: &str) -> Answer {
    let Invalid::Pod = invalid else {
        return Err(Problem::found(format!(
            "the API server would store it in namespace {namespace}: the webhook was not reached, \
             and its failurePolicy is Ignore"
        )));
    };
    let containers = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| stored["spec"][list].as_array().into_iter().flatten());
    let mut containers = containers;
    if containers.any(|container| container["name"] == "linkerd-proxy") {
        return Ok(());
    }
    Err(Problem::found(format!(
        "a pod in namespace {namespace} came back without a proxy: the webhook was not reached, \
         and its failurePolicy is Ignore"
    )))
}

/// One that the webhook is asked about: where workloads are looked at, or `default`, or
/// any other.
async fn a_namespace(look: &Look, entries: &[super::Entry]) -> Result<Option<String>, Problem> {
    let wanted = look
        .scope
        .data_plane
        .as_deref()
        .unwrap_or("default")
        .to_owned();
    let all = look.namespaces().await?;
    let is_there = |name: &String| all.iter().any(|of| of.name_any() == *name);
    let others = all
        .iter()
        .filter(|of| of.metadata.deletion_timestamp.is_none());
    let names = std::iter::once(wanted)
        .filter(is_there)
        .chain(others.map(kube::ResourceExt::name_any));
    for name in names.filter(|name| name != look.namespace()) {
        let labels = namespace_labels(look, &name).await?;
        if entries
            .iter()
            .any(|entry| selects(entry.namespaces.as_ref(), &labels))
        {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
