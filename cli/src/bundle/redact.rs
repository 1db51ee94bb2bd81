//! What nobody else is to read is taken out of what is shown to others.

use serde_json::Value;

const GONE: &str = "[redacted]";
/// Annotations that repeat the whole object, data of Secrets too.
const COPIES: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];
/// Parts of names of environment variables and values that are secret.
const SECRET: [&str; 6] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "apikey",
];

/// An object without what is secret in it, and without what nobody reads.
pub(super) fn object(mut object: Value) -> Value {
    let is_secret = object["kind"] == "Secret";
    // Schemas are the chart's, and long.
    let versions = object
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(version) = version.as_object_mut() {
            version.remove("schema");
        }
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.retain(|key, _| !COPIES.contains(&&**key));
        }
    }
    if is_secret {
        for part in ["data", "stringData"] {
            let entries = object.get_mut(part).and_then(Value::as_object_mut);
            for (_, value) in entries.into_iter().flatten() {
                *value = GONE.into();
            }
        }
    }
    walk(&mut object);
    object
}

/// Environment variables with secret names, and secrets in any text.
fn walk(value: &mut Value) {
    match value {
        Value::String(content) => {
            let shown = text(content);
            if shown != *content {
                *content = shown;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::Object(entries) => {
            let name = entries.get("name").and_then(Value::as_str);
            let is_secret = name.is_some_and(is_secret);
            if let Some(value) = entries.get_mut("value").filter(|_| is_secret) {
                *value = GONE.into();
            }
            entries.values_mut().for_each(walk);
        }
        _ => {}
    }
}

/// Files and paths of tokens are no secrets.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['_', '-'], "");
    let is_place = name.ends_with("file") || name.ends_with("path") || name.ends_with("dir");
    !is_place && SECRET.iter().any(|part| name.contains(part))
}

/// A text without private keys and tokens.
pub(super) fn text(text: &str) -> String {
    tokens(&keys(text))
}

/// Without what is between the lines of a private key.
fn keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    const KEY: &str = "PRIVATE KEY-----";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let (before, block) = rest.split_at(begin);
        shown += before;
        // The label of a block is on its first line.
        let label = block.split(['\n', '\\']).next().unwrap_or_default();
        if !label.contains(KEY) {
            shown += BEGIN;
            rest = &block[BEGIN.len()..];
            continue;
        }
        shown += GONE;
        let end = block.match_indices(KEY).nth(1);
        rest = end.map_or("", |(at, _)| &block[at + KEY.len()..]);
    }
    shown + rest
}

/// Without JSON Web Tokens: three parts of base64 with dots between them.
fn tokens(text: &str) -> String {
    const START: &str = "eyJ";
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(START) {
        let (before, token) = rest.split_at(start);
        let end = token.find(|letter| !is_part(letter)).unwrap_or(token.len());
        let (token, after) = token.split_at(end);
        shown += before;
        let is_token = token.split('.').filter(|part| part.len() > 2).count() == 3;
        shown += if is_token { GONE } else { token };
        rest = after;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";

    #[test]
    fn keys_and_tokens_go_and_certificates_stay() {
        for (given, shown) in [
            (format!("a\n{KEY}\nb"), format!("a\n{GONE}\nb")),
            (
                format!("{CERTIFICATE}\n{KEY}\n{KEY}"),
                format!("{CERTIFICATE}\n{GONE}\n{GONE}"),
            ),
            (KEY.replace('\n', "\\n"), GONE.to_owned()),
            (KEY[..40].to_owned(), GONE.to_owned()),
            (CERTIFICATE.to_owned(), CERTIFICATE.to_owned()),
            (
                "Bearer eyJhbGciOi.eyJpc3Mi.c2lnbmF0dXJl!".to_owned(),
                format!("Bearer {GONE}!"),
            ),
            (
                "eyJust a word, keyJar.x".to_owned(),
                "eyJust a word, keyJar.x".to_owned(),
            ),
            ("ü eyJ".to_owned(), "ü eyJ".to_owned()),
        ] {
            assert_eq!(text(&given), shown);
        }
    }

    #[test]
    fn of_a_secret_the_names_stay() {
        let secret = json!({
            "kind": "Secret",
            "metadata": {
                "name": "a", "managedFields": [],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "b": "c"},
            },
            "data": {"tls.key": "c2VjcmV0"},
        });
        let expected = json!({
            "kind": "Secret", "metadata": {"name": "a", "annotations": {"b": "c"}},
            "data": {"tls.key": GONE},
        });
        assert_eq!(object(secret), expected);
    }

    #[test]
    fn secrets_in_the_environment_go_wherever_it_is() {
        let env = json!([
            {"name": "DB_PASSWORD", "value": "a"}, {"name": "API-KEY", "value": "b"},
            {"name": "LINKERD2_PROXY_IDENTITY_TOKEN_FILE", "value": "/var/token"},
            {"name": "LOG", "value": "info"}, {"name": "TOKEN", "valueFrom": {}},
        ]);
        let pod = json!({"kind": "Pod", "spec": {"containers": [{"name": "secret", "env": env}]}});
        let shown = object(pod);
        let values: Vec<_> = shown["spec"]["containers"][0]["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["value"].as_str())
            .collect();
        assert_eq!(
            values,
            [
                Some(GONE),
                Some(GONE),
                Some("/var/token"),
                Some("info"),
                None
            ]
        );
    }
}
