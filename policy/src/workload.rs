use serde::Deserialize;
use thiserror::Error;

/// What a proxy says it is the proxy of, with every question about policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The namespace.
    pub namespace: String,
    /// The workload in it.
    pub name: WorkloadName,
}

/// A workload's kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadName {
    /// A Pod.
    Pod(String),
    /// An ExternalWorkload.
    ExternalWorkload(String),
}

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

impl Workload {
    /// Reads what the injector has proxies say: JSON, or the older
    /// `namespace:pod` (policy.md section 5.1). White space around it is ignored:
    /// proxies send the variable as it is, and a YAML block ends with a newline.
    ///
    /// # Errors
    /// If it is neither, or a name is missing or empty.
    pub fn parse(text: &str) -> Result<Self, WorkloadError> {
        let trimmed = text.trim();
        let read = if trimmed.starts_with('{') {
            Self::from_json(trimmed)
        } else {
            let parts = trimmed.split_once(':');
            parts.map(|(namespace, pod)| Self {
                namespace: namespace.to_owned(),
                name: WorkloadName::Pod(pod.to_owned()),
            })
        };
        read.filter(|workload| !workload.namespace.is_empty() && !workload.name().is_empty())
            .ok_or_else(|| WorkloadError(text.chars().take(100).collect()))
    }

    fn from_json(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let name = match (json.pod, json.external_workload) {
            (Some(pod), None) => WorkloadName::Pod(pod),
            (None, Some(external)) => WorkloadName::ExternalWorkload(external),
            _ => return None,
        };
        Some(Self {
            namespace: json.ns,
            name,
        })
    }

    fn name(&self) -> &str {
        match &self.name {
            WorkloadName::Pod(name) | WorkloadName::ExternalWorkload(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_the_older_form_name_a_workload() {
        let pod = |namespace: &str, name: &str| {
            Ok(Workload {
                namespace: namespace.into(),
                name: WorkloadName::Pod(name.into()),
            })
        };
        for (text, expected) in [
            ("a:web", pod("a", "web")),
            ("a:web:1", pod("a", "web:1")),
            (r#"{"ns":"a","pod":"web"}"#, pod("a", "web")),
            ("{\"ns\":\"a\", \"pod\":\"web\"}\n", pod("a", "web")),
            (r#"{"ns":"a","pod":"web","nodeName":"n1"}"#, pod("a", "web")),
            (
                r#"{"ns":"a","external_workload":"vm"}"#,
                Ok(Workload {
                    namespace: "a".into(),
                    name: WorkloadName::ExternalWorkload("vm".into()),
                }),
            ),
        ] {
            assert_eq!(Workload::parse(text), expected, "{text}");
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
            assert_eq!(Workload::parse(text), Err(WorkloadError(text.into())));
        }
    }

    #[test]
    fn a_long_text_is_quoted_in_part() {
        let error = Workload::parse(&"x".repeat(60_000)).expect_err("no colon");
        assert!(error.to_string().len() < 400, "{error}");
    }
}
