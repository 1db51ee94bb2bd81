use serde::Deserialize;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a proxy says of itself with every lookup: its `context_token`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ProxyContext {
    /// The proxy's namespace: whose ServiceProfiles come first.
    #[serde(default, rename = "ns", deserialize_with = "null_as_empty")]
    pub namespace: String,
    /// The proxy's node: in which zone it is.
    #[serde(default, rename = "nodeName", deserialize_with = "null_as_empty")]
    pub node: String,
    /// The proxy's pod, for logs only.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub pod: String,
}

impl ProxyContext {
    /// Reads a token: JSON, or the legacy `ns:NAMESPACE`. One that is neither is
    /// logged and means nothing, never an error (destination.md section 3).
    pub fn parse(token: &str) -> Self {
        let token = token.trim();
        if token.is_empty() {
            return Self::default();
        }
        // Of an array serde would take the elements for the fields.
        if token.starts_with('{')
            && let Ok(context) = serde_json::from_str(token)
        {
            return context;
        }
        if let Some(("ns", namespace)) = token.split_once(':')
            && !namespace.contains(':')
        {
            return Self {
                namespace: namespace.to_owned(),
                ..Self::default()
            };
        }
        let shown: String = token.chars().take(100).collect();
        warn_at_most_every(Duration::from_secs(10), &shown);
        Self::default()
    }
}

/// Proxies of one faulty template all send the same, and come back together.
fn warn_at_most_every(pause: Duration, token: &str) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() >= pause) {
        *last = Some(Instant::now());
        tracing::warn!(
            token,
            "the context token is neither JSON such as {{\"ns\":\"default\",\"nodeName\":\"node-1\"}} nor ns:NAMESPACE; ignored",
        );
    }
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_legacy_tokens_are_read_and_others_mean_nothing() {
        let context = |namespace: &str, node: &str, pod: &str| ProxyContext {
            namespace: namespace.into(),
            node: node.into(),
            pod: pod.into(),
        };
        for (token, expected) in [
            ("", context("", "", "")),
            (
                "{\"ns\":\"foo\",\"nodeName\":\"n1\"}\n",
                context("foo", "n1", ""),
            ),
            (
                "{\"ns\":\"foo\",\"nodeName\":\"n1\",\"pod\":\"p\",\"x\":1}",
                context("foo", "n1", "p"),
            ),
            ("{\"nodeName\":null}", context("", "", "")),
            ("ns:foo", context("foo", "", "")),
            ("ns:foo:bar", context("", "", "")),
            ("123fa-test", context("", "", "")),
            ("{\"ns\":", context("", "", "")),
            ("[1]", context("", "", "")),
            ("[\"foo\"]", context("", "", "")),
            ("[\"foo\",\"n1\",\"p\"]", context("", "", "")),
        ] {
            assert_eq!(ProxyContext::parse(token), expected, "{token}");
        }
    }
}
