//! When a certificate is asked for again.

use std::time::{Duration, SystemTime};

/// Bounds of the pause between two requests (api.md section 4: min and max
/// refresh).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refresh {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            min: Duration::from_secs(10),
            max: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl Refresh {
    /// The pause before the next request, given how long the certificate holds
    /// that there is: 70 % of what is left, within bounds. It is the least while
    /// there is none or what there is has ended.
    pub(crate) fn pause(&self, valid_until: Option<SystemTime>, now: SystemTime) -> Duration {
        let left = valid_until.and_then(|until| until.duration_since(now).ok());
        match left {
            Some(left) if !left.is_zero() => left.mul_f64(0.7).max(self.min).min(self.max),
            _ => self.min,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_when_70_percent_of_the_rest_are_over() {
        let now = SystemTime::now();
        let refresh = Refresh::default();
        for (left, pause) in [
            (None, 10.0),
            (Some(0), 10.0),
            (Some(1), 10.0),
            (Some(14), 10.0),
            (Some(100), 70.0),
            (Some(24 * 3600), 0.7 * 24.0 * 3600.0),
            (Some(10 * 24 * 3600), 24.0 * 3600.0),
        ] {
            let until = left.map(|left| now + Duration::from_secs(left));
            let secs = refresh.pause(until, now).as_secs_f64();
            assert!((secs - pause).abs() < 1e-3, "{left:?}: {secs}");
        }
        let past = now - Duration::from_secs(60);
        assert_eq!(refresh.pause(Some(past), now), refresh.min, "it has ended");
    }
}
