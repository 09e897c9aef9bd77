//! Medians, percentiles and ratios taken pair by pair.

use serde::Serialize;

/// The middle and the ends of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle sample.
    pub(crate) median: f64,
    /// The smallest sample.
    pub(crate) min: f64,
    /// The largest sample.
    pub(crate) max: f64,
    /// How many there were.
    pub(crate) n: usize,
}

impl Spread {
    /// Summarises samples; `None` when there are none.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let sorted = sorted(samples);
        Some(Self {
            median: percentile(&sorted, 50.0)?,
            min: *sorted.first()?,
            max: *sorted.last()?,
            n: sorted.len(),
        })
    }
}

/// Returns the samples in ascending order.
pub(crate) fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Returns a percentile of sorted samples, interpolated between neighbours.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position inside the samples"
)]
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = percent / 100.0 * last as f64;
    let low = sorted.get(position.floor() as usize)?;
    let high = sorted.get(position.ceil() as usize)?;
    Some(low + (high - low) * position.fract())
}

/// Divides pair by pair. Pairs whose divisor is not positive say nothing and are left out.
pub(crate) fn ratios(upper: &[f64], lower: &[f64]) -> Vec<f64> {
    pairs(upper, lower)
        .filter(|(_, low)| *low > 0.0)
        .map(|(up, low)| up / low)
        .collect()
}

/// Subtracts pair by pair.
pub(crate) fn differences(upper: &[f64], lower: &[f64]) -> Vec<f64> {
    pairs(upper, lower).map(|(up, low)| up - low).collect()
}

/// Adds pair by pair.
pub(crate) fn sums(left: &[f64], right: &[f64]) -> Vec<f64> {
    pairs(left, right).map(|(a, b)| a + b).collect()
}

fn pairs<'a>(left: &'a [f64], right: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    left.iter().copied().zip(right.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_number_of_samples_lies_between_the_middle_two() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(
            spread,
            Spread {
                median: 2.5,
                min: 1.0,
                max: 4.0,
                n: 4
            }
        );
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair_and_skip_what_noise_made_negative() {
        assert_eq!(ratios(&[4.0, 9.0, 5.0], &[2.0, 3.0, -1.0]), [2.0, 3.0]);
    }

    #[test]
    fn the_last_percentile_is_the_largest_sample() {
        assert_eq!(percentile(&[1.0, 2.0, 10.0], 100.0), Some(10.0));
        assert_eq!(percentile(&[1.0, 2.0, 10.0], 50.0), Some(2.0));
    }
}
