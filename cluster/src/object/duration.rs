use std::{fmt, str::FromStr};
use thiserror::Error;

/// Nanoseconds in each unit. µ is written in two ways.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// How much of a text an error quotes.
const QUOTED: usize = 80;
/// Digits of a fraction that count: more than the nanoseconds in an hour have.
const FRACTION_DIGITS: usize = 18;

/// A duration as Go's programs write it and Kubernetes users know it: `100ms`,
/// `1m30s`, `-1.5h`, or a bare `0`. Up to 292 years to either side.
///
/// (`kube` has a parser of such texts; it panics at `1s-5s` and at numbers that
/// are too large, so a stranger's object could end a thread with it.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GoDurationError {
    /// Not numbers with units, or too long.
    #[error("invalid duration {0:?}, expected numbers with units such as 500ms, 10s or 1m30s")]
    Invalid(String),
    /// A number stands alone.
    #[error("missing unit in duration {0:?}, expected one of ns, us, ms, s, m, h")]
    MissingUnit(String),
    /// A unit is none.
    #[error("unknown unit {unit:?} in duration {text:?}, expected one of ns, us, ms, s, m, h")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// All of the text.
        text: String,
    },
}

impl GoDuration {
    /// A duration of so many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The nanoseconds, negative before zero.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for GoDuration {
    type Err = GoDurationError;

    fn from_str(text: &str) -> Result<Self, GoDurationError> {
        let invalid = || GoDurationError::Invalid(quoted(text));
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if unsigned == "0" {
            return Ok(Self(0));
        }
        if unsigned.is_empty() {
            return Err(invalid());
        }
        let mut rest = unsigned;
        let mut nanos = 0_u128;
        while !rest.is_empty() {
            let whole = split_while(&mut rest, |c| c.is_ascii_digit());
            let fraction = match rest.strip_prefix('.') {
                Some(after) => {
                    rest = after;
                    split_while(&mut rest, |c| c.is_ascii_digit())
                }
                None => "",
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(invalid());
            }
            let unit = split_while(&mut rest, |c| c != '.' && !c.is_ascii_digit());
            if unit.is_empty() {
                return Err(GoDurationError::MissingUnit(quoted(text)));
            }
            let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(GoDurationError::UnknownUnit {
                    unit: quoted(unit),
                    text: quoted(text),
                });
            };
            nanos = number(whole, fraction, *unit)
                .and_then(|part| nanos.checked_add(part))
                .filter(|nanos| *nanos <= 1 << 63)
                .ok_or_else(invalid)?;
        }
        let nanos = i128::try_from(nanos).map_err(|_| invalid())?;
        let signed = if negative { -nanos } else { nanos };
        signed.try_into().map(Self).map_err(|_| invalid())
    }
}

/// What stands before the first character that is none of these.
fn split_while<'t>(text: &mut &'t str, wanted: impl Fn(char) -> bool) -> &'t str {
    let end = text.find(|c| !wanted(c)).unwrap_or(text.len());
    let (head, tail) = text.split_at(end);
    *text = tail;
    head
}

/// `whole.fraction` of a unit, in nanoseconds, what is smaller cut off; `None` if
/// it is too large.
fn number(whole: &str, fraction: &str, unit: u64) -> Option<u128> {
    let digits = |text: &str| match text {
        "" => Some(0),
        text => text.parse::<u64>().ok(),
    };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(digits(fraction)?) * u128::from(unit) / scale;
    Some(u128::from(digits(whole)?) * u128::from(unit) + part)
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let duration = std::time::Duration::from_nanos(self.0.unsigned_abs());
        write!(f, "{sign}{duration:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_added_up() {
        const SECOND: i64 = 1_000_000_000;
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("0s", 0),
            ("200ms", SECOND / 5),
            ("5s", 5 * SECOND),
            ("+5s", 5 * SECOND),
            ("-5s", -5 * SECOND),
            ("5.0s", 5 * SECOND),
            ("5.s", 5 * SECOND),
            (".5s", SECOND / 2),
            ("1.004s", 1_004_000_000),
            ("1m30s", 90 * SECOND),
            ("-1.5h", -5400 * SECOND),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("1\u{b5}s", 1_000),
            ("1\u{3bc}s", 1_000),
            ("1ns", 1),
            ("0.9ns", 0),
            ("0.100000000000000000000h", 360 * SECOND),
            ("0.830103483285477580700h", 2_988_372_539_827),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("2562047h", 2_562_047 * 3600 * SECOND),
        ] {
            let parsed = text.parse::<GoDuration>();
            assert_eq!(parsed.map(GoDuration::nanos), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_what_was_expected() {
        for (text, told) in [
            ("", "invalid duration \"\""),
            ("-", "invalid duration \"-\""),
            (".", "invalid duration \".\""),
            ("s", "invalid duration \"s\""),
            (".s", "invalid duration \".s\""),
            ("foo", "invalid duration \"foo\""),
            ("--5s", "invalid duration \"--5s\""),
            ("1s-5s", "unknown unit \"s-\" in duration \"1s-5s\""),
            ("1e3s", "unknown unit \"e\" in duration"),
            ("5", "missing unit in duration \"5\""),
            ("1s2", "missing unit in duration"),
            (" 1s", "invalid duration"),
            ("1 s", "unknown unit \" s\""),
            ("1d", "unknown unit \"d\" in duration \"1d\""),
            ("1S", "unknown unit"),
            ("9223372036854775808ns", "invalid duration"),
            ("-9223372036854775809ns", "invalid duration"),
            ("99999999999999999999h", "invalid duration"),
            ("3000000h", "invalid duration"),
        ] {
            let error = text.parse::<GoDuration>().expect_err(text).to_string();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }

    #[test]
    fn an_error_quotes_a_long_text_in_part() {
        let error = "é".repeat(10_000).parse::<GoDuration>().expect_err("none");
        assert!(error.to_string().len() < 300);
    }
}
