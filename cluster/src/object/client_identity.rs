use super::{Name, ObjectKey};

/// Whom a client's certificate must name (policy.md section 2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientIdentity {
    /// This name, whatever is in it.
    Exact(Name),
    /// Any name below this domain; below none, any name.
    Below(Name),
    /// A ServiceAccount, there or not.
    ServiceAccount(ObjectKey),
    /// Any ServiceAccount of this namespace.
    Namespace(Name),
}

impl ClientIdentity {
    /// What `*.domain` and `*` mean; `None` for every other text, which is meant
    /// as it is.
    pub fn domain(text: &str) -> Option<&str> {
        match text {
            "*" => Some(""),
            _ => text.strip_prefix("*."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_first_label_of_one_star_is_a_pattern() {
        for (text, domain) in [
            ("*", Some("")),
            ("*.a.b", Some("a.b")),
            ("*.*.a", Some("*.a")),
            ("**.a", None),
            ("x.*.a", None),
            ("*a", None),
            ("spiffe://td/x", None),
        ] {
            assert_eq!(ClientIdentity::domain(text), domain, "{text}");
        }
    }
}
