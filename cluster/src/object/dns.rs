/// The longest label (RFC 1123, section 2.1).
const LABEL: usize = 63;

/// Whether it is a label of a DNS name as Kubernetes names Services and
/// Namespaces: at most 63 lower-case letters, digits and `-`, the latter not at
/// either end.
pub fn is_dns_label(text: &str) -> bool {
    let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= LABEL
        && bytes.first().is_some_and(is_edge)
        && bytes.last().is_some_and(is_edge)
        && bytes.iter().all(|byte| is_edge(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_of_few_characters() {
        let longest = "a".repeat(LABEL);
        for text in ["a", "0", "web-0", "a--b", &longest] {
            assert!(is_dns_label(text), "{text}");
        }
        let too_long = "a".repeat(LABEL + 1);
        for text in ["", "-", "-a", "a-", "A", "a.b", "a_b", "ä", &too_long] {
            assert!(!is_dns_label(text), "{text}");
        }
    }
}
