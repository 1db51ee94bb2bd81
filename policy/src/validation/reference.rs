//! References to other objects (policy.md section 2.1).

use std::fmt;

/// What a reference says of the kind of its object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    pub(super) group: Option<&'a str>,
    pub(super) kind: &'a str,
}

impl Reference<'_> {
    /// Whether it is of this kind, the group of core kinds being empty. How letters
    /// are written does not matter, and the core group may be called `core`.
    pub(super) fn is(self, group: &str, kind: &str) -> bool {
        let own = match self.group.unwrap_or_default() {
            core if core.eq_ignore_ascii_case("core") => "",
            own => own,
        };
        own.eq_ignore_ascii_case(group) && self.kind.eq_ignore_ascii_case(kind)
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.unwrap_or_default() {
            "" => f.write_str(self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_group_has_three_names_and_letters_two_cases() {
        let of = |group, kind| Reference { group, kind };
        for group in [None, Some(""), Some("core"), Some("Core")] {
            assert!(of(group, "serviceAccount").is("", "ServiceAccount"));
            assert!(!of(group, "Server").is("policy.linkerd.io", "Server"));
        }
        let server = of(Some("Policy.Linkerd.io"), "SERVER");
        assert!(server.is("policy.linkerd.io", "Server"));
        assert!(!server.is("", "Server"));
        assert_eq!(server.to_string(), "SERVER.Policy.Linkerd.io");
    }
}
