use ferrule_cluster::object::GoDuration;
use std::time::Duration;

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
