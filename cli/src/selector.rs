//! Which labels a selector selects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

/// Whether an object with these labels is selected; no selector selects all.
pub(crate) fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    unmet(selector, labels).is_none()
}

/// What of a selector keeps an object with these labels out, as `kubectl get -l` has it.
pub(crate) fn unmet(
    selector: Option<&LabelSelector>,
    labels: &BTreeMap<String, String>,
) -> Option<String> {
    let selector = selector?;
    let mut exact = selector.match_labels.iter().flatten();
    if let Some((key, value)) = exact.find(|(key, value)| labels.get(*key) != Some(value)) {
        return Some(format!("{key}={value}"));
    }
    selector.match_expressions.iter().flatten().find_map(|one| {
        let value = labels.get(&one.key);
        let values = one.values.as_deref().unwrap_or_default();
        let is_in = value.is_some_and(|value| values.contains(value));
        let (key, listed) = (&one.key, values.join(", "));
        let (is_met, text) = match one.operator.as_str() {
            "In" => (is_in, format!("{key} in ({listed})")),
            "NotIn" => (!is_in, format!("{key} notin ({listed})")),
            "Exists" => (value.is_some(), key.clone()),
            // DoesNotExist; API servers store no other.
            _ => (value.is_none(), format!("!{key}")),
        };
        (!is_met).then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_is_read_as_the_api_server_does() {
        let labels = [("a".to_owned(), "1".to_owned())].into();
        for (selector, is_selected) in [
            (json!({}), true),
            (json!({"matchLabels": {"a": "1"}}), true),
            (json!({"matchLabels": {"a": "2"}}), false),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "b", "operator": "Exists"}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}),
                true,
            ),
        ] {
            let read: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(selects(Some(&read), &labels), is_selected, "{selector}");
        }
        assert!(selects(None, &labels));
    }

    #[test]
    fn what_keeps_an_object_out_is_told_as_kubectl_has_it() {
        let labels = [("a".to_owned(), "1".to_owned())].into();
        for (selector, told) in [
            (json!({"matchLabels": {"a": "1"}}), None),
            (json!({"matchLabels": {"a": "2"}}), Some("a=2")),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["2", "3"]}]}),
                Some("a in (2, 3)"),
            ),
            (
                json!({"matchExpressions": [
                    {"key": "a", "operator": "Exists"},
                    {"key": "a", "operator": "NotIn", "values": ["1"]},
                ]}),
                Some("a notin (1)"),
            ),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}),
                Some("!a"),
            ),
        ] {
            let read: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(unmet(Some(&read), &labels).as_deref(), told, "{selector}");
        }
    }
}
