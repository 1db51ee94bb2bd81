use std::{cmp::Ordering, fmt, ops::RangeInclusive};
use thiserror::Error;

/// The chart's default for ports that are opaque.
pub const DEFAULT_OPAQUE_PORTS: &str = "25,587,3306,4444,5432,6379,9300,11211";

/// A set of port numbers, kept as sorted ranges that do not touch.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct PortSet(Box<[(u16, u16)]>);

/// An item of a port list that is neither a known port name, a number nor a range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{item:?} is neither a port name of the object, a port (0-65535) nor a range such as 9000-9100"
)]
pub struct PortSetError {
    /// The item as written, trimmed.
    pub item: String,
}

/// The items of a list of ports: trimmed, one comma at the end is no item
/// (destination.md section 13, identity-injector.md section 8.1).
pub fn port_items(list: &str) -> impl Iterator<Item = &str> {
    let list = list.trim();
    let list = list.strip_suffix(',').unwrap_or(list);
    let none = list.is_empty();
    list.split(',').map(str::trim).filter(move |_| !none)
}

/// A port, or a range such as `9000-9100`: without blanks, here as in what the injector
/// hands to the proxy, since one that is a range to only one of them would be opaque to
/// only one.
pub fn parse_port_range(item: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = item.split_once('-').unwrap_or((item, item));
    let range = low.parse().ok()?..=high.parse().ok()?;
    (range.start() <= range.end()).then_some(range)
}

impl PortSet {
    /// Reads a comma-separated list of names, numbers and ranges (`8080,
    /// 9000-9002, metrics`). A name wins over a number or range of the same
    /// spelling. Items that cannot be read are returned; the others count
    /// (destination.md section 13).
    pub fn parse(
        text: &str,
        port_named: impl Fn(&str) -> Option<u16>,
    ) -> (Self, Vec<PortSetError>) {
        let mut ranges = Vec::new();
        let mut errors = Vec::new();
        for item in port_items(text) {
            match port_named(item)
                .map(|port| (port, port))
                .or_else(|| parse_port_range(item).map(RangeInclusive::into_inner))
            {
                Some(range) => ranges.push(range),
                None => errors.push(PortSetError {
                    item: item.to_owned(),
                }),
            }
        }
        (Self::from_ranges(ranges), errors)
    }

    fn from_ranges(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(low) <= u32::from(last.1) + 1 => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self(merged.into())
    }

    /// Whether the set holds `port`.
    pub fn contains(&self, port: u16) -> bool {
        self.0
            .binary_search_by(|&(low, high)| {
                if high < port {
                    Ordering::Less
                } else if low > port {
                    Ordering::Greater
                } else {
                    Ordering::Equal
                }
            })
            .is_ok()
    }

    /// Whether no port is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(low, high)| low..=high))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Option<u16> {
        match name {
            "sidecar" => Some(8081),
            "123-456" => Some(7000),
            _ => None,
        }
    }

    #[test]
    fn s64_names_numbers_and_ranges_are_read_and_bad_items_reported() {
        // Scenario 64 of destination.md.
        let (set, errors) = PortSet::parse("sidecar, 9000-9002,bad-,8080,", named);
        for port in [8081, 9000, 9001, 9002, 8080] {
            assert!(set.contains(port), "{port}");
        }
        for port in [0, 8079, 8082, 8999, 9003, 65535] {
            assert!(!set.contains(port), "{port}");
        }
        assert_eq!(
            errors,
            [PortSetError {
                item: "bad-".into()
            }]
        );
    }

    #[test]
    fn items_are_trimmed_and_one_comma_at_the_end_is_none() {
        let all: Vec<_> = port_items(" 80, 90-91,,x, ").collect();
        assert_eq!(all, ["80", "90-91", "", "x"]);
        assert_eq!(port_items("").count(), 0);
        assert_eq!(port_items(",").count(), 0);
    }

    #[test]
    fn a_name_wins_over_a_range_of_the_same_spelling() {
        let (set, errors) = PortSet::parse("123-456", named);
        assert!(errors.is_empty());
        assert!(set.contains(7000) && !set.contains(200));
    }

    #[test]
    fn an_empty_list_is_an_empty_set() {
        assert_eq!(PortSet::parse("", named), (PortSet::default(), vec![]));
        assert!(PortSet::parse(" ", named).0.is_empty());
    }

    #[test]
    fn out_of_range_and_reversed_items_are_errors() {
        for text in ["65536", "-1", "9-8", "8 - 9", "1-2-3", "a", "1,,2"] {
            assert_eq!(PortSet::parse(text, named).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn overlapping_ranges_are_one() {
        let (set, _) = PortSet::parse("1-10,5-20,21,65535", named);
        assert_eq!(set, PortSet(vec![(1, 21), (65535, 65535)].into()));
    }
}
