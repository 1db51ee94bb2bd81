use ferrule_cluster::object::GoDuration;
use std::time::Duration;

/// A Lease says its duration in whole seconds, and is renewed after a third.
const SHORTEST_LEASE: Duration = Duration::from_secs(3);

/// Reads a flag that is a span of time, in the way of Go's programs: the charts of
/// a mesh have `24h0m0s`.
///
/// # Errors
/// What was expected, where the text is something else or before zero.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let nanos = text
        .parse::<GoDuration>()
        .ok()
        .and_then(|duration| u64::try_from(duration.nanos()).ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or("expected a duration such as 20s, 500ms or 1m30s")
}

/// Reads such a duration as a Lease can have.
///
/// # Errors
/// What was expected.
pub fn lease_duration(text: &str) -> Result<Duration, &'static str> {
    let duration = duration(text)?;
    if duration < SHORTEST_LEASE || duration.subsec_nanos() > 0 {
        return Err("expected whole seconds, at least 3s");
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_do() {
        for (text, seconds) in [
            ("20s", Some(20.0)),
            ("1m30s", Some(90.0)),
            ("24h0m0s", Some(86_400.0)),
            ("500ms", Some(0.5)),
            ("0s", Some(0.0)),
            ("0", Some(0.0)),
            ("-1s", None),
            ("20", None),
            ("soon", None),
            ("", None),
        ] {
            let parsed = duration(text).ok().map(|duration| duration.as_secs_f64());
            assert_eq!(parsed, seconds, "{text}");
        }
    }
}
