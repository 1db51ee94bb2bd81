//! What many measurements come to.

use serde::{Deserialize, Serialize};

/// The least, the middle, nearly the most and the most of some values; all 0 when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Quantiles {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |percent| rank(values.len(), percent).map_or(0.0, |rank| values[rank]);
        Self {
            min: at(0),
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

/// Where the nearest-rank percentile of `count` sorted values is: at least `percent` of a hundred
/// values are not greater.
fn rank(count: usize, percent: usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    Some((count * percent).div_ceil(100).saturating_sub(1).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred = (1..=100).rev().map(f64::from).collect();
        let expected = Quantiles {
            min: 1.0,
            p50: 50.0,
            p99: 99.0,
            max: 100.0,
        };
        assert_eq!(Quantiles::of(hundred), expected);
        let two = Quantiles::of(vec![3.0, 1.0]);
        assert_eq!((two.min, two.p50, two.p99, two.max), (1.0, 1.0, 3.0, 3.0));
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }
}
