//! What of an object a message is about.

/// The steps to the field that a message is about: names of fields and numbers of
/// items. It begins with the path to it, as in `spec.rules[0].filters[1]: ...`, or
/// with `annotation KEY: ...`.
pub(super) fn path(message: &str) -> Vec<String> {
    let head = message.split_once(": ").map_or(message, |(head, _)| head);
    if let Some(key) = head.strip_prefix("annotation ") {
        return ["metadata", "annotations", key].map(str::to_owned).into();
    }
    let steps = head.split(['.', '[']);
    let steps = steps.map(|step| step.trim_end_matches(']').to_owned());
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_with_the_path_that_it_is_about() {
        for (message, steps) in [
            ("spec: missing field `port`", &["spec"][..]),
            (
                "spec.networks[0].except[12]: x",
                &["spec", "networks", "0", "except", "12"],
            ),
            ("spec.networks[].cidr: x", &["spec", "networks", "", "cidr"]),
            (
                "annotation a.b/c: x: y",
                &["metadata", "annotations", "a.b/c"],
            ),
            ("unsupported", &["unsupported"]),
        ] {
            assert_eq!(path(message), steps, "{message}");
        }
    }
}
