//! Metrics that can be shown to others: names of workloads are hashes.

use aws_lc_rs::digest;

/// Labels whose values say what somebody runs.
const NAMES: [&str; 6] = [
    "authority",
    "client_id",
    "server_id",
    "target_addr",
    "dst_service",
    "dst_namespace",
];
/// How much of a SHA-256 is written: enough to tell values apart.
const BYTES: usize = 4;

/// The same metrics, with hashes for names.
pub(crate) fn obfuscated(metrics: &str) -> String {
    let mut text = String::with_capacity(metrics.len());
    for line in metrics.split_inclusive('\n') {
        match line.starts_with('#') {
            true => text += line,
            false => series(line, &mut text),
        }
    }
    text
}

/// Writes a series: `name{key="value",...} 1`.
fn series(line: &str, text: &mut String) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("=\"") {
        let Some(end) = end_of_value(after) else {
            break;
        };
        let (value, after) = after.split_at(end);
        let key = before.rsplit(['{', ',']).next().unwrap_or_default();
        text.push_str(before);
        text.push_str("=\"");
        match NAMES.contains(&key.trim()) && !value.is_empty() {
            true => text.push_str(&hash(value)),
            false => text.push_str(value),
        }
        text.push('"');
        rest = &after[1..];
    }
    text.push_str(rest);
}

/// Where the quote that ends a value is, as far as there is one.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices()
        .find(|(_, letter)| {
            let is_end = *letter == '"' && !escaped;
            escaped = *letter == '\\' && !escaped;
            is_end
        })
        .map(|(at, _)| at)
}

fn hash(value: &str) -> String {
    let digest = digest::digest(&digest::SHA256, value.as_bytes());
    let bytes = digest.as_ref().iter().take(BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_workloads_are_hashes_and_the_rest_stays() {
        let metrics = "\
# HELP request_total of authority=\"web\"
request_total{direction=\"outbound\",authority=\"web.shop:80\",dst_service=\"web\",odd=\"a\\\"b,authority=\"} 4
request_total{authority=\"\"} 1
up 1
";
        let expected = "\
# HELP request_total of authority=\"web\"
request_total{direction=\"outbound\",authority=\"HASH1\",dst_service=\"HASH2\",odd=\"a\\\"b,authority=\"} 4
request_total{authority=\"\"} 1
up 1
";
        let expected = expected
            .replace("HASH1", &hash("web.shop:80"))
            .replace("HASH2", &hash("web"));
        assert_eq!(obfuscated(metrics), expected);
        // SHA-256 of "web", its first four bytes.
        assert_eq!(hash("web"), "4b5e57f6");
    }

    #[test]
    fn what_is_cut_short_is_left_as_it_is() {
        for text in ["a{authority=\"web", "a{authority", "="] {
            assert_eq!(obfuscated(text), text);
        }
    }
}
