//! How Events are called of which there is to be one for each thing that happened, whoever
//! tells of it, and however often: the API server keeps the first of a name.

use aws_lc_rs::digest::{SHA256, digest};
use std::fmt::Write as _;

/// The most of an object's name that is in an Event's.
const LONGEST: usize = 200;

/// A name for an Event about the object of this name. `thing` is what happened: the same for
/// all who tell of it, and another for everything else.
pub(crate) fn event_name(about: &str, thing: &str) -> String {
    let short = &about[..about.floor_char_boundary(LONGEST)];
    let mut name = format!("{}.", short.trim_end_matches(['.', '-']));
    let hash = digest(&SHA256, thing.as_bytes());
    for byte in hash.as_ref().iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_one_thing_and_short_enough() {
        let name = event_name("web", "restarted at noon");
        assert_eq!(name, event_name("web", "restarted at noon"));
        assert_ne!(name, event_name("web", "restarted at one"));
        assert!(name.starts_with("web.") && name.len() == 20, "{name}");
        let long = event_name(&format!("{}-{}", "a".repeat(199), "b".repeat(50)), "");
        assert_eq!(long.len(), 199 + 17, "no - before the dot");
    }
}
