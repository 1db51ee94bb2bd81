use crate::inbound::WorkloadKey;
use ferrule_cluster::object::ObjectKey;
use serde::Deserialize;
use thiserror::Error;

/// A text that names no workload.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    r#"{0:?} is no workload, expected {{"ns":"NAMESPACE","pod":"NAME"}}, {{"ns":"NAMESPACE","external_workload":"NAME"}} or NAMESPACE:POD"#
)]
pub struct WorkloadError(String);

#[derive(Deserialize)]
struct Json {
    ns: String,
    pod: Option<String>,
    external_workload: Option<String>,
}

impl WorkloadKey {
    /// Reads what a proxy says it is the proxy of, as the injector has it: JSON,
    /// or the older `namespace:pod` (policy.md section 5.1). White space around it
    /// is ignored: proxies send the variable as it is, and a YAML block ends with
    /// a newline.
    ///
    /// # Errors
    /// If it is neither, or a name is missing or empty.
    pub fn parse(text: &str) -> Result<Self, WorkloadError> {
        let trimmed = text.trim();
        let read = if trimmed.starts_with('{') {
            from_json(trimmed)
        } else {
            let parts = trimmed.split_once(':');
            parts.map(|(namespace, pod)| Self::Pod(ObjectKey::new(namespace, pod)))
        };
        read.filter(|workload| {
            let key = workload.key();
            !key.namespace.is_empty() && !key.name.is_empty()
        })
        .ok_or_else(|| WorkloadError(text.chars().take(100).collect()))
    }
}

fn from_json(text: &str) -> Option<WorkloadKey> {
    let json: Json = serde_json::from_str(text).ok()?;
    let key = |name: String| ObjectKey::new(&*json.ns, &*name);
    match (json.pod, json.external_workload) {
        (Some(pod), None) => Some(WorkloadKey::Pod(key(pod))),
        (None, Some(external)) => Some(WorkloadKey::ExternalWorkload(key(external))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_the_older_form_name_a_workload() {
        let pod =
            |namespace: &str, name: &str| Ok(WorkloadKey::Pod(ObjectKey::new(namespace, name)));
        for (text, expected) in [
            ("a:web", pod("a", "web")),
            ("a:web:1", pod("a", "web:1")),
            (r#"{"ns":"a","pod":"web"}"#, pod("a", "web")),
            ("{\"ns\":\"a\", \"pod\":\"web\"}\n", pod("a", "web")),
            (r#"{"ns":"a","pod":"web","nodeName":"n1"}"#, pod("a", "web")),
            (
                r#"{"ns":"a","external_workload":"vm"}"#,
                Ok(WorkloadKey::ExternalWorkload(ObjectKey::new("a", "vm"))),
            ),
        ] {
            assert_eq!(WorkloadKey::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_none_is_an_error() {
        for text in [
            "",
            "web",
            ":web",
            "ns:",
            "{",
            "{}",
            r#"{"ns":"a"}"#,
            r#"{"ns":"a","node":"x"}"#,
            r#"{"ns":"","pod":"web"}"#,
            r#"{"ns":"a","pod":""}"#,
            r#"{"pod":"web"}"#,
            r#"{"ns":"a","pod":"web","external_workload":"vm"}"#,
            r#"{"ns":"a","pod":1}"#,
        ] {
            assert_eq!(WorkloadKey::parse(text), Err(WorkloadError(text.into())));
        }
    }

    #[test]
    fn a_long_text_is_quoted_in_part() {
        let error = WorkloadKey::parse(&"x".repeat(60_000)).expect_err("no colon");
        assert!(error.to_string().len() < 400, "{error}");
    }
}
