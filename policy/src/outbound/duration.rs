use prost_types::Duration;
use std::time;

/// The wire's form.
pub(super) fn duration(duration: time::Duration) -> Duration {
    Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).expect("less than a second"),
    }
}
