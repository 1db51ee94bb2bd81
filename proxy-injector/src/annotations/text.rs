//! What the texts of annotations may be. All of them are read as the reference
//! reads them (identity-injector.md section 8.1), so that a manifest means the same
//! to both.

use ferrule_cluster::object::{GoDuration, Quantity};
use ipnet::IpNet;
use std::ops::RangeInclusive;

/// A boolean of Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// `enabled` or `disabled`.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => None,
    }
}

/// A port that something can listen on.
pub(super) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// A duration of 0 or more, in nanoseconds.
pub(super) fn duration(text: &str) -> Option<u64> {
    let duration: GoDuration = text.parse().ok()?;
    u64::try_from(duration.nanos()).ok()
}

/// Of a Kubernetes quantity of 0 or more how many whole units it is at least,
/// rounded up (`1001m` is 2).
pub(super) fn quantity(text: &str) -> Option<u64> {
    let quantity: Quantity = text.parse().ok()?;
    let thousandths = u64::try_from(quantity.thousandths()).ok()?;
    Some(thousandths.div_ceil(1000))
}

/// A share of a node's CPUs: more than none, less than all.
pub(super) fn ratio(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|ratio| 0.0 < *ratio && *ratio < 1.0)
}

/// The items of a list of ports: trimmed, one comma at the end is no item.
pub(crate) fn items(list: &str) -> impl Iterator<Item = &str> {
    let list = list.trim();
    let list = list.strip_suffix(',').unwrap_or(list);
    let none = list.is_empty();
    list.split(',').map(str::trim).filter(move |_| !none)
}

/// A port or a range of ports such as `9000-9100`.
pub(crate) fn port_range(item: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = item.split_once('-').unwrap_or((item, item));
    let range = low.parse().ok()?..=high.parse().ok()?;
    (range.start() <= range.end()).then_some(range)
}

/// Whether every item of a list is a port or a range.
pub(super) fn is_port_list(text: &str) -> bool {
    items(text).all(|item| port_range(item).is_some())
}

/// Whether every item of a list is a network, such as `10.0.0.0/8`.
pub(crate) fn is_network_list(text: &str) -> bool {
    text.split(',').all(|item| item.parse::<IpNet>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_gos() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(boolean(text), Some(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(boolean(text), Some(false), "{text}");
        }
        for text in ["", "yes", "tRUE", " true", "enabled"] {
            assert_eq!(boolean(text), None, "{text}");
        }
        assert_eq!(switch("enabled"), Some(true));
        assert_eq!(switch("disabled"), Some(false));
        assert_eq!(switch("true"), None);
    }

    #[test]
    fn durations_are_gos_and_exact() {
        const MS: u64 = 1_000_000;
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0s", Some(0)),
            ("6s5ms", Some(6005 * MS)),
            ("1001ms", Some(1001 * MS)),
            ("1005ms", Some(1005 * MS)),
            ("1.5h", Some(5_400_000 * MS)),
            (".5s", Some(500 * MS)),
            ("1.s", Some(1000 * MS)),
            ("+1m", Some(60_000 * MS)),
            ("1us2ns", Some(1002)),
            ("1\u{b5}s", Some(1000)),
            ("", None),
            ("6000", None),
            ("-5s", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1..5s", None),
            ("1 s", None),
            ("+", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for (text, expected) in [
            ("1", Some(1)),
            ("0", Some(0)),
            ("1001m", Some(2)),
            ("20Mi", Some(20 << 20)),
            ("+1", Some(1)),
            ("1e-40", Some(1)),
            ("-1", None),
            ("1K", None),
            ("", None),
        ] {
            assert_eq!(quantity(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_ratio_is_between_none_and_all() {
        assert_eq!(ratio("0.3"), Some(0.3));
        for text in ["0", "1", "1.0", "-0.5", "nan", "inf", "", "half"] {
            assert_eq!(ratio(text), None, "{text}");
        }
    }

    #[test]
    fn lists_of_ports_and_networks() {
        let all: Vec<_> = items(" 80, 90-91,,x, ").collect();
        assert_eq!(all, ["80", "90-91", "", "x"]);
        assert_eq!(items("").count(), 0);
        assert_eq!(items(",").count(), 0);
        for (text, expected) in [
            ("80", true),
            ("1-65535,0", true),
            ("", true),
            ("80,http", false),
            ("9-8", false),
            ("65536", false),
            ("1,,2", false),
        ] {
            assert_eq!(is_port_list(text), expected, "{text}");
        }
        assert!(is_network_list("10.0.0.0/8,fd00::/8"));
        assert!(!is_network_list("10.0.0.0/8, 192.168.0.0/16"));
        assert!(!is_network_list("10.0.0.0"));
    }
}
