use super::unexpected;
use std::time::Duration;

/// Milliseconds in each unit. The shorter names are the ends of longer ones.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A duration as annotations write it: one whole number with one unit (`500ms`,
/// `10s`, `1d`), or a bare `0`.
///
/// # Errors
/// What is expected instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let invalid = || {
        unexpected(
            text,
            "a whole number with a unit (ms, s, m, h, d) such as 10s",
        )
    };
    let digits = text.bytes().rposition(|byte| byte.is_ascii_digit());
    let (number, unit) = text.split_at(digits.map_or(0, |last| last + 1));
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number
        .parse()
        .ok()
        .filter(|_| is_number)
        .ok_or_else(invalid)?;
    let factor = match (UNITS.iter().find(|(name, _)| *name == unit), unit, number) {
        (Some((_, factor)), ..) => *factor,
        (None, "", 0) => 0,
        _ => return Err(invalid()),
    };
    let millis = number.checked_mul(factor).ok_or_else(invalid)?;
    Ok(Duration::from_millis(millis))
}
