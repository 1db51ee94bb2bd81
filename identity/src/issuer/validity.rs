use std::time::{Duration, SystemTime};
use thiserror::Error;

/// For how long leaves are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    lifetime: Duration,
    clock_skew: Duration,
    latest: Option<SystemTime>,
}

/// Why leaves can not be valid for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ValidityError {
    /// Certificates that expire when they are issued.
    #[error("the lifetime of certificates must be at least one second")]
    Lifetime,
}

impl Validity {
    /// Leaves are valid for `lifetime`, and for `clock_skew` before and after
    /// that, for the proxies whose clocks are off by so much.
    ///
    /// # Errors
    /// `lifetime` is under a second, the resolution of dates in certificates.
    pub fn new(lifetime: Duration, clock_skew: Duration) -> Result<Self, ValidityError> {
        if lifetime < Duration::from_secs(1) {
            return Err(ValidityError::Lifetime);
        }
        Ok(Self {
            lifetime,
            clock_skew,
            latest: None,
        })
    }

    /// How long a leaf is valid from the moment it is issued, clock skew aside.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// What is added before and after.
    pub fn clock_skew(&self) -> Duration {
        self.clock_skew
    }

    /// The same, which ends at this time at the latest.
    #[must_use]
    pub fn ending_by(self, latest: Option<SystemTime>) -> Self {
        Self { latest, ..self }
    }

    pub(super) fn latest(&self) -> Option<SystemTime> {
        self.latest
    }
}

impl Default for Validity {
    /// The chart's: 24 hours and 20 seconds.
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(24 * 60 * 60),
            clock_skew: Duration::from_secs(20),
            latest: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s41_a_lifetime_of_nothing_is_refused() {
        let skew = Duration::from_secs(20);
        for (lifetime, valid) in [(0, false), (999, false), (1000, true), (86_400_000, true)] {
            let made = Validity::new(Duration::from_millis(lifetime), skew);
            assert_eq!(made.is_ok(), valid, "{lifetime} ms");
        }
        let none = Validity::new(Duration::from_secs(1), Duration::ZERO).expect("valid");
        assert_eq!(none.clock_skew(), Duration::ZERO);
    }
}
