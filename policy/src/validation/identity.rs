//! Identities of clients, as they are written (policy.md section 2.5).

/// What stands before a SPIFFE id.
const SPIFFE: &str = "spiffe://";

/// What is wrong with an identity: a name, a pattern of names or a SPIFFE id.
pub(super) fn mistake(text: &str) -> Option<String> {
    match text.strip_prefix(SPIFFE) {
        Some(id) => {
            spiffe_mistake(id).map(|mistake| format!("{text:?} is no SPIFFE id: {mistake}"))
        }
        None => name_mistake(text),
    }
}

/// What is wrong with a name or a pattern of names.
pub(super) fn name_mistake(text: &str) -> Option<String> {
    let mut labels = text.split('.');
    let first = labels.next().unwrap_or_default();
    let is_name = (first == "*" || is_label(first)) && labels.all(is_label);
    (!is_name).then(|| {
        format!(
            "{text:?} is no identity: expected a name such as \
             web.shop.serviceaccount.identity.linkerd.cluster.local, the end of such names behind \
             *., or * for all"
        )
    })
}

/// A part of a name: of any length, since no pattern bounds it.
fn is_label(text: &str) -> bool {
    let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(is_edge)
        && bytes.last().is_some_and(is_edge)
        && bytes.iter().all(|byte| is_edge(byte) || *byte == b'-')
}

/// What is wrong with what follows `spiffe://`: a trust domain, and perhaps a path
/// of segments.
fn spiffe_mistake(id: &str) -> Option<&'static str> {
    let (domain, path) = match id.split_once('/') {
        Some((domain, path)) => (domain, Some(path)),
        None => (id, None),
    };
    if domain.is_empty() {
        return Some("it has no trust domain");
    }
    let is_mark = |byte: u8| matches!(byte, b'.' | b'_' | b'-');
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || is_mark(byte);
    if !domain.bytes().all(is_lower) {
        return Some("a trust domain is made of lower case letters, digits, '.', '_' and '-'");
    }
    path?.split('/').find_map(|segment| {
        if segment.is_empty() {
            return Some("it has an empty segment, or a slash at its end");
        }
        if matches!(segment, "." | "..") {
            return Some("a segment may not be . or ..");
        }
        let is_readable = |byte: u8| byte.is_ascii_alphanumeric() || is_mark(byte);
        (!segment.bytes().all(is_readable))
            .then_some("a segment is made of letters, digits, '.', '_' and '-'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_their_patterns_and_spiffe_ids_are_identities() {
        for text in [
            "*",
            "*.a.b",
            "a",
            "web-0.shop.serviceaccount.identity.linkerd.cluster.local",
            "spiffe://t",
            "spiffe://t_d.example-0",
            "spiffe://t/a",
            "spiffe://t/ns/A.b_c-d/...",
        ] {
            assert_eq!(mistake(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_identity_is_told_by_what_is_wrong_with_it() {
        for (text, told) in [
            ("", "is no identity"),
            ("system.local.", "is no identity"),
            (".a", "is no identity"),
            ("x.*", "is no identity"),
            ("*.*.a", "is no identity"),
            ("**.a", "is no identity"),
            ("A", "is no identity"),
            ("-a", "is no identity"),
            ("http://d/p", "is no identity"),
            ("spiffe:/t", "is no identity"),
            ("SPIFFE://t", "is no identity"),
            ("spiffe://", "no trust domain"),
            ("spiffe:///a", "no trust domain"),
            ("spiffe://T", "lower case letters"),
            ("spiffe://t:80/a", "lower case letters"),
            ("spiffe://t//a", "an empty segment"),
            ("spiffe://t/a/", "a slash at its end"),
            ("spiffe://t/", "a slash at its end"),
            ("spiffe://t/a/..", "may not be . or .."),
            ("spiffe://t/./a", "may not be . or .."),
            ("spiffe://t/a b", "made of letters"),
            ("spiffe://t/ä", "made of letters"),
        ] {
            let said = mistake(text).unwrap_or_else(|| panic!("{text:?} is one"));
            assert!(said.contains(told), "{text}: {said}");
        }
        // Where SPIFFE ids are not understood they are no names either.
        assert!(name_mistake("spiffe://t").is_some());
    }
}
