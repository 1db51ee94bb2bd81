//! Kubernetes Events, as every part of the control plane writes them.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::api::ObjectMeta;
use std::fmt::Write as _;

/// The most of an object's name that is in an Event's: names end with 253 characters.
const LONGEST_NAME: usize = 200;
/// The most bytes of a message that the API server takes.
const LONGEST_MESSAGE: usize = 1024;

/// What people are told of an object.
pub(crate) struct Told<'a> {
    /// Who tells it: the name of a Deployment of the control plane.
    pub(crate) component: &'static str,
    /// In whose namespace the Event is.
    pub(crate) object: ObjectReference,
    /// Whether nobody need look into it.
    pub(crate) is_normal: bool,
    pub(crate) reason: &'static str,
    /// Cut where the API server would refuse it.
    pub(crate) message: &'a str,
}

/// The Event of this name that tells it, once, now.
pub(crate) fn event(name: String, told: Told<'_>) -> Event {
    let now = Time(Timestamp::now());
    let message = &told.message[..told.message.floor_char_boundary(LONGEST_MESSAGE)];
    let type_ = if told.is_normal { "Normal" } else { "Warning" };
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: told.object.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: told.object,
        reason: Some(told.reason.to_owned()),
        message: Some(message.to_owned()),
        type_: Some(type_.to_owned()),
        source: Some(EventSource {
            component: Some(told.component.to_owned()),
            host: None,
        }),
        reporting_component: Some(told.component.to_owned()),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        ..Event::default()
    }
}

/// A name for the one Event about the object of this name that there is to be for a thing
/// that happened, whoever tells of it, and however often: the API server keeps the first of
/// a name. `thing` is the same for all who tell of it, and another for everything else.
pub(crate) fn name_for(about: &str, thing: &str) -> String {
    let mut name = format!("{}.", shortened(about));
    let hash = digest(&SHA256, thing.as_bytes());
    for byte in hash.as_ref().iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// A part of an object's name that another may follow.
pub(crate) fn shortened(name: &str) -> &str {
    let name = &name[..name.floor_char_boundary(LONGEST_NAME)];
    name.trim_end_matches(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_one_thing_and_short_enough() {
        let name = name_for("web", "restarted at noon");
        assert_eq!(name, name_for("web", "restarted at noon"));
        assert_ne!(name, name_for("web", "restarted at one"));
        assert!(name.starts_with("web.") && name.len() == 20, "{name}");
        let long = name_for(&format!("{}-{}", "a".repeat(199), "b".repeat(50)), "");
        assert_eq!(long.len(), 199 + 17, "no - before the dot");
    }
}
