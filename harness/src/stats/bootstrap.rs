//! The percentile bootstrap (Efron 1979): an interval for any statistic, from the sample alone.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Share of repetitions in which the interval holds the true value, if blocks are independent.
pub const INTERVAL_LEVEL: f64 = 0.95;

/// The percentile interval of `statistic` over resamples of `blocks`, drawn with replacement.
///
/// Give it blocks of time (an interval's histogram, an interval's count) and not single requests:
/// neighbouring requests share their queue, so resampling them would promise too much. None with
/// fewer than two blocks. The seed makes it repeatable.
pub fn bootstrap_interval<T>(
    blocks: &[T],
    resamples: usize,
    seed: u64,
    mut statistic: impl FnMut(&[&T]) -> f64,
) -> Option<(f64, f64)> {
    if blocks.len() < 2 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let estimates = (0..resamples)
        .map(|_| {
            let drawn: Vec<&T> =
                (0..blocks.len()).map(|_| &blocks[random.random_range(0..blocks.len())]).collect();
            statistic(&drawn)
        })
        .collect();
    percentile_interval(estimates)
}

/// The middle [`INTERVAL_LEVEL`] of the estimates from all resamples; none without any.
pub(super) fn percentile_interval(mut estimates: Vec<f64>) -> Option<(f64, f64)> {
    let last = estimates.len().checked_sub(1)?;
    estimates.sort_by(f64::total_cmp);
    let tail = (1.0 - INTERVAL_LEVEL) / 2.0;
    let at = |share: f64| estimates[(share * last as f64).round() as usize];
    Some((at(tail), at(1.0 - tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[&f64]) -> f64 {
        values.iter().copied().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn covers_the_mean_of_normal_samples_about_as_often_as_it_says() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let covered = (0..400u64)
            .filter(|&seed| {
                // Twelve uniforms less six: a normal with mean 0 and variance 1.
                let sample: Vec<f64> =
                    (0..40).map(|_| (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0).collect();
                let (low, high) = bootstrap_interval(&sample, 400, seed, mean).unwrap();
                (low..=high).contains(&0.0)
            })
            .count();
        // The percentile bootstrap is a little too narrow at n = 40: about 93 of 100.
        assert!((360..=392).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn one_block_gives_no_interval_and_equal_blocks_a_point() {
        assert_eq!(bootstrap_interval(&[1.0], 100, 1, mean), None);
        assert_eq!(bootstrap_interval(&[2.0; 5], 100, 1, mean), Some((2.0, 2.0)));
    }
}
