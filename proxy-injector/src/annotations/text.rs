//! What the texts of annotations may be. All of them are read as the reference
//! reads them (identity-injector.md section 8.1), so that a manifest means the same
//! to both.

use ferrule_cluster::object::{GoDuration, Quantity, parse_port_range, port_items};
use ipnet::IpNet;

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

/// Whether every item of a list is a port or a range.
pub(super) fn is_port_list(text: &str) -> bool {
    port_items(text).all(|item| parse_port_range(item).is_some())
}

/// Whether every item of a list is a network, such as `10.0.0.0/8`.
pub(crate) fn is_network_list(text: &str) -> bool {
    text.split(',').all(|item| item.parse::<IpNet>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_no_boolean() {
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
        for (text, expected) in [
            ("80", true),
            ("1-65535,0", true),
            ("", true),
            ("80,http", false),
            ("9-8", false),
            ("8 - 9", false),
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
