//! The jackknife: what leaving out one observation after the other says of a law that was fitted to all.

use super::Interval;

/// Two-sided share of the intervals that does not hold the truth.
const MISSED: f64 = 0.05;
/// Quantile of the normal distribution that leaves half of [`MISSED`] above it.
const NORMAL_QUANTILE: f64 = 1.959_964;

/// The jackknife+ interval of a prediction (Barber, Candès, Ramdas and Tibshirani, *Predictive inference with
/// the jackknife+*, Annals of Statistics 2021).
///
/// Each pair is what the law that was fitted without observation i predicts here, and by how much it missed
/// observation i. Whatever the law and the noise, the interval holds a new observation with at least 90 %
/// probability if it comes from where the others come from, and in practice with about 95 %. Fewer than 19
/// pairs can't promise that: then it spans all of them. None without any.
pub fn jackknife_plus(without_each: &[(f64, f64)]) -> Option<Interval> {
    let ends = |sign: f64| {
        let mut ends: Vec<f64> =
            without_each.iter().map(|(value, missed)| value + sign * missed.abs()).collect();
        ends.sort_by(f64::total_cmp);
        ends
    };
    let last = without_each.len().checked_sub(1)?;
    let beyond = (MISSED * (without_each.len() + 1) as f64).floor() as usize;
    let rank = beyond.saturating_sub(1).min(last);
    Some((ends(-1.0)[rank], ends(1.0)[last - rank]))
}

/// The 95 % interval of a parameter from its values without each observation: its value ± 1.96 standard
/// errors of the jackknife (Tukey 1958). None with less than two.
pub fn jackknife_interval(value: f64, without_each: &[f64]) -> Option<Interval> {
    let count = without_each.len() as f64;
    if count < 2.0 {
        return None;
    }
    let mean = without_each.iter().sum::<f64>() / count;
    let squares: f64 = without_each.iter().map(|without| (without - mean).powi(2)).sum();
    let half = NORMAL_QUANTILE * ((count - 1.0) / count * squares).sqrt();
    Some((value - half, value + half))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn normal(random: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_its_standard_error() {
        // The jackknife's standard error of a mean is s/√n exactly.
        let sample = [4.0, 8.0, 6.0, 5.0, 3.0, 7.0];
        let sum: f64 = sample.iter().sum();
        let without: Vec<f64> = sample.iter().map(|value| (sum - value) / 5.0).collect();
        let s = (sample.iter().map(|value| (value - sum / 6.0f64).powi(2)).sum::<f64>() / 5.0).sqrt();
        let (low, high) = jackknife_interval(sum / 6.0, &without).unwrap();
        let half = NORMAL_QUANTILE * s / 6f64.sqrt();
        assert!((low - (5.5 - half)).abs() < 1e-12 && (high - (5.5 + half)).abs() < 1e-12);
        assert_eq!(jackknife_interval(1.0, &[1.0]), None);
    }

    #[test]
    fn a_new_observation_is_held_about_as_often_as_promised() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let held = (0..1_000).filter(|_| {
            let sample: Vec<f64> = (0..30).map(|_| normal(&mut random)).collect();
            let sum: f64 = sample.iter().sum();
            let pairs: Vec<(f64, f64)> =
                sample.iter().map(|value| ((sum - value) / 29.0, value - (sum - value) / 29.0)).collect();
            let (low, high) = jackknife_plus(&pairs).unwrap();
            (low..=high).contains(&normal(&mut random))
        });
        let held = held.count();
        assert!((920..=990).contains(&held), "{held} of 1000");
    }

    #[test]
    fn few_observations_give_the_widest_interval() {
        assert_eq!(jackknife_plus(&[]), None);
        assert_eq!(jackknife_plus(&[(1.0, 0.5), (2.0, -0.25)]), Some((0.5, 2.25)));
    }
}
