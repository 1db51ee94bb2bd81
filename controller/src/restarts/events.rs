//! Tells people at the workload what was done about it, or why not.
//!
//! Who takes over tells it again. An Event's name follows from what it tells, so there is
//! one of it for as long as the API server keeps it.

use crate::events::{self, Told, name_for};
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use kube::{Api, Client, api::PostParams};
use std::time::Duration;

const COMPONENT: &str = "linkerd-destination";
/// How long an Event may take to be written; it is given up then.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why an Event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Restarted,
    Waits,
    Refused,
    Stuck,
    Futile,
    Unreadable,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Restarted => "RestartedForTrustAnchor",
            Self::Waits => "RestartForTrustAnchorWaits",
            Self::Refused => "RestartForTrustAnchorRefused",
            Self::Stuck => "RestartForTrustAnchorStuck",
            Self::Futile => "RestartForTrustAnchorInVain",
            Self::Unreadable => "RestartForTrustAnchorUnreadable",
        }
    }

    fn is_normal(self) -> bool {
        matches!(self, Self::Restarted | Self::Waits)
    }
}

/// What an Event is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) api_version: &'a str,
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: Option<&'a str>,
}

/// Writes Events and the log.
pub(super) struct Teller(Client);

impl Teller {
    pub(super) fn new(client: &Client) -> Self {
        Self(client.clone())
    }

    /// Tells of it; `thing` is what happened, as all who tell of it would say it. What
    /// cannot be written is in the log.
    pub(super) async fn tell(&self, about: About<'_>, reason: Reason, text: &str, thing: &str) {
        let About {
            kind,
            namespace,
            name,
            ..
        } = about;
        if reason.is_normal() {
            tracing::info!(kind, namespace, name, "{text}");
        } else {
            tracing::warn!(kind, namespace, name, "{text}");
        }
        let events: Api<Event> = Api::namespaced(self.0.clone(), namespace);
        let params = PostParams::default();
        let event = event(about, reason, text, thing);
        match super::within(TIMEOUT, events.create(&params, &event)).await {
            Ok(_) => {}
            // Whoever led before has told it.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => tracing::debug!("an Event cannot be written: {error}"),
        }
    }
}

fn event(about: About<'_>, reason: Reason, text: &str, thing: &str) -> Event {
    let (kind, uid) = (about.kind, about.uid.unwrap_or_default());
    let thing = format!("{} {kind} {uid} {thing}", reason.as_str());
    let told = Told {
        component: COMPONENT,
        object: ObjectReference {
            api_version: Some(about.api_version.to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(about.name.to_owned()),
            namespace: Some(about.namespace.to_owned()),
            uid: about.uid.map(ToOwned::to_owned),
            ..ObjectReference::default()
        },
        is_normal: reason.is_normal(),
        reason: reason.as_str(),
        message: text,
    };
    events::event(name_for(about.name, &thing), told)
}
